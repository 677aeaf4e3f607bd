"""A session stays where it is."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.route import Target
from standfast.strategies.sticky import STRATEGY
from support.exchanges import START
from support.fleets import Watched, begin, group, opened

SESSIONS = [f"session-{n}" for n in range(2000)]


def home(targets: tuple[Target, ...], fleet: Watched, session: str, now: Monotonic = START) -> str:
    """Where a session goes, by name."""
    return STRATEGY.rank(targets, Ask("m", session=session), fleet, random.Random(1), now)[0].name


@given(st.text(max_size=40).filter(bool), st.integers(2, 40), st.integers(0, 2**32))
@settings(deadline=None)
def test_a_session_has_one_target(session: str, count: int, seed: int) -> None:
    """Chance, load and what else happened do not move it."""
    targets, fleet = group([1.0] * count)
    before = home(targets, fleet, session)
    begin(fleet, targets[seed % count])
    ask = Ask("m", session=session)
    assert STRATEGY.rank(targets, ask, fleet, random.Random(seed), START)[0].name == before


@pytest.mark.parametrize("count", [3, 10, 50])
def test_sessions_spread(count: int) -> None:
    """The shares differ by no more than chance and 128 points each explain."""
    targets, fleet = group([1.0] * count)
    shares = Counter(home(targets, fleet, session) for session in SESSIONS)
    fair = len(SESSIONS) / count
    assert len(shares) == count
    assert max(shares.values()) < 1.6 * fair
    assert min(shares.values()) > 0.5 * fair


def test_weight_is_share() -> None:
    """Three times the weight, three times the sessions; no weight, none."""
    targets, fleet = group([3.0, 1.0, 0.0])
    shares = Counter(home(targets, fleet, session) for session in SESSIONS)
    assert 2.3 < shares["p0/m"] / shares["p1/m"] < 3.9
    assert shares["p2/m"] == 0


def test_who_comes_takes_only_its_own_share() -> None:
    """A new target takes about a tenth of the sessions of nine; all the others stay where they are."""
    nine, before = group([1.0] * 9)
    ten, after = group([1.0] * 10)
    moved = [session for session in SESSIONS if home(nine, before, session) != home(ten, after, session)]
    assert 0.05 < len(moved) / len(SESSIONS) < 0.15
    assert {home(ten, after, session) for session in moved} == {"p9/m"}


def test_who_is_down_is_passed_over_and_returned_to() -> None:
    """Never at the price of failover: its sessions spread over the others, nobody else moves, and all come back."""
    targets, fleet = group([1.0] * 5)
    before = {session: home(targets, fleet, session) for session in SESSIONS}
    opened(fleet, targets[2])
    during = {session: home(targets, fleet, session) for session in SESSIONS}
    homeless = [session for session in SESSIONS if before[session] == "p2/m"]
    assert {during[session] for session in homeless} == {"p0/m", "p1/m", "p3/m", "p4/m"}
    assert all(during[session] == before[session] for session in SESSIONS if session not in set(homeless))
    later = Monotonic(START + 60)
    assert {session: home(targets, fleet, session, later) for session in SESSIONS} == before


def test_the_order_of_failover_is_the_sessions_own() -> None:
    """Also the second place is always the same for a session, and different sessions have different ones."""
    targets, fleet = group([1.0] * 6)

    def second(session: str) -> str:
        return STRATEGY.rank(targets, Ask("m", session=session), fleet, random.Random(1), START)[1].name

    assert [second(session) for session in SESSIONS[:50]] == [second(session) for session in SESSIONS[:50]]
    mine = [session for session in SESSIONS if home(targets, fleet, session) == "p0/m"]
    assert len({second(session) for session in mine}) == 5


def test_where_targets_are_written_does_not_matter() -> None:
    """Another gateway with the same targets in another order sends a session to the same place."""
    targets, fleet = group([1.0] * 7)
    turned = tuple(reversed(targets))
    assert all(home(targets, fleet, session) == home(turned, fleet, session) for session in SESSIONS[:200])


def test_without_a_session_the_least_busy_serves() -> None:
    """What belongs to no session need not stick to anything."""
    targets, fleet = group([1.0] * 3)
    begin(fleet, targets[0])
    begin(fleet, targets[2])
    assert home(targets, fleet, "") == "p1/m"


def test_huge_weights_make_no_huge_ring() -> None:
    """Only the proportion counts: 500 and 1000 are like 4 and 8."""
    targets, fleet = group([500.0, 1000.0])
    shares = Counter(home(targets, fleet, session) for session in SESSIONS)
    assert 1.6 < shares["p1/m"] / shares["p0/m"] < 2.5
