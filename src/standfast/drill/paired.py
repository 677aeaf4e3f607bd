"""The same chance for a drill and its rehearsal: what befalls an attempt depends on whose it is, not on its place.

On real sockets attempts come in another order than in virtual time, by milliseconds, and a station that draws from one
sequence would give each a different fate: two plays of the same scenario differ by more than what is to be measured.
So in a drill and in the rehearsal beside it every attempt draws from a source of its own, named by the request, the
target, and how often it has been asked there: variance reduction by common random numbers (Law, "Simulation Modeling
and Analysis", chapter 11). What is left is the policy's own chance: rests are jittered, a real gateway is not seeded.

And milliseconds are left. Where everything comes back at one instant, or a limit is just reached, they decide whose
attempt is the trial, and that decides the next seconds. How much they may make is measured by rehearsals in which every
attempt is under way for as long as attempts of the drill were (`drill.way`).

What a port does is nobody's chance: where a share of the attempts is refused, it is shut for that share of the time
(`drill.doors`), and no attempt's name says when. So in the rehearsals, too, who comes to a shut door is drawn apart
from the attempts' fates, anew in each of them, and the station hears nothing of it.
"""

import random
from functools import partial

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.drill.doors import CERTAIN, LiveWeather
from standfast.drill.way import Traveller
from standfast.sim.call import OVER, Call
from standfast.sim.settings import Upstream
from standfast.sim.stage import Stage
from standfast.sim.station import Station
from standfast.sim.tally import TargetTally
from standfast.sim.world import START, World

REFUSED = 0.001
"""Seconds until a refused connection is known."""


class PairedStation(Station):
    """A station whose chance belongs to the attempt.

    Args:
        world, spec, tally: as a station's.
        weather: the same, whose refused connections are the door's business.
        name: of the target, and the seed of the run.
        door: whether an attempt finds it shut; None where there is a real one before the station.
        way: draws for each attempt how long it is under way, and how late its end is; None for not at all.
    """

    __slots__ = ("_asked", "_door", "_name", "_outside", "_way")

    def __init__(
        self,
        world: World,
        spec: Upstream,
        weather: LiveWeather,
        tally: TargetTally,
        *,
        name: str,
        door: random.Random | None = None,
        way: Traveller | None = None,
    ) -> None:
        super().__init__(world, spec, weather, random.Random(), tally)  # noqa: S311 - seeded for every attempt
        self._outside = weather
        self._name = name
        self._door = door
        self._way = way
        self._asked: dict[float, int] = {}

    def take(self, call: Call, now: Monotonic) -> None:
        """A request sets off."""
        if self._way is None:
            self._arrives(call, now)
        else:
            self.world.at(now + self._way.under_way(now), partial(self._arrives, call))

    def _arrives(self, call: Call, now: Monotonic) -> None:
        if call.phase == OVER:  # given up on the way
            self.tally.attempts += 1
            return
        refused = self._refused_at_door(now)
        if refused is not None:
            self.tally.attempts += 1
            seconds = REFUSED if refused.kind is FailureKind.CONNECT_FAILED else call.deadlines.connect
            call.fails(Monotonic(now + seconds), refused)
            return
        arrived = call.request.arrived
        self._asked[arrived] = self._asked.get(arrived, 0) + 1
        self._draw_for(call, "fate")
        super().take(call, now)

    def ping(self, rng: random.Random, timeout: float, now: float) -> tuple[float, Failure | None]:
        """The free endpoint is behind the same door."""
        refused = self._refused_at_door(now)
        if refused is None:
            return super().ping(rng, timeout, now)
        return REFUSED if refused.kind is FailureKind.CONNECT_FAILED else timeout, refused

    def _refused_at_door(self, now: float) -> Failure | None:
        """Is the door shut, or deaf? None also where there is a real one."""
        weather, door = self._outside, self._door
        if door is None:
            return None
        weather.look(now)
        if weather.deaf >= CERTAIN:
            return Failure(FailureKind.CONNECT_TIMEOUT, "no connection in time", sent=False)
        if door.random() < weather.refused:
            return Failure(FailureKind.CONNECT_FAILED, "rehearsed", sent=False)
        return None

    def _work(self, call: Call, now: Monotonic) -> None:
        self._draw_for(call, "work")  # its turn may have come later
        if self._way is not None:
            now = Monotonic(now + self._way.held(now))  # a late beginning takes the place for as long as a late end
        super()._work(call, now)

    def _draw_for(self, call: Call, what: str) -> None:
        arrived = call.request.arrived
        self._rng.seed(f"{self._name}/{arrived!r}/{self._asked[arrived]}/{what}")


def paired(stage: Stage, way: Traveller | None = None, play: int = 0) -> Stage:
    """The stage, with stations whose chance belongs to the attempt; with `way` attempts are under way for a moment.

    `play` numbers those of the same scenario: doors and callers have another chance in each.
    """
    stage.callers = random.Random(f"{stage.seed}/callers/{play}")  # noqa: S311 - seeded on purpose
    for deployment, spec in stage.cast.upstreams.items():
        weather = LiveWeather(spec.errors or (), stage.cast.troubles[deployment], START)
        tally = stage.tally.targets[deployment.name]
        name = f"{stage.seed}/{deployment.name}"
        door = random.Random(f"{name}/door/{play}")  # noqa: S311 - seeded on purpose
        stage.stations[deployment] = PairedStation(stage.world, spec, weather, tally, name=name, door=door, way=way)
    return stage
