"""The one whose answer is expected to cost least."""

import random
from collections.abc import Sequence

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.policy.explain import Row, rows
from standfast.policy.fleet import Fleet
from standfast.policy.ranking import SMALL, ranked
from standfast.policy.route import Target
from standfast.policy.soundness import SICK, soundness
from standfast.policy.strategy import FACTS
from standfast.policy.weigh import answer_tokens, cost, misfit
from standfast.strategies._paper import Paper, Papers, at_least, rounded

NOTHING = 1e-9
"""US dollars that are nothing; what costs nothing is divided by its soundness too."""

SICK_LAST, UNPRICED_LAST, MISFIT_LAST = 1e6, 1e12, 1e24
"""Added, so that no price is above: who fails often, who has no known price, whom the request does not fit."""


class Cheapest:
    """Least expected cost first, in four groups.

        1. sound, at a known price: by cost / soundness, which is about what a *successful* answer costs
        2. failing often (more than about one in five), by the same
        3. unpriced: nobody knows, and that is not 0
        4. the request does not fit, as far as is known: the window or the answers are too short

    The cost is the prompt and the expected answer at the model's prices (`policy.weigh`); what a provider's prompt
    cache would save is not foreseen. Chance decides between equals. Of more than 12 targets, 12 are compared: up to 8
    of those that cost the same as the cheapest, within 5 %, and the next dearer ones.
    """

    name = "cheapest"
    tiered = False
    wants = frozenset({FACTS})
    measure = "expected US dollars / soundness, the least first"

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """Least expected cost first; who cannot be used now comes last."""
        length = len(targets)
        if length < 2:  # noqa: PLR2004 - nothing to choose
            return targets
        answer = answer_tokens(ask)
        if length <= SMALL:
            return ranked(targets, lambda target: dearness(target, ask, answer, fleet, now), rng)
        papers = fleet.notes.of(self.name, targets, Papers)
        key = (rounded(ask.prompt_tokens), rounded(answer), rounded(ask.max_tokens), ask.needs)
        paper = papers.of(key, lambda: _paper(targets, ask))
        return ranked(targets, lambda target: dearness(target, ask, answer, fleet, now), rng, paper.sample)

    def explain(self, targets: Sequence[Target], ask: Ask, fleet: Fleet, now: Monotonic) -> list[Row]:
        """Least expected cost first."""
        answer = answer_tokens(ask)
        order = sorted(targets, key=lambda target: dearness(target, ask, answer, fleet, now))
        return rows(order, fleet, now, lambda target: _judged(target, ask, answer, fleet, now))


def dearness(target: Target, ask: Ask, answer: int, fleet: Fleet, now: Monotonic) -> float:
    """Expected cost over soundness, with what puts a target into a later group; infinite if it cannot be used now."""
    sound = soundness(fleet.place(target.deployment), now)
    if sound <= 0.0:
        return float("inf")
    expected = cost(target.facts, ask.prompt_tokens, answer)
    value = UNPRICED_LAST / sound if expected is None else max(expected, NOTHING) / sound
    if sound < SICK and expected is not None:
        value += SICK_LAST
    return value + MISFIT_LAST if misfit(target.facts, ask) else value


def _paper(targets: Sequence[Target], ask: Ask) -> Paper:
    """Cheap is good; unpriced is worth nothing."""
    prompt, answer, least = rounded(ask.prompt_tokens), rounded(answer_tokens(ask)), at_least(ask)

    def worth(target: Target) -> float:
        expected = cost(target.facts, prompt, answer)
        return 0.0 if expected is None else 1.0 / max(expected, NOTHING)

    return Paper(targets, worth, lambda target: not misfit(target.facts, least))


def _judged(
    target: Target, ask: Ask, answer: int, fleet: Fleet, now: Monotonic
) -> tuple[float | None, dict[str, float], str]:
    sound = soundness(fleet.place(target.deployment), now)
    expected = cost(target.facts, ask.prompt_tokens, answer)
    passed_over = misfit(target.facts, ask) or ("unpriced" if expected is None else "")
    factors = {"soundness": sound} if expected is None else {"usd": expected, "soundness": sound}
    return None if expected is None or sound <= 0.0 else max(expected, NOTHING) / sound, factors, passed_over


STRATEGY = Cheapest()
