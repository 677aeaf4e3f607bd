"""What a target means for one request: what it would cost, how long it would take, whether it fits.

Formulas, all from what the request says of itself (`canon.ask`) and what is known of the model (`canon.facts`):

    prompt    tokens estimated from the size of the body
    answer    what `max_tokens` allows, but not more than `TYPICAL_ANSWER`: a limit is no wish
    cost      (prompt x input price + answer x output price) / 1,000,000; None for unpriced
    wait      of a stream: seconds to the first token; of a whole reply: seconds until it is here

A limit on the cost is held against the dearest answer that was asked for: `max_tokens` in full.
"""

from standfast.canon.ask import Ask
from standfast.canon.facts import MILLION, UNKNOWN, Facts
from standfast.canon.instants import Monotonic
from standfast.policy.latency import ASSUMED_GAP, QUICKEST, TYPICAL_ANSWER
from standfast.policy.places import Place


def answer_tokens(ask: Ask) -> int:
    """The expected length of the answer."""
    return min(ask.max_tokens, TYPICAL_ANSWER) if ask.max_tokens else TYPICAL_ANSWER


def cost(facts: Facts | None, prompt: int, answer: int) -> float | None:
    """US dollars for so many tokens; None for unpriced."""
    price = (facts or UNKNOWN).price(prompt)
    return None if price is None else (prompt * price.input + answer * price.output) / MILLION


def dearest(facts: Facts | None, ask: Ask) -> float | None:
    """US dollars of the longest answer that was asked for; None for unpriced."""
    return cost(facts, ask.prompt_tokens, ask.max_tokens or TYPICAL_ANSWER)


def wait(place: Place, ask: Ask, now: Monotonic) -> float:
    """Expected seconds to the first token of a stream, or until a whole reply is here."""
    pace = place.pace
    found: float | None = None
    if pace is not None:
        if ask.stream:
            found = pace.first_token(ask.prompt_tokens, now)
        else:
            found = pace.answer(ask.prompt_tokens, answer_tokens(ask), now)
    if found is None:
        found = (place.stream if ask.stream else place.whole).ewma
    return QUICKEST if found is None else found


def gap(place: Place, ask: Ask) -> float:
    """Expected seconds per token of a stream after the first."""
    return ASSUMED_GAP if place.pace is None else place.pace.gap(ask.prompt_tokens)


def misfit(facts: Facts | None, ask: Ask) -> str:
    """Why a model cannot serve this request, as far as is known, in a few words; empty if it can."""
    if facts is None:
        return ""
    size = ask.prompt_tokens + ask.max_tokens
    if facts.context is not None and size > facts.context:
        return f"needs about {size} tokens, its window has {facts.context}"
    if facts.max_output is not None and ask.max_tokens > facts.max_output:
        return f"an answer may have {ask.max_tokens} tokens, it writes {facts.max_output} at most"
    if ask.needs and facts.abilities is not None and not ask.needs <= facts.abilities:
        return f"lacks {', '.join(sorted(ask.needs - facts.abilities))}"
    return ""


def too_slow(place: Place, ask: Ask, now: Monotonic) -> str:
    """Why a target is slower than the request allows, in a few words; empty if it is not, or nothing was measured."""
    if ask.max_latency is None:
        return ""
    seconds = wait(place, ask, now)
    return f"expected to take {seconds:.1f} s, {ask.max_latency:g} s are allowed" if seconds > ask.max_latency else ""
