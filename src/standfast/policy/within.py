"""What a request's own limits leave of a route, whatever the strategy.

max_cost      excludes: a target that is expected to cost more, or whose price nobody knows, is not asked at all, not
              even when all the others have failed. A limit that yields is none.
max_latency   prefers: a target that is expected to take longer comes after all the others. Nobody can promise a
              latency, so nobody is refused for it; and what was never measured is not said to be slow. (A strategy
              that looks at the nature of requests weighs this limit itself.)
"""

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.fleet import Fleet
from standfast.policy.route import Route, Target
from standfast.policy.weigh import dearest, too_slow


def too_dear(target: Target, ask: Ask) -> str:
    """Why a target is beyond the cost that the request allows, in a few words; empty if it is not."""
    if ask.max_cost is None:
        return ""
    expected = dearest(target.facts, ask)
    if expected is None:
        return f"unpriced, {ask.max_cost:g} $ are allowed"
    return f"expected to cost {expected:.6f} $, {ask.max_cost:g} $ are allowed" if expected > ask.max_cost else ""


def within(route: Route, ask: Ask, fleet: Fleet, now: Monotonic) -> tuple[Route | None, tuple[tuple[Target, str], ...]]:
    """The part of a route that a request's limits allow, None if nothing is left; and who is excluded, and why."""
    excluded: list[tuple[Target, str]] = []
    first: list[Target] = []
    later: list[Target] = []
    for target in route.targets:
        why = too_dear(target, ask)
        if why:
            excluded.append((target, why))
        elif not route.curious and too_slow(fleet.place(target.deployment), ask, now):
            later.append(target)
        else:
            first.append(target)
    if not first:
        first, later = later, []
    offered = any(ask.operation in target.operations for target in (*first, *later))
    return route.part(tuple(first), tuple(later)) if offered else None, tuple(excluded)
