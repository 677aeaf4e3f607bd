"""What one process tells another one: the page's messages, and beside them what merging needs and no page does."""

import json
from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import msgspec

from standfast.console.history import drawn
from standfast.console.messages import Events, Sample, Snapshot, Tick
from standfast.console.sampler import Durations

_Told = TypeVar("_Told")


class Drawn(msgspec.Struct, frozen=True):
    """Some durations out of many, evenly; `history.DRAWN` at most.

    Attributes:
        values: milliseconds.
        of: out of how many.
    """

    values: tuple[float, ...] = ()
    of: int = 0


class Took(msgspec.Struct, frozen=True):
    """From what the quantiles of a second are told; see `sampler.Durations`."""

    first_token: Drawn = Drawn()
    total: Drawn = Drawn()


class Part(msgspec.Struct, frozen=True, tag_field="type", tag="part"):
    """The tick of one process."""

    tick: Tick
    took: Took = Took()


class Minutes(msgspec.Struct, frozen=True, tag_field="type", tag="minutes"):
    """The last day of one process."""

    minutes: tuple[Sample, ...]


Line: TypeAlias = Snapshot | Part | Events
"""What comes through a line that wishes `FEED`, each as one JSON text in a line of its own."""

FEED, SNAPSHOT, HISTORY = "feed", "snapshot", "history"
"""What may be wished: everything and then what happens; everything, once; the minutes, once."""


def read(text: bytes, kind: type[_Told]) -> _Told:
    """What was told, out of its line.

    Half a surrogate pair, which a client may send and JSON can say, is read too: it must not silence a process.

    Raises:
        ValueError, msgspec.ValidationError: it is nothing of the kind.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(text), kind)


def took(durations: Durations) -> Took:
    """Those of a second, as they are told."""
    return Took(_drawn(durations.first_token), _drawn(durations.total))


def _drawn(seconds: Sequence[float]) -> Drawn:
    return Drawn(tuple(round(each * 1e3, 2) for each in drawn(seconds)), len(seconds))
