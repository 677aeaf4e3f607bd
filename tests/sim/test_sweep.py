"""Variants of one rehearsal."""

import pytest

from standfast.config.load import from_mapping
from standfast.errors import ConfigError
from standfast.sim.house import House
from standfast.sim.sweep import split, sweep
from support.rehearsal import scenario

DATA = {
    "defaults": {"strategy": "weighted"},
    "providers": {"openai": {"keys": ["k"]}, "gemini": {"keys": ["k"]}},
    "models": {
        "gpt-4.1": {"targets": ["openai/gpt-4.1", {"target": "gemini/b", "weight": 2}], "retry": {"max_attempts": 2}},
        "short": ["openai/a", "gemini/b"],
    },
}
HOUSE = House("house", from_mapping(DATA, {}), DATA, {})
WEATHER = scenario(troubles=[{"at": 1, "lasts": 1, "where": "primary", "slow": 2}])


def test_a_sweep_is_every_combination() -> None:
    """Names with dots in them, values of every type, the scenario's own settings too."""
    axes = [
        "models.gpt-4.1.retry.max_attempts=1,4",
        "scenario.workload.requests=7,9",
        "defaults.timeouts.first_token=5s",
    ]
    variants = sweep(HOUSE, scenario(), axes)
    found = [(v.config.models["gpt-4.1"].retry, v.scenario.workload.requests) for v in variants]
    assert [(retry.max_attempts if retry else None, requests) for retry, requests in found] == [
        (1, 7),
        (1, 9),
        (4, 7),
        (4, 9),
    ]
    assert variants[0].config.defaults.timeouts.first_token == 5.0
    assert variants[0].label == ", ".join(axis.split(",")[0] for axis in axes)


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ("defaults.retry.max_attempts", "expected PATH=VALUE"),
        ("=1", "expected PATH=VALUE"),
        ("defaults.retry.max_attempts=99", "must be at most 10"),
        ("defaults.retry.max_attemps=1", "max_attempts"),
        ("scenario.duration=never", "duration"),
        (
            "models.gpt-4.1.targets[7]=x/y",
            r"models.gpt-4.1.targets\[7\]: there is no \[7\] in the list: the last is \[1\]",
        ),
        (
            "scenario.troubles[9].slow=2",
            r"scenario.troubles\[9\].slow: there is no \[9\] in the list: the last is \[0\]",
        ),
        ("scenario.troubles.slow=2", r"scenario.troubles.slow: 'slow' leads into a list: name one of its places"),
        (
            "scenario.config.defaults.retry.budget=1,4",
            r"can never take effect: write defaults.retry.budget=\.\.\., which",
        ),
        ("scenario.config=1", "can never take effect"),
        ("defaults.retry={budget: 1, budget: 2}", "twice"),
        ("defaults.retry.budget=[", "cannot be read"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(axis: str, words: str) -> None:
    """Every variant is checked as a file would be, before any is played."""
    with pytest.raises(ConfigError, match=words):
        sweep(HOUSE, WEATHER, [axis])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2", ["1", "2"]),
        ("[1,2],[2,1]", ["[1,2]", "[2,1]"]),
        ("{a: [1,2], b: 2},3", ["{a: [1,2], b: 2}", "3"]),
        ("'a,b',\"c],d\"", ["'a,b'", '"c],d"']),
        ("don't,won't", ["don't", "won't"]),
        ("['a]',b], 'c,d'", ["['a]',b]", " 'c,d'"]),
        ("1,,2", ["1", "", "2"]),
        ("],2", ["]", "2"]),
    ],
)
def test_values_are_split_outside_of_brackets_and_quotes(text: str, values: list[str]) -> None:
    """Lists and settings are values too."""
    assert split(text) == values


def test_lists_are_swept() -> None:
    """Of the scenario, and of the configuration; the label is what was written."""
    curves = sweep(HOUSE, WEATHER, ["scenario.workload.curve=[1,2],[2,1]"])
    assert [each.scenario.workload.curve for each in curves] == [(1, 2), (2, 1)]
    assert [each.label for each in curves] == ["scenario.workload.curve=[1,2]", "scenario.workload.curve=[2,1]"]
    targets = sweep(HOUSE, WEATHER, ["models.short.targets=[openai/x],[openai/x,gemini/y]"])
    found = [[target.target for target in each.config.models["short"].targets] for each in targets]
    assert found == [["openai/x"], ["openai/x", "gemini/y"]]


@pytest.mark.parametrize(
    "path", ["models.gpt-4.1.targets[0].weight", "models.short.targets[0].weight", "models.short[0].weight"]
)
def test_short_forms_are_led_through(path: str) -> None:
    """A target that is written as text has a weight too, a model that is a list has targets."""
    name = "short" if "short" in path else "gpt-4.1"
    found = [each.config.models[name].targets[0] for each in sweep(HOUSE, WEATHER, [f"{path}=1,3"])]
    assert [target.weight for target in found] == [1, 3]
    assert {target.target for target in found} == {"openai/a" if name == "short" else "openai/gpt-4.1"}


def test_settings_beside_the_targets_of_a_short_form() -> None:
    """`models.short.strategy` is a place, although the model is written as a list."""
    (found,) = sweep(HOUSE, WEATHER, ["models.short.strategy=fastest"])
    assert found.config.models["short"].strategy == "fastest"
    assert len(found.config.models["short"].targets) == 2


@pytest.mark.parametrize(
    "axes",
    [
        ("defaults.retry.budget=0.1", "defaults.retry.budget=0.2"),
        ("defaults.retry={budget: 1}", "defaults.retry.budget=0.2"),
        ("models.short[0].weight=1,2", "models.short=[openai/x]"),
    ],
)
def test_one_place_is_swept_once(axes: tuple[str, str]) -> None:
    """Of two axes for one place the first would silently have no effect."""
    with pytest.raises(ConfigError, match="one of them would have no effect"):
        sweep(HOUSE, WEATHER, axes)
