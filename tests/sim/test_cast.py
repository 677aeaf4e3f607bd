"""Which sections of a scenario are about which targets."""

import pytest

from standfast.config.routes import routes_of
from standfast.errors import ConfigError
from standfast.sim import files
from standfast.sim.cast import ROLES, Cast, cast
from support.rehearsal import config, scenario

FOUR = ("openai/a", "anthropic/b", "gemini/c", "openai/d")


def upstreams(targets: tuple[str, ...] = FOUR, **sections: object) -> Cast:
    """A cast in which every section says its own median of the first token."""
    weather = scenario(
        upstreams={"*": {"first_token": 1, "per_token": 0}, **sections},
        troubles=[{"at": 1, "lasts": 1, "where": [name], "slow": 2} for name in sections],
    )
    return cast(weather, routes_of(config(targets)))


def first_tokens(found: Cast) -> list[float | None]:
    """In configuration order."""
    return [each.first_token.value if each.first_token else None for each in found.upstreams.values()]


def test_the_more_specific_section_lies_on_top() -> None:
    """Everyone, a role, a region, a provider, a target: the later wins, and only in what it says."""
    sections = {
        "primary": {"first_token": 2},
        "last": {"first_token": 3},
        "openai": {"first_token": 4},
        "openai/d": {"per_token": 9},
    }
    assert first_tokens(upstreams(primary=sections["primary"], last=sections["last"])) == [2, 1, 1, 3]
    found = upstreams(**sections)
    assert first_tokens(found) == [4, 1, 1, 4]
    last = list(found.upstreams.values())[-1]
    assert last.per_token is not None
    assert last.per_token.value == 9


def test_a_lonely_target_is_primary_before_it_is_last() -> None:
    """With one target both roles are its own; what is said of the primary holds."""
    sections = {"primary": {"first_token": 2}, "last": {"first_token": 3}}
    assert first_tokens(upstreams(("openai/a",), **sections)) == [2]


def test_troubles_find_everyone_they_name() -> None:
    """A provider's trouble hits all its targets, a region's all in the region."""
    found = upstreams(openai={"region": "east"}, gemini={"region": "east"})
    hit = [len(each) for each in found.troubles.values()]
    assert hit == [1, 0, 1, 1]
    weather = scenario(
        upstreams={"*": {"first_token": 1}, "openai": {"region": "east"}, "gemini": {"region": "east"}},
        troubles=[{"at": 1, "lasts": 1, "where": "region:east", "slow": 2}],
    )
    found = cast(weather, routes_of(config(FOUR)))
    assert [len(each) for each in found.troubles.values()] == [1, 0, 1, 1]


def test_the_configurations_region_counts_where_the_scenario_is_silent() -> None:
    """`providers.X.region` is what `region:NAME` means, too."""
    providers = {"openai": {"type": "openai_like", "base_url": "http://x.test", "keys": ["none"], "region": "west"}}
    weather = scenario(troubles=[{"at": 1, "lasts": 1, "where": "region:west", "slow": 2}])
    found = cast(weather, routes_of(config(("openai/a",), providers=providers)))
    assert [len(each) for each in found.troubles.values()] == [1]


def test_roles_follow_the_tiers() -> None:
    """What is tried first is the primary, wherever it is written."""
    targets = [{"target": "openai/a", "tier": 2}, {"target": "anthropic/b", "tier": 1}]
    weather = scenario(upstreams={"*": {"first_token": 1}, "primary": {"first_token": 2}})
    found = cast(weather, routes_of(config(targets)))
    assert {each.name: spec.first_token.value for each, spec in found.upstreams.items() if spec.first_token} == {
        "openai/a": 1,
        "anthropic/b": 2,
    }


def test_a_model_that_there_is_not_is_an_error() -> None:
    """With what there is, and the nearest name."""
    weather = scenario(workload={"models": {"mm": 1}})
    with pytest.raises(ConfigError, match=r"workload.models.mm: .* it has: m \(did you mean 'm'\?\)"):
        cast(weather, routes_of(config()))


def test_a_target_of_which_nothing_is_said_is_an_error() -> None:
    """Speed is never assumed."""
    weather = scenario(upstreams={"primary": {"first_token": 1}})
    with pytest.raises(ConfigError, match=r"upstreams\.anthropic/b\.first_token: nothing says"):
        cast(weather, routes_of(config()))


def test_what_is_said_of_nobody_is_noted() -> None:
    """Right for another configuration, or a slip of the pen: the nearest name helps to tell."""
    notes = upstreams(opnai={"first_token": 2}, primary={"first_token": 3}, **{"region:moon": {"first_token": 1}}).notes
    assert len(notes) == 4
    assert "upstreams.opnai: no target of this configuration is 'opnai'; did you mean 'openai'?" in notes
    assert any(note.startswith("troubles[2].where: no target of this configuration is 'region:moon'") for note in notes)


@pytest.mark.parametrize(
    ("section", "streaming", "said"),
    [
        ({"first_token": 1}, 0.5, "streams of openai/a end with the first one"),
        ({"first_token": 1}, 0, "answers of openai/a end with the first one"),
        ({"first_token": 1, "whole": 2}, 0.5, "streams of openai/a end with the first one"),
        ({"first_token": 1, "whole": 2}, 0, ""),
        ({"first_token": 1, "per_token": 0}, 0.5, ""),
    ],
)
def test_answers_that_end_with_their_first_token_are_noted(
    section: dict[str, object], streaming: float, said: str
) -> None:
    """A pace that nobody wrote is zero; where it counts, that is told. A zero that is written is meant."""
    weather = scenario(upstreams={"*": section}, workload={"streaming": streaming})
    notes = cast(weather, routes_of(config(("openai/a",)))).notes
    assert len(notes) == bool(said)
    assert all(said in note for note in notes)


def test_a_trouble_that_hits_nobody_is_idle() -> None:
    """Roles that nobody has are noted like names; one word that fits is enough to hit somebody."""
    upstreams = {
        "*": {"first_token": 1, "per_token": 0},
        "last": {"capacity": {"concurrency": 4}},
        "primary": {"capacity": None},
    }
    troubles = [
        {"at": 1, "lasts": 1, "where": "tertiary", "slow": 2},
        {"at": 1, "lasts": 1, "where": ["primary", "tertiary"], "slow": 2},
        {"at": 1, "lasts": 1, "where": "primary", "capacity": 0.5},
        {"at": 1, "lasts": 1, "where": "primary", "capacity": 0.5, "cuts": 1},
        {"at": 1, "lasts": 1, "where": "last", "capacity": 0.5},
    ]
    found = cast(scenario(upstreams=upstreams, troubles=troubles), routes_of(config()))
    assert found.idle == (0, 2)
    assert found.notes == [
        "troubles[0].where: no target of this configuration is 'tertiary' (the trouble hits nobody)",
        "troubles[1].where: no target of this configuration is 'tertiary'",
        "troubles[2].capacity: no target that it hits has a capacity to share (the trouble hits nobody)",
        "troubles[3].capacity: no target that it hits has a capacity to share",
    ]


@pytest.mark.parametrize("name", files.names())
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_shipped_scenario_suits_every_number_of_targets(name: str, count: int) -> None:
    """None is an error anywhere, and with three targets every trouble hits somebody."""
    weather = files.shipped(name)
    found = cast(weather, routes_of(config(FOUR[:count])))
    assert len(found.upstreams) == count
    assert set(found.idle) == {
        at
        for at, each in enumerate(weather.troubles)
        if not {"*", "primary", "last", "region:us-east", *ROLES[:count]} & set(each.where)
    }
