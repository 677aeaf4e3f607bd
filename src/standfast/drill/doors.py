"""Connections that are refused, or wait for ever: what a stand-in's port does, not what it says.

A port cannot refuse one connection and accept the next. So where a share of the attempts is refused, the port is shut
for that share of the time, in stretches of chance length far shorter than anything that the policy remembers, and each
answer ends its connection, so that each attempt has to come through the door.
"""

import asyncio
import random
from collections.abc import Callable

from standfast.canon.failure import FailureKind
from standfast.canon.instants import Monotonic
from standfast.lab.performing import Door
from standfast.lab.provider import Provider
from standfast.sim.settings import Error
from standfast.sim.weather import Weather

SHUT = 0.003
"""Mean length of a stretch in which the port is shut, seconds. Attempts at one instant fare alike, so it is short."""

LEAST = 0.001
"""Shorter stretches are saved up, seconds."""

LOOK = 0.05
"""Seconds between two looks at an open door, at most."""

CERTAIN = 0.999
"""From this share on it is all of them."""


class LiveWeather(Weather):
    """A weather whose refused connections are the port's business: nobody is told of them who has come in.

    Attributes:
        refused, deaf: shares of the attempts that are refused, or get no answer to their handshake.
    """

    __slots__ = ("deaf", "refused")

    def look(self, now: float) -> None:
        """Bring the attributes up to this instant."""
        if now < self.until:
            return
        super().look(now)
        shares = {FailureKind.CONNECT_FAILED: 0.0, FailureKind.CONNECT_TIMEOUT: 0.0}
        inside: list[tuple[float, Error]] = []
        before = 0.0
        for below, error in self._table:
            if error.kind in shares:
                shares[error.kind] += below - before
            else:
                inside.append((below - before, error))
            before = below
        self.refused, self.deaf = shares.values()
        left = 1.0 - self.refused - self.deaf
        self._table = []
        passed = 0.0
        for share, error in inside:
            passed += share / left if left > 0 else 0.0
            self._table.append((passed, error))


class Doorkeeper:
    """Moves the door of one provider.

    Args:
        provider: the lab's.
        weathers: of the deployments behind it; the worst counts.
        now: the scenario's clock.
        rng: lengths of the stretches.
    """

    def __init__(
        self, provider: Provider, weathers: list[LiveWeather], now: Callable[[], Monotonic], rng: random.Random
    ) -> None:
        self._provider = provider
        self._weathers = weathers
        self._now = now
        self._rng = rng
        self._refused = 0.0  # the share since the last look
        self._debt = 0.0  # seconds for which the port has still to be shut, for what it was open
        self._looked = now()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ajar(self) -> bool:
        """Some are refused and some come in."""
        return any(0.0 < each.refused < CERTAIN for each in self._weathers)

    def start(self) -> None:
        """Begin."""
        self._move()

    def stop(self) -> None:
        """The door stays as it is."""
        if self._timer is not None:
            self._timer.cancel()

    def _move(self) -> None:
        now = self._now()
        for each in self._weathers:
            each.look(now)
        refused = max(each.refused for each in self._weathers)
        change = min(each.until for each in self._weathers) - now
        self._keep_account(now)
        begins = refused > 0 and self._refused == 0
        self._refused = refused
        door, wait = Door.OPEN, LOOK
        if max(each.deaf for each in self._weathers) >= CERTAIN:
            door = Door.DEAF
        elif refused >= CERTAIN:
            door = Door.CLOSED
        elif begins:  # what was kept alive would pass the door by
            door, wait = Door.CLOSED, SHUT
        elif refused > 0 and self._debt > LEAST:
            door, wait = Door.AJAR, self._debt
        elif refused > 0:
            wait = self._rng.expovariate(refused / (SHUT * (1.0 - refused)))
        self._provider.move_door(door)
        self._timer = asyncio.get_running_loop().call_later(max(LEAST / 2, min(wait, change)), self._move)

    def _keep_account(self, now: Monotonic) -> None:
        """Timers are late; the share holds all the same, because what was really open is what is paid for."""
        passed, self._looked = now - self._looked, now
        if not 0.0 < self._refused < CERTAIN:
            self._debt = 0.0
        elif self._provider.door is Door.OPEN:
            self._debt += passed * self._refused / (1.0 - self._refused)
        else:
            self._debt -= passed
