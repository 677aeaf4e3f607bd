"""The configured message as a complete answer in the client's format."""

import msgspec

from standfast.canon.chat import ChatReply, Completed, Finish, Finished, Opened, StreamEvent, TextDelta, UsageReport
from standfast.canon.deployment import Operation
from standfast.canon.usage import Usage
from standfast.engine.inquiry import Inquiry


def serves(inquiry: Inquiry, message: str) -> bool:
    """Is the message an answer that this request can use?

    It is none to what is not a chat, and where the client demands JSON and the message is none: a client that parses
    the text would break on it, and cannot break on an error.
    """
    if inquiry.operation is not Operation.CHAT:
        return False
    return not _demands_json(inquiry.envelope.body) or _is_json(message)


class _ResponseFormat(msgspec.Struct):
    type: str = "text"


class _Demand(msgspec.Struct):
    response_format: _ResponseFormat | None = None


def _demands_json(body: bytes) -> bool:
    """The client parses the answer's text; what is no JSON would break it more than an error does."""
    try:
        wanted = msgspec.json.decode(body, type=_Demand).response_format
    except (ValueError, RecursionError):
        return True
    return wanted is not None and wanted.type != "text"


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def written(inquiry: Inquiry, message: str, request_id: str, created: int) -> bytes:
    """The message as a complete answer. Its token counts are 0: no model wrote it."""
    form, envelope = inquiry.format, inquiry.envelope
    nothing = Usage()
    if not envelope.stream:
        reply = ChatReply(request_id, envelope.model, message, Finish.STOP, nothing)
        return form.write_reply(reply, created=created)
    writer = form.writer(include_usage=envelope.include_usage, created=created)
    events: tuple[StreamEvent, ...] = (
        Opened(request_id, envelope.model),
        TextDelta(message),
        UsageReport(nothing),
        Finished(Finish.STOP),
        Completed(),
    )
    return b"".join(map(writer.write, events))
