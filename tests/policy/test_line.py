"""The line in front of busy deployments: order, fairness, bound, and that nobody is lost in it."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from standfast.canon.ask import Ask
from standfast.canon.deployment import Deployment
from standfast.canon.instants import Monotonic
from standfast.policy.line import Line, QueueSettings, Ticket

A, B = (Deployment("p", name, "http://p") for name in ("a", "b"))


def ticket(
    priority: int = 3, caller: str = "", wants: tuple[Deployment, ...] = (A,), *, tokens: int = 100, ripe: float = 1e9
) -> Ticket:
    """One that lines up at zero and may wait for ten seconds."""
    ask = Ask("m", priority=priority, caller=caller, prompt_tokens=tokens)
    return Ticket(ask, wants, Monotonic(0.0), Monotonic(10.0), Monotonic(ripe))


def line_of(*tickets: Ticket, most: int = 1000) -> Line:
    """A line with these in it."""
    line = Line(QueueSettings(max_waiting=most))
    for each in tickets:
        assert line.enter(each, Monotonic(0.0)) is None
    return line


def order(line: Line, deployment: Deployment = A) -> list[Ticket]:
    """Everybody's turn, one slot after the other."""
    turns = []
    while (each := line.freed(deployment, Monotonic(1.0))) is not None:
        turns.append(each)
    return turns


def test_priority_first_then_who_came_first() -> None:
    """The highest priority is called first; of equals of one caller the oldest."""
    low, first, second, high = ticket(1), ticket(3), ticket(3), ticket(5)
    assert order(line_of(low, first, second, high)) == [high, first, second, low]


def test_callers_of_the_same_priority_take_turns() -> None:
    """D11: fifty requests of one caller do not hold up the two of another."""
    noisy = [ticket(caller="noisy") for _ in range(50)]
    quiet = [ticket(caller="quiet") for _ in range(2)]
    turns = order(line_of(*noisy, *quiet))
    assert [turns.index(each) for each in quiet] == [1, 3]
    assert [each for each in turns if each.ask.caller == "noisy"] == noisy


def test_fairness_counts_tokens() -> None:
    """D11: who asks for ten times as much per request has a tenth of the turns."""
    large = [ticket(caller="large", tokens=1000) for _ in range(10)]
    small = [ticket(caller="small", tokens=100) for _ in range(100)]
    turns = order(line_of(*large, *small))
    assert 9 <= Counter(each.ask.caller for each in turns[:22])["small"] <= 21
    assert Counter(each.ask.caller for each in turns[:55])["large"] in (5, 6)


def test_a_caller_that_was_away_has_saved_nothing_up() -> None:
    """Virtual time goes on: nobody gets the turns of the hours in which it asked for nothing."""
    line = line_of(*(ticket(caller="busy") for _ in range(20)))
    for _ in range(20):
        line.freed(A, Monotonic(1.0))
    busy, late = [ticket(caller="busy") for _ in range(3)], [ticket(caller="late") for _ in range(3)]
    for each in (*busy, *late):
        line.enter(each, Monotonic(2.0))
    assert [each.ask.caller for each in order(line)][:4].count("late") == 2


def test_only_who_wants_the_deployment_is_called() -> None:
    """A slot is of no use to a request that wants another place; one that wants both is called once."""
    of_b, both = ticket(5, wants=(B,)), ticket(1, wants=(A, B))
    line = line_of(of_b, both)
    assert line.freed(A, Monotonic(1.0)) is both
    assert line.freed(A, Monotonic(1.0)) is None
    assert order(line, B) == [of_b]


def test_newcomers_do_not_overtake() -> None:
    """Somebody of the same or a higher priority who waits there comes first."""
    line = line_of(ticket(3))
    assert [line.blocks(Ask("m", priority=priority), A) for priority in (2, 3, 4)] == [True, True, False]
    assert not line.blocks(Ask("m", priority=1), B)
    line.freed(A, Monotonic(1.0))
    assert not line.blocks(Ask("m", priority=1), A)


def test_a_full_line_sheds_the_lowest_and_newest() -> None:
    """D8: low priority goes first, of equals the newest, which may be the newcomer."""
    old, new, high = ticket(2), ticket(2), ticket(4)
    line = line_of(old, new, high, most=3)
    equal = ticket(2)
    assert line.enter(equal, Monotonic(0.0)) is equal
    higher = ticket(3)
    assert line.enter(higher, Monotonic(0.0)) is new
    assert order(line) == [high, higher, old]
    nobody = Line(QueueSettings(max_waiting=0))
    assert nobody.enter(high, Monotonic(0.0)) is high


def test_time_alone_makes_ripe() -> None:
    """A limit per minute lets requests pass at an instant, and a deadline ends every wait."""
    soon, late, never = ticket(ripe=2.0), ticket(5, ripe=3.0), ticket(ripe=1e9)
    line = line_of(never, soon, late)
    assert line.ripe(Monotonic(1.9)) == []
    assert line.ripe(Monotonic(3.0)) == [late, soon]
    assert line.ripe(Monotonic(9.9)) == []
    assert line.ripe(Monotonic(10.0)) == [never]
    assert not line


def test_who_lines_up_again_keeps_the_place() -> None:
    """A turn that came to nothing does not send a request to the end."""
    first, *others = (ticket(caller="c") for _ in range(3))
    line = line_of(first, *others)
    assert line.freed(A, Monotonic(1.0)) is first
    line.enter(first, Monotonic(1.0))
    assert order(line) == [first, *others]


def test_who_leaves_unserved_has_paid_nothing() -> None:
    """D11: two hundred requests that were cancelled before their turn put nobody behind, now or later."""
    line = line_of(ticket(wants=(B,)))  # the line is never empty
    for each in [ticket(caller="alice") for _ in range(200)]:
        line.enter(each, Monotonic(0.0))
        line.leave(each)
    alice = ticket(caller="alice")
    crowd = [ticket(caller="bob") for _ in range(300)]
    for each in (alice, *crowd):
        line.enter(each, Monotonic(3600.0))
    assert order(line)[0] is alice


def test_those_behind_one_that_leaves_move_up() -> None:
    """D11: a caller's next request stands where the one that left would have stood."""
    alice, bob = [ticket(caller="alice") for _ in range(5)], [ticket(caller="bob") for _ in range(5)]
    line = line_of(*alice, *bob)
    for each in alice[:3]:
        line.leave(each)
    assert order(line) == [alice[3], bob[0], alice[4], *bob[1:]]


def test_who_is_shed_or_too_late_has_paid_nothing() -> None:
    """D11: displaced by a higher priority, or at its deadline: neither is served, neither pays."""
    stays = Ticket(Ask("m", priority=5), (B,), Monotonic(0.0), Monotonic(1e9), Monotonic(1e9))
    line = line_of(stays, ticket(1, "alice"), most=2)
    high = ticket(5, wants=(B,))
    shed = line.enter(high, Monotonic(0.0))
    assert shed is not None
    assert shed.ask.caller == "alice"
    line.leave(high)
    late = ticket(caller="alice")
    line.enter(late, Monotonic(0.0))
    assert line.ripe(Monotonic(10.0)) == [late]
    line.settings = QueueSettings()
    alice, bob = [ticket(caller="alice") for _ in range(2)], [ticket(caller="bob") for _ in range(2)]
    for each in (*alice, *bob):
        line.enter(each, Monotonic(11.0))
    assert order(line) == [alice[0], bob[0], alice[1], bob[1]]


def test_an_empty_line_forgets_everything() -> None:
    """D11: what a caller had yesterday counts for nothing today."""
    line = line_of(*(ticket(caller="busy") for _ in range(50)))
    assert len(order(line)) == 50
    busy, late = [ticket(caller="busy") for _ in range(3)], [ticket(caller="late") for _ in range(3)]
    for each in (*busy, *late):
        line.enter(each, Monotonic(2.0))
    assert [each.ask.caller for each in order(line)] == ["busy", "late"] * 3


def test_a_turn_that_comes_to_nothing_costs_nothing() -> None:
    """D11: who is called and cannot be sent keeps its place before others of its caller, and pays once."""
    alice, bob = [ticket(caller="alice") for _ in range(3)], [ticket(caller="bob") for _ in range(3)]
    line = line_of(*alice, *bob)
    for _ in range(10):
        assert line.freed(A, Monotonic(1.0)) is alice[0]
        line.enter(alice[0], Monotonic(1.0))
    assert order(line) == [each for pair in zip(alice, bob, strict=True) for each in pair]


class Waiting(RuleBasedStateMachine):
    """Random comings and goings against a plain list."""

    @initialize(most=st.integers(0, 6))
    def start(self, most: int) -> None:
        """An empty line."""
        self.line = Line(QueueSettings(max_waiting=most))
        self.most = most
        self.inside: list[Ticket] = []
        self.now = 0.0

    @rule(priority=st.integers(1, 5), caller=st.sampled_from("xyz"), both=st.booleans(), ripe=st.floats(0, 20))
    def enter(self, priority: int, caller: str, both: bool, ripe: float) -> None:
        """Somebody comes; somebody may have to go, and never one of a higher priority."""
        wants = (A, B) if both else (A,)
        each = Ticket(
            Ask("m", priority=priority, caller=caller),
            wants,
            Monotonic(self.now),
            Monotonic(self.now + 5.0),
            Monotonic(self.now + ripe),
        )
        shed = self.line.enter(each, Monotonic(self.now))
        assert (shed is None) == (len(self.inside) < self.most)
        self.inside.append(each)
        if shed is not None:
            self.inside.remove(shed)
            assert all(shed.ask.priority <= other.ask.priority for other in self.inside)

    @rule(of_b=st.booleans())
    def freed(self, of_b: bool) -> None:
        """A slot goes to one of the highest priority among those that want it."""
        place = B if of_b else A
        each = self.line.freed(place, Monotonic(self.now))
        wanting = [other for other in self.inside if place in other.wants]
        assert (each is None) == (not wanting)
        if each is not None:
            assert each.ask.priority == max(other.ask.priority for other in wanting)
            self.inside.remove(each)

    @rule(seconds=st.floats(0, 4))
    def time(self, seconds: float) -> None:
        """Nothing waits past its deadline, nothing is called before it is ripe."""
        self.now += seconds
        for each in self.line.ripe(Monotonic(self.now)):
            assert min(each.ripe, each.deadline) <= self.now
            self.inside.remove(each)
        assert all(min(each.ripe, each.deadline) > self.now for each in self.inside)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Somebody gives up; twice is once."""
        if self.inside:
            each = data.draw(st.sampled_from(self.inside))
            self.inside.remove(each)
            self.line.leave(each)
            self.line.leave(each)

    @invariant()
    def nobody_is_lost(self) -> None:
        """As many wait as came and did not go."""
        if hasattr(self, "line"):
            assert len(self.line) == len(self.inside) <= self.most


TestWaiting = Waiting.TestCase


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from("abc")), max_size=60))
def test_everybody_has_a_turn(requests: list[tuple[int, str]]) -> None:
    """No target of the line starves while slots come: each is called exactly once."""
    tickets = [ticket(priority, caller) for priority, caller in requests]
    turns = order(line_of(*tickets))
    assert sorted(map(id, turns)) == sorted(map(id, tickets))
    assert [each.ask.priority for each in turns] == sorted((each.ask.priority for each in turns), reverse=True)


Coming = tuple[str, int, bool, int]
events = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["alice", "bob", "carol"]), st.integers(2, 4), st.booleans(), st.integers(1, 500)),
        st.sampled_from(["free A", "free B", "again"]),
    ),
    max_size=60,
)


class Story:
    """Comings and turns in one line; whatever Alice sends is cancelled before its turn."""

    def __init__(self, *, alice_comes: bool) -> None:
        self.line = Line(QueueSettings())
        self.line.enter(ticket(1, "stays", (Deployment("p", "c", "http://p"),)), Monotonic(0.0))
        self.alice_comes = alice_comes
        self.turns: list[int] = []
        self.alices: list[Ticket] = []
        self.names: dict[int, int] = {}

    def play(self, happenings: list[Coming | str]) -> None:
        """All of them; Alice gives up when a slot is free, so that others' turns come between."""
        for number, each in enumerate(happenings):
            if isinstance(each, str):
                self._turn(each)
                continue
            caller, priority, both, tokens = each
            if caller == "alice" and not self.alice_comes:
                continue
            one = ticket(priority, caller, (A, B) if both else (A,), tokens=tokens)
            self.names[id(one)] = number
            self.line.enter(one, Monotonic(1.0))
            if caller == "alice":
                self.alices.append(one)

    def _turn(self, which: str) -> None:
        while self.alices:
            self.line.leave(self.alices.pop())
        called = self.line.freed(B if which == "free B" else A, Monotonic(1.0))
        if called is not None and which == "again":
            self.line.enter(called, Monotonic(1.0))
        elif called is not None:
            self.turns.append(self.names[id(called)])

    def afterwards(self, caller: str) -> list[int]:
        """Whose turn it is when this caller comes with three requests, and others with one each."""
        self._turn("free A")
        for number in range(3):
            for who in (caller, f"stranger {number}"):
                one = ticket(3, who)
                self.names[id(one)] = 1000 + 10 * number + (who == caller)
                self.line.enter(one, Monotonic(2.0))
        self.turns += [self.names[id(each)] for each in order(self.line)]
        return self.turns


@given(events)
def test_a_caller_whose_requests_are_all_cancelled_is_like_one_who_never_came(happenings: list[Coming | str]) -> None:
    """D11: neither it nor anybody else has a turn sooner or later for it."""
    with_alice, without = Story(alice_comes=True), Story(alice_comes=False)
    with_alice.play(happenings)
    without.play(happenings)
    assert with_alice.afterwards("alice") == without.afterwards("new")
