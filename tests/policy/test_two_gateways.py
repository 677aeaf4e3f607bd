"""Two gateways with their own eyes: each judges by what it has met itself, in virtual time."""

import pytest

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.policy.breaker import State
from standfast.policy.steps import Send
from support.exchanges import START
from support.hands import Client, Hands, Plan, Scene

DOWN = Failure(FailureKind.CONNECT_FAILED, sent=False)
HURT = Failure(FailureKind.SERVER_ERROR, status=503)
SPLIT = (20.0, 80.0)
"""Seconds between which a gateway cannot see what the other one sees."""
END = 240.0


def gateway(blind_to: str, failure: Failure) -> Hands:
    """One gateway; for a while one of its targets fails for it alone. Five requests a second."""
    scene = Scene(("a/m", "b/m"))

    def behave(send: Send, client: Client) -> Plan:
        del client
        since = hands.now - START
        if send.target.name == blind_to and SPLIT[0] <= since < SPLIT[1]:
            return Plan(fail=(0.02, failure))
        return Plan(0.1, 0.2)

    hands = Hands(scene, behave)
    for number in range(int(END * 5)):
        hands.arrive(number / 5)
    hands.run()
    return hands


def served(hands: Hands, name: str, begin: float, end: float) -> float:
    """Share of the requests of this time that this target answered."""
    asked = [client for client in hands.clients if begin <= client.exchange.ask.arrived - START < end]
    by = [client for client in asked if client.answered and client.sends[-1].target.name == name]
    return len(by) / len(asked)


def state(hands: Hands, name: str, now: Monotonic) -> State:
    """What the gateway's breaker says."""
    deployment = next(each.deployment for each in hands.scene.targets if each.name == name)
    return hands.scene.fleet.standing(deployment, now).breaker


@pytest.mark.parametrize("failure", [DOWN, HURT], ids=["network", "errors"])
def test_a_split_view_stays_with_who_has_it(failure: Failure) -> None:
    """D13: one gateway trips and serves from elsewhere, the other goes on as if nothing were; no client notices."""
    blind, seeing = gateway("a/m", failure), gateway("", failure)
    assert all(client.answered for hands in (blind, seeing) for client in hands.clients)
    assert served(blind, "b/m", SPLIT[0] + 2, SPLIT[1]) == 1.0
    assert served(seeing, "a/m", 0, END) == 1.0
    tripped = [change for change in blind.changes if change.subject == "breaker"]
    assert {change.name for change in tripped} == {"a/m"}
    assert tripped[0].after == "open"
    assert not seeing.changes
    wasted = sum(len(client.sends) - 1 for client in blind.clients)
    assert wasted <= 5 + 2 * 8  # until it trips, then one probe for each opening: 5, 10, 20, 40 s with jitter


@pytest.mark.parametrize("failure", [DOWN, HURT], ids=["network", "errors"])
def test_each_gateway_converges_on_its_own(failure: Failure) -> None:
    """D13: when its view is whole again a gateway comes back to its first choice itself, within open time and ramp."""
    blind = gateway("a/m", failure)
    assert served(blind, "a/m", 0, SPLIT[0]) == 1.0
    assert served(blind, "a/m", END - 40, END) == 1.0
    assert state(blind, "a/m", Monotonic(START + END)) is State.CLOSED


def test_opposite_views_share_the_load_and_nobody_loses_both() -> None:
    """D13: each is blind to what the other sees; both serve all their requests, each from where it can."""
    one, other = gateway("a/m", HURT), gateway("b/m", HURT)
    assert all(client.answered for hands in (one, other) for client in hands.clients)
    assert served(one, "b/m", SPLIT[0] + 2, SPLIT[1]) == 1.0
    assert served(other, "a/m", *SPLIT) == 1.0
    assert state(other, "b/m", Monotonic(START + END)) is State.CLOSED
