"""What strategies remember."""

from standfast.policy.strategy import NOTED, Notes
from support.exchanges import target


def test_a_group_is_known_by_its_identity() -> None:
    """What was made for a group is found again; an equal but other group has notes of its own."""
    notes = Notes()
    one = (target("a/m"), target("b/m"))
    other = tuple(one[:1] + one[1:])
    made: list[int] = []

    def make(_: object) -> int:
        made.append(len(made))
        return made[-1]

    assert [notes.of("s", one, make), notes.of("s", one, make)] == [0, 0]
    assert notes.of("another strategy", one, make) == 1
    assert notes.of("s", list(other), make) == 2


def test_notes_do_not_pile_up() -> None:
    """Beyond 1,024 groups the one that was not used for longest is forgotten."""
    notes = Notes()
    groups = [(target("a/m"),) for _ in range(NOTED + 1)]
    for number, group in enumerate(groups):
        assert notes.of("s", group, lambda _, number=number: number) == number  # type: ignore[misc]
        assert notes.of("s", groups[0], lambda _: -1) == 0
    assert notes.of("s", groups[1], lambda _: -1) == -1
