"""What checks of health may cost: how many an hour, and how much a day.

A generate check is reserved before it is sent, at the most that it can cost, and settled when its usage is known. What
may have been billed without a word of its usage stays reserved; what cannot have been billed is given back.

    prompt    half a token for each character and 16 for what is around it: more than any tokenizer makes of it
    answer    the limit of tokens that it is sent with
    price     of the model (`canon.facts`); where it is unknown, `ASSUMED`
"""

from standfast.canon.facts import Facts, Price
from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.weigh import cost

ASSUMED = Facts(prices=(Price(input=5.0, output=25.0),))
"""Claude Opus 4.5's price: few models for chats cost more."""

DAY = 86_400.0
PARTS = 24
"""The purse holds so much of a day's money at most: an hour's."""


def check_cost(facts: Facts | None, prompt: int, answer: int) -> tuple[float, bool]:
    """US dollars for so many tokens, and whether the price is a guess."""
    found = cost(facts, prompt, answer)
    return (found, False) if found is not None else (cost(ASSUMED, prompt, answer) or 0.0, True)


def prompt_tokens(prompt: str) -> int:
    """The most tokens that the question of a check can have."""
    return len(prompt) // 2 + 16


class Purse:
    """So many US dollars in any day, evenly spent.

    Theory: a token bucket. It holds a 24th of the day's money and is filled at the rate that brings the other 23 in a
    day, so no day (and no night between two days) sees more than the whole. A check that costs more than the bucket
    holds is never made.

    Args:
        daily: more than 0.
    """

    __slots__ = ("_at", "_holds", "_level", "_rate", "daily")

    def __init__(self, daily: float) -> None:
        self.daily = daily
        self._holds = self._level = daily / PARTS
        self._rate = (daily - self._holds) / DAY
        self._at = Monotonic(-NEVER)

    def ready(self, dollars: float, now: Monotonic) -> bool:
        """May so much be spent now?"""
        self._fill(now)
        return dollars <= max(self._level, 0.0)

    def spend(self, dollars: float, now: Monotonic) -> None:
        """It is; also what was ordered and did not ask. Less than nothing gives back."""
        self._fill(now)
        self._level = min(self._holds, self._level - dollars)

    def _fill(self, now: Monotonic) -> None:
        if now > self._at:
            if self._at > -NEVER:
                self._level = min(self._holds, self._level + self._rate * (now - self._at))
            self._at = now


class Allowance:
    """So many generate checks in any hour, evenly spread.

    Theory: the generic cell rate algorithm (ITU-T I.371). A check is due every `spacing` and may come half of that too
    early, so that looks which do not keep step are not refused; with spacing = 3600 / (hourly - 1/2) no hour sees more
    than `hourly`.

    Args:
        hourly: at least 1.
    """

    __slots__ = ("_due", "_spacing", "hourly")

    def __init__(self, hourly: int) -> None:
        self.hourly = hourly
        self._spacing = 3600.0 / (hourly - 0.5)
        self._due = Monotonic(-NEVER)

    def ready(self, now: Monotonic) -> bool:
        """May one be made now?"""
        return now >= self._due - self._spacing / 2

    def spend(self, now: Monotonic) -> None:
        """One is made; also one that was ordered and did not ask."""
        self._due = Monotonic(max(self._due, now) + self._spacing)
