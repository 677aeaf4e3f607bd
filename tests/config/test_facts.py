"""What a configuration says about models, and what is known otherwise."""

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TimeOfDateConstraint,
)

from standfast.canon.deployment import Deployment, Operation
from standfast.canon.facts import Facts, Price
from standfast.config.facts import stated
from standfast.config.known import _prices, _table, facts_of
from standfast.config.load import from_mapping
from standfast.config.routes import auto_of, fleet_of, needs_facts, routes_of
from standfast.config.schema import Config
from standfast.errors import ConfigError

PROVIDERS = {
    "openai": {"keys": ["k"], "base_url": "http://127.0.0.1:9/v1"},
    "gemini": {"keys": ["k"]},
    "elsewhere": {"type": "openai_like", "base_url": "https://api.anthropic.com", "keys": ["k"]},
    "local": {"type": "openai_like", "base_url": "http://127.0.0.1:1/v1", "keys": ["none"]},
}


def config(models: dict[str, object], **sections: object) -> Config:
    """A configuration with these models."""
    return from_mapping({"providers": PROVIDERS, "models": models, **sections}, {})


def known(target: str, **sections: object) -> Facts:
    """What is known of a target."""
    whole = config({"m": [target]}, **sections)
    (route,) = routes_of(whole, informed=True).values()
    found = route.targets[0].facts
    assert found is not None
    return found


def test_prices_and_windows_come_from_the_library() -> None:
    """A model sold by the provider itself, also through a proxy whose type says who stands behind it."""
    facts = known("openai/gpt-4.1")
    (price,) = facts.prices
    assert 0 < price.input < price.output
    assert price.cached is not None
    assert price.cached < price.input
    assert facts.context is not None
    assert facts.context >= 1_000_000


def test_long_prompts_have_their_own_price() -> None:
    """A tier of the library is a price of its own."""
    short, long = known("gemini/gemini-2.5-pro").prices
    assert (short.above, long.above) == (0, 200_000)
    assert short.input < long.input


def test_the_address_says_who_sells() -> None:
    """Whatever the entry is called: its address belongs to a provider, so that provider's price holds."""
    assert known("elsewhere/claude-sonnet-4-5").prices


def test_a_model_without_a_seller_has_no_price() -> None:
    """The same model at an unknown server is unpriced; its window and its strengths are its own."""
    facts = known("local/gpt-4.1")
    assert facts.prices == ()
    assert facts.context == known("openai/gpt-4.1").context
    assert facts.strengths[""] > 0


def test_of_a_strange_model_nothing_is_known() -> None:
    """No price, no window, no strength, no abilities; and nothing is invented."""
    assert known("local/my-own-model") == Facts(strengths={})


def test_embeddings_have_no_answer_to_pay() -> None:
    """Half a price is none for a model that writes, and a whole one for a model that does not."""
    facts = known("openai/text-embedding-3-small")
    assert facts.operations == frozenset({Operation.EMBEDDINGS})
    assert facts.prices[0].output == 0.0


def test_the_dearest_time_of_day_counts() -> None:
    """Where a price depends on the hour the dearest holds; of dated ones the newest."""

    def price(value: str) -> ModelPrice:
        return ModelPrice(input_mtok=Decimal(value), output_mtok=Decimal(value))

    day = TimeOfDateConstraint(dt.time(8), dt.time(20))
    begun = StartDateConstraint(dt.date(2026, 1, 1))
    for offers, expected in (
        ([ConditionalPrice(prices=price("1")), ConditionalPrice(day, prices=price("2"))], 2.0),
        ([ConditionalPrice(prices=price("3")), ConditionalPrice(day, prices=price("2"))], 3.0),
        ([ConditionalPrice(prices=price("9")), ConditionalPrice(begun, prices=price("4"))], 4.0),
    ):
        model = ModelInfo("m", ClauseEquals("m"), prices=offers)
        assert _prices(model, silent=False) == (Price(expected, expected),)
    assert _prices(ModelInfo("m", ClauseEquals("m"), prices=ModelPrice(input_mtok=Decimal(1))), silent=False) == ()


def test_facts_of_the_configuration_go_before_all_others() -> None:
    """Each entry that fits is laid over what is known, in the order written; what it does not say stays."""
    facts = {
        "local/*": {"price": 0, "abilities": ["tools"], "strengths": {"other": 0.3, "code": 0.6}},
        "local/gpt-4.1": {"strengths": {"code": 0.9}, "context": 4096},
        "openai/*": {"price": "unpriced"},
    }
    models = {"m": ["local/gpt-4.1", "openai/gpt-4.1"]}
    (route,) = routes_of(config(models, facts=facts), informed=True).values()
    local, official = (target.facts for target in route.targets)
    assert local is not None
    assert official is not None
    assert local.prices == (Price(0.0, 0.0),)
    assert local.context == 4096
    assert local.abilities == frozenset({"tools"})
    assert (local.strengths[""], local.strengths["code"]) == (0.3, 0.9)
    assert local.max_output == official.max_output is not None
    assert official.prices == ()


def test_prices_in_and_out_and_kept() -> None:
    """The long form names all three; a plain number is short for in and out."""
    assert known("local/x", facts={"local/x": {"price": {"input": 1, "output": 2, "cached": 0.5}}}).prices == (
        Price(1.0, 2.0, 0.5),
    )
    assert known("local/x", facts={"local/x": {"price": 1.5}}).prices == (Price(1.5, 1.5),)


@pytest.mark.parametrize(
    ("facts", "path"),
    [
        ({"openai/gpt-4.2": {"context": 5}}, "facts.openai/gpt-4.2"),
        ({"anthropic/*": {"context": 5}}, "facts.anthropic/*"),
        ({"local/x": {"price": "free"}}, "facts.local/x.price"),
        ({"local/x": {"price": -1}}, "facts.local/x.price"),
        ({"local/x": {"strengths": {"code": 2}}}, "facts.local/x.strengths.code"),
        ({"local/x": {"abilities": ["flying"]}}, "facts.local/x.abilities[0]"),
        ({"local/x": {"contxt": 5}}, "facts.local/x.contxt"),
    ],
)
def test_wrong_facts_are_told(facts: dict[str, object], path: str) -> None:
    """Facts of models that nobody serves can never take effect; each mistake is named with its place."""
    with pytest.raises(ConfigError) as caught:
        config({"m": ["local/x", "openai/gpt-4.1"]}, facts=facts)
    assert [problem.path for problem in caught.value.problems if path in problem.path], caught.value


def test_laying_over_nothing_is_nothing() -> None:
    """No entry fits: what is known stays as it is."""
    facts = Facts(5, 6, (Price(1.0, 1.0),))
    assert stated("a/b", {}, facts) is facts


def test_the_table_of_families_is_sound() -> None:
    """Every family can be reached: no pattern of an earlier family is the same; shares are shares."""
    seen: set[str] = set()
    for names, facts in _table():
        assert not seen & set(names)
        seen |= set(names)
        assert all(0 <= share <= 1 for share in facts.strengths.values())
        assert "" in facts.strengths or facts.operations == frozenset()
    assert len(seen) > 60


@pytest.mark.parametrize(
    ("model", "continues"),
    [
        ("claude-sonnet-4-5", True),
        ("claude-sonnet-4.5", True),
        ("claude-opus-4-6", False),
        ("claude-sonnet-5", False),
        ("claude-3-5-sonnet-20241022", True),
        ("claude-opus-4-20250514", True),
        ("gpt-4.1", False),
    ],
)
def test_who_goes_on_with_a_broken_answer(model: str, continues: bool) -> None:
    """Models up to 4.5 of that family do, newer ones refuse with 400; nobody else is said to."""
    assert facts_of(Deployment("local", model, ""), config({"m": [f"local/{model}"]})).continuation is continues


def test_facts_are_gathered_only_where_they_are_needed() -> None:
    """A strategy that goes by them, of a model or by default, or going on with a broken answer."""
    assert not needs_facts(config({"m": ["local/x"]}))
    assert needs_facts(config({"m": {"strategy": "cheapest", "targets": ["local/x"]}}))
    assert needs_facts(config({"m": ["local/x"]}, defaults={"strategy": "smart"}))
    assert needs_facts(config({"m": ["local/x"]}, defaults={"health": {"kind": "generate"}}))
    (route,) = routes_of(config({"m": ["local/x"]})).values()
    assert route.targets[0].facts is None


def test_the_library_is_not_loaded_for_nothing() -> None:
    """It costs 0.1 s and 8 MB: a configuration without need of it starts without it."""
    code = (
        "import sys; from standfast.config.load import from_mapping; from standfast.engine.assemble import assemble\n"
        "for strategy in ('priority', 'fastest', 'cheapest'):\n"
        "    m = {'strategy': strategy, 'targets': ['a/x', 'a/y']}\n"
        "    p = {'type': 'openai_like', 'base_url': 'http://127.0.0.1:1/v1', 'keys': ['none']}\n"
        "    snapshot = assemble(from_mapping({'providers': {'a': p}, 'models': {'m': m}}, {}))\n"
        "    print(snapshot.informed, 'genai_prices' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False", "False", "False", "True", "True"]


def test_paces_are_measured_only_where_they_are_compared() -> None:
    """`fastest` compares them, `priority` does not."""
    for strategy, measured in (("fastest", True), ("priority", False)):
        whole = config({"m": {"strategy": strategy, "targets": ["local/x", "local/y"]}})
        routes = routes_of(whole)
        fleet = fleet_of(whole, routes.values())
        assert (fleet.place(routes["m"].targets[0].deployment).pace is not None) is measured


def test_auto_is_everybody_who_can_chat() -> None:
    """Every target once, of all models; embeddings, pictures and sounds are not asked to chat."""
    models: dict[str, object] = {
        "a": ["openai/gpt-4.1", {"target": "local/x", "weight": 1, "params": {"temperature": 0}}],
        "b": ["local/x", "openai/gpt-4o-mini"],
        "e": ["openai/text-embedding-3-small", "openai/tts-1"],
    }
    whole = config(models)
    route = auto_of(whole, routes_of(whole, informed=True).values())
    assert route is not None
    assert [target.name for target in route.targets] == ["openai/gpt-4.1", "local/x", "openai/gpt-4o-mini"]
    assert {target.tier for target in route.targets} == {1}
    assert route.targets[1].params == {"temperature": 0}
    assert route.strategy.name == "smart"
    assert not route.tiers[Operation.EMBEDDINGS]


def test_there_may_be_nobody_to_chat() -> None:
    """A configuration of embeddings alone has no `auto`."""
    whole = config({"e": ["openai/text-embedding-3-small"]})
    assert auto_of(whole, routes_of(whole, informed=True).values()) is None
