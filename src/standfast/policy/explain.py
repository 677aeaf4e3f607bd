"""Why a request goes where it goes: who was considered, who was passed over and why, what each was worth."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.soundness import hindrance

if TYPE_CHECKING:  # a route names its strategy, and a strategy explains itself in rows
    from standfast.policy.fleet import Fleet
    from standfast.policy.route import Route, Target


class Row(msgspec.Struct, frozen=True):
    """One target in an explanation.

    Attributes:
        target: `provider/model`.
        place: 1 for the first choice; 0 for one that cannot be chosen at all.
        score: what it was ranked by, in the strategy's own measure; None where the order is given.
        factors: what the score is made of.
        dropped: why it is passed over, in a few words; empty if it is not.
        tier: tiers are the order of preference, whatever the scores.
    """

    target: str
    place: int
    score: float | None = None
    factors: Mapping[str, float] = {}
    dropped: str = ""
    tier: int = 1


Judge = Callable[["Target"], tuple[float | None, Mapping[str, float], str]]
"""Score, factors and why it is passed over."""


def rows(order: Sequence["Target"], judge: Judge) -> list[Row]:
    """One row for each target, in this order."""
    found = []
    for place, target in enumerate(order, start=1):
        score, factors, dropped = judge(target)
        found.append(Row(target.name, place, score, factors, dropped, target.tier))
    return found


def hindered(target: "Target", fleet: "Fleet", now: Monotonic) -> str:
    """Why a target cannot be used now; empty if it can."""
    return hindrance(fleet.place(target.deployment), now)


def explain(
    route: "Route", ask: Ask, fleet: "Fleet", now: Monotonic, excluded: Sequence[tuple["Target", str]] = ()
) -> list[Row]:
    """The whole order of one request, tier by tier; then, at place 0, who cannot be chosen at all.

    Args:
        route: where the request may go.
        ask: the request.
        fleet: the state of all deployments.
        now: this instant.
        excluded: targets that the request's own limits rule out, each with the reason.
    """
    found: list[Row] = []
    for tier in route.tiers[ask.operation]:
        for row in route.strategy.explain(tier, ask, fleet, now):
            found.append(msgspec.structs.replace(row, place=len(found) + 1))
    found += [Row(target.name, 0, dropped=why, tier=target.tier) for target, why in excluded]
    found += [
        Row(target.name, 0, dropped=f"does not offer {ask.operation.value}", tier=target.tier)
        for target in route.targets
        if ask.operation not in target.operations
    ]
    return found
