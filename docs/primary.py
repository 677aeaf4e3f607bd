"""Whom a primary that hangs costs what, and one that flaps for a minute: `python docs/primary.py` writes the table.

Played in virtual time like the shipped scenarios (it is the one called `flapping`, with another trouble), with the
default policy, but looked at request by request.
"""  # noqa: INP001 - a script, not a package

from collections.abc import Mapping

from measured import rewrite

from standfast.config.load import from_mapping
from standfast.sim import files
from standfast.sim.ending import Ending
from standfast.sim.settings import Scenario
from standfast.sim.stage import Stage
from standfast.sim.tally import Tally
from standfast.sim.world import START

SEEDS = (1, 2, 3)
BEGINS, HANGS, FLAPS, ENDS = 300.0, 600.0, 60.0, 1500.0
"""Seconds: when the trouble begins, how long a primary hangs, how long it flaps, when the play ends."""

PAYS = 1.0
"""A request has paid if the attempt that answered it began so many seconds after it had come."""

ROW, HALF, MOST = 10, 5, 9
"""Of so many requests in a row the primary serves half, or all but one, when it is back."""

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


def hang(seed: int) -> str:
    """A row: who paid, and what the others felt."""
    endings, tally = played(seed, HANG)
    healthy, _ = played(seed)
    opened = min(at for at, change in tally.changes if (change.subject, change.after) == ("breaker", "open"))
    ill = within(endings, BEGINS, BEGINS + HANGS)
    paid = [each for each in ill if each.lost >= PAYS or not each.ok]
    after, beside = within(ill, opened, BEGINS + HANGS), within(healthy, opened, BEGINS + HANGS)
    answered = 100.0 * sum(each.ok for each in ill) / len(ill)
    cells = [f"{len(ill):,}", f"{answered:.2f}", f"{len(paid)}", f"{opened - BEGINS:.1f}"]
    cells += [f"{p99(after):,.0f}", f"{p99(beside):,.0f}", f"{100 * (p99(after) / p99(beside) - 1):+.1f} %"]
    return f"| {seed} | {' | '.join(cells)} |"


def flap(seed: int) -> str:
    """A row: who was served meanwhile, what was tried, when it was back."""
    endings, tally = played(seed, FLAP)
    ill = within(endings, BEGINS, BEGINS + FLAPS)
    later = within(endings, BEGINS + FLAPS, ENDS)
    own = [each.served == each.primary for each in later]
    half, most = (next(n for n in range(len(own)) if sum(own[n : n + ROW]) >= enough) for enough in (HALF, MOST))
    openings = sum((change.subject, change.after) == ("breaker", "open") for _, change in tally.changes)
    failures = sum(tally.targets[ill[0].primary].failures.values())
    usual = sum(played(seed)[1].targets[ill[0].primary].failures.values())
    answered = 100.0 * sum(each.ok for each in ill) / len(ill)
    cells = [f"{len(ill):,}", f"{answered:.2f}", f"{failures - usual}", f"{openings}"]
    cells += [f"{later[n].arrived - START - BEGINS - FLAPS:.1f}" for n in (half, most)]
    return f"| {seed} | {' | '.join(cells)} |"


def tables() -> str:
    """Both."""
    hangs = [
        f"The primary hangs for {HANGS / 60:g} minutes:",
        "",
        "| seed | requests meanwhile | answered, % | paid | breaker opens after, s | then p99, ms | healthy | apart |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(hang(seed) for seed in SEEDS),
    ]
    flaps = [
        "",
        "It flaps for a minute (down two seconds, up two):",
        "",
        "| seed | requests meanwhile | answered, % | attempts lost there | opened | serves half after, s | 9 of 10 |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(flap(seed) for seed in SEEDS),
    ]
    return "\n".join([*hangs, *flaps])


if __name__ == "__main__":
    rewrite("primary.py", {"primary": tables()})
