"""What is known of an upstream model before anybody asks it: sizes, prices, abilities, strengths.

A fact that is not known stays unknown: no price is `unpriced` and never 0, an unknown window excludes nobody, and a
model of whose abilities nothing is known is not said to lack any.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from standfast.canon.deployment import Operation

ABILITIES = ("tools", "images", "json_schema", "reasoning", "continuation")
"""Words for what a model can do beyond text in, text out.

`tools` calls functions, `images` reads pictures, `json_schema` keeps to a schema that the request gives, `reasoning`
thinks before it speaks, `continuation` goes on with an answer that somebody else began.
"""

MILLION = 1_000_000


class Price(msgspec.Struct, frozen=True):
    """US dollars per million tokens, for prompts longer than `above` tokens.

    Attributes:
        input: of the prompt.
        output: of the answer, reasoning included.
        cached: of the part of the prompt that the provider had kept; None if it has no price of its own.
        above: prompts of more tokens than this cost so much, as a whole.
    """

    input: float
    output: float
    cached: float | None = None
    above: int = 0


class Facts(msgspec.Struct, frozen=True):
    """One upstream model.

    Attributes:
        context: tokens that prompt and answer may have together; None if unknown.
        max_output: the most tokens that one answer may have; None if unknown.
        prices: by ascending `above`; empty for unpriced. A price of 0 is a statement: it costs nothing.
        strengths: how good it is at a kind of request, 0 to 1; the kind `""` stands for all that are not named.
        abilities: words of `ABILITIES`; None if unknown.
        operations: what it serves; None if unknown.
    """

    context: int | None = None
    max_output: int | None = None
    prices: tuple[Price, ...] = ()
    strengths: Mapping[str, float] = MappingProxyType({})
    abilities: frozenset[str] | None = None
    operations: frozenset[Operation] | None = None

    @property
    def continuation(self) -> bool:
        """It is known to go on with an answer that somebody else began."""
        return self.abilities is not None and "continuation" in self.abilities

    def price(self, prompt: int) -> Price | None:
        """The price of a prompt of so many tokens; None for unpriced."""
        found: Price | None = None
        for price in self.prices:
            if price.above and price.above >= prompt:
                break
            found = price
        return found


UNKNOWN = Facts()
"""Nothing is known."""
