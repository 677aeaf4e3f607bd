"""Asking as Python does: fields of OpenAI's API as arguments, the answer as a value or piece by piece."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from standfast.canon.deployment import Operation
from standfast.engine.collector import Collector
from standfast.engine.drive import Drive
from standfast.engine.inquiry import NO_CONTROLS, Controls, Inquiry
from standfast.engine.reply import Reply, read_reply, stream_texts
from standfast.errors import InvalidRequest
from standfast.formats.base import Format
from standfast.http1.base import Downstream

Message = Mapping[str, object]


class Chats(ABC):
    """What a gateway does for the library's users, over its own `submit`."""

    _chat: Format

    @abstractmethod
    def submit(self, inquiry: Inquiry, out: Downstream) -> Drive:
        """Set a request off; its answer goes through `out`, now or later."""

    async def chat(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        session: str = "",
        controls: Controls = NO_CONTROLS,
        **params: object,
    ) -> Reply:
        """Ask for a whole answer.

        Args:
            model: a configured name, or `provider/model`.
            messages: as in OpenAI's API.
            session: requests of one session belong together; goes before the one in `controls`.
            controls: tags, priority, deadline ...
            params: further fields of OpenAI's API (`temperature`, `max_tokens` ...).

        Raises:
            InvalidRequest: the request cannot be understood, or no target can express it.
            UnknownModel: no such model.
            RequestFailed: no target gave an answer; has the attempts.
        """
        if params.get("stream"):
            raise InvalidRequest(
                "`chat` gives a whole answer; `Gateway.stream` gives it piece by piece.", param="stream"
            )
        out, controls = Collector(), controls.of_session(session)
        drive = self._submit_chat({"model": model, "messages": messages, **params}, controls, out)
        await out.whole()
        return read_reply(out, drive)

    async def stream(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        session: str = "",
        controls: Controls = NO_CONTROLS,
        **params: object,
    ) -> AsyncIterator[str]:
        """Ask for an answer piece by piece: yields text as it comes.

        Raises:
            InvalidRequest, UnknownModel, RequestFailed: as `chat`, before the first piece.
            BrokenStream: the answer broke off; what was yielded stands, it is not complete.
        """
        if not params.setdefault("stream", True):
            raise InvalidRequest("`stream` gives pieces; `Gateway.chat` gives a whole answer.", param="stream")
        out, controls = Collector(), controls.of_session(session)
        drive = self._submit_chat({"model": model, "messages": messages, **params}, controls, out)
        try:
            async for text in stream_texts(out, drive, self._chat):
                yield text
        finally:
            out.close()

    def _submit_chat(self, body: Mapping[str, object], controls: Controls, out: Collector) -> Drive:
        envelope = self._chat.read(msgspec.json.encode(body))
        drive = self.submit(Inquiry(self._chat, Operation.CHAT, envelope, controls), out)
        out.attach(drive)
        return drive
