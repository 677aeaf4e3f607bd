"""In this process's memory: quick, bounded, gone with the process. The default."""

import heapq
from collections import OrderedDict

from standfast.canon.instants import Monotonic
from standfast.clock import Clock
from standfast.stores.base import AnswerStore, AnswerStoreSettings, KeptAnswer

_SLACK = 64
"""The heap may hold this many entries, and twice as many as there are answers, before it is cleared of old ones."""


class MemoryAnswers:
    """See `base.AnswerStore`.

    Args:
        settings: the bounds.

    Attributes:
        bytes: what all answers take.
        forgotten: keys whose answers went since the list was last cleared; None if nobody wants to know.
    """

    __slots__ = ("_answers", "_ends", "_settings", "bytes", "forgotten")

    def __init__(self, settings: AnswerStoreSettings) -> None:
        self._settings = settings
        self._answers: OrderedDict[bytes, KeptAnswer] = OrderedDict()  # least recently used first
        self._ends: list[tuple[Monotonic, bytes]] = []  # a heap; may hold ends of answers that are not there any more
        self.bytes = 0
        self.forgotten: list[bytes] | None = None

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._answers)

    def __contains__(self, key: bytes) -> bool:
        """An answer is kept under this key; its time may be over."""
        return key in self._answers

    def get(self, key: bytes, now: Monotonic) -> KeptAnswer | None:
        """The answer kept under a key; it is the most recently used one now."""
        self._expire(now)
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, key: bytes, answer: KeptAnswer, now: Monotonic) -> None:
        """Keep an answer; the least recently used ones make room."""
        self._expire(now)
        self._remove(key)
        if len(answer.body) > self._settings.max_entry_bytes or answer.gone <= now:
            return
        while self._full(answer):
            self._remove(next(iter(self._answers)))
        self._add(key, answer)

    def restore(self, key: bytes, answer: KeptAnswer, now: Monotonic) -> bool:
        """Keep an answer from before, as the least recently used one; False if it is not wanted.

        It takes nobody's place, and a newer answer under the same key stands.
        """
        if key in self._answers or answer.gone <= now or self._full(answer):
            return False
        if len(answer.body) > self._settings.max_entry_bytes:
            return False
        self._add(key, answer)
        self._answers.move_to_end(key, last=False)
        return True

    async def close(self) -> None:
        """Forget everything."""
        self._answers.clear()
        self._ends.clear()
        self.bytes = 0

    def _full(self, answer: KeptAnswer) -> bool:
        settings = self._settings
        return self.bytes + answer.size > settings.max_bytes or len(self._answers) >= settings.max_entries

    def _add(self, key: bytes, answer: KeptAnswer) -> None:
        self._answers[key] = answer
        self.bytes += answer.size
        heapq.heappush(self._ends, (answer.gone, key))
        if len(self._ends) > 2 * len(self._answers) + _SLACK:
            self._ends = [(answer.gone, key) for key, answer in self._answers.items()]
            heapq.heapify(self._ends)

    def _remove(self, key: bytes) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self.bytes -= answer.size
            if self.forgotten is not None:
                self.forgotten.append(key)

    def _expire(self, now: Monotonic) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, key = heapq.heappop(self._ends)
            answer = self._answers.get(key)
            if answer is not None and answer.gone <= now:  # it may have been replaced by one that lasts longer
                self._remove(key)


def path_problem(settings: AnswerStoreSettings) -> str:
    """There is no file."""
    return "can never take effect: `store: memory` has no file" if settings.path else ""


def open_answers(settings: AnswerStoreSettings, clock: Clock) -> AnswerStore:
    """An empty store."""
    del clock
    return MemoryAnswers(settings)
