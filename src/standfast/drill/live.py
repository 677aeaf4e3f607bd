"""One drill: stand-ins, gateway and callers put together, performed, and its books closed."""

import asyncio
import contextlib
import random
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from standfast.config.routes import routes_of, secrets_of
from standfast.config.schema import Config
from standfast.drill import metrics
from standfast.drill.agreement import PLAYS, Verdict, agreement
from standfast.drill.callers import Callers, Door
from standfast.drill.gateway import GatewayProcess, checked, under_test
from standfast.drill.paired import paired
from standfast.drill.upstreams import Upstreams
from standfast.drill.way import Traveller, Way
from standfast.errors import ConfigError, Fault, Problem, StandfastError
from standfast.policy.steady import Steady
from standfast.sim.arrivals import expected
from standfast.sim.cast import Cast, cast
from standfast.sim.crowd import crowd
from standfast.sim.house import House
from standfast.sim.report import Report, report_of
from standfast.sim.settings import Scenario
from standfast.sim.sketch import Sketch
from standfast.sim.stage import Stage
from standfast.sim.tally import Tally
from standfast.sim.world import START

LEAD = 0.5
"""Seconds between the last preparation and the first instant of the scenario."""

PULSE = 0.05
LATE = 0.05
"""Seconds by which the drill's own clock may be late (95 % of the time) before the reader is told."""

METRICS_LIMIT = 10.0

LOOPBACK = ("127.0.0.1", "localhost", "::1")

UNKNOWN = ("p50_failover_added_ms", "p95_failover_added_ms", "p50_failover_lost_ms", "p95_failover_lost_ms", "waste")
"""Figures that nobody outside of the gateway can measure."""


class NoGateway(StandfastError):
    """The gateway that was named does not answer."""

    code = "drill_gateway"
    fault = Fault.OPERATOR


@dataclass(slots=True)
class Drilled:
    """What came of it.

    Attributes:
        report: the drill's.
        rehearsal: of the same requests, in the same weather, with the same chance upstream, on the drill's way.
        plain: the same, without a way.
        verdicts: how far the drill and the rehearsals on its way agree.
        way: how much longer than their work attempts took on this machine.
        lies: numbers of the requests whose answer was called whole and was not.
        late: seconds by which the drill's own clock was late, 95 % of the time.
    """

    report: Report
    rehearsal: Report
    plain: Report
    verdicts: list[Verdict]
    way: Way
    lies: list[int] = field(default_factory=list)
    late: float = 0.0


def rehearsals(
    config: Config, scenario: Scenario, notes: list[str], way: Way | None = None, *, steady: bool
) -> list[Report]:
    """The simulator's, of exactly this scenario: `PLAYS` that differ in the policy's chance, and in draws of the way.

    With another way or none the policy's chance is the same, one by one. `steady` without jitter, as the gateway that a
    drill starts; then only choices between targets are the policy's.
    """
    reports = []
    source = Steady if steady else random.Random
    for play in range(PLAYS):
        on = None if way is None else Traveller(way, random.Random(f"{scenario.seed}/way/{play}"))  # noqa: S311 - seeded on purpose
        stage = paired(Stage(config, scenario, scenario.seed), on, play)
        if play or steady:
            stage.rng = source(f"{scenario.seed}/policy/{play}")
        reports.append(report_of(stage.run(), scenario, "rehearsal", scenario.seed, notes, idle=stage.cast.idle))
    return reports


async def drill(
    house: House,
    scenario: Scenario,
    notes: list[str],
    *,
    gateway: str | None = None,
    told: Callable[[int], None] = lambda _ended: None,
) -> Drilled:
    """Perform a scenario.

    Args:
        house: the configuration under test.
        scenario: squeezed, so that it lasts as long as is meant.
        notes: what was done to it.
        gateway: address of one that runs already with this configuration, its providers at loopback ports; None to
            start one.
        told: how many requests have their outcome.

    Raises:
        ConfigError: the scenario does not fit, or the running gateway's providers are not here.
        GatewayCannotStart, NoGateway: there is none.
    """
    seed = scenario.seed
    ports = {} if gateway is None else ports_of(house.config)
    plan: Cast = cast(scenario, routes_of(house.config))
    keys = {name: secrets_of(settings) for name, settings in house.config.providers.items()}
    requests = list(crowd(scenario, plan.models, seed))
    async with Upstreams(plan, seed, keys, [each.arrived for each in requests], ports) as upstreams:
        urls = {name: provider.url for name, provider in upstreams.lab.providers.items()}
        data = under_test(house, urls)
        config = house.config if gateway is not None else checked(data, house)
        async with _running(gateway, data, house.environ) as url:
            door = Door(url, _client_keys(config))
            before = await _metrics(door)
            tally = Tally(START, scenario.duration, {each.name: spec.price for each, spec in plan.upstreams.items()})
            callers = Callers(scenario, door, tally, _chance(seed), config.defaults.timeouts.total, upstreams.way)
            await asyncio.sleep(LEAD)
            began = upstreams.begin()
            late = Sketch()
            pulse = asyncio.create_task(_feel(late))
            await callers.come(requests, began, told)
            pulse.cancel()
            metrics.enter(tally, before, await _metrics(door))
    report = report_of(tally, scenario, "drill", seed, notes, idle=plan.idle)
    report.figures.update(dict.fromkeys(UNKNOWN))
    lateness = late.quantile(0.95) or 0.0
    if lateness > LATE:
        report.notes.append(
            f"this machine was busy: the drill's own clock was up to {lateness * 1e3:.0f} ms late (95 %), which stands"
            " in every latency"
        )
    way, steady = upstreams.way, gateway is None
    played = rehearsals(config, scenario, notes, way, steady=steady)
    plain = rehearsals(config, scenario, notes, steady=steady)
    return Drilled(report, played[0], plain[0], agreement(report, played, plain), way, callers.lies, lateness)


def length(scenario: Scenario) -> int:
    """How many requests there will be."""
    return round(expected(scenario.workload, scenario.duration))


def ports_of(config: Config) -> dict[str, int]:
    """Where a running gateway with this configuration looks for its providers.

    Raises:
        ConfigError: one of them is not on this machine.
    """
    ports, problems = {}, []
    for name, settings in config.providers.items():
        address = urlsplit(settings.base_url or "")
        if address.scheme != "http" or address.hostname not in LOOPBACK or not address.port:
            message = "a drill with --gateway stands in for the providers: their base_url must be http://127.0.0.1:PORT"
            problems.append(Problem(f"providers.{name}.base_url", message))
        else:
            ports[name] = address.port
    if problems:
        raise ConfigError(problems, "standfast drill --gateway")
    return ports


@contextlib.asynccontextmanager
async def _running(gateway: str | None, data: Mapping[str, object], environ: Mapping[str, str]) -> AsyncIterator[str]:
    if gateway is not None:
        yield gateway.rstrip("/")
        return
    async with GatewayProcess(data, environ) as process:
        yield process.url


def _client_keys(config: Config) -> dict[str, str]:
    """By caller; of callers without a name the first one's."""
    keys = {entry.name: entry.key.get_secret_value() for entry in config.keys}
    return {"": next(iter(keys.values())), **keys} if keys else {}


async def _metrics(door: Door) -> Counter[metrics.Key]:
    return await asyncio.to_thread(_fetch, door)


def _fetch(door: Door) -> Counter[metrics.Key]:
    headers = {"accept": "text/plain"}
    if door.keys:
        headers["authorization"] = f"Bearer {door.keys['']}"
    request = urllib.request.Request(f"{door.url}/metrics", headers=headers)  # noqa: S310 - checked to be http
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=METRICS_LIMIT) as answer:
            return metrics.read(answer.read().decode())
    except (OSError, urllib.error.URLError) as error:
        raise NoGateway(f"no metrics from {door.url}/metrics ({error}). Is the gateway running there?") from None


async def _feel(late: Sketch) -> None:
    """How late are we?"""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PULSE
        await asyncio.sleep(PULSE)
        late.add(max(0.0, loop.time() - due))


def _chance(seed: int) -> random.Random:
    return random.Random(f"{seed}/callers")  # noqa: S311 - seeded on purpose
