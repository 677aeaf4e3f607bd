"""All stand-in providers of a drill: the lab on free ports, a station for each deployment, the scenario's clock."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from standfast.canon.deployment import Deployment
from standfast.canon.instants import Monotonic
from standfast.drill.doors import Doorkeeper, LiveWeather
from standfast.drill.paired import PairedStation
from standfast.drill.performance import LivePerformance
from standfast.drill.way import Way
from standfast.drill.words import Question, asked
from standfast.errors import Fault, StandfastError
from standfast.lab.ask import Ask
from standfast.lab.journal import Entry
from standfast.lab.server import Lab
from standfast.lab.settings import LabSettings, ProviderSettings
from standfast.policy.route import Route
from standfast.sim.cast import Cast
from standfast.sim.crowd import Request
from standfast.sim.station import Station
from standfast.sim.tally import TargetTally
from standfast.sim.world import START, World

JOURNAL = 2_000
PING_TIMEOUT = 10.0
SOMETHING = Question(0, 16, 10, repeatable=True)
"""For whoever asks something else than a drill does: the gateway's own checks."""


class PortTaken(StandfastError):
    """A stand-in cannot have the port of its provider."""

    code = "port_unavailable"
    fault = Fault.OPERATOR


class Upstreams:
    """The weather at work.

    Args:
        cast: the scenario, applied to the configuration.
        seed: where chance begins; the same as the rehearsal's.
        keys: of every provider entry, its upstream keys in order.
        arrivals: of all requests, by number.
        ports: of provider entries; a free one where nothing is said.

    Attributes:
        began: the loop's time at which the scenario began; until then its first instant lasts.
        way: how much longer than their work attempts take here.
    """

    def __init__(
        self,
        cast: Cast,
        seed: int,
        keys: Mapping[str, tuple[str, ...]],
        arrivals: Sequence[Monotonic],
        ports: Mapping[str, int] | None = None,
    ) -> None:
        names = sorted({deployment.provider for deployment in cast.upstreams})
        settings = {name: ProviderSettings(port=(ports or {}).get(name, 0)) for name in names}
        self.lab = Lab(LabSettings(providers=settings, journal=JOURNAL, kept_body=0))
        self.began: float | None = None
        self.way = Way()
        self._cast = cast
        self._seed = seed
        self._keys = keys
        self._arrivals = arrivals
        self._route: Route = cast.models[0][0]
        self._attempts = 0
        self._keepers: list[Doorkeeper] = []
        self._words = self._chance("words")
        self._weathers: dict[Deployment, LiveWeather] = {}
        self._stations = {deployment: self._station(deployment) for deployment in cast.upstreams}

    def now(self) -> Monotonic:
        """The scenario's clock."""
        began = self.began
        return Monotonic(START if began is None else START + asyncio.get_running_loop().time() - began)

    def begin(self) -> float:
        """From now on the scenario's clock runs; the loop's time."""
        self.began = began = asyncio.get_running_loop().time()
        for name, provider in self.lab.providers.items():
            weathers = [each for deployment, each in self._weathers.items() if deployment.provider == name]
            keeper = Doorkeeper(provider, weathers, self.now, self._chance(f"door/{name}"))
            self._keepers.append(keeper)
            director = provider.director
            if isinstance(director, _Director):
                director.keeper = keeper
            keeper.start()
        return began

    async def __aenter__(self) -> Self:
        try:
            await self.lab.start()
        except OSError as error:
            raise PortTaken(
                f"the stand-in providers cannot listen on the providers' ports: {error.strerror or error}."
                " Stop what uses them."
            ) from None
        for name, provider in self.lab.providers.items():
            stations = {each.model: station for each, station in self._stations.items() if each.provider == name}
            provider.director = _Director(self, stations, self._keys.get(name, ()), self._chance(f"pings/{name}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for keeper in self._keepers:
            keeper.stop()
        await self.lab.stop()

    def attempt(self, station: Station, ask: Ask, key: int, entry: Entry, *, closes: bool) -> LivePerformance:
        """One generation; the station has decided, or will when a place is free."""
        drilled = asked(ask.prompt)
        wanted = drilled or SOMETHING
        self._attempts += 1
        now = self.now()
        if drilled is not None:
            self.way.taken(drilled.number, now)
        request = Request(
            now if drilled is None else self._arrivals[drilled.number],
            self._route,
            stream=ask.stream,
            prompt=wanted.prompt,
            completion=wanted.completion,
            repeatable=wanted.repeatable,
        )
        performance = LivePerformance(
            station,
            request,
            wanted,
            ask,
            entry,
            key=key,
            number=self._attempts,
            now=self.now,
            rng=random.Random(f"{self._seed}/{wanted.number}/{ask.model}")  # noqa: S311 - seeded on purpose
            if wanted.repeatable
            else self._words,
            closes=closes,
            way=None if drilled is None else self.way,
        )
        station.take(performance, now)
        return performance

    def _station(self, deployment: Deployment) -> Station:
        spec = self._cast.upstreams[deployment]
        weather = LiveWeather(spec.errors or (), self._cast.troubles[deployment], START)
        weather.look(START)
        self._weathers[deployment] = weather
        name = f"{self._seed}/{deployment.name}"
        return PairedStation(World(), spec, weather, TargetTally(spec.price), name=name)

    def _chance(self, of: str) -> random.Random:
        return random.Random(f"{self._seed}/{of}")  # noqa: S311 - seeded on purpose


class _Director:
    """Decides for one provider (`lab.performing.Director`)."""

    def __init__(
        self, upstreams: Upstreams, stations: Mapping[str, Station], keys: tuple[str, ...], rng: random.Random
    ) -> None:
        self._upstreams = upstreams
        self._stations = stations
        self._keys = keys
        self._rng = rng
        self.keeper: Doorkeeper | None = None

    def perform(self, ask: Ask, key: str, entry: Entry) -> LivePerformance:
        """A generation."""
        station = self._stations.get(ask.model) or next(iter(self._stations.values()))
        closes = self.keeper is not None and self.keeper.ajar
        place = self._keys.index(key) if key in self._keys else 0
        return self._upstreams.attempt(station, ask, place, entry, closes=closes)

    def ping(self) -> float:
        """Seconds until the models list is given."""
        station = next(iter(self._stations.values()))
        seconds, _ = station.ping(self._rng, PING_TIMEOUT, self._upstreams.now())
        return seconds
