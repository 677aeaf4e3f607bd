"""When requests arrive: one instant after the other, however many there are.

Theory. A Poisson process of varying rate is one of rate 1 on a stretched axis: the integral of the rate (Cinlar,
"Introduction to Stochastic Processes", 1975). So gaps are drawn on that axis and mapped back. Exactly N arrivals of
such a process are N uniform points on it, in order; the next of the k that are left is at a fraction 1 - V^(1/k) of
what is left of the axis (Bentley and Saxe, "Generating sorted lists of random numbers", 1980): none is ever stored.
"""

import math
import random
from collections.abc import Iterator
from itertools import pairwise

from standfast.sim.settings import Workload

CELLS = 32
"""Pieces of constant rate between two points of a curve."""


def arrivals(workload: Workload, duration: float, rng: random.Random) -> Iterator[float]:
    """Seconds since the beginning, never falling, all below `duration`."""
    cells = _cells(workload, duration)
    area = sum(width * rate for _, width, rate in cells)
    if workload.requests is not None:
        points = _evenly(workload.requests) if workload.arrivals == "constant" else _sorted(workload.requests, rng)
        return _mapped(cells, (point * area for point in points))
    flat = _mean_of_curve(workload) * duration
    rate = (workload.rate or 0.0) * duration / flat  # of arrivals, for each unit of the axis
    if workload.arrivals == "constant":
        return _mapped(cells, ((at + 0.5) / rate for at in range(round(area * rate))))
    return _mapped(cells, _poisson(area, rate, rng))


def expected(workload: Workload, duration: float) -> float:
    """How many requests there will be, on average."""
    if workload.requests is not None:
        return workload.requests
    area = sum(width * rate for _, width, rate in _cells(workload, duration))
    return (workload.rate or 0.0) * area / _mean_of_curve(workload)


def _mean_of_curve(workload: Workload) -> float:
    curve = workload.curve
    return sum((low + high) / 2 for low, high in pairwise(curve)) / (len(curve) - 1) if curve else 1.0


def _cells(workload: Workload, duration: float) -> list[tuple[float, float, float]]:
    """(start, width, relative rate) of pieces of constant rate that cover the duration."""
    curve = workload.curve
    pieces = CELLS * (len(curve) - 1) if curve else 1
    edges = {duration * at / pieces for at in range(pieces + 1)}
    for burst in workload.bursts:
        edges |= {min(burst.at, duration), min(burst.at + burst.lasts, duration)}
    cells = []
    for start, end in pairwise(sorted(edges)):
        middle = (start + end) / 2
        rate = _on_curve(curve, middle / duration)
        for burst in workload.bursts:
            if burst.at <= middle < burst.at + burst.lasts:
                rate *= burst.factor
        cells.append((start, end - start, rate))
    return cells


def _on_curve(curve: tuple[float, ...], share: float) -> float:
    if not curve:
        return 1.0
    position = share * (len(curve) - 1)
    before = min(int(position), len(curve) - 2)
    return curve[before] + (curve[before + 1] - curve[before]) * (position - before)


def _mapped(cells: list[tuple[float, float, float]], points: Iterator[float]) -> Iterator[float]:
    """From the stretched axis back to time."""
    pending = iter(cells)
    start, width, rate = next(pending)
    passed = 0.0  # of the axis, before this cell
    for point in points:
        while rate <= 0.0 or (point - passed) > width * rate:
            following = next(pending, None)
            if following is None:
                break  # a rounding error beyond the end
            passed += width * rate
            start, width, rate = following
        yield start + (min((point - passed) / rate, width) if rate > 0.0 else width)


def _poisson(area: float, rate: float, rng: random.Random) -> Iterator[float]:
    draw, log = rng.random, math.log
    at = 0.0
    while True:
        at -= log(1.0 - draw()) / rate
        if at >= area:
            return
        yield at


def _sorted(count: int, rng: random.Random) -> Iterator[float]:
    """So many uniform points in 0..1, in order."""
    draw = rng.random
    left = 1.0
    for remaining in range(count, 0, -1):
        left *= (1.0 - draw()) ** (1.0 / remaining)
        yield 1.0 - left


def _evenly(count: int) -> Iterator[float]:
    return ((at + 0.5) / count for at in range(count))
