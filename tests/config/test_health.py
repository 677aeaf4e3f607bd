"""Which health settings hold for a deployment, and which cannot hold together."""

from standfast.config.health import health_of
from standfast.config.load import from_mapping
from standfast.config.schema import Config
from standfast.errors import ConfigError
from standfast.policy.health_check import HealthSettings

PROVIDERS: dict[str, object] = {"openai": {"keys": ["sk-1"]}}


def configuration(models: dict[str, object], **health: object) -> Config:
    """A checked configuration with these models and default health settings."""
    return from_mapping({"providers": PROVIDERS, "models": models, "defaults": {"health": health}}, {})


def refused(models: dict[str, object], **health: object) -> list[str]:
    """The paths of what is wrong."""
    try:
        configuration(models, **health)
    except ConfigError as error:
        return [problem.path for problem in error.problems]
    return []


def test_the_defaults_are_those_of_the_plan() -> None:
    """The configuration contract of the design names these figures; checks that cost money are never the default."""
    standard = HealthSettings().model_dump()
    assert {name: standard[name] for name in list(standard)[:8]} == {
        "kind": "ping",
        "interval": 30.0,
        "timeout": 10.0,
        "healthy_after": 3,
        "unhealthy_after": 3,
        "degraded_ms": 3000.0,
        "unhealthy_ms": 5000.0,
        "error_rate": 0.1,
    }


def test_a_model_says_only_what_differs() -> None:
    """A model's health is laid over the default one; a target of two models keeps what one of them says."""
    models: dict[str, object] = {
        "a": ["openai/x", "openai/y"],
        "b": {"targets": ["openai/x"], "health": {"kind": "generate", "interval": "1m"}},
        "c": ["openai/x"],
    }
    found = health_of(configuration(models, degraded_ms=700, timeout="2s"))
    assert found == {
        "openai/x": HealthSettings(kind="generate", interval=60, degraded_ms=700, timeout=2),
        "openai/y": HealthSettings(degraded_ms=700, timeout=2),
    }


def test_two_models_cannot_disagree_about_one_deployment() -> None:
    """What could never take effect is an error: a deployment has one health, whichever models it serves."""
    a = {"targets": ["openai/x"], "health": {"kind": "off"}}
    b = {"targets": [{"target": "openai/x"}], "health": {"kind": "passive"}}
    assert refused({"a": a, "b": b}) == ["models.b.health"]
    assert refused({"a": a, "b": {**b, "health": {"kind": "off"}}}) == []
    assert refused({"a": a, "b": {**b, "targets": ["openai/y"]}}) == []


def test_limits_are_judged_as_they_hold_together() -> None:
    """A model's limit is compared with the default that it is laid over, not with the standard one."""
    assert refused({"a": {"targets": ["openai/x"], "health": {"unhealthy_ms": 2000}}}) == [
        "models.a.health.unhealthy_ms"
    ]
    assert refused({"a": {"targets": ["openai/x"], "health": {"unhealthy_ms": 2000}}}, degraded_ms=1000) == []
    assert refused({"a": ["openai/x"]}, degraded_ms=6000) == ["defaults.health.degraded_ms"]
