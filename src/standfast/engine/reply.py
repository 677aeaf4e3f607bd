"""What the library's user holds in hand: the whole answer, or its text piece by piece."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from standfast.canon.attempt import Attempt
from standfast.canon.chat import TextDelta
from standfast.canon.usage import Usage
from standfast.engine.collector import Collector
from standfast.engine.drive import Drive
from standfast.errors import RequestFailed
from standfast.formats.base import Format
from standfast.framing.sse import Decoder


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer.

    Attributes:
        id: of the request, as in the gateway's log.
        text: the answer's text; empty if it has none (tool calls: see `raw`).
        model: the upstream model that served.
        deployment: `provider/model` that served.
        fallback: it was not the first choice.
        attempts: everything that was tried, in order.
        usage: tokens as reported, None if not.
        raw: the JSON of the answer in OpenAI's shape.
        source: empty for an upstream; `cache`, `stale` or `fallback` for an answer of the gateway's own.
    """

    id: str
    text: str
    model: str
    deployment: str
    fallback: bool
    attempts: tuple[Attempt, ...]
    usage: Usage | None
    raw: dict[str, object]
    source: str = ""


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []


def read_reply(out: Collector, drive: Drive) -> Reply:
    """The answer that a collector holds.

    Raises:
        StandfastError: the answer is an error; the one that the engine met.
    """
    if drive.error is not None:
        raise drive.error
    kept, served = drive.kept, drive.served
    if kept is not None:
        model, deployment, fallback = kept.model, kept.deployment, kept.fallback
    elif served is not None:
        model, deployment = served.deployment.model, served.deployment.name
        fallback = served is not drive.exchange.first_choice
    else:
        raise RequestFailed("The request was cancelled.", attempts=drive.exchange.attempts)
    completion = msgspec.json.decode(out.body, type=_Completion)
    attempts = tuple(drive.exchange.attempts)
    return Reply(
        id=drive.id,
        text=(completion.choices[0].message.content or "") if completion.choices else "",
        model=model,
        deployment=deployment,
        fallback=fallback,
        attempts=attempts,
        usage=attempts[-1].usage if kept is None else None,
        raw=msgspec.json.decode(out.body),
        source="" if kept is None else kept.source,
    )


async def stream_texts(out: Collector, drive: Drive, form: Format) -> AsyncIterator[str]:
    """The text of a streamed answer, piece by piece.

    Raises:
        StandfastError: there is no answer, or it broke off.
    """
    decoder = Decoder(drive.services.event_bytes)
    reader = form.reader()
    while (chunk := await out.next_chunk()) is not None:
        for sent in decoder.feed(chunk):
            for event in reader.feed(sent.name, sent.data):
                if isinstance(event, TextDelta):
                    yield event.text
    if out.status not in (0, 200) or drive.error is not None:
        raise drive.error or RequestFailed("The answer was cut.", attempts=drive.exchange.attempts)
