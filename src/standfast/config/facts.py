"""What a configuration says about models: it goes before everything that is known otherwise."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field, model_validator

from standfast import plugins
from standfast.canon.facts import Facts, Price
from standfast.canon.settings import Settings
from standfast.config.interpolation import join
from standfast.errors import Problem

Dollars = Annotated[float, Field(ge=0, le=100_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Ability = Literal["tools", "images", "json_schema", "reasoning", "continuation"]

OTHER = "other"
"""The word for all kinds of requests that have no strength of their own."""


class PriceSettings(Settings):
    """US dollars per million tokens. 0 says that it costs nothing; for an unknown price leave the whole `price` out.

    Attributes:
        input: of the prompt.
        output: of the answer.
        cached: of the part of the prompt that the provider had kept; absent: as the prompt.
    """

    input: Dollars
    output: Dollars
    cached: Dollars | None = None


class FactSettings(Settings):
    """What is true of some models, whatever is known otherwise. Absent leaves it at that.

    Attributes:
        context: tokens that prompt and answer may have together.
        max_output: tokens that one answer may have.
        price: US dollars per million tokens; the text `unpriced` if nobody knows it.
        strengths: how good they are at a kind of request, 0 to 1; `other` stands for all kinds that are not named.
        abilities: what they can do beyond text: `tools`, `images`, `json_schema`, `reasoning`, `continuation` (they go
            on with an answer that somebody else began). Replaces what is known.
    """

    context: Annotated[int, Field(gt=0)] | None = None
    max_output: Annotated[int, Field(gt=0)] | None = None
    price: PriceSettings | Literal["unpriced"] | None = None
    strengths: Mapping[str, Share] = {}
    abilities: tuple[Ability, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_price(cls, value: object) -> object:
        """A plain number is short for the same price in and out."""
        if isinstance(value, Mapping) and isinstance(value.get("price"), int | float):
            price = value["price"]
            return {**value, "price": {"input": price, "output": price}}
        return value

    def over(self, known: Facts) -> Facts:
        """These facts laid over what is known."""
        prices = known.prices
        if self.price == "unpriced":
            prices = ()
        elif isinstance(self.price, PriceSettings):
            prices = (Price(self.price.input, self.price.output, self.price.cached),)
        own = {"" if kind == OTHER else kind: share for kind, share in self.strengths.items()}
        return Facts(
            context=known.context if self.context is None else self.context,
            max_output=known.max_output if self.max_output is None else self.max_output,
            prices=prices,
            strengths={**known.strengths, **own},
            abilities=known.abilities if self.abilities is None else frozenset(self.abilities),
            operations=known.operations,
        )


def stated(target: str, facts: Mapping[str, FactSettings], known: Facts) -> Facts:
    """What holds for a target, `provider/model`: all entries that name it, in the order written, later ones last."""
    for pattern, settings in facts.items():
        if fnmatchcase(target, pattern):
            known = settings.over(known)
    return known


def check_facts(data: Mapping[str, object]) -> Iterator[Problem]:
    """Facts of models that nobody serves."""
    facts = data.get("facts")
    if not isinstance(facts, Mapping):
        return
    targets = set(_targets(data))
    for name in facts:
        pattern = str(name)
        if targets and not any(fnmatchcase(target, pattern) for target in targets):
            message = "can never take effect: no model has such a target; write provider/upstream-model, `*` for any"
            yield Problem(join("facts", pattern), message, plugins.nearest(pattern, targets))


def _targets(data: Mapping[str, object]) -> Iterator[str]:
    models = data.get("models")
    for model in models.values() if isinstance(models, Mapping) else ():
        lines = model.get("targets") if isinstance(model, Mapping) else model
        for line in lines if isinstance(lines, list) else ():
            target = line.get("target") if isinstance(line, Mapping) else line
            if isinstance(target, str):
                yield target
