"""The blocking gateway has what the other has."""

import threading

import pytest

from standfast.config.load import from_mapping
from standfast.engine.gateway import Gateway
from standfast.engine.sync import SyncGateway
from standfast.errors import InvalidRequest

NOT_BLOCKING = {"submit": "its answer comes through an object that lives in the event loop"}
CONFIG = {
    "providers": {"dead": {"type": "openai_like", "base_url": "http://127.0.0.1:1/v1", "keys": ["none"]}},
    "models": {"m": ["dead/x", "dead/y"]},
}


def public(kind: type) -> set[str]:
    """Names of methods and properties that do not begin with an underscore."""
    return {name for name in dir(kind) if not name.startswith("_")}


def test_both_gateways_have_the_same_names() -> None:
    """Nothing that an embedder may call is missing for those without a loop, but for what is named here."""
    assert public(Gateway) - public(SyncGateway) == set(NOT_BLOCKING)
    assert public(SyncGateway) <= public(Gateway)


def test_an_operator_needs_no_loop() -> None:
    """States, health, reload and the rest, from several threads at once."""
    with SyncGateway(CONFIG) as gateway:
        assert gateway.in_flight == 0
        gateway.force_breaker("dead/x", "open")
        assert gateway.breaker_states() == {"dead/x": "forced_open", "dead/y": "closed"}
        assert gateway.availability()["m"]["dead/x"] is None
        assert [report.target for report in gateway.checks()] == ["dead/x", "dead/y"]
        assert [report.ok for report in gateway.health()] == [False, False]
        assert gateway.explain("m", [{"role": "user", "content": "hello"}], session="s").rows
        with pytest.raises(ValueError, match="`ping` or `generate`"):
            gateway.checks("pong")  # type: ignore[arg-type]  # that is the test
        with pytest.raises(InvalidRequest, match="stream"):
            gateway.chat("m", [{"role": "user", "content": "hello"}], stream=True)
        gateway.cut_off()
        other = from_mapping({**CONFIG, "models": {"n": ["dead/z"]}, "server": {"port": 9}}, {})
        threads = [threading.Thread(target=gateway.reload, args=(other,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(gateway.breaker_states()) == ["dead/z"]
        assert gateway.reload(other) == ("server.port",)


def test_checks_may_be_left_early() -> None:
    """Who reads one report and goes leaves nothing under way."""
    with SyncGateway(CONFIG) as gateway:
        for report in gateway.checks("generate"):
            assert report.target.startswith("dead/")
            break
