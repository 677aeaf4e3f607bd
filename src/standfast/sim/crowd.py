"""Who asks what: requests drawn one after the other, independent of who answers.

Every kind of choice has a source of chance of its own, so that two configurations meet the same requests.
"""

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

from standfast.canon.instants import Monotonic
from standfast.policy.route import Route
from standfast.sim.arrivals import arrivals
from standfast.sim.settings import Scenario
from standfast.sim.spread import Sampler
from standfast.sim.world import START

T = TypeVar("T")


class Request:
    """What one caller wants.

    Attributes:
        arrived: when.
        route: of the model named.
        stream: server-sent events are wanted.
        repeatable: the same model gives the same answer again.
        prompt, completion: tokens of the request, and of the answer that any upstream would give.
        max_tokens: what the request says about the length of the answer; 0 for nothing.
        priority: 1 to 5.
        caller, session: empty for none.
        patience: seconds until the caller hangs up; None for never.
        deadline: of the try under way: instant after which nobody waits.
    """

    __slots__ = (
        "arrived",
        "caller",
        "completion",
        "deadline",
        "max_tokens",
        "patience",
        "priority",
        "prompt",
        "repeatable",
        "route",
        "session",
        "stream",
    )

    def __init__(
        self,
        arrived: Monotonic,
        route: Route,
        *,
        stream: bool = True,
        prompt: int = 400,
        completion: int = 250,
        max_tokens: int = 0,
        priority: int = 3,
        caller: str = "",
        session: str = "",
        patience: float | None = None,
        repeatable: bool = False,
    ) -> None:
        self.arrived = arrived
        self.route = route
        self.stream = stream
        self.prompt = prompt
        self.completion = completion
        self.max_tokens = max_tokens
        self.priority = priority
        self.caller = caller
        self.session = session
        self.patience = patience
        self.repeatable = repeatable
        self.deadline = arrived


def crowd(scenario: Scenario, models: Sequence[tuple[Route, float]], seed: int) -> Iterator[Request]:
    """The requests of a scenario, in order of their arrival.

    Args:
        scenario: whose workload.
        models: the models that are asked, and their shares.
        seed: where chance begins.
    """
    workload = scenario.workload

    def chance(of: str) -> random.Random:
        return random.Random(f"{seed}/workload/{of}")  # noqa: S311 - seeded on purpose

    route = _choice(models, chance("model"))
    prompt = _whole(workload.prompt_tokens.sampler(chance("prompt")))
    completion = _whole(workload.completion_tokens.sampler(chance("completion")))
    most = workload.max_tokens
    priority = _choice(_pairs(workload.priorities), chance("priority"))
    caller = _choice(_pairs(workload.callers) or [("", 1.0)], chance("caller"))
    sessions = chance("session").randrange
    streams, share = chance("stream").random, workload.streaming
    repeats = chance("repeatable").random
    hangs_up = workload.client.patience
    patience = hangs_up.sampler(chance("patience")) if hangs_up is not None else None
    for at in arrivals(workload, scenario.duration, chance("arrivals")):
        length = completion()
        yield Request(
            Monotonic(START + at),
            route(),
            stream=streams() < share,
            prompt=prompt(),
            completion=length if not most or length < most else most,
            max_tokens=most,
            priority=priority(),
            caller=caller(),
            session=f"s-{sessions(workload.sessions)}" if workload.sessions else "",
            patience=patience() if patience is not None else None,
            repeatable=workload.repeatable > 0 and repeats() < workload.repeatable,
        )


def _pairs(weights: Mapping[T, float]) -> list[tuple[T, float]]:
    return list(weights.items())


def _choice(options: Sequence[tuple[T, float]], rng: random.Random) -> Callable[[], T]:
    """Draws one of the options, each as often as its weight says."""
    values = [value for value, weight in options if weight > 0]
    if len(values) == 1:
        only = values[0]
        return lambda: only
    bounds = list(accumulate(weight for _, weight in options if weight > 0))
    draw, total, last = rng.random, bounds[-1], len(values) - 1
    return lambda: values[min(bisect_right(bounds, draw() * total), last)]


def _whole(draw: Sampler) -> Callable[[], int]:
    """At least one token."""
    return lambda: int(draw()) or 1
