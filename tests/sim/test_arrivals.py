"""When requests arrive."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.sim.arrivals import arrivals, expected
from standfast.sim.settings import Burst, Workload

DAY = 86_400.0

WORKLOADS = st.builds(
    Workload,
    requests=st.integers(1, 300),
    arrivals=st.sampled_from(["poisson", "constant"]),
    curve=st.sampled_from([(), (1.0, 3.0), (0.0, 1.0, 0.0), (2.0, 0.0, 0.0, 5.0)]),
    bursts=st.lists(
        st.builds(Burst, at=st.floats(0, 900), lasts=st.floats(1, 500), factor=st.floats(0.1, 50)), max_size=3
    ).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(WORKLOADS, st.integers(0, 10))
def test_arrivals_are_in_order_and_as_many_as_asked(workload: Workload, seed: int) -> None:
    """Exactly so many, never falling, all within the duration."""
    found = list(arrivals(workload, 1_000.0, random.Random(seed)))
    assert len(found) == workload.requests
    assert found == sorted(found)
    assert all(0.0 <= at <= 1_000.0 + 1e-6 for at in found)


def test_a_rate_makes_a_poisson_process() -> None:
    """Counts in equal stretches have the mean and the variance of a Poisson distribution (their ratio is 1)."""
    workload = Workload(rate=5.0)
    counts = [0] * 1_000
    for at in arrivals(workload, 10_000.0, random.Random(1)):
        counts[int(at / 10.0)] += 1
    mean = sum(counts) / len(counts)
    variance = sum((each - mean) ** 2 for each in counts) / (len(counts) - 1)
    assert mean == pytest.approx(50.0, abs=4 * math.sqrt(50 / 1_000))
    assert variance / mean == pytest.approx(1.0, abs=4 * math.sqrt(2 / 1_000))


def test_constant_arrivals_keep_their_distance() -> None:
    """A metronome: equal gaps."""
    found = list(arrivals(Workload(rate=2.0, arrivals="constant"), 10.0, random.Random(1)))
    assert found == pytest.approx([0.25 + 0.5 * at for at in range(20)])


def test_a_curve_shapes_the_day() -> None:
    """Three times the rate means three times the requests; the total does not change."""
    workload = Workload(requests=30_000, curve=(1.0, 1.0, 3.0, 3.0))
    found = list(arrivals(workload, DAY, random.Random(1)))
    first = sum(at < DAY / 3 for at in found)
    last = sum(at >= 2 * DAY / 3 for at in found)
    assert last / first == pytest.approx(3.0, rel=0.06)


def test_a_burst_multiplies_the_rate() -> None:
    """Fifty-fold for a minute: fifty times as many in that minute, and `rate` holds outside."""
    workload = Workload(rate=2.0, bursts=(Burst(at=300, lasts=60, factor=50),))
    found = list(arrivals(workload, 900.0, random.Random(1)))
    inside = sum(300 <= at < 360 for at in found)
    assert inside == pytest.approx(6_000, abs=4 * math.sqrt(6_000))
    assert len(found) - inside == pytest.approx(1_680, abs=4 * math.sqrt(1_680))
    assert expected(workload, 900.0) == pytest.approx(7_680)


def test_the_expected_count_knows_curve_and_bursts() -> None:
    """What a progress bar counts towards is the mean of what comes."""
    workload = Workload(rate=3.0, curve=(0.0, 2.0, 1.0), bursts=(Burst(at=10, lasts=20, factor=4),))
    counts = [sum(1 for _ in arrivals(workload, 200.0, random.Random(seed))) for seed in range(60)]
    mean = sum(counts) / len(counts)
    assert expected(workload, 200.0) == pytest.approx(mean, abs=4 * math.sqrt(mean / len(counts)))
