"""Breaker settings of single targets, and windows of calls."""

import pytest

from standfast.config.breakers import breakers_of
from standfast.config.load import from_mapping
from standfast.config.routes import fleet_of, routes_of
from standfast.errors import ConfigError
from standfast.policy.breaker_settings import CallWindow

FIRST = "models.m.targets[0].breaker"


def config(targets: list[object], defaults: dict[str, object] | None = None, **more: object) -> dict[str, object]:
    """A file's content."""
    return {
        "providers": {"openai": {"keys": ["sk-1"]}, "anthropic": {"keys": ["sk-2"]}},
        "models": {"m": targets, **more},
        "defaults": {"breaker": defaults or {}},
    }


def problems(data: dict[str, object]) -> list[tuple[str, str]]:
    """What is wrong with it."""
    with pytest.raises(ConfigError) as caught:
        from_mapping(data, {})
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_a_targets_breaker_is_laid_over_the_default() -> None:
    """What it does not say is as in the defaults; other targets are not touched."""
    own = {"target": "openai/a", "breaker": {"force": "open", "window": "10s"}}
    read = from_mapping(config([own, "anthropic/b"], {"consecutive": 7, "window": {"calls": 50}}), {})
    (found,) = breakers_of(read).items()
    assert found[0] == "openai/a"
    assert (found[1].consecutive, found[1].window, found[1].force) == (7, 10.0, "open")
    fleet = fleet_of(read, routes_of(read).values())
    settings = {each.name: fleet.place(each).settings for each in fleet.deployments()}
    assert settings["openai/a"] == found[1]
    assert (settings["anthropic/b"].window, settings["anthropic/b"].force) == (CallWindow(calls=50), None)


@pytest.mark.parametrize("window", [30, "30s", "0.5m", {"calls": 100}])
def test_a_window_is_a_duration_or_a_number_of_calls(window: object) -> None:
    """Both read well in YAML."""
    read = from_mapping(config(["openai/a"], {"window": window}), {})
    assert read.defaults.breaker.window == (CallWindow(calls=100) if isinstance(window, dict) else 30.0)


def test_two_targets_of_one_deployment_must_agree() -> None:
    """A deployment has one breaker: what two models say differently is an error, what they say alike is not."""
    one, two = ({"target": "openai/a", "breaker": {"consecutive": n}} for n in (3, 4))
    assert problems(config([one], other=[two])) == [
        (
            "models.other.targets[0].breaker",
            f"differs from {FIRST} for openai/a, and a deployment has one breaker; write the same in both",
        )
    ]
    from_mapping(config([one], other=[one]), {})
    from_mapping(config([one], other=["openai/a"]), {})


@pytest.mark.parametrize(
    ("own", "default", "message"),
    [
        ({"open_cap": 2}, {}, "`open_cap` (2 s) is below `open` (5 s)"),
        ({"window": {"calls": 15}}, {"min_calls": 20}, "a window of 15 calls never holds `min_calls` (20)"),
    ],
)
def test_what_holds_must_fit_together(own: dict[str, object], default: dict[str, object], message: str) -> None:
    """A rule that can never take effect is an error, also if half of it stands in the defaults."""
    assert problems(config([{"target": "openai/a", "breaker": own}], default)) == [
        ("models.m.targets[0].breaker", message)
    ]


def test_an_operators_word_is_open_or_closed() -> None:
    """Anything else is named."""
    ((path, _),) = problems(config(["openai/a"], {"force": "half_open"}))
    assert path == "defaults.breaker.force"
