"""What targets are worth on paper: by prices and strengths alone, which do not change from one request to the next.

Many targets are judged in two steps, as a search engine does: the order on paper is made once for each kind of request
and size (sizes rounded up to a power of two), and what is measured live is weighed for a short list only.
"""

import random
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import msgspec

from standfast.canon.ask import Ask
from standfast.policy.ranking import SMALL, drawn
from standfast.policy.route import Target

FRONT = 0.95
"""Whoever is worth so much of the best on paper is as good as it, on paper."""

FROM_FRONT = 8
"""Candidates drawn from the front; the others are the next ones in the order."""

KEPT = 256
"""Papers that are remembered for one group of targets."""


class Paper:
    """The worth of each target of a group for one kind of request.

    Args:
        targets: the group.
        worth: of a target; more is better, none is negative.
        fits: whether the request fits it, as far as sizes of this class tell; who does not fit stands behind.

    Attributes:
        worth: by the target's identity.
    """

    __slots__ = ("_front", "_rest", "worth")

    def __init__(
        self, targets: Sequence[Target], worth: Callable[[Target], float], fits: Callable[[Target], bool]
    ) -> None:
        self.worth = {id(target): worth(target) for target in targets}
        able = [target for target in targets if fits(target)]
        order = sorted(able or targets, key=lambda target: -self.worth[id(target)])
        enough = FRONT * self.worth[id(order[0])]
        size = next((at for at, target in enumerate(order) if self.worth[id(target)] < enough), len(order))
        self._front, self._rest = order[:size], order[size : size + SMALL - FROM_FRONT]

    def sample(self, targets: Sequence[Target], rng: random.Random) -> list[Target]:
        """A short list: some of the front, by chance, and those that come next."""
        del targets
        front = self._front
        return [*(front if len(front) <= FROM_FRONT else drawn(front, FROM_FRONT, rng)), *self._rest]


class Papers:
    """The papers of one group of targets."""

    __slots__ = ("_kept",)

    def __init__(self, targets: Sequence[Target]) -> None:
        del targets
        self._kept: OrderedDict[Hashable, Paper] = OrderedDict()

    def of(self, key: Hashable, make: Callable[[], Paper]) -> Paper:
        """The paper of this key; the one that was not used for longest makes room."""
        paper = self._kept.get(key)
        if paper is None:
            paper = self._kept[key] = make()
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return paper


def rounded(tokens: int) -> int:
    """The next power of two, so that nearly all requests share a few papers."""
    return 1 << max(0, tokens - 1).bit_length()


def at_least(ask: Ask) -> Ask:
    """The smallest request that shares the papers of this one: half of its rounded sizes."""
    return msgspec.structs.replace(
        ask, prompt_tokens=rounded(ask.prompt_tokens) // 2, max_tokens=rounded(ask.max_tokens) // 2
    )
