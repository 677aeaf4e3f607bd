"""What a configuration may say about the limits of targets."""

import pytest

from standfast.canon.deployment import Deployment
from standfast.canon.instants import Monotonic
from standfast.config.load import from_mapping
from standfast.config.routes import fleet_of, routes_of
from standfast.errors import ConfigError
from standfast.policy.fleet import Fleet

START = Monotonic(1_000.0)
LIMITED = {"openai": {"keys": ["sk-1", "sk-2"], "limits": {"rpm": 100, "concurrency": 3}}}


def configured(*models: list[object], **defaults: object) -> dict[str, object]:
    """A configuration with the models `m0`, `m1` ... of these targets."""
    named = {f"m{n}": {"targets": targets} for n, targets in enumerate(models)}
    return {"providers": LIMITED, "models": named, "defaults": defaults}


def at(model: str = "a", **limits: object) -> dict[str, object]:
    """A target with limits."""
    return {"target": f"openai/{model}", "limits": limits}


def fleet(data: dict[str, object], previous: Fleet | None = None) -> Fleet:
    """The fleet of a configuration."""
    config = from_mapping(data, {})
    return fleet_of(config, routes_of(config).values(), previous)


WRONG = [
    (configured([at(rpm=0)]), "models.m0.targets[0].limits.rpm"),
    (configured([at(rps=1)]), "models.m0.targets[0].limits.rps"),
    (configured(["openai/b", at(rpm=201)]), "models.m0.targets[1].limits.rpm"),
    (configured([at(concurrency=7)]), "models.m0.targets[0].limits.concurrency"),
    (configured([at(rpm=10)], [at(rpm=20)]), "models.m1.targets[0].limits"),
    (configured([at()], adaptive={"backoff": 1}), "defaults.adaptive.backoff"),
    (configured([at()], adaptive={"tolerance": 1}), "defaults.adaptive.tolerance"),
    (configured([at()], adaptive={"least": 0}), "defaults.adaptive.least"),
]


@pytest.mark.parametrize(("data", "path"), WRONG, ids=range(len(WRONG)))
def test_a_limit_that_could_never_take_effect_is_an_error(data: dict[str, object], path: str) -> None:
    """One mistake, one problem: out of range, more than all keys may do, or different for one deployment."""
    with pytest.raises(ConfigError) as caught:
        from_mapping(data, {})
    assert [problem.path for problem in caught.value.problems] == [path]


def test_limits_hold_for_the_deployment_whichever_model_names_it() -> None:
    """Where only one of two models says something, that holds."""
    for lines in (([at(rpm=60)], ["openai/a"]), (["openai/a"], [at(rpm=60)]), ([at(rpm=60)], [at(rpm=60)])):
        house = fleet(configured(*lines))
        (deployment,) = house.deployments()
        assert house.place(deployment).limits.rpm == 60
        assert house.place(deployment).slots is not None


def test_the_learned_limit_can_be_switched_off_for_one_target() -> None:
    """`adaptive: off` of a target, or `enabled: false` for all."""
    house = fleet(configured([at("a", adaptive=False), "openai/b"]))
    first, second = (house.place(deployment).adaptive.settings for deployment in house.deployments())
    assert (first.enabled, second.enabled) == (False, True)
    house = fleet(configured(["openai/a"], adaptive={"enabled": False}))
    assert not house.place(house.deployments()[0]).adaptive.settings.enabled


def test_a_reload_keeps_what_is_counted_and_takes_new_limits_at_once() -> None:
    """The same limits go on with their level; others begin anew, but know what is under way."""
    before = fleet(configured([at(concurrency=1)]))
    (deployment,) = before.deployments()
    slots = before.place(deployment).slots
    before.admit(deployment, 1, START)
    same = fleet(configured([at(concurrency=1)]), before)
    assert same.place(deployment).slots is slots
    other = fleet(configured([at(concurrency=2)]), same)
    assert [type(other.admit(deployment, 1, START)).__name__ for _ in range(2)] == ["Permit", "Denied"]
    none = fleet(configured(["openai/a"]), other)
    assert none.place(deployment).slots is None


def test_deployments_are_told_apart() -> None:
    """A limit of one target says nothing about the others of its provider."""
    house = fleet(configured([at("a", rpm=6), "openai/b"]))
    assert [house.place(each).limits.rpm for each in house.deployments()] == [6, None]
    assert isinstance(house.deployments()[0], Deployment)
