"""Silence: a hang is seen before the first one has waited to the end, in virtual time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.breaker import BreakerSettings, State
from standfast.policy.exchange import Exchange
from standfast.policy.fleet import Fleet, KeyPool
from standfast.policy.hedge import HedgeSettings
from standfast.policy.retry import RetrySettings
from standfast.policy.silence import ENOUGH
from standfast.policy.soundness import hindrance
from standfast.policy.steps import Commit, Send
from standfast.policy.usual import LEAST
from support.exchanges import START, sent
from support.hands import Client, Hands, Plan, Scene

K = FailureKind
USUAL = 1.5
"""Seconds that first tokens take here, and the 95th percentile."""


def later(seconds: float) -> Monotonic:
    """An instant after the start."""
    return Monotonic(START + seconds)


def known(scene: Scene, name: str = "a/m", seconds: float = USUAL) -> None:
    """A deployment's first tokens have always taken that long."""
    usual = scene.fleet.place(next(each.deployment for each in scene.targets if each.name == name)).usual
    for _ in range(40):
        usual.observe(seconds, 0, START, True)


def world(*names: str, seconds: float = USUAL) -> Scene:
    """Targets in a row, the first one known."""
    scene = Scene(names)
    known(scene, seconds=seconds)
    return scene


def waiting(scene: Scene, number: int = ENOUGH, at: float = 0.0, **ask: object) -> list[tuple[Exchange, Send]]:
    """So many that wait for their first token."""
    exchanges = [scene.exchange(later(at), **{"stream": True, **ask}) for _ in range(number)]
    return [(exchange, sent(exchange.open(later(at)))) for exchange in exchanges]


def goes_to(scene: Scene, at: float) -> str:
    """Where a request goes that comes at this instant; it leaves at once."""
    exchange = scene.exchange(later(at), stream=True)
    target = sent(exchange.open(later(at))).target.name
    exchange.cancel(later(at))
    return target


def told(exchanges: list[tuple[Exchange, Send]]) -> list[Change]:
    """What was told of silence."""
    return [change for exchange, _ in exchanges for change in exchange.changes if change.subject == "silence"]


def test_where_nobody_is_heard_for_longer_than_usual_nobody_else_is_sent() -> None:
    """A7: five wait, and nothing came for the usual 95th percentile: the next ones go elsewhere; told once."""
    scene = world("a/m", "b/m")
    waiting(scene)
    assert goes_to(scene, 1.4) == "a/m"
    begun = waiting(scene, at=2.9)
    after = waiting(scene, 2, at=2.91)
    assert {send.target.name for _, send in begun + after} == {"b/m"}
    (change,) = told(begun + after)
    assert (change.name, change.before, change.after) == ("a/m", "heard", "silent")
    assert "5 wait" in change.reason


def test_an_explanation_names_it_and_tells_nobody() -> None:
    """`standfast explain` looks; only a request that is sent elsewhere makes it an event."""
    scene = world("a/m", "b/m")
    there = waiting(scene)
    place = there[0][1].permit.place
    assert hindrance(place, later(1.4)) == ""
    assert hindrance(place, later(1.6)) == "it is silent: 5 wait, and nothing was heard for 1.6 s"
    assert not place.silence.told
    scene.fleet.force(place.deployment, State.FORCED_CLOSED, later(1.6))
    assert hindrance(place, later(1.6)) == "", "an operator's word is above it"


def test_the_first_word_ends_it() -> None:
    """It is no verdict: no open time, no trial, no ramp; the one word of one of them is enough."""
    scene = world("a/m", "b/m")
    first = waiting(scene)
    assert goes_to(scene, 1.6) == "b/m"
    exchange, send = first[0]
    assert exchange.first_content(send.permit, later(1.7)) == [Commit(send.permit)]
    after = waiting(scene, 1, at=1.7)
    assert after[0][1].target.name == "a/m"
    assert scene.fleet.breaker_state(send.target.deployment, later(1.7)) is State.CLOSED
    assert [change.after for change in told(first + after)] == ["heard"]


@pytest.mark.parametrize(
    ("number", "ask"), [(ENOUGH - 1, {}), (20, {"stream": False}), (20, {"reasoning": True})], ids=str
)
def test_who_does_not_count(number: int, ask: dict[str, object]) -> None:
    """Fewer than five may all be late by chance; whole replies and those who think wait for reasons of their own."""
    scene = world("a/m", "b/m")
    waiting(scene, number, **ask)
    assert goes_to(scene, 4.9) == "a/m"


def test_without_history_nobody_knows_what_silence_is() -> None:
    """Whoever is slow from the beginning is slow by nature."""
    scene = Scene(("a/m", "b/m"))
    waiting(scene, 20)
    assert goes_to(scene, 11.0) == "a/m"


def test_a_moment_is_no_silence_however_fast_the_target_is() -> None:
    """A pause of a second is felt by nobody but a percentile of milliseconds."""
    scene = world("a/m", "b/m", seconds=0.05)
    waiting(scene)
    assert goes_to(scene, LEAST - 0.01) == "a/m"
    waiting(scene)
    assert goes_to(scene, 2 * LEAST) == "b/m"


def test_those_who_come_and_go_have_not_waited() -> None:
    """Five are always there, and each for a moment only: nobody was late."""
    scene = world("a/m", "b/m")
    there = waiting(scene)
    for step in range(1, 50):
        exchange, _ = there.pop(0)
        exchange.cancel(later(step * 0.5))
        there += waiting(scene, 1, at=step * 0.5)
        assert there[-1][1].target.name == "a/m"


def test_time_outs_are_no_news_and_their_end_is_the_breakers() -> None:
    """The first of them does not let the next request in; five of them open the breaker."""
    scene = world("a/m", "b/m")
    first = waiting(scene, 12)
    assert goes_to(scene, 4.9) == "b/m"
    for number, (exchange, send) in enumerate(first[:5], start=1):
        exchange.failed(send.permit, Failure(K.FIRST_TOKEN_TIMEOUT), later(5.0))
        assert goes_to(scene, 5.0) == "b/m"
        assert scene.fleet.breaker_state(send.target.deployment, later(5.0)) is (
            State.OPEN if number == BreakerSettings().consecutive else State.CLOSED
        )


def test_when_nobody_waits_any_more_somebody_may_ask_again() -> None:
    """Silence needs somebody who listens: it ends with the waiting, whatever the breaker says."""
    scene = Scene(("a/m", "b/m"), breaker=BreakerSettings(consecutive=100, rate=1.0, min_calls=100))
    known(scene)
    first = waiting(scene)
    assert goes_to(scene, 4.9) == "b/m"
    exchange, send = first[0]
    exchange.failed(send.permit, Failure(K.FIRST_TOKEN_TIMEOUT), later(5.0))
    assert goes_to(scene, 5.0) == "a/m"


def test_where_there_is_no_elsewhere_nothing_changes() -> None:
    """A single target is asked all the same; so is one whose only neighbour is open."""
    scene = world("a/m")
    waiting(scene)
    assert goes_to(scene, 3.0) == "a/m"
    scene = world("a/m", "b/m")
    scene.fail("b/m", K.SERVER_ERROR, 5)
    waiting(scene)
    assert goes_to(scene, 3.0) == "a/m"


def test_an_operator_who_forces_it_closed_is_obeyed() -> None:
    """His word is above what was not heard."""
    scene = world("a/m", "b/m")
    scene.fleet.force(scene.targets[0].deployment, State.FORCED_CLOSED, START)
    waiting(scene)
    assert goes_to(scene, 3.0) == "a/m"


def test_a_reload_does_not_forget_who_waits() -> None:
    """The new fleet knows the silence, and those who end in the old one are counted in it."""
    scene = world("a/m", "b/m")
    first = waiting(scene)
    slower = BreakerSettings(open=9.0)
    pools = [KeyPool(name, (f"{name}-0",)) for name in "ab"]
    scene.fleet = Fleet({each.deployment: slower for each in scene.targets}, pools, scene.fleet)
    assert goes_to(scene, 1.6) == "b/m"
    exchange, send = first[0]
    exchange.first_content(send.permit, later(1.7))
    assert goes_to(scene, 1.7) == "a/m"


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["joins", "joins", "speaks", "leaves", "times out"]), st.sampled_from([0.0, 0.3, 0.9, 1.6])
        ),
        max_size=40,
    )
)
def test_silence_is_what_a_naive_model_says(events: list[tuple[str, float]]) -> None:
    """Five have waited since the last word for longer than usual; kept in a few numbers, told at each change once."""
    scene = Scene(("a/m", "b/m"), breaker=BreakerSettings(consecutive=1000, min_calls=1000))
    known(scene)
    place = scene.fleet.place(scene.targets[0].deployment)
    there: list[tuple[Exchange, Send]] = []
    at, since, silent = 0.0, math.inf, False
    for event, seconds in events:
        at += seconds
        silent = len(there) >= ENOUGH and at - since >= place.usual.latest()  # type: ignore[operator]  # it is known
        if event == "joins":
            (one,) = waiting(scene, 1, at=at)
            assert one[1].target.name == ("b/m" if silent else "a/m")
            if not silent:
                there.append(one)
                since = at if len(there) == ENOUGH else since
        elif there:
            exchange, send = there.pop(0)
            if event == "times out":
                exchange.failed(send.permit, Failure(K.FIRST_TOKEN_TIMEOUT), later(at))
            else:
                since = at
                exchange.first_content(send.permit, later(at)) if event == "speaks" else exchange.cancel(later(at))
        assert place.silence.waiting == len(there)
        assert not place.silence.told or len(there) >= ENOUGH


# in traffic


def traffic(scene: Scene, rate: float, seconds: float, hangs: float = math.inf) -> tuple[Hands, list[Client]]:
    """Streams at even pace; the first target hangs from an instant on."""

    def plan(send: Send, _: Client) -> Plan:
        if send.target.name == "a/m" and hands.now - START >= hangs:
            limit = send.deadlines.first_content - hands.now
            return Plan(fail=(limit, Failure(K.FIRST_TOKEN_TIMEOUT)))
        first = hands.rng.lognormvariate(math.log(0.5), 0.58)
        return Plan(first, first + 3.0)

    hands = Hands(scene, plan)
    clients = [hands.arrive(n / rate, stream=True) for n in range(int(rate * seconds))]
    hands.run()
    return hands, clients


@pytest.mark.parametrize("rate", [2.0, 10.0, 50.0])
def test_a_healthy_target_is_never_suspected(rate: float) -> None:
    """First tokens that vary as they do in life: everybody is served by the first choice."""
    hands, clients = traffic(Scene(("a/m", "b/m")), rate, 12_000 / rate)
    assert hands.sent == {"a/m": len(clients)}
    assert not hands.changes


def test_a_hang_costs_those_who_came_until_the_silence_was_long_enough() -> None:
    """A7: at ten a second less than thirty wait for the time-out; without the silence it would be fifty and more."""
    hands, clients = traffic(Scene(("a/m", "b/m")), 10.0, 200.0, hangs=100.0)
    late = [client for client in clients if client.exchange.attempts[-1].started > 4.0]
    assert all(client.answered for client in clients)
    assert 5 <= len(late) < 30
    assert any((change.subject, change.after) == ("silence", "silent") for change in hands.changes)


def test_a_pause_is_over_when_it_is_over() -> None:
    """Everybody waits for three seconds once: the first choice has all of its requests back at the first word."""

    def plan(send: Send, _: Client) -> Plan:
        at = hands.now - START
        first = 0.5 if not (100.0 <= at < 103.0 and send.target.name == "a/m") else 103.0 - at + 0.1
        return Plan(first, first + 3.0)

    hands = Hands(Scene(("a/m", "b/m")), plan)
    clients = [hands.arrive(n / 10.0, stream=True) for n in range(1_500)]
    hands.run()
    elsewhere = [client for client in clients if client.exchange.attempts[-1].deployment == "b/m"]
    assert 0 < len(elsewhere) < 30
    assert all(client.exchange.ask.arrived < later(103.2) for client in elsewhere)
    assert not any(change.subject == "breaker" for change in hands.changes)


def test_hedges_that_win_do_not_hide_a_hang() -> None:
    """Five attempts in a row that are given up late, nothing heard between: the breaker opens, it is slow at least."""
    scene = Scene(("a/m", "b/m"), hedge=HedgeSettings(), retry=RetrySettings(budget_floor=10))
    hands, clients = traffic(scene, 2.0, 300.0, hangs=100.0)
    opened = [change for change in hands.changes if (change.subject, change.after) == ("breaker", "open")]
    assert opened[0].reason == "slow"
    asked = [client.exchange.ask.arrived for client in clients if client.sends[0].target.name == "a/m"]
    assert ENOUGH <= sum(later(100.0) <= arrived < later(110.0) for arrived in asked) <= 15
