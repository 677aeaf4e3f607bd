"""Ports and configuration texts."""

import pytest
import yaml

from bench import plan
from standfast.config.schema import Config

PORTS = plan.Ports(19400)


def test_no_port_is_used_twice() -> None:
    """Every server has a port of its own, below the kernel's range for outgoing connections."""
    assert len(set(PORTS.all)) == len(PORTS.all) == 14
    assert max(PORTS.all) < 32768


def test_the_full_profile_keeps_a_thousand_streams_open() -> None:
    """Rate times length is the number of open streams (Little's law), and settling lasts longer than one stream."""
    assert plan.FULL.long_streams == 1000
    for profile in (plan.FULL, plan.QUICK):
        assert profile.settle > profile.long_chunks * profile.long_ms / 1000


@pytest.mark.parametrize("patient", [False, True])
def test_the_gateways_configuration_fits_the_schema(patient: bool) -> None:
    """The generated file is one that the gateway accepts: key check, log file, two weighted deployments, tier 2."""
    data = yaml.safe_load(plan.gateway_yaml(PORTS, PORTS.gateway, "/nowhere", patient=patient))
    config = Config.model_validate(data)
    assert config.keys[0].key.get_secret_value() == plan.KEY
    assert config.log.path == "/nowhere/access-19420.log"
    assert set(config.models) == {plan.CHAT, plan.WHOLE, plan.DRIP, plan.LONG, plan.FLOW, plan.FAILOVER}
    assert [target.tier for target in config.models[plan.CHAT].targets] == [1, 1, 2]
    assert all(target.provider in config.providers for model in config.models.values() for target in model.targets)
    assert config.providers["dead"].base_url == f"http://127.0.0.1:{PORTS.dead}/v1"
    assert (config.defaults.breaker.consecutive > 10**6) is patient


def test_failover_meets_the_dead_port_first() -> None:
    """The first target of the failover model is where nobody listens, the second is the chat mock."""
    config = Config.model_validate(yaml.safe_load(plan.gateway_yaml(PORTS, PORTS.gateway, "/nowhere")))
    model = config.models[plan.FAILOVER]
    assert model.strategy == "priority"
    assert [target.target for target in model.targets] == ["dead/chat", "chat-1/chat"]


def test_nginx_proxies_every_model_without_buffering() -> None:
    """One listener and one kept-alive upstream for each model; buffering is off; braces balance."""
    text = plan.proxy_nginx(PORTS, "/nowhere")
    assert text.count("proxy_buffering off;") == text.count("keepalive 256;") == len(PORTS.answers)
    for model, port in PORTS.nginx.items():
        assert f"listen 127.0.0.1:{port} " in text
        assert f"server 127.0.0.1:{PORTS.answers[model]};" in text
    assert text.count("{") == text.count("}")


def test_the_mock_answers_on_two_addresses() -> None:
    """The mock's fixed answer stands in nginx' configuration, and both deployments reach it."""
    text = plan.mock_nginx(PORTS, "/nowhere", '{"a":1}', "[]")
    assert "listen 127.0.0.1:19400 " in text
    assert "listen 127.0.0.2:19400 " in text
    assert "return 200 '{\"a\":1}';" in text
