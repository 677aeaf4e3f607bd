"""`POST /chat`: one prompt in, one flat object out."""

import msgspec

from standfast.clock import Clock
from standfast.engine.drive import Drive
from standfast.engine.reply_headers import JSON_HEADERS
from standfast.errors import InvalidRequest
from standfast.http1.base import Downstream
from standfast.http1.splice import Flow


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    prompt: str
    system_prompt: str | None = None
    use_fallback: bool = True
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    model: str = ""
    choices: list[_Choice] = []


def read_simple_chat(body: bytes, *, default_model: str) -> tuple[bytes, bool]:
    """The request as a chat completion, and whether other models may answer.

    Raises:
        InvalidRequest: the body is not `{"prompt": "..."}` with at most `system_prompt`, `use_fallback`, `model`,
            `max_tokens` and `temperature`.
    """
    try:
        simple = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(
            f'{error}. Send {{"prompt": "...", "system_prompt": "...", "use_fallback": true}}.'
        ) from None
    model = simple.model or default_model
    if not model:
        raise InvalidRequest("No model is configured; name one in 'model'.", param="model")
    messages = [{"role": "user", "content": simple.prompt}]
    if simple.system_prompt:
        messages.insert(0, {"role": "system", "content": simple.system_prompt})
    chat: dict[str, object] = {"model": model, "messages": messages}
    if simple.max_tokens is not None:
        chat["max_tokens"] = simple.max_tokens
    if simple.temperature is not None:
        chat["temperature"] = simple.temperature
    return msgspec.json.encode(chat), simple.use_fallback


class SimpleChat:
    """A downstream that reshapes a chat completion into the flat object."""

    __slots__ = ("_began", "_clock", "_drive", "_early", "_out")

    def __init__(self, out: Downstream, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._began = clock.now()
        self._drive: Drive | None = None
        self._early: tuple[int, bytes, bytes] | None = None

    def attach(self, drive: Drive) -> None:
        """The request that fills this; its answer may already be here."""
        self._drive = drive
        if self._early is not None:
            self.reply(*self._early)

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer."""
        drive = self._drive
        if drive is None:
            self._early = (status, headers, body)
            return
        if status != 200:  # noqa: PLR2004 - HTTP's word for success
            self._out.reply(status, headers, body)
            return
        completion = msgspec.json.decode(body, type=_Completion)
        served = drive.served
        flat = {
            "status": "success",
            "model": served.deployment.model if served is not None else completion.model,
            "content": (completion.choices[0].message.content or "") if completion.choices else "",
            "latency_ms": round((self._clock.now() - self._began) * 1000, 1),
            "fallback_used": served is not drive.exchange.first_choice if drive.kept is None else drive.kept.fallback,
            "attempts_count": len(drive.exchange.attempts),
        }
        kept = b"".join(line + b"\r\n" for line in headers.split(b"\r\n") if line.startswith(b"x-standfast-"))
        self._out.reply(200, JSON_HEADERS + kept, msgspec.json.encode(flat))

    def begin(self, status: int, headers: bytes) -> None:
        """Never streamed."""
        self._out.begin(status, headers)

    def write(self, data: bytes) -> None:
        """Never streamed."""
        self._out.write(data)

    def splice(self, flow: Flow) -> None:
        """Never streamed."""

    def end(self) -> None:
        """Never streamed."""
        self._out.end()

    def abort(self) -> None:
        """The answer is cut."""
        self._out.abort()
