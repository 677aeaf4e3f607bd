"""How one upstream is at an instant: an ordinary day, or what its troubles make of it."""

import math
from collections.abc import Sequence

from standfast.sim.settings import Error, Trouble


class Weather:
    """The troubles of one upstream. Ask with instants that never fall: `look(now)`, then read the attributes.

    Args:
        ordinary: what fails on an ordinary day.
        troubles: what goes wrong here.
        start: the instant at which the scenario begins.

    Attributes:
        slow: so many times slower.
        capacity: share of the usual capacity.
        until: all of this holds until then.
        cut_at: when answers under way are cut off next; infinite if never.
        cut_share: which share of them.
    """

    __slots__ = ("_ordinary", "_start", "_table", "_troubles", "capacity", "cut_at", "cut_share", "slow", "until")

    def __init__(self, ordinary: Sequence[Error], troubles: Sequence[Trouble], start: float) -> None:
        self._ordinary = ordinary
        self._troubles = troubles
        self._start = start
        self._table: list[tuple[float, Error]] = []
        self.slow = self.capacity = 1.0
        self.until = -math.inf
        self.cut_at = math.inf
        self.cut_share = 0.0

    def look(self, now: float) -> None:
        """Bring the attributes up to this instant."""
        if now < self.until:
            return
        self.slow = self.capacity = 1.0
        self.until = self.cut_at = math.inf
        table: list[tuple[float, Error]] = []
        left = 1.0  # share of the attempts that no trouble has claimed
        for trouble in self._troubles:
            ill, change = self._state(trouble, now)
            self.until = min(self.until, change)
            if trouble.cuts:
                self._note_cut(trouble, now)
            if ill:
                self.slow *= trouble.slow
                self.capacity *= trouble.capacity
                left = _claim(table, trouble.errors, left)
        _claim(table, self._ordinary, left)
        self._table = table

    def error(self, chance: float) -> Error | None:
        """What befalls an attempt; `chance` is uniform in 0..1. None for nothing."""
        for below, error in self._table:
            if chance < below:
                return error
        return None

    def _state(self, trouble: Trouble, now: float) -> tuple[bool, float]:
        """Is it on, and when does that change."""
        begin = self._start + trouble.at
        end = begin + trouble.lasts
        if now < begin:
            return False, begin
        if now >= end:
            return False, math.inf
        if not trouble.down:
            return True, end
        period = trouble.down + trouble.up
        phase = (now - begin) % period
        ill = phase < trouble.down
        return ill, min(end, now + (trouble.down if ill else period) - phase)

    def _note_cut(self, trouble: Trouble, now: float) -> None:
        """The next instant at which the trouble begins."""
        begin = self._start + trouble.at
        period = trouble.down + trouble.up
        at = begin
        if now >= begin:
            at = begin + period * (math.floor((now - begin) / period) + 1) if period else math.inf
        if at < begin + trouble.lasts and at < self.cut_at:
            self.cut_at, self.cut_share = at, trouble.cuts
            self.until = min(self.until, at)


def _claim(table: list[tuple[float, Error]], errors: Sequence[Error], left: float) -> float:
    """Give the errors their shares of what is left; what is then left."""
    passed = table[-1][0] if table else 0.0
    claimed = 0.0
    for error in errors:
        if error.share > 0:
            claimed += error.share * left
            table.append((passed + claimed, error))
    return left - claimed
