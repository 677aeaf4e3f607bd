"""What the policy knows of a request. It never sees the request itself."""

import msgspec

from standfast.canon.deployment import Operation
from standfast.canon.instants import NEVER, Monotonic

LOWEST_PRIORITY, DEFAULT_PRIORITY, HIGHEST_PRIORITY = 1, 3, 5


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One client request, as the judgement sees it.

    Attributes:
        model: what the client named.
        stream: the client wants server-sent events.
        operation: chat, embeddings ...
        arrived: when the request was complete.
        deadline: instant after which nobody waits for the answer.
        prompt_tokens: estimate, from the size of the body.
        max_tokens: the most that the answer may have; 0 if the request does not say.
        reasoning: the request asks for reasoning, so the first token may take minutes.
        priority: 1 (shed first) to 5.
        session: requests with the same session prefer the same target; empty for none.
        fallback: other models may answer; False keeps to the model that was asked first.
        caller: name of the client key, empty when the door is open.
        tags: free labels for the books.
        kind: chat, code, analysis ...; empty if nobody said and nobody looked.
        max_cost: the most that the answer may be expected to cost, US dollars; None for no limit.
        max_latency: the most that the first token (of a whole reply: the reply) may be expected to take, seconds.
        needs: words of `canon.facts.ABILITIES` without which the request makes no sense.
        prefer: `cost`, `speed` or `quality`; empty for a balance.
    """

    model: str
    stream: bool = False
    operation: Operation = Operation.CHAT
    arrived: Monotonic = Monotonic(0.0)
    deadline: Monotonic = NEVER
    prompt_tokens: int = 0
    max_tokens: int = 0
    reasoning: bool = False
    priority: int = DEFAULT_PRIORITY
    session: str = ""
    fallback: bool = True
    caller: str = ""
    tags: tuple[str, ...] = ()
    kind: str = ""
    max_cost: float | None = None
    max_latency: float | None = None
    needs: frozenset[str] = frozenset()
    prefer: str = ""
