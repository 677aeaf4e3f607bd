"""The stage: everything that one run needs, put together and played to its end."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial

from standfast.canon.deployment import Deployment
from standfast.canon.instants import Monotonic
from standfast.config.routes import fleet_of, routes_of
from standfast.config.schema import Config
from standfast.policy.retry import RetryBudget
from standfast.policy.steps import Step
from standfast.sim.arrivals import expected
from standfast.sim.cast import Cast, cast
from standfast.sim.checkup import Checkup
from standfast.sim.crowd import Request, crowd
from standfast.sim.customer import Patron
from standfast.sim.direct import Direct
from standfast.sim.drive import Drive
from standfast.sim.settings import Scenario
from standfast.sim.station import Station
from standfast.sim.tally import Tally
from standfast.sim.weather import Weather
from standfast.sim.world import START, Happening, World

CHUNK = 20_000
"""Happenings between two reports of progress."""

SDK_RETRIES = 2
"""Further tries of the SDKs of OpenAI and Anthropic by default."""

Progress = Callable[[int], None]
"""Told now and then how many requests have arrived."""

Trace = Callable[[Drive, list[Step], Monotonic], None]
"""Told every decision, before it is performed."""


class Way(StrEnum):
    """How the requests are served."""

    GATEWAY = "gateway"
    ALONE = "alone"  # a single attempt at the first target
    RETRIES = "retries"  # the same, with the SDK's retries


class Stage:
    """One run.

    Args:
        config: a checked configuration.
        scenario: the weather.
        seed: where chance begins.
        way: by the gateway, or without.
        trace: told every decision; None for nobody.

    Attributes:
        cast: the scenario, applied to the configuration.
        tally: the books.
        world: virtual time.
        stations: the upstreams at work.
        fleet, budget, rng: the policy's own.
        callers: the source of chance for what callers do by themselves.
        deadline: seconds that requests say; None for none.

    Raises:
        ConfigError: the scenario does not fit the configuration.
    """

    def __init__(
        self, config: Config, scenario: Scenario, seed: int, way: Way = Way.GATEWAY, trace: Trace | None = None
    ) -> None:
        routes = routes_of(config)
        self.scenario = scenario
        self.seed = seed
        self.way = way
        self.trace = trace
        self.cast: Cast = cast(scenario, routes)
        self.world = World()
        names = {deployment.name: spec.price for deployment, spec in self.cast.upstreams.items()}
        self.tally = Tally(START, scenario.duration, names)
        self.fleet = fleet_of(config, routes.values())
        retry = config.defaults.retry
        self.budget = RetryBudget(retry.budget, retry.budget_floor)
        self.rng = self._chance("policy")
        self.callers = self._chance("callers")
        self.deadline = scenario.workload.deadline
        self.stations = {deployment: self._station(deployment) for deployment in self.cast.upstreams}
        end = START + scenario.duration
        self._checkup = Checkup(self, self._chance("checks"), config.defaults.health, end)
        self.expected = expected(scenario.workload, scenario.duration)
        self._arrived = 0
        self._freed: deque[Deployment] = deque()
        self._coming: Request | None = None
        self._crowd = self.requests()
        client = scenario.workload.client
        self._client = client if client.retries or client.patience is not None else None

    def run(self, progress: Progress | None = None) -> Tally:
        """Play to the end: the last request has its outcome."""
        if self.way is Way.GATEWAY:
            self._checkup.start(self.world.now)
        self._announce()
        while self.world.run(CHUNK):
            if progress is not None:
                progress(self._arrived)
        return self.tally

    def requests(self) -> Iterator[Request]:
        """All requests of this run, from the first one."""
        return crowd(self.scenario, self.cast.models, self.seed)

    # the line

    def freed(self, deployment: Deployment, now: Monotonic) -> None:
        """A place may be free there: call whose turn it is. One call may free the next place: they are made in turn."""
        self._freed.append(deployment)
        if len(self._freed) > 1:
            return  # whoever began goes on
        while self._freed:
            ticket = self.fleet.line.freed(self._freed[0], now)
            if ticket is not None and isinstance(ticket.holder, Drive):
                ticket.holder.called(now)
            self._freed.popleft()

    def look_at_line(self, now: Monotonic) -> None:
        """Call those who may try again, and those whose time is over; the last thing that the watch does at a look."""
        self.at_last(partial(self.at_last, self._look_at_line), now)

    def at_last(self, happening: Happening, now: Monotonic) -> None:
        """When all that is due at this instant has happened: the watch tells of deadlines and naps first."""
        self.world.at(now, happening)

    def _look_at_line(self, now: Monotonic) -> None:
        for ticket in self.fleet.line.ripe(now):
            if isinstance(ticket.holder, Drive):
                ticket.holder.called(now)

    # arrivals

    def _announce(self) -> None:
        """Only one arrival is ever waiting, so memory does not depend on how many there are."""
        self._coming = coming = next(self._crowd, None)
        if coming is not None:
            self.world.at(coming.arrived, self._comes)

    def _comes(self, now: Monotonic) -> None:
        request = self._coming
        self._announce()
        if request is None:
            return
        self._arrived += 1
        if self.way is not Way.GATEWAY:
            Direct(self, request, SDK_RETRIES if self.way is Way.RETRIES else 0).start(now)
        elif self._client is None:
            Drive(self, request, None, now).start(now)
        else:
            Patron(self, request, self._client).start(now)

    def _station(self, deployment: Deployment) -> Station:
        spec = self.cast.upstreams[deployment]
        weather = Weather(spec.errors or (), self.cast.troubles[deployment], START)
        rng = self._chance(f"upstream/{deployment.name}")
        return Station(self.world, spec, weather, rng, self.tally.targets[deployment.name])

    def _chance(self, of: str) -> random.Random:
        return random.Random(f"{self.seed}/{of}")  # noqa: S311 - seeded on purpose
