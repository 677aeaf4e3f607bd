"""Whom a primary that hangs costs what, and one that flaps for a minute: `python docs/primary.py` writes the table.

Played in virtual time like the shipped scenarios (it is the one called `flapping`, with another trouble), with the
default policy, but looked at request by request.
"""  # noqa: INP001 - a script, not a package

from collections.abc import Callable, Mapping

from measured import rewrite

from standfast.config.load import from_mapping
from standfast.sim import files
from standfast.sim.ending import Ending
from standfast.sim.settings import Scenario
from standfast.sim.stage import Stage
from standfast.sim.tally import Tally
from standfast.sim.world import START

SEEDS, ALL = (1, 2, 3), range(1, 41)
"""Those with a row of their own, and those of the mean: chance alone moves a 99th percentile by some percent."""

BEGINS, HANGS, FLAPS, ENDS = 300.0, 600.0, 60.0, 1500.0
"""Seconds: when the trouble begins, how long a primary hangs, how long it flaps, when the play ends."""

PAYS = 1.0
"""A request has paid if the attempt that answered it began so many seconds after it had come."""

AT_ONCE = 0.01
"""Seconds: who was sent to the target that answered by then met nobody else."""

ROW, HALF, MOST = 10, 5, 9
"""Of so many requests in a row the primary serves half, or all but one, when it is back."""

HEADINGS = (
    "seed",
    "requests meanwhile",
    "answered, %",
    "paid",
    "of them after the breaker opened",
    "it opens after, s",
    "then p99, ms",
    "of those who met no trial",
    "healthy",
    "apart",
)

HANG = {"name": "primary hangs", "at": BEGINS, "lasts": HANGS, "where": "primary", "errors": "first_token_timeout"}
FLAP = {
    "name": "primary flaps",
    "at": BEGINS,
    "lasts": FLAPS,
    "where": "primary",
    "down": 2,
    "up": 2,
    "errors": [{"kind": "server_error", "share": 0.5}, {"kind": "connect_failed", "share": 0.5}],
}


def played(seed: int, *troubles: Mapping[str, object]) -> tuple[list[Ending], Tally]:
    """Every request in the order of arrival, and the books."""
    data = files.shipped("flapping").model_dump(exclude_unset=True)
    scenario = Scenario.model_validate(data | {"duration": ENDS, "troubles": list(troubles)})
    stage = Stage(from_mapping(scenario.config or {}, {}), scenario, seed)
    endings: list[Ending] = []
    entered = stage.tally.ended

    def enter(ending: Ending) -> None:
        endings.append(ending)
        entered(ending)

    stage.tally.ended = enter  # type: ignore[method-assign]
    tally = stage.run()
    return sorted(endings, key=lambda each: each.arrived), tally


def within(endings: list[Ending], begins: float, ends: float) -> list[Ending]:
    """Those that came between two instants of the scenario."""
    return [each for each in endings if begins <= each.arrived - START < ends]


def p99(endings: list[Ending]) -> float:
    """Of the streams' first tokens, in milliseconds."""
    firsts = sorted(each.first for each in endings if each.stream and each.first is not None)
    return firsts[int(0.99 * len(firsts))] * 1e3


def hang(seed: int) -> tuple[float, ...]:
    """A row: who paid, and what the others felt."""
    endings, tally = played(seed, HANG)
    healthy, _ = played(seed)
    opened = min(at for at, change in tally.changes if (change.subject, change.after) == ("breaker", "open"))
    ill = within(endings, BEGINS, BEGINS + HANGS)
    paid = [each for each in ill if each.lost >= PAYS or not each.ok]
    after, beside = within(ill, opened, BEGINS + HANGS), within(healthy, opened, BEGINS + HANGS)
    later = [each for each in paid if each.arrived - START >= opened]
    answered = 100.0 * sum(each.ok for each in ill) / len(ill)
    felt = p99(after), p99([each for each in after if each.lost < AT_ONCE]), p99(beside)
    return len(ill), answered, len(paid), len(later), opened - BEGINS, *felt, 100 * (felt[0] / felt[2] - 1)


def flap(seed: int) -> tuple[float, ...]:
    """A row: who was served meanwhile, what was tried, when it was back."""
    endings, tally = played(seed, FLAP)
    ill = within(endings, BEGINS, BEGINS + FLAPS)
    later = within(endings, BEGINS + FLAPS, ENDS)
    own = [each.served == each.primary for each in later]
    half, most = (next(n for n in range(len(own)) if sum(own[n : n + ROW]) >= enough) for enough in (HALF, MOST))
    whose = ("breaker", ill[0].primary)
    moves = [(at, change.after) for at, change in tally.changes if (change.subject, change.name) == whose]
    openings = sum(after == "open" for _, after in moves)
    closed = max(at for at, after in moves if after == "closed") - BEGINS - FLAPS
    failures = sum(tally.targets[ill[0].primary].failures.values())
    usual = sum(played(seed)[1].targets[ill[0].primary].failures.values())
    answered = 100.0 * sum(each.ok for each in ill) / len(ill)
    back = (later[n].arrived - START - BEGINS - FLAPS for n in (half, most))
    return len(ill), answered, failures - usual, openings, closed, *back


def rows(play: Callable[[int], tuple[float, ...]], form: str) -> list[str]:
    """A line for some seeds, one for the mean of all, one for the largest of each column."""
    plays = {seed: play(seed) for seed in ALL}
    columns = list(zip(*plays.values(), strict=True))
    mean, most = [sum(column) / len(ALL) for column in columns], [max(column) for column in columns]
    lines = {**{str(seed): plays[seed] for seed in SEEDS}, f"mean of {len(ALL)}": mean, f"most of {len(ALL)}": most}
    return [f"| {name} | {form.format(*line)} |" for name, line in lines.items()]


def tables() -> str:
    """Both."""
    hangs = [
        f"The primary hangs for {HANGS / 60:g} minutes:",
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows(hang, "{:,.0f} | {:.2f} | {:.0f} | {:.0f} | {:.1f} | {:,.0f} | {:,.0f} | {:,.0f} | {:+.1f} %"),
    ]
    flaps = [
        "",
        "It flaps for a minute (down two seconds, up two):",
        "",
        "| seed | requests then | answered, % | attempts lost | opened | closes after, s | serves half | 9 of 10 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *rows(flap, "{:,.0f} | {:.2f} | {:.0f} | {:.0f} | {:.1f} | {:.1f} | {:.1f}"),
    ]
    return "\n".join([*hangs, *flaps])


if __name__ == "__main__":
    rewrite("primary.py", {"primary": tables()})
