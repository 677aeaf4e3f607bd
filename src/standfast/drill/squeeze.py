"""Makes minutes of hours, and says how.

The calendar is squeezed: when things begin and how long they last, the arrival curve, periods of quotas. What belongs
to a request or to a machine is not: latencies, sizes, shares of errors, the beat of flapping, places, rate limits, the
deadlines and rests of the policy. So a squeezed scenario is another scenario: an outage of half an hour that lasts
forty seconds is half over before a breaker's rest has doubled three times. That is why a drill is never held against
the rehearsal of the whole scenario, but against that of the squeezed one.
"""

from dataclasses import dataclass, field

from standfast.canon.failure import FailureKind
from standfast.sim.arrivals import expected
from standfast.sim.settings import Error, Errors, Scenario, Trouble, Upstream

SLOWEST = 5.0
"""Requests a second, at least: what is squeezed has to hold some hundreds of them to say anything."""

WHOLE = 0.999


@dataclass(slots=True)
class Squeezed:
    """A scenario that can be performed; `notes` say what was done to it."""

    scenario: Scenario
    notes: list[str] = field(default_factory=list)


def squeeze(scenario: Scenario, minutes: float, rate: float | None = None) -> Squeezed:
    """The scenario in so many minutes.

    Args:
        scenario: as written.
        minutes: its new length; longer scenarios are squeezed, shorter ones are left as they are.
        rate: requests a second on average; None for the scenario's own, but five at least.
    """
    result = Squeezed(scenario)
    duration = min(scenario.duration, minutes * 60.0)
    factor = scenario.duration / duration
    workload = scenario.workload
    own = expected(workload, scenario.duration) / scenario.duration
    wanted = rate if rate is not None else max(own, SLOWEST)
    bursts = tuple(
        each.model_copy(update={"at": each.at / factor, "lasts": each.lasts / factor}) for each in workload.bursts
    )
    if factor > 1:
        result.notes.append(
            f"squeezed {factor:.3g}-fold: {scenario.duration:g} s became {duration:g} s; troubles, bursts, the arrival"
            " curve and quota periods with them; latencies, shares of errors, the beat of flapping, places, rate"
            " limits and the policy are as they were"
        )
    requests = max(1, round(wanted * duration))
    if abs(wanted / own - 1) > 1e-6:  # noqa: PLR2004 - rounding
        result.notes.append(f"{wanted:.3g} requests a second on average, {wanted / own:.3g} times as many as written")
    workload = workload.model_copy(update={"requests": requests, "rate": None, "bursts": bursts})
    upstreams = {name: _upstream(each, factor, result.notes) for name, each in scenario.upstreams.items()}
    troubles = tuple(_trouble(each, factor, result.notes) for each in _deaf_first(scenario.troubles, result.notes))
    update = {"duration": duration, "workload": workload, "upstreams": upstreams, "troubles": troubles}
    result.scenario = scenario.model_copy(update=update)
    result.notes = list(dict.fromkeys(result.notes))
    return result


def _upstream(spec: Upstream, factor: float, notes: list[str]) -> Upstream:
    changed: dict[str, object] = {}
    if spec.quota is not None:
        changed["quota"] = spec.quota.model_copy(update={"per": spec.quota.per / factor})
    if spec.errors:
        changed["errors"] = _possible(spec.errors, notes)
    return spec.model_copy(update=changed) if changed else spec


def _trouble(trouble: Trouble, factor: float, notes: list[str]) -> Trouble:
    update = {"at": trouble.at / factor, "lasts": trouble.lasts / factor, "errors": _possible(trouble.errors, notes)}
    return trouble.model_copy(update=update)


def _deaf_first(troubles: tuple[Trouble, ...], notes: list[str]) -> list[Trouble]:
    """Of two troubles at a time the first has its share of all attempts, the second of the rest: a port has no such."""
    ordered = sorted(troubles, key=lambda trouble: not _deaf(trouble))
    if ordered != list(troubles):
        notes.append("connect_timeout for all goes before other troubles of the same time, in both: the port is deaf")
    return ordered


def _deaf(trouble: Trouble) -> bool:
    share = sum(error.share for error in trouble.errors if error.kind is FailureKind.CONNECT_TIMEOUT)
    return share >= WHOLE


def _possible(errors: Errors, notes: list[str]) -> Errors:
    """What real sockets can do: a port is deaf for everybody or for nobody."""
    return tuple(_possible_error(error, notes) for error in errors)


def _possible_error(error: Error, notes: list[str]) -> Error:
    if error.kind is not FailureKind.CONNECT_TIMEOUT or error.share >= WHOLE:
        return error
    notes.append(
        "connect_timeout with a share below 1 became first_token_timeout, in both: a port that lets some connections"
        " wait for ever lets all wait"
    )
    return error.model_copy(update={"kind": FailureKind.FIRST_TOKEN_TIMEOUT})
