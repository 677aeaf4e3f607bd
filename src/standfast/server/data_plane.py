"""The data plane's routes: from an HTTP request to an inquiry, and errors back in the client's own format."""

import logging
from http import HTTPStatus

import msgspec

from standfast import plugins
from standfast.canon.deployment import Operation
from standfast.engine.gateway import Gateway
from standfast.engine.inquiry import HEADER_PREFIX, NO_CONTROLS, Controls, Inquiry, read_controls
from standfast.engine.reply_headers import JSON_HEADERS, error_headers
from standfast.errors import InvalidRequest, RequestFailed, StandfastError, UnknownPath
from standfast.formats.base import Envelope, Format
from standfast.http1.base import Downstream, HttpRequest, Refusal, Responder
from standfast.server.auth import Callers
from standfast.server.simple_chat import SimpleChat, read_simple_chat

log = logging.getLogger("standfast")

_PREFIX = HEADER_PREFIX.encode()
_OWN_PATHS = (b"/v1/", b"/v1beta/")


_NOTE = "data_plane"


class _Known:
    """What was found out about a head; it holds for the same head, under the same client keys."""

    __slots__ = ("caller", "callers", "controls")

    def __init__(self, callers: Callers, caller: str) -> None:
        self.callers = callers
        self.caller = caller
        self.controls: Controls | None = None


class Settled:
    """The responder of a request that was answered at once."""

    __slots__ = ()

    def client_gone(self) -> None:
        """Nothing is under way."""

    def pause(self) -> None:
        """Nothing is under way."""

    def resume(self) -> None:
        """Nothing is under way."""


_SETTLED = Settled()


class DataPlane:
    """What `http1.server` needs of an application (http1.base.Application).

    Args:
        gateway: does the work.
        callers: the client keys; replaced as a whole on reload.
    """

    __slots__ = ("_by_path", "_chat", "callers", "draining", "gateway")

    def __init__(self, gateway: Gateway, callers: Callers) -> None:
        self.gateway = gateway
        self.callers = callers
        self.draining = False
        self._chat: Format = plugins.load("formats", "openai_chat").FORMAT
        embeddings: Format = plugins.load("formats", "openai_embeddings").FORMAT
        self._by_path: dict[bytes, tuple[Format, Operation]] = {
            b"/v1/chat/completions": (self._chat, Operation.CHAT),
            b"/v1/embeddings": (embeddings, Operation.EMBEDDINGS),
        }

    def owns(self, method: bytes, path: bytes) -> bool:
        """Every POST below /v1 and /v1beta, and POST /chat."""
        return method == b"POST" and (path.startswith(_OWN_PATHS) or path == b"/chat")

    def admit(self, head: HttpRequest) -> Refusal | None:
        """Refuse strangers and unknown paths before their body is read."""
        known = head.notes.get(_NOTE)
        if type(known) is _Known and known.callers is self.callers:
            head.caller = known.caller
            return None
        try:
            head.caller = self.callers.name(head.headers)
            if head.path not in self._by_path and head.path != b"/chat":
                known = ", ".join(sorted(path.decode() for path in (*self._by_path, b"/chat")))
                raise UnknownPath(f"Nothing is served at POST {head.path.decode('latin-1')[:200]}. Served: {known}.")
        except StandfastError as error:
            return self._refusal(error)
        head.notes[_NOTE] = _Known(self.callers, head.caller)
        return None

    def refuse(self, path: bytes, status: int, code: str, message: str) -> Refusal:
        """An answer of the wire itself, in the format of the client that speaks at `path`."""
        del path  # every path speaks OpenAI's error shape until the other doors open
        kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
        error = RequestFailed(message, status=status, code=code)
        error.type, error.should_retry = kind, None
        return self._refusal(error)

    def respond(self, request: HttpRequest, out: Downstream) -> Responder:
        """Work on a complete request."""
        try:
            caller = request.caller
            known = request.notes.get(_NOTE)
            if type(known) is _Known and known.controls is not None:
                controls = known.controls
            else:
                controls = _header_controls(request)
            if request.path == b"/chat":
                return self._simple_chat(request, controls, caller, out)
            form, operation = self._by_path[request.path]
            envelope = form.read(request.body)
            if envelope.controls:
                controls = _merged(envelope, request.headers)
            return self.gateway.submit(Inquiry(form, operation, envelope, controls, caller), out)
        except StandfastError as error:
            out.reply(*self._refusal(error))
            return _SETTLED

    def _simple_chat(self, request: HttpRequest, controls: Controls, caller: str, out: Downstream) -> Responder:
        models = self.gateway.snapshot.routes
        body, fallback = read_simple_chat(request.body, default_model=next(iter(models), ""))
        if not fallback:
            controls = msgspec.structs.replace(controls, fallback=False)
        simple = SimpleChat(out, self.gateway.services.clock)
        drive = self.gateway.submit(
            Inquiry(self._chat, Operation.CHAT, self._chat.read(body), controls, caller), simple
        )
        simple.attach(drive)
        return drive

    def _refusal(self, error: StandfastError) -> Refusal:
        return Refusal(error.status, JSON_HEADERS + error_headers(error), self._chat.write_error(error))


def _header_controls(request: HttpRequest) -> Controls:
    found = {
        name[len(_PREFIX) :].decode("latin-1"): value.decode("latin-1")
        for name, value in request.headers.items()
        if name.startswith(_PREFIX)
    }
    controls = read_controls(found) if found else NO_CONTROLS
    known = request.notes.get(_NOTE)
    if type(known) is _Known:
        known.controls = controls
    return controls


def _merged(envelope: Envelope, headers: dict[bytes, bytes]) -> Controls:
    """Controls of the body and of the headers together; the same one in both places would be ambiguous."""
    found: dict[str, object] = {
        name[len(_PREFIX) :].decode("latin-1"): value.decode("latin-1")
        for name, value in headers.items()
        if name.startswith(_PREFIX)
    }
    for name, value in envelope.controls.items():
        if name.replace("_", "-") in found:
            raise InvalidRequest(f"{name} is given in a header and in the body; give it once.", param=name)
        found[name] = value
    return read_controls(found)
