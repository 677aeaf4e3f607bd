"""Callers who do something by themselves: ask again, hang up.

As the SDKs of OpenAI and Anthropic do: after a refusal that a repetition may mend, they wait for the seconds that the
answer names, if those are not too many, else 0.5 s doubling to 8 s with up to a quarter of it taken off by chance; they
never repeat a stream whose content had begun; they keep to `x-should-retry: false`, unless told otherwise.
"""

import math
import random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from standfast.canon.failure import Blame
from standfast.canon.instants import Monotonic
from standfast.policy.steps import Refuse
from standfast.sim.crowd import Request
from standfast.sim.drive import Drive
from standfast.sim.ending import GAVE_UP, Ending, no_answer
from standfast.sim.settings import Client

if TYPE_CHECKING:  # the stage brings customers
    from standfast.sim.stage import Stage

FIRST_WAIT, LONGEST_WAIT, TAKEN_OFF = 0.5, 8.0, 0.25
LONGEST_HINT = 60.0
"""A longer Retry-After is not waited for."""

RETRIED = (408, 409, 429)


def wait_before(tries: int, hint: float | None, rng: random.Random) -> float:
    """Seconds that an SDK waits before it asks again.

    Args:
        tries: how often it has asked.
        hint: the answer's Retry-After; None for none.
        rng: the source of chance.
    """
    if hint is not None and 0 < hint <= LONGEST_HINT:
        return hint
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (tries - 1)) * (1.0 - TAKEN_OFF * rng.random())


def worth_repeating(status: int) -> bool:
    """Does an SDK repeat a request that was answered so? 0 stands for no answer at all."""
    return status == 0 or status >= 500 or status in RETRIED  # noqa: PLR2004 - HTTP's class of server errors


class Patron:
    """One caller of the gateway."""

    __slots__ = ("_client", "_drive", "_over", "_request", "_stage", "_tries")

    def __init__(self, stage: "Stage", request: Request, client: Client) -> None:
        self._stage = stage
        self._request = request
        self._client = client
        self._tries = 0
        self._over = False
        self._drive: Drive | None = None

    def start(self, now: Monotonic) -> None:
        """Ask."""
        if self._request.patience is not None:
            self._stage.world.at(now + self._request.patience, self._had_enough)
        self._ask(now)

    def told(self, ending: Ending, refuse: Refuse | None, now: Monotonic) -> None:
        """What came of the last try."""
        if self._over:
            return
        if refuse is None or not self._again(refuse):
            self._end(ending)
            return
        self._drive = None
        self._stage.world.at(now + wait_before(self._tries, _said(refuse), self._stage.callers), self._ask)

    def _again(self, refuse: Refuse) -> bool:
        if self._tries > self._client.retries or refuse.broken or self._client.obeys:
            return False  # what the gateway gave up says `x-should-retry: false`
        failure = refuse.failure
        return failure is None or failure.meaning.blame is not Blame.NOBODY or worth_repeating(failure.meaning.status)

    def _ask(self, now: Monotonic) -> None:
        if self._over:
            return
        self._tries += 1
        self._drive = Drive(self._stage, self._request, self, now)
        self._drive.start(now)

    def _had_enough(self, now: Monotonic) -> None:
        if self._over:
            return
        if self._drive is not None:
            self._drive.hang_up(now)
        else:  # it was waiting to ask again
            self._end(no_answer(self._request, now, GAVE_UP))

    def _end(self, ending: Ending) -> None:
        self._over = True
        self._drive = None
        self._stage.tally.ended(ending if self._tries == 1 else replace(ending, tries=self._tries))


def _said(refuse: Refuse) -> float | None:
    """What the header says: whole seconds, one at least."""
    return None if refuse.retry_after is None else float(max(1, math.ceil(refuse.retry_after)))
