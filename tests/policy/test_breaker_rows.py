"""The rows of the failure catalogue that a breaker answers for, in virtual time, with the table's own bars."""

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from standfast.canon.failure import Failure, FailureKind
from standfast.policy.breaker import State
from standfast.policy.fleet import Fleet, KeyPool
from standfast.policy.hedge import HedgeSettings
from standfast.policy.steps import Purpose, Send
from support.exchanges import START
from support.hands import Client, Hands, Plan, Scene

K = FailureKind
SERVER_ERROR = Failure(K.SERVER_ERROR, status=500)
REFUSED = Plan(fail=(0.05, SERVER_ERROR))


class Play:
    """A scene at work, and who was asked when.

    Args:
        scene: who serves.
        plan: what an upstream does with an attempt: target, seconds since the start, and the attempt.
    """

    def __init__(self, scene: Scene, plan: Callable[[str, float, Send], Plan], seed: int = 1) -> None:
        self.asked: list[tuple[float, str]] = []

        def behave(send: Send, client: Client) -> Plan:
            del client
            at = self.hands.now - START
            self.asked.append((at, send.target.name))
            return plan(send.target.name, at, send)

        self.hands = Hands(scene, behave, seed=seed)

    def traffic(self, rate: float, seconds: float) -> list[Client]:
        """Requests at even pace, streamed, to their end."""
        clients = [self.hands.arrive(n / rate, stream=True) for n in range(int(rate * seconds))]
        self.hands.run()
        return clients

    def share(self, name: str, begin: float, end: float) -> float:
        """The share of a target of all attempts between two instants."""
        inside = [target for at, target in self.asked if begin <= at < end]
        return inside.count(name) / len(inside)

    def state(self, send: Send) -> State:
        """Of the breaker of the target of this attempt."""
        return self.hands.scene.fleet.breaker_state(send.target.deployment, self.hands.now)

    def moved(self, name: str, after: str, subject: str = "breaker") -> int:
        """How often it was told that something came into a state."""
        return sum((c.subject, c.name, c.after) == (subject, name, after) for c in self.hands.changes)


def waits(clients: list[Client], begin: float, end: float) -> list[float]:
    """Times to the first content of the answer, of those that arrived between two instants, in order."""
    found = []
    for client in clients:
        exchange = client.exchange
        if begin <= exchange.ask.arrived - START < end:
            found += [each.first_content for each in exchange.attempts if each.outcome.value == "success"]
    return sorted(first for first in found if first is not None)


def p99(values: list[float]) -> float:
    """The 99th percentile, nearest rank."""
    return values[math.ceil(0.99 * len(values)) - 1]


@pytest.mark.parametrize("hedge", [None, HedgeSettings()], ids=["plain", "hedged"])
def test_a_brownout_is_left(hedge: HedgeSettings | None) -> None:
    """D1: the first choice becomes 20x slower without an error: share < 5 % within 10 s, p99 < 1.3 x healthy then."""

    def plan(name: str, at: float, send: Send) -> Plan:
        del send
        first = play.hands.rng.lognormvariate(math.log(0.5), 0.5) * (20 if name == "a/m" and 60 <= at < 360 else 1)
        return Plan(first, first + 2.0)

    play = Play(Scene(("a/m", "b/m"), hedge=hedge), plan)
    clients = play.traffic(20, 360)
    assert all(client.answered for client in clients)
    assert play.share("a/m", 70, 360) < 0.05
    assert p99(waits(clients, 70, 360)) < 1.3 * p99(waits(clients, 10, 60))
    assert play.moved("a/m", "open") >= 1


def test_a_brownout_everywhere_refuses_nobody() -> None:
    """D1: where everybody is slow nobody is better off elsewhere: all are answered, late; trials are accompanied."""

    def plan(name: str, at: float, send: Send) -> Plan:
        del name, send
        first = 0.5 if at < 60 else 4.5
        return Plan(first, first + 2.0)

    play = Play(Scene(("a/m", "b/m")), plan)
    clients = play.traffic(20, 180)
    assert all(client.answered for client in clients)
    assert play.moved("a/m", "open") >= 1
    second = [send for client in clients for send in client.sends[1:]]
    assert len(second) < 0.005 * len(clients)
    assert all(send.purpose is Purpose.HEDGE for send in second)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
def test_partial_errors_of_one_of_two(share: float) -> None:
    """D2: 5 to 80 % quick errors of the first choice at 100 requests a second: at least 99.9 % succeed."""

    def plan(name: str, at: float, send: Send) -> Plan:
        del at, send
        return REFUSED if name == "a/m" and play.hands.rng.random() < share else Plan(0.5, 1.0)

    play = Play(Scene(("a/m", "b/m")), plan)
    clients = play.traffic(100, 60)
    assert sum(client.answered for client in clients) >= 0.999 * len(clients)
    assert (play.moved("a/m", "open") > 0) == (share >= 0.5)


@pytest.mark.parametrize(("share", "least", "most"), [(0.3, 0.8, 1.3), (0.6, 0.2, 0.75), (0.8, 0.09, 0.75)])
@pytest.mark.parametrize("names", [("a/m",), ("a/m", "b/m", "c/m")], ids=["alone", "three"])
def test_partial_errors_of_everybody(names: tuple[str, ...], share: float, least: float, most: float) -> None:
    """D2, D7: who answers in part is the best there is: of one target half of the calls get through, not none.

    At most 1.3 attempts a request, whatever fails; of one target that fails for the most part, half and the retries of
    the budget.
    """

    def plan(name: str, at: float, send: Send) -> Plan:
        del name, at, send
        return REFUSED if play.hands.rng.random() < share else Plan(0.5, 1.0)

    play = Play(Scene(names), plan)
    clients = play.traffic(100, 60)
    assert sum(client.answered for client in clients) >= least * len(clients)
    assert len(play.asked) <= (most if len(names) == 1 else 1.3) * len(clients)


@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("fails_after", [0.0, 0.05, 2.0])
def test_the_dead_are_left_after_five(rate: float, fails_after: float) -> None:
    """D4: well for a minute, then dead: five failures open it, besides those that were under way by then."""

    def plan(name: str, at: float, send: Send) -> Plan:
        del send
        return Plan(fail=(fails_after, SERVER_ERROR)) if name == "a/m" and at >= 60 else Plan(0.1, 0.2)

    play = Play(Scene(("a/m", "b/m")), plan)
    clients = play.traffic(rate, 62 + 6 / rate)
    wasted = sum(at >= 60 and name == "a/m" for at, name in play.asked)
    assert 5 <= wasted <= 5 + rate * fails_after + 3
    assert all(client.answered for client in clients)


def test_flapping_wastes_one_attempt_per_trial_and_rests_longer() -> None:
    """D3: 2 s up, 2 s down for two minutes: at most one wasted attempt per trial and look; rests grow."""
    looks: list[float] = []

    def plan(name: str, at: float, send: Send) -> Plan:
        if name == "a/m" and play.state(send) is State.OPEN:
            looks.append(at)
        return REFUSED if name == "a/m" and at % 4.0 >= 2.0 else Plan(0.1, 0.2)

    play = Play(Scene(("a/m", "b/m")), plan)
    clients = play.traffic(20, 120)
    wasted = sum(name == "a/m" and at % 4.0 >= 2.0 for at, name in play.asked)
    changes = [each for each in play.hands.changes if (each.subject, each.name) == ("breaker", "a/m")]
    tripped = sum(each.before == "closed" for each in changes)
    relapsed = sum((each.before, each.after) == ("half_open", "open") for each in changes)
    rests = [each.until for each in changes if each.after == "open" and each.until is not None]
    assert all(client.answered for client in clients)
    assert wasted <= (5 + 1) * tripped + (1 + 1) * relapsed + len(looks)  # and one that is under way by then
    assert 1 <= len(looks) <= 8
    assert min(later - sooner for sooner, later in pairwise(looks)) >= 10.0
    assert all(rest <= 5.0 * 2**n + 1e-6 for n, rest in enumerate(rests))
    assert max(rests) <= 120 / 2, "half of its trouble at most: it answers now and then"
    assert max(rests[-2:]) > 1.5 * max(rests[:2])
    assert 3 <= len(rests) <= 12


def test_recovery_takes_a_trial_and_a_ramp() -> None:
    """D4: hard down for a minute: then one trial, at most 10 % in the first second, full share within the ramp."""

    def plan(name: str, at: float, send: Send) -> Plan:
        del send
        return REFUSED if name == "a/m" and 30 <= at < 90 else Plan(0.1, 0.2)

    play = Play(Scene(("a/m", "b/m")), plan)
    clients = play.traffic(50, 180)
    assert all(client.answered for client in clients)
    back = next(at for at, name in play.asked if at >= 90 and name == "a/m")
    closed = back + 0.45  # a look's answer, and another one
    assert play.share("a/m", closed, closed + 1.0) <= 0.1 + 1e-6
    assert 0.4 < play.share("a/m", closed + 14.0, closed + 16.0) < 0.6
    assert play.share("a/m", closed + 31.0, 180) == 1.0
    during = sum(name == "a/m" and 31 <= at < 90 for at, name in play.asked)
    assert during <= 3 * play.moved("a/m", "half_open")
    assert back < 90 + 15, "a quarter of its outage at most, or what is left of the rest"
    assert play.moved("a/m", "ramping", "ramp") == play.moved("a/m", "full", "ramp") == 1


@pytest.mark.parametrize("names", [("a/m",), ("a/m", "b/m", "c/m")], ids=["alone", "three"])
def test_a_herd_at_recovery(names: tuple[str, ...]) -> None:
    """D6: a thousand clients, each with a request every ten seconds, obey Retry-After while all is down for a minute.

    What has recovered never sees more than 1.5 times its normal rate, and 95 % of the clients are served within 30 s.
    """

    def plan(name: str, at: float, send: Send) -> Plan:
        del name, send
        return Plan(fail=(0.02, SERVER_ERROR)) if 30 <= at < 90 else Plan(0.5, 1.0)

    play = Play(Scene(names), plan)
    hands, number, every = play.hands, 1000, 10.0
    served: dict[int, float] = {}

    def ask(who: int, at: float) -> None:
        client = hands.arrive(at)

        def look() -> None:
            now = hands.now - START
            if not client.ends:
                hands.at(hands.now + 0.1, look)
            elif client.answered:
                if now > 90:
                    served.setdefault(who, now)
                ask(who, max(now, at + every))
            else:
                wait = client.refusal.retry_after
                ask(who, now + max(1, math.ceil(1.0 if wait is None else wait)))  # as the header says it

        hands.at(START + at + 1e-6, look)

    for who in range(number):
        ask(who, who * every / number)
    hands.run(until=130.0)
    normal = number / every
    seen = Counter(int(at) for at, _ in play.asked if at >= 91)
    assert max(seen.values()) <= 1.5 * normal
    assert sum(at < 120 for at in served.values()) >= 0.95 * number
    assert sum(31 <= at < 90 for at, _ in play.asked) <= len(names) * 60 * 2  # probes, not a storm


def test_a_cold_deployment_starts_slowly() -> None:
    """D12: a reload puts a new first choice in front, which must load its model: D4's bars, and nobody is refused."""
    scene = Scene(("new/m", "old/m"))
    new, old = (each.deployment for each in scene.targets)
    pools = [KeyPool(each.provider, ("key",)) for each in (new, old)]
    before = Fleet({old: scene.breaker}, pools)
    scene.fleet = Fleet({new: scene.breaker, old: scene.breaker}, pools, before)

    def plan(name: str, at: float, send: Send) -> Plan:
        del send
        first = max(0.5, 8.0 - at) if name == "new/m" else 0.5
        return Plan(first, first + 0.5)

    play = Play(scene, plan)
    clients = play.traffic(50, 70)
    assert all(client.answered for client in clients)
    loading = [name for at, name in play.asked if at < 8.0]
    assert loading.count("new/m") <= 3  # the permits of its trial
    closed = 8.6
    assert play.share("new/m", closed, closed + 1.0) <= 0.1 + 1e-6
    assert play.share("new/m", closed + 31.5, 70) == 1.0


@pytest.mark.parametrize(
    ("failure", "most"),
    [
        (Failure(K.AUTH_FAILED, status=401), 6),
        (Failure(K.RATE_LIMITED, status=429), 16),
        (SERVER_ERROR, 20),
    ],
    ids=["401", "429", "500"],
)
def test_one_bad_key_of_five(failure: Failure, most: int) -> None:
    """B7: key 3 answers 401, 429 or 500 always: no client sees an error, and it gets no more than probes.

    For two minutes at 20 requests a second: an attempt after each of its rests, which double from a second to a minute.
    """

    def plan(name: str, at: float, send: Send) -> Plan:
        del name, at
        return Plan(fail=(0.05, failure)) if send.permit.key == 2 else Plan(0.5, 1.0)

    play = Play(Scene(("a/m",), keys=5), plan)
    keys: Counter[int] = Counter()
    clients = play.traffic(20, 120)
    for client in clients:
        keys.update(send.permit.key for send in client.sends)
    assert all(client.answered for client in clients)
    assert keys[2] <= most
    assert play.moved("a/m", "open") == 0


def test_a_bad_key_of_one_provider_spares_the_model_of_another() -> None:
    """B7: with a bad key of two, and a second provider: the model stays where it is wanted."""

    def plan(name: str, at: float, send: Send) -> Plan:
        del at
        return REFUSED if name == "a/m" and send.permit.key == 1 else Plan(0.5, 1.0)

    play = Play(Scene(("a/m", "b/m"), keys=2), plan)
    clients = play.traffic(20, 120)
    assert all(client.answered for client in clients)
    assert play.share("a/m", 20, 120) > 0.95


def test_waits_are_told_apart() -> None:
    """D6: whom breakers keep away is told at most ten seconds, and not all the same."""
    scene = Scene(("a/m",))
    scene.fail("a/m", K.SERVER_ERROR, 5)
    play = Play(scene, lambda *_: REFUSED)
    clients = [play.hands.arrive(0.001) for _ in range(200)]
    play.hands.run()
    told = sorted(client.refusal.retry_after or 0.0 for client in clients)
    assert len(set(told)) > 190
    assert told[0] >= 2.0
    assert told[-1] <= 20.0
    assert told[-1] - told[0] > 3.0
