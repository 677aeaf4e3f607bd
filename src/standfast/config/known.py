"""What is known of models without asking anybody.

Prices and windows come from the library genai-prices, the rest from `model_facts.toml`; over both stands what the
configuration says.

The library costs 0.1 s and 8 MB (measured), so it is loaded when a strategy or a request needs prices, and never for a
configuration that does not. It works offline: its data comes with it.

Whose price is it? That of the provider to whom the configured address belongs; else of the one that the provider's type
stands for (a proxy or stand-in in front of it); else nobody's: a model has no price without the one who sells it. Its
window is its own, so that is looked up by the model's name alone if need be.

Which price? The newest one. Where it depends on the time of day, the dearest; of service tiers the standard one.
"""

import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from standfast import plugins
from standfast.canon.deployment import Deployment, Operation
from standfast.canon.facts import Facts, Price
from standfast.config.facts import OTHER, stated
from standfast.config.schema import Config

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

TABLE = "model_facts.toml"


def facts_of(deployment: Deployment, config: Config) -> Facts:
    """Everything that is known of the model of a deployment."""
    known = _family(deployment.model)
    silent = known.operations == frozenset({Operation.EMBEDDINGS})
    entry = config.providers.get(deployment.provider)
    kind = (entry.type if entry is not None else "") or deployment.provider
    prices, context = _sold(deployment.model, deployment.base_url, kind, silent=silent)
    known = Facts(context, known.max_output, prices, known.strengths, known.abilities, known.operations)
    return stated(deployment.name, config.facts, known)


# prices and windows


@cache
def _sold(model: str, base_url: str, kind: str, *, silent: bool) -> tuple[tuple[Price, ...], int | None]:
    """Prices and window; kept, because finding them takes a millisecond. `silent`: its answers are no tokens."""
    found = None
    for address in dict.fromkeys((base_url, _public_address(kind))):
        if address and found is None:
            found = _find(model, address)
    prices = _prices(found, silent=silent) if found is not None else ()
    named = found or _find(model, None)
    return prices, named.context_window if named is not None else None


def _public_address(kind: str) -> str:
    """Where the provider of this type is at home; empty if nowhere."""
    if kind not in plugins.names("providers"):
        return ""
    address: str = plugins.load("providers", kind).PROVIDER.base_url
    return address


@cache
def _snapshot() -> "DataSnapshot":
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - see above

    return get_snapshot()


def _find(model: str, address: str | None) -> "ModelInfo | None":
    try:
        return _snapshot().find_provider_model(model, None, None, address)[1]
    except LookupError:
        return None


def _prices(model: "ModelInfo", *, silent: bool) -> tuple[Price, ...]:
    from genai_prices.types import TimeOfDateConstraint  # noqa: PLC0415 - loaded by now

    offers = model.prices
    if not isinstance(offers, list):
        return _steps(offers, silent=silent)
    lasting = [offer.prices for offer in offers if not isinstance(offer.constraint, TimeOfDateConstraint)]
    daily = [offer.prices for offer in offers if isinstance(offer.constraint, TimeOfDateConstraint)]
    candidates = [steps for offer in (*lasting[-1:], *daily) if (steps := _steps(offer, silent=silent))]
    return max(candidates, key=lambda steps: steps[0].input + steps[0].output, default=())


def _steps(price: "ModelPrice", *, silent: bool) -> tuple[Price, ...]:
    """One price for each length of prompt from which it changes; half a price is none."""
    if price.input_mtok is None or (price.output_mtok is None and not silent):
        return ()
    ends = {0, *_starts(price.input_mtok), *_starts(price.output_mtok)}
    return tuple(
        Price(
            input=_at(price.input_mtok, end) or 0.0,
            output=_at(price.output_mtok, end) or 0.0,
            cached=_at(price.cache_read_mtok, end),
            above=end,
        )
        for end in sorted(ends)
    )


def _starts(price: "Decimal | TieredPrices | None") -> Iterable[int]:
    return [] if price is None or isinstance(price, Decimal) else [tier.start for tier in price.tiers]


def _at(price: "Decimal | TieredPrices | None", size: int) -> float | None:
    """The price of prompts above `size` tokens."""
    if price is None:
        return None
    if isinstance(price, Decimal):
        return float(price)
    return float(next((tier.price for tier in reversed(price.tiers) if tier.start <= size), price.base))


# families


def _family(model: str) -> Facts:
    """What the table says about a model."""
    name = _plain(model.rpartition("/")[2])
    for names, facts in _table():
        if any(fnmatchcase(name, pattern) for pattern in names):
            return facts
    return Facts()


def _plain(name: str) -> str:
    return name.lower().replace(".", "-")


@cache
def _table() -> list[tuple[list[str], Facts]]:
    text = Path(__file__).with_name(TABLE).read_text("utf-8")
    return [([_plain(name) for name in family["names"]], _read(family)) for family in tomllib.loads(text)["family"]]


def _read(family: Mapping[str, object]) -> Facts:
    abilities, limit, strengths = (family.get(name) for name in ("abilities", "max_output", "strengths"))
    operations = family.get("operations", [Operation.CHAT.value])
    return Facts(
        max_output=limit if isinstance(limit, int) else None,
        strengths={"" if kind == OTHER else kind: float(share) for kind, share in _items(strengths)},
        abilities=frozenset(abilities) if isinstance(abilities, list) else None,
        operations=frozenset(Operation(each) for each in operations) if isinstance(operations, list) else None,
    )


def _items(value: object) -> Iterable[tuple[str, float]]:
    return value.items() if isinstance(value, dict) else ()
