"""Why a request goes where it goes: who was considered, who was passed over and why, what each was worth.

Two things are told apart. Who is *passed over* comes after those who are not and is still in the order: it is asked
when they have failed, or when there is nobody else. Who is *dropped* cannot be asked now, and has no place.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.soundness import barrier, hindrance, reluctance
from standfast.policy.weigh import too_slow

if TYPE_CHECKING:  # a route names its strategy, and a strategy explains itself in rows
    from standfast.policy.fleet import Fleet
    from standfast.policy.route import Route, Target


class Row(msgspec.Struct, frozen=True):
    """One target in an explanation.

    Attributes:
        target: `provider/model`.
        place: 1 for the first choice; 0 for one that cannot be asked now.
        score: what it was ranked by, in the strategy's own measure; None where the order is given.
        factors: what the score is made of.
        dropped: why it cannot be asked now, in a few words; empty if it can.
        tier: tiers are the order of preference, whatever the scores.
        passed_over: why others are preferred although it can be asked, in a few words; empty if nothing speaks against
            it.
    """

    target: str
    place: int
    score: float | None = None
    factors: Mapping[str, float] = {}
    dropped: str = ""
    tier: int = 1
    passed_over: str = ""


Judge = Callable[["Target"], tuple[float | None, Mapping[str, float], str]]
"""Score, factors and why the strategy passes over it, its state apart."""


def rows(order: Sequence["Target"], fleet: "Fleet", now: Monotonic, judge: Judge) -> list[Row]:
    """One row for each target, in this order; places are for those who can be asked now."""
    found: list[Row] = []
    last = 0
    for target in order:
        score, factors, why = judge(target)
        place = fleet.place(target.deployment)
        dropped = barrier(place, now)
        last += not dropped
        passed_over = "" if dropped else reluctance(place, now) or why
        found.append(Row(target.name, 0 if dropped else last, score, factors, dropped, target.tier, passed_over))
    return found


def hindered(target: "Target", fleet: "Fleet", now: Monotonic) -> str:
    """Why a target is not for those who can go elsewhere; empty if it is."""
    return hindrance(fleet.place(target.deployment), now)


def explain(
    route: "Route", ask: Ask, fleet: "Fleet", now: Monotonic, excluded: Sequence[tuple["Target", str]] = ()
) -> list[Row]:
    """The whole order of one request, tier by tier; then, at place 0, whom it cannot go to whatever their state.

    Args:
        route: where the request may go.
        ask: the request.
        fleet: the state of all deployments.
        now: this instant.
        excluded: targets that the request's own limits rule out, each with the reason.
    """
    found: list[Row] = []
    last = 0
    slow = {target.name: too_slow(fleet.place(target.deployment), ask, now) for target in route.targets}
    for tier in route.tiers[ask.operation]:
        for row in route.strategy.explain(tier, ask, fleet, now):
            last += row.place > 0
            why = "" if row.dropped else row.passed_over or slow[row.target]  # `policy.within` puts them later
            found.append(msgspec.structs.replace(row, place=last if row.place else 0, passed_over=why))
    found += [Row(target.name, 0, dropped=why, tier=target.tier) for target, why in excluded]
    found += [
        Row(target.name, 0, dropped=f"does not offer {ask.operation.value}", tier=target.tier)
        for target in route.targets
        if ask.operation not in target.operations
    ]
    return found
