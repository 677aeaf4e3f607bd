"""A scenario from recorded traffic: the access log as JSON lines (`standfast.hooks.log`).

What is taken from it, in memory that does not grow with the number of requests:

    workload      how many, when (the curve), which models, priorities, callers, streams or not, sizes
    upstreams     of every target: quantiles of the time to first content, from token to token and of whole replies;
                  the mix of errors and how long each took to be told
    troubles      outages: five or more attempts at a target that failed in a row, as the breaker counts, from the first
                  one to the middle between the last one and the next success; what failed in them is not counted among
                  the ordinary errors

Requests that the cache answered are left out: no upstream heard of them. A kept answer or a configured message in place
of an error stays a request, one that no upstream answered.

What a log cannot tell is not guessed: capacities, rate limits and prices are left open; add them to the saved file.
"""

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from standfast.canon.failure import FailureKind
from standfast.config.schema import Config
from standfast.errors import ConfigError, Problem
from standfast.sim import files
from standfast.sim.logline import GAP, MOST_NAMED, opened, stretch
from standfast.sim.observed import shares, table
from standfast.sim.settings import Scenario
from standfast.sim.traffic import SLOT, Traffic

POINTS = 96
"""Pieces of the arrival curve: a quarter of an hour each in a day."""

MOST_CALLERS = 50

DAY = 86_400.0

LONGEST = 31
"""Days of the longest log that is taken: play takes time, and a curve of 96 pieces no longer shows a day."""


@dataclass(slots=True)
class Recorded:
    """What was made of a log; `notes` say what was left out, and what the log itself measured."""

    scenario: Scenario
    notes: list[str]


def read(path: Path, config: Config) -> Recorded:
    """The scenario that a log describes.

    Args:
        path: the log.
        config: whose models are asked; requests for others are left out and counted.

    Raises:
        ConfigError: the file cannot be read, has no line of a request, or covers more than `LONGEST` days.
    """
    known = set(config.models)
    try:
        with opened(path) as file:
            seen = Traffic(known, stretch(file, known))
            file.seek(0)
            seen.read(file)
    except OSError as error:
        raise ConfigError([Problem("(file)", f"cannot be read: {error.strerror}")], str(path)) from None
    if not seen.count:
        message = "has no line of a request for a configured model; is it the log as JSON lines (log.format: json)?"
        raise ConfigError([Problem("(file)", message), *(Problem("(note)", note) for note in _notes(seen))], str(path))
    days = (seen.latest - seen.earliest) / DAY
    if days > LONGEST:
        message = f"covers {days:.0f} days; at most {LONGEST} can be rehearsed: take a part of it"
        raise ConfigError([Problem("(file)", message)], str(path))
    return Recorded(_scenario(seen, path.name), _notes(seen))


def _scenario(seen: Traffic, name: str) -> Scenario:
    """The scenario that this traffic describes."""
    duration = max(1.0, seen.latest - seen.earliest)
    size = seen.size()
    upstreams = {"*": seen.every.section(size, ordinary=False)} if seen.every.said else {}
    upstreams |= {target: record.section(size) for target, record in sorted(seen.targets.items())}
    troubles = [
        trouble
        for target, record in sorted(seen.targets.items())
        for trouble in record.troubles(target, seen.earliest, duration)
    ]
    return files.from_mapping(
        {
            "title": f"As recorded in {name}",
            "about": "Made of an access log. It knows no capacities, rate limits and prices: add what you know.",
            "duration": round(duration, 3),
            "workload": _workload(seen, duration),
            "upstreams": upstreams,
            "troubles": troubles,
        },
        name,
    )


def _workload(seen: Traffic, duration: float) -> dict[str, object]:
    workload: dict[str, object] = {
        "requests": seen.count,
        "curve": _curve(seen, duration),
        "models": shares(seen.models),
        "streaming": round(seen.streams / seen.count, 4),
        "priorities": shares(seen.priorities),
    }
    if seen.prompt.count:
        workload |= {"prompt_tokens": table(seen.prompt), "completion_tokens": table(seen.completion)}
    size = seen.size()
    if size is not None:
        workload["completion_tokens"] = size
    if set(seen.callers) != {""}:
        often = Counter({f"caller-{at}": n for at, (_, n) in enumerate(seen.callers.most_common(MOST_CALLERS), 1)})
        workload["callers"] = shares(often)
    if seen.sessions:
        workload["sessions"] = len(seen.sessions)
    return workload


def _curve(seen: Traffic, duration: float) -> list[float]:
    """Rates at equally spaced instants: each is the mean of the pieces on both sides."""
    pieces = min(POINTS, int(duration / SLOT))
    if pieces < 2:  # noqa: PLR2004 - too short to have a shape
        return []
    counts = [0.0] * pieces
    for slot, count in seen.slots.items():
        begin, end = (((edge * SLOT) - seen.earliest) / duration * pieces for edge in (slot, slot + 1))
        begin, end = max(0.0, begin), min(float(pieces), end)
        for piece in range(int(begin), math.ceil(end)):  # a slot that lies in several pieces belongs to each in part
            counts[piece] += count * (min(end, piece + 1) - max(begin, piece)) / (end - begin)
    padded = [counts[0], *counts, counts[-1]]
    most = max(counts)
    return [round((low + high) / 2 / most, 3) for low, high in pairwise(padded)]


def _notes(seen: Traffic) -> list[str]:
    """What was read, what was left out, what the log measured."""
    notes = [f"read {seen.lines} lines: {seen.count} requests"]
    if seen.count:
        first, total = (sketch.quantile(0.5) for sketch in (seen.first, seen.total))
        measured = f"the log itself: {seen.answered / seen.count:.4%} answered"
        if first is not None and total is not None:
            measured += f", first content p50 {first * 1e3:.0f} ms, whole answer p50 {total * 1e3:.0f} ms"
        notes.append(measured)
        if not seen.prompt.count:
            notes.append("no line reports usage: the sizes of requests and answers are assumed")
        size = seen.size()
        if size is not None:
            notes.append(
                f"the streams of {', '.join(seen.unsized())} do not say how long they are: every answer is taken"
                f" to have {size:g} tokens, and its pace is what makes streams last as long as in the log"
            )
    return [*notes, *_cautions(seen), *_left_out(seen)]


def _cautions(seen: Traffic) -> list[str]:
    """What is not as it was."""
    notes = []
    if seen.cut:
        notes.append(
            f"{seen.cut} attempts were cut short (a hedge that lost, a deadline, a caller who left): each"
            " counts as one that would have taken longer"
        )
    notes += [
        f"no attempt at {target} came to an end of its own, {record.cut_short} were cut short: its latency is"
        " not known, that of all is taken"
        for target, record in sorted(seen.targets.items())
        if record.cut_short and not record.said
    ]
    if seen.late:
        notes.append(
            f"{seen.late} requests ran out of their own time ({FailureKind.DEADLINE_PASSED}): deadlines of"
            " callers are not in a log and not rehearsed; workload.deadline sets one for all"
        )
    if seen.stand_ins:
        notes.append(
            f"{seen.stand_ins} answers were kept ones or the fallback message in place of an error: not rehearsed,"
            " they count as requests that no upstream answered"
        )
    return notes


def _left_out(seen: Traffic) -> list[str]:
    notes = []
    if seen.kept:
        notes.append(f"{seen.kept} answers came from the cache: not rehearsed, and left out")
    if seen.far.count:
        notes.append(f"left out {seen.far.count} lines more than {GAP / DAY:.0f} days from all others: {seen.far}")
    if seen.broken.count:
        notes.append(f"left out {seen.broken.count} lines that are not of this log: {seen.broken}")
    for operation, count in seen.others.most_common(MOST_NAMED):
        notes.append(f"left out {count} requests for {operation}: most are for {seen.part.operation}")
    for model, count in seen.foreign.most_common(MOST_NAMED):
        notes.append(f"left out {count} requests for {model!r}, which the configuration does not have")
    return notes
