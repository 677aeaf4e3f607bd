"""What a configuration may say about hedging."""

import pytest

from standfast.config.load import from_mapping
from standfast.config.routes import routes_of
from standfast.errors import ConfigError
from standfast.policy.hedge import HedgeSettings

PROVIDERS = {"openai": {"keys": ["sk-1"]}}


def configured(model: object, **defaults: object) -> dict[str, object]:
    """A configuration with one model."""
    return {"providers": PROVIDERS, "models": {"m": model}, "defaults": defaults}


def model(*names: str, **entry: object) -> dict[str, object]:
    """A model with these targets."""
    return {"targets": [f"openai/{name}" for name in names], **entry}


WRONG = [
    (configured(model("a", hedge={})), "models.m.hedge"),
    (configured(model("a", "b", hedge={"max": 2})), "models.m.hedge.max"),
    (configured(model("a", "b", hedge={"max": 2}), retry={"max_ambiguous": 1}), "models.m.hedge.max"),
    (configured(model("a", "b", hedge={}, retry={"max_attempts": 1})), "models.m.hedge.max"),
    (configured(model("a", "b", hedge={}, retry={"max_ambiguous": 0})), "models.m.hedge.max"),
    (configured(model("a"), hedge={"max": 3}), "defaults.hedge.max"),
    (configured(model("a"), hedge={"max": 4}), "defaults.hedge.max"),
    (configured(model("a", "b", hedge={"after": "p99"})), "models.m.hedge.after"),
    (configured(model("a", "b", hedge={"after": 0})), "models.m.hedge.after"),
    (configured(model("a", "b", hedge={"before": "1s"})), "models.m.hedge.before"),
]


@pytest.mark.parametrize(("data", "path"), WRONG, ids=range(len(WRONG)))
def test_a_hedge_that_could_never_be_sent_is_an_error(data: dict[str, object], path: str) -> None:
    """One mistake, one problem: no second target, or no room for it under the limits of effort."""
    with pytest.raises(ConfigError) as caught:
        from_mapping(data, {})
    assert [problem.path for problem in caught.value.problems] == [path]


RIGHT = [
    (configured(model("a", "b")), None),
    (configured(model("a", "b", hedge={})), HedgeSettings()),
    (configured(model("a", "b", hedge={"after": "800ms"})), HedgeSettings(after=0.8)),
    (configured(model("a", "b"), hedge={"after": "p95"}), HedgeSettings()),
    (configured(model("a"), hedge={}), HedgeSettings()),
    (configured(model("a", hedge={"max": 0})), HedgeSettings(max=0)),
    (configured(model("a", "b", hedge={"max": 0}), hedge={}), HedgeSettings(max=0)),
    (configured(model("a", "b", retry={"max_ambiguous": 0}), hedge={}), HedgeSettings()),
    (configured(model("a", "b", hedge={"max": 2}), retry={"max_ambiguous": 2}), HedgeSettings(max=2)),
    (configured(model("a", "b", hedge={"max": 2}, retry={"max_ambiguous": 2})), HedgeSettings(max=2)),
]


@pytest.mark.parametrize(("data", "hedge"), RIGHT, ids=range(len(RIGHT)))
def test_the_nearer_setting_reaches_the_route(data: dict[str, object], hedge: HedgeSettings | None) -> None:
    """A model's own hedging goes before the default; a default that some model cannot use is no mistake."""
    assert routes_of(from_mapping(data, {}))["m"].hedge == hedge
