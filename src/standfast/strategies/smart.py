"""The best for this request: what the model is good at, what it costs, how fast and how sound it is now."""

import math
import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from standfast.canon.ask import DEFAULT_PRIORITY, Ask
from standfast.canon.facts import UNKNOWN
from standfast.canon.instants import Monotonic
from standfast.policy.explain import Row, rows
from standfast.policy.fleet import Fleet
from standfast.policy.places import Place
from standfast.policy.ranking import SMALL, Ranking, ascending
from standfast.policy.route import Target
from standfast.policy.soundness import soundness
from standfast.policy.strategy import FACTS, NATURE, PACE
from standfast.policy.weigh import answer_tokens, cost, gap, misfit, too_slow, wait
from standfast.strategies._paper import Paper, Papers, at_least, rounded

AVERAGE = 0.5
"""Strength of a model of which nothing is known."""

CHEAP = 0.0001
"""US dollars that make no difference; without it a free model would be infinitely better than a cheap one."""

SHORT = 0.25
"""Seconds that make no difference, for the same reason; a person hardly notices them."""

ROOM = 32
"""Attempts under way that halve the score of a target of weight 1."""


class Exponents(msgspec.Struct, frozen=True):
    """How much each factor counts; 0 would leave it out, 2 counts it twice."""

    quality: float
    price: float
    speed: float


PRIORITIES: Mapping[int, Exponents] = MappingProxyType(
    {
        1: Exponents(quality=0.5, price=1.0, speed=0.5),
        2: Exponents(quality=1.0, price=0.75, speed=0.75),
        3: Exponents(quality=2.0, price=0.5, speed=1.0),
        4: Exponents(quality=3.0, price=0.25, speed=1.25),
        5: Exponents(quality=4.0, price=0.1, speed=1.5),
    }
)
"""The more a request matters, the more quality and speed count, and the less its price."""

PREFERENCES: Mapping[str, Exponents] = MappingProxyType(
    {
        "": Exponents(quality=1.0, price=1.0, speed=1.0),
        "cost": Exponents(quality=0.5, price=3.0, speed=1.0),
        "speed": Exponents(quality=0.5, price=0.5, speed=3.0),
        "quality": Exponents(quality=2.0, price=0.25, speed=0.5),
    }
)
"""What a stated preference multiplies the exponents with."""


class Smart:
    """Highest score first.

        score     = quality^q x price^p x speed^s x soundness x room

        quality   the model's strength at this kind of request, 0 to 1 (0.5 if unknown)
        price     (cheapest + 0.0001 $) / (cost + 0.0001 $): 1 for the cheapest; unpriced counts as the dearest
        speed     (quickest + 0.25 s) / (seconds + 0.25 s), for the whole answer; for streams the geometric mean of that
                  and the same for the first token, because both are felt; 1 for the fastest
        soundness share of successes and health, `policy.soundness`; 1 if nothing speaks against it
        room      1 / (1 + under way / (32 x weight))

    The exponents q, p, s come from the priority (`PRIORITIES`), times those of the preference (`PREFERENCES`). Factors
    are multiplied because a target must do well in all of them: nothing makes up for being unsound.

    Passed over, and ranked after all the others, is whom the request does not fit as far as is known: its window or its
    answers are too short, it lacks an ability that is needed, it is expected to take longer than allowed. Last comes
    who cannot be used now. (A limit on the cost excludes, whatever the strategy: `policy.within`.)

    Of more than 12 targets a short list is weighed: up to 8 of those whose quality and price together are within 5 % of
    the best, and the next ones.
    """

    name = "smart"
    tiered = False
    wants = frozenset({FACTS, PACE, NATURE})
    measure = "score, the highest first"

    def rank(
        self, targets: Sequence[Target], ask: Ask, fleet: Fleet, rng: random.Random, now: Monotonic
    ) -> Sequence[Target]:
        """Highest score first; chance decides between equals."""
        length = len(targets)
        if length < 2:  # noqa: PLR2004 - nothing to choose
            return targets
        paper = _paper(targets, ask, fleet)
        if length <= SMALL:
            return _by_cost(targets, _costs(targets, paper, ask, fleet, now), rng)
        candidates = paper.sample(targets, rng)
        costs = _costs(candidates, paper, ask, fleet, now)
        least, best = min((cost, at) for at, cost in enumerate(costs))
        if least > 0.0:  # nobody on the short list will do: now it is worth looking at all
            return _by_cost(targets, _costs(targets, paper, ask, fleet, now), rng)
        first = candidates[best]
        return Ranking(first, length, lambda: _by_cost(targets, _costs(targets, paper, ask, fleet, now), rng))

    def explain(self, targets: Sequence[Target], ask: Ask, fleet: Fleet, now: Monotonic) -> list[Row]:
        """Highest score first, with all factors (exponents applied)."""
        paper = _paper(targets, ask, fleet)
        costs = dict(zip(map(id, targets), _costs(targets, paper, ask, fleet, now), strict=True))
        prices = _prices(targets, rounded(ask.prompt_tokens), rounded(answer_tokens(ask)))
        places = [fleet.place(target.deployment) for target in targets]
        speeds = dict(zip(map(id, targets), _speeds(places, ask, now), strict=True))
        weights = exponents(ask)

        def judged(target: Target) -> tuple[float | None, dict[str, float], str]:
            place = fleet.place(target.deployment)
            factors = {
                "quality": _quality(target, ask) ** weights.quality,
                "price": prices[id(target)] ** weights.price,
                "speed": speeds[id(target)] ** weights.speed,
                "soundness": soundness(place, now),
                "room": _room(place.in_flight, target.weight),
            }
            passed_over = misfit(target.facts, ask) or too_slow(place, ask, now)
            return math.prod(factors.values()), factors, passed_over

        return rows(sorted(targets, key=lambda target: costs[id(target)]), fleet, now, judged)


def exponents(ask: Ask) -> Exponents:
    """How much each factor counts for this request."""
    return _EXPONENTS.get((ask.priority, ask.prefer), _EXPONENTS[DEFAULT_PRIORITY, ""])


def _by_cost(targets: Sequence[Target], costs: Sequence[float], rng: random.Random) -> list[Target]:
    by_target = dict(zip(map(id, targets), costs, strict=True))
    return ascending(targets, lambda target: by_target[id(target)], rng)


def _costs(targets: Sequence[Target], paper: Paper, ask: Ask, fleet: Fleet, now: Monotonic) -> list[float]:
    """For each target -score if it will do, 1 - score if it is passed over, infinite if it cannot be used now."""
    power = exponents(ask).speed
    limited = ask.max_latency is not None
    places = [fleet.place(target.deployment) for target in targets]
    found: list[float] = []
    for target, place, speed in zip(targets, places, _speeds(places, ask, now), strict=True):
        sound = soundness(place, now)
        if sound <= 0.0:
            found.append(float("inf"))
            continue
        score = paper.worth[id(target)] * speed**power * sound * _room(place.in_flight, target.weight)
        passed_over = misfit(target.facts, ask) or (limited and too_slow(place, ask, now))
        found.append(1.0 - score if passed_over else -score)
    return found


def _speeds(places: Sequence[Place], ask: Ask, now: Monotonic) -> list[float]:
    """The speed factor of each."""
    first = [wait(place, ask, now) for place in places]
    if not ask.stream:
        quickest = min(first) + SHORT
        return [quickest / (seconds + SHORT) for seconds in first]
    answer = answer_tokens(ask)
    whole = [seconds + gap(place, ask) * answer for seconds, place in zip(first, places, strict=True)]
    quickest = (min(first) + SHORT) * (min(whole) + SHORT)
    return [
        math.sqrt(quickest / ((seconds + SHORT) * (until_end + SHORT)))
        for seconds, until_end in zip(first, whole, strict=True)
    ]


def _paper(targets: Sequence[Target], ask: Ask, fleet: Fleet) -> Paper:
    """Quality and price, by powers of two of the sizes."""
    prompt, answer = rounded(ask.prompt_tokens), rounded(answer_tokens(ask))

    def make() -> Paper:
        weights, prices, least = exponents(ask), _prices(targets, prompt, answer), at_least(ask)
        return Paper(
            targets,
            lambda target: _quality(target, ask) ** weights.quality * prices[id(target)] ** weights.price,
            lambda target: not misfit(target.facts, least),
        )

    key = (prompt, answer, rounded(ask.max_tokens), ask.kind, ask.priority, ask.prefer, ask.needs)
    return fleet.notes.of(Smart.name, targets, Papers).of(key, make)


def _prices(targets: Sequence[Target], prompt: int, answer: int) -> dict[int, float]:
    """The price factor of each target, by identity."""
    costs = {id(target): cost(target.facts, prompt, answer) for target in targets}
    known = [each for each in costs.values() if each is not None]
    if not known:
        return dict.fromkeys(costs, 1.0)
    least, most = min(known), max(known)
    return {key: (least + CHEAP) / ((most if each is None else each) + CHEAP) for key, each in costs.items()}


def _quality(target: Target, ask: Ask) -> float:
    strengths = (target.facts or UNKNOWN).strengths
    return strengths.get(ask.kind, strengths.get("", AVERAGE))


def _room(under_way: int, weight: float) -> float:
    return 1.0 / (1.0 + under_way / (ROOM * weight)) if weight > 0.0 else 0.0


_EXPONENTS = {
    (priority, preference): Exponents(one.quality * two.quality, one.price * two.price, one.speed * two.speed)
    for priority, one in PRIORITIES.items()
    for preference, two in PREFERENCES.items()
}

STRATEGY = Smart()
