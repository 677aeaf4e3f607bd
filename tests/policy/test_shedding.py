"""Who is shed at the door of the line, and who is not."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.line import QueueSettings
from standfast.policy.shedding import CALM, LONGEST, STANDING, Meter, Shedding
from standfast.strategies.weighted import STRATEGY as WEIGHTED
from support.exchanges import START
from support.hands import Client, Hands, Plan, Scene
from support.servers import Servers


def later(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def ask(priority: int = 3, caller: str = "", model: str = "m") -> Ask:
    """A request of this priority."""
    return Ask(model, priority=priority, caller=caller)


def standing(waiting: int, turns: int, *, priority: int = 3, seconds: float = 5.0) -> Shedding:
    """A line that has stood for so many seconds, with so many waiting and so many turns since."""
    shedding = Shedding()
    for _ in range(waiting + turns):
        shedding.lined_up(ask(priority), START, again=False)
    for n in range(turns):
        shedding.called(ask(priority), later(seconds * n / turns))
        shedding.left(ask(priority))
    return shedding


def test_a_meter_tells_the_rate() -> None:
    """From the first seconds on, and within some percent; what stops is forgotten."""
    meter = Meter(START)
    for n in range(1, 200):
        meter.count(later(n * 0.1))
        if n > 20:
            assert meter.rate(later(n * 0.1)) == pytest.approx(10.0, rel=0.06)
    assert meter.rate(later(80.0)) < 0.1


def test_a_burst_may_line_up() -> None:
    """A line that has not stood for a second says nothing yet."""
    shedding = standing(10_000, 0)
    assert not shedding.hopeless(ask(), 1.0, later(STANDING - 0.01))
    assert shedding.hopeless(ask(), 1.0, later(STANDING))


def test_who_would_wait_longer_than_it_may_is_told_at_once() -> None:
    """A hundred before it, ten turns a second: about ten seconds; whoever has more time lines up."""
    shedding = standing(100, 50)
    assert shedding.hopeless(ask(), 7.0, later(5.0))
    assert not shedding.hopeless(ask(), 11.0, later(5.0))


def test_the_highest_priority_waits_for_nobody_but_itself() -> None:
    """However many of lower priorities wait, and however few turns there are."""
    shedding = standing(1_000, 0)
    assert not shedding.hopeless(ask(4), 0.1, later(5.0))
    assert shedding.hopeless(ask(3), 10.0, later(5.0))


def test_higher_priorities_that_take_every_turn_leave_no_hope() -> None:
    """Ten turns a second, eleven arrivals of a higher priority: the lower one is never called."""
    shedding = standing(1, 50, priority=1)
    for n in range(55):
        shedding.lined_up(ask(5), later(n / 11), again=False)
        shedding.left(ask(5))
    assert shedding.hopeless(ask(1), 1e9, later(5.0))
    assert not shedding.hopeless(ask(5), 0.1, later(5.0))


def test_one_callers_crowd_sheds_its_own_only() -> None:
    """D11: turns go round between callers, so whoever has none waiting waits for one round at most."""
    shedding = Shedding()
    for _ in range(500):
        shedding.lined_up(ask(caller="noisy"), START, again=False)
    for n in range(50):
        shedding.called(ask(caller="noisy"), later(n * 0.1))
        shedding.left(ask(caller="noisy"))
    assert shedding.hopeless(ask(caller="noisy"), 10.0, later(5.0))
    assert not shedding.hopeless(ask(caller="quiet"), 1.0, later(5.0))


def test_another_models_line_sheds_nobody() -> None:
    """Requests compete by the model that they name."""
    shedding = standing(10_000, 0)
    assert shedding.hopeless(ask(), 1.0, later(5.0))
    assert not shedding.hopeless(ask(model="other"), 0.0, later(5.0))


def test_a_turn_that_came_to_nothing_is_no_turn() -> None:
    """Who is called and must line up again has used no place."""
    wasted = standing(100, 0)
    for n in range(50):
        wasted.called(ask(), later(n * 0.1))
        wasted.left(ask())
        wasted.lined_up(ask(), later(n * 0.1), again=True)
    assert wasted.hopeless(ask(), 60.0, later(5.0))
    assert not standing(100, 50).hopeless(ask(), 60.0, later(5.0))


def test_shedding_is_told_once_and_so_is_its_end() -> None:
    """One event when it begins; one when nobody waits, or when for a while none was shed."""
    shedding = standing(2, 0, seconds=1.0)
    for _ in range(5):
        assert shedding.hopeless(ask(), 0.1, later(2.0))
    shedding.left(ask())
    shedding.left(ask())
    for _ in range(100):
        shedding.lined_up(ask(), later(3.0), again=False)
    assert shedding.hopeless(ask(), 0.1, later(5.0))
    assert not shedding.hopeless(ask(), 1e9, later(5.1))
    assert not shedding.hopeless(ask(), 1e9, later(5.2 + CALM))
    assert [(change.subject, change.after) for change in shedding.news] == [("shedding", "on"), ("shedding", "off")] * 2


def test_who_is_shed_is_told_when_those_before_it_have_had_their_turn() -> None:
    """Retry-After is never earlier than true, and never longer than a minute."""
    shedding = standing(100, 50)
    assert shedding.retry_after(ask(), later(5.0)) == pytest.approx(8.0, abs=2.0)
    assert shedding.retry_after(ask(4), later(5.0)) == 0.0
    assert standing(100_000, 0).retry_after(ask(), later(5.0)) == LONGEST
    assert shedding.retry_after(ask(model="other"), later(5.0)) == 0.0


@given(
    st.lists(
        st.tuples(st.sampled_from(["in", "again", "call", "out", "ask"]), st.integers(1, 5), st.sampled_from("xyz")),
        max_size=80,
    )
)
@settings(deadline=None)
def test_whatever_happens_nothing_is_left_behind(events: list[tuple[str, int, str]]) -> None:
    """Each who lined up leaves once: then nothing is known and nobody is shed; what began has ended."""
    shedding, inside, now = Shedding(), Counter[Ask](), START
    for what, priority, caller in events:
        now = Monotonic(now + 0.3)
        one = ask(priority, caller)
        if what in ("in", "again"):
            shedding.lined_up(one, now, again=what == "again")
            inside[one] += 1
        elif what == "call":
            shedding.called(one, now)
        elif what == "out" and inside[one]:
            shedding.left(one)
            inside[one] -= 1
        else:
            shedding.hopeless(one, 1.0, now)
            assert 0.0 <= shedding.retry_after(one, now) <= LONGEST
    for one in inside.elements():
        shedding.left(one)
    assert not shedding.hopeless(ask(1), 0.0, later(1e6))
    began = [change.after for change in shedding.news]
    assert began == ["on", "off"] * (len(began) // 2)


# in the fleet


def burst(queue: QueueSettings | None = None) -> tuple[Hands, list[Client]]:
    """Two requests a second, a hundred for a minute, then two again; three targets with places for thirty a second."""
    scene = Scene(("a/m", "b/m", "c/m"), strategy=WEIGHTED, queue=queue or QueueSettings())
    servers = Servers(capacity=20, queue=10)
    hands = servers.hands = Hands(scene, servers.behave)
    times = [n / 2 for n in range(60)] + [30 + n / 100 for n in range(6_000)] + [90 + n / 2 for n in range(240)]
    for n, at in enumerate(times):
        hands.arrive(at, stream=True, seconds=60.0, priority=5 if n % 10 == 0 else 3 if n % 10 < 5 else 1)
    hands.run()
    return hands, hands.clients


def test_a_fiftyfold_burst_degrades_gracefully() -> None:
    """D8: priority 5 keeps 99 %, nothing waits past its time, goodput is back at once, breakers stay closed."""
    hands, clients = burst()
    share = {
        level: [client.answered for client in clients if client.exchange.ask.priority == level] for level in (1, 3, 5)
    }
    assert sum(share[5]) >= 0.99 * len(share[5])
    assert sum(share[3]) / len(share[3]) > 2 * sum(share[1]) / len(share[1])
    assert all(len(client.ends) == 1 for client in clients)
    assert all((client.ended or math.inf) <= client.exchange.ask.deadline for client in clients)
    refused = [client for client in clients if not client.answered]
    assert max((client.ended or 0.0) - client.exchange.ask.arrived for client in refused) <= 10.5
    after = [client.answered for client in clients if later(100.0) <= client.exchange.ask.arrived < later(160.0)]
    assert sum(after) >= 0.95 * len(after)
    subjects = Counter(change.subject for change in hands.changes)
    assert subjects["breaker"] == 0
    assert subjects["shedding"] == 2


def test_low_priorities_are_refused_at_once_with_a_true_time() -> None:
    """D8: from the fourth second of the burst nine of ten of those who are shed do not wait; `Retry-After` is given."""
    _, clients = burst()
    shed = [
        client for client in clients if not client.answered and later(34.0) <= client.exchange.ask.arrived < later(90.0)
    ]
    at_once = [client for client in shed if client.ended == client.exchange.ask.arrived]
    assert len(at_once) >= 0.9 * len(shed)
    assert all(client.refusal.shed and 1.0 <= (client.refusal.retry_after or 0.0) <= 120.0 for client in at_once)


def test_early_shedding_can_be_switched_off() -> None:
    """`shed_early: false`: everybody lines up as long as there is room, and most of those who are shed have waited."""
    hands, clients = burst(QueueSettings(shed_early=False))
    assert not [change for change in hands.changes if change.subject == "shedding"]
    shed = [client for client in clients if not client.answered]
    assert sum(client.waited for client in shed) >= 0.9 * len(shed)


def slowest(noise: int) -> float:
    """Ten callers with half a request a second each, and one with so many: the 99th percentile of the ten."""
    scene = Scene(("a/m",), concurrency=40)
    hands = Hands(scene, lambda _, __: Plan(0.4, hands.rng.uniform(2.0, 3.0)))
    quiet = [hands.arrive(10.0 + n * 0.2, caller=f"quiet-{n % 10}") for n in range(300)]
    for n in range(noise * 70):
        hands.arrive(n / noise, caller="noisy")
    hands.run()
    assert all(client.answered for client in quiet)
    total = sorted((client.ended or math.inf) - client.exchange.ask.arrived for client in quiet)
    return total[int(0.99 * len(total))]


def test_a_noisy_neighbour_costs_the_others_little() -> None:
    """D11: one caller asks a hundred times as much as each of ten others; their 99th percentile grows by < 10 %."""
    assert slowest(50) < 1.1 * slowest(0)
