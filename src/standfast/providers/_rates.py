"""Rate limits as the headers of an answer tell them, good answers and bad ones alike.

Each limit is told by three headers: how much there is, what is left, when it is whole again. Who tells it how:

    OpenAI, Azure       x-ratelimit-{limit,remaining,reset}-{requests,tokens}, also -project-tokens; a Go duration [D]
    Groq, Cerebras,     the same names, or with a suffix for the window: -requests-day, -tokens-minute [C]; seconds, a
    Mistral, relays     Go duration or an ISO instant, so all three are read; `req` for requests [U]
    Anthropic           anthropic-ratelimit-{requests,input-tokens,output-tokens,tokens}-{limit,remaining,reset}; an
                        instant by its own clock, which is set against its own `Date` [D]

Rules:

* What is missing is unknown, not zero. Without `remaining`, or with nothing but `remaining`, a limit is not told.
* A limit of zero is nonsense (some relays write 0 for "none"), and so is a number beyond any account's allowance.
* Anthropic's plain `tokens` shows whichever of its limits is tightest, so it is read only where the others are missing.
  The limits of its priority tier say nothing about ordinary requests.
* Whatever the headers hold, reading them never raises.

Evidence marks: [D] documented, [C] several clients agree, [U] unverified.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from standfast.canon.instants import Wall
from standfast.canon.rates import Counts, Rate
from standfast.providers._hints import ABSURD, number, reset_seconds

LARGEST = 1e12
"""More than any account may use in a day; beyond it a number is taken for nonsense."""

_LONG = 12
"""Digits of numbers that may be beyond `LARGEST`."""

_LIMIT, _REMAINING, _RESET = range(3)
_FIELDS = {"limit": _LIMIT, "remaining": _REMAINING, "reset": _RESET}
_WINDOWS = {"": 60.0, "-minute": 60.0, "-hour": 3600.0, "-day": 86400.0}


class Spot(NamedTuple):
    """Where a header's value belongs: the limit's name, what it counts, its window, and which of the three it is."""

    name: str
    counts: Counts
    window: float
    field: int


Table = Mapping[bytes, Spot]
"""The headers of one dialect, by their lower-case names."""


def _openai_shaped() -> Table:
    table: dict[bytes, Spot] = {}
    words = {"requests": Counts.REQUESTS, "req": Counts.REQUESTS, "tokens": Counts.TOKENS}
    for word, counts in words.items():
        for suffix, window in _WINDOWS.items():
            name = f"{word}{suffix}"
            for field, at in _FIELDS.items():
                table[f"x-ratelimit-{field}-{name}".encode()] = Spot(name, counts, window, at)
    for field, at in _FIELDS.items():
        table[f"x-ratelimit-{field}-project-tokens".encode()] = Spot("project-tokens", Counts.TOKENS, 60.0, at)
    return MappingProxyType(table)


def _anthropic() -> Table:
    words = {
        "requests": Counts.REQUESTS,
        "input-tokens": Counts.INPUT,
        "output-tokens": Counts.OUTPUT,
        "tokens": Counts.TOKENS,
    }
    return MappingProxyType(
        {
            f"anthropic-ratelimit-{word}-{field}".encode(): Spot(word, counts, 60.0, at)
            for word, counts in words.items()
            for field, at in _FIELDS.items()
        }
    )


OPENAI_SHAPED = _openai_shaped()
ANTHROPIC = _anthropic()


def read_rates(headers: Collection[tuple[bytes, bytes]], table: Table, received: Wall) -> tuple[Rate, ...]:
    """The limits that an answer tells; empty if it tells none. Never raises.

    Args:
        headers: lower-case names, values as they came; of several of one name the first counts.
        table: the dialect.
        received: wall time at reception, for instants in an answer that does not show its own clock.
    """
    found: dict[str, list[bytes | None]] = {}
    spots: dict[str, Spot] = {}
    for key, value in headers:
        spot = table.get(key)
        if spot is not None:
            values = found.get(spot.name)
            if values is None:
                values = found[spot.name] = [None, None, None]
                spots[spot.name] = spot
            if values[spot.field] is None:
                values[spot.field] = value
    rates = []
    for name, values in found.items():
        rate = _rate(spots[name], values, headers, received)
        if rate is not None:
            rates.append(rate)
    if any(rate.counts is Counts.INPUT for rate in rates):
        rates = [rate for rate in rates if rate.counts is not Counts.TOKENS]
    return tuple(rates)


def _rate(
    spot: Spot, values: list[bytes | None], headers: Collection[tuple[bytes, bytes]], received: Wall
) -> Rate | None:
    remaining, limit = _amount(values[_REMAINING]), _amount(values[_LIMIT])
    raw = values[_RESET]
    reset = None if raw is None else reset_seconds(raw.decode("latin-1").strip(), headers, received)
    if reset is not None:
        reset = max(0.0, reset) if reset <= ABSURD else None
    if remaining is None or limit == 0.0 or (limit is None and reset is None):
        return None
    if limit is not None:
        remaining = min(remaining, limit)
    return Rate(spot.name, spot.counts, remaining, limit, reset, spot.window)


def _amount(raw: bytes | None) -> float | None:
    """A count; a negative one is zero: so much more has been used than there was."""
    if raw is None:
        return None
    if raw.isdigit() and len(raw) < _LONG:
        return float(raw)
    text = raw.decode("latin-1").strip()
    amount = number(text.removeprefix("-"))
    if amount is None or amount > LARGEST:
        return None
    return 0.0 if text.startswith("-") else amount
