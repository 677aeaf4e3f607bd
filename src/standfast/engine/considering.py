"""What a request wishes, and what it is about: looked at only where somebody wants to know.

The wishes come with its controls. Its nature (kind, needs) is read from the body if the route's strategy weighs it and
the client did not say it.
"""

import re

import msgspec

from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.engine.inquiry import Inquiry, Wishes
from standfast.errors import InvalidRequest
from standfast.formats._asked import asked
from standfast.policy.explain import Row, explain
from standfast.policy.fleet import Fleet
from standfast.policy.kind import classify
from standfast.policy.route import Route, Target
from standfast.policy.weigh import answer_tokens
from standfast.policy.within import within

PICTURE_TOKENS = 1_000
"""What a picture counts, whatever its bytes: providers charge 250 to 1,600 tokens for one of usual size."""

BYTES_PER_TOKEN = 4
"""The rule of thumb for English text; corrected by the reported usage afterwards."""

_PICTURE = re.compile(rb'"data:image/[^"]*"')


class Decision(msgspec.Struct, frozen=True):
    """Why a request goes where it goes.

    Attributes:
        model: what the client named.
        strategy: by which strategy.
        measure: what the scores mean.
        kind: what kind of request it is taken for; empty if that did not matter.
        priority: 1 to 5.
        needs: abilities that the target must have.
        prompt_tokens: estimate.
        answer_tokens: estimate.
        rows: all targets, best first.
    """

    model: str
    strategy: str
    measure: str
    kind: str
    priority: int
    needs: tuple[str, ...]
    prompt_tokens: int
    answer_tokens: int
    rows: tuple[Row, ...]


def consider(
    inquiry: Inquiry, ask: Ask, route: Route, fleet: Fleet, now: Monotonic
) -> tuple[Ask, Route, tuple[tuple[Target, str], ...]]:
    """The ask with all that is known of it, the part of the route that its limits allow, and who is excluded.

    Raises:
        InvalidRequest: the limits leave nobody.
    """
    if inquiry.controls.wishes is not None:
        ask = wished(ask, inquiry.controls.wishes)
    if route.curious:
        ask = natured(ask, inquiry)
    if ask.max_cost is None and ask.max_latency is None:
        return ask, route, ()
    part, excluded = within(route, ask, fleet, now)
    if part is None:
        reasons = "; ".join(f"{target.name}: {why}" for target, why in excluded[:5])
        raise InvalidRequest(
            f"No target of {route.model!r} can answer within the cost that the request allows ({reasons}). Raise"
            " max-cost-usd, ask for fewer tokens, or name a cheaper model.",
            param="max-cost-usd",
            code="too_expensive",
        )
    return ask, part, excluded


def wished(ask: Ask, wishes: Wishes) -> Ask:
    """The ask with what the client wishes."""
    return msgspec.structs.replace(
        ask, kind=wishes.kind, max_cost=wishes.max_cost, max_latency=wishes.max_latency, prefer=wishes.prefer
    )


def natured(ask: Ask, inquiry: Inquiry) -> Ask:
    """The ask with what it is about and what it needs."""
    body = inquiry.envelope.body
    nature = asked(inquiry.format, body)
    needs = nature.needs | {"reasoning"} if ask.reasoning else nature.needs
    tokens = ask.prompt_tokens
    if "images" in needs:
        pictures = [match.end() - match.start() for match in _PICTURE.finditer(body)]
        tokens = max(0, len(body) - sum(pictures)) // BYTES_PER_TOKEN + PICTURE_TOKENS * max(1, len(pictures))
    kind = ask.kind or classify(nature.text, ask.operation)
    return msgspec.structs.replace(ask, kind=kind, needs=frozenset(needs), prompt_tokens=tokens)


def ask_of(inquiry: Inquiry, route: Route, now: Monotonic) -> Ask:
    """What the judgement knows of a request without looking into it; `Gateway.submit` does the same in line."""
    envelope, controls = inquiry.envelope, inquiry.controls
    total = route.total if controls.deadline is None else min(route.total, controls.deadline)
    return Ask(
        model=route.model,
        stream=envelope.stream,
        operation=inquiry.operation,
        arrived=now,
        deadline=Monotonic(now + total),
        prompt_tokens=len(envelope.body) // BYTES_PER_TOKEN,
        max_tokens=envelope.max_tokens,
        reasoning=envelope.reasoning,
        priority=controls.priority,
        session=controls.session,
        fallback=controls.fallback,
        caller=inquiry.caller,
        tags=controls.tags,
    )


def explained(inquiry: Inquiry, route: Route, fleet: Fleet, now: Monotonic) -> Decision:
    """Where a request would go now, and why. Nothing is sent, nothing changes.

    Raises:
        InvalidRequest: the limits leave nobody.
    """
    ask, part, excluded = consider(inquiry, ask_of(inquiry, route, now), route, fleet, now)
    return decide(ask, part, fleet, now, excluded)


def decide(
    ask: Ask, route: Route, fleet: Fleet, now: Monotonic, excluded: tuple[tuple[Target, str], ...] = ()
) -> Decision:
    """Why a request goes where it goes."""
    strategy = route.strategy
    return Decision(
        model=route.model,
        strategy=strategy.name,
        measure=strategy.measure,
        kind=ask.kind,
        priority=ask.priority,
        needs=tuple(sorted(ask.needs)),
        prompt_tokens=ask.prompt_tokens,
        answer_tokens=answer_tokens(ask),
        rows=tuple(explain(route, ask, fleet, now, excluded)),
    )
