"""What a wire module reads from a request, and what it gives back: values shared by the three stand-in wires."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

CREATED = 1_760_000_000
"""The instant that every answer names: answers depend on the request alone."""

WORDS = ("steady", "water", "wears", "the", "stone,", "slowly", "but", "surely,")
"""What an answer is lengthened with."""


class Request(NamedTuple):
    """One HTTP request. Header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Refusal(Exception):
    """A request that the provider itself would refuse; `name` is the canned body, `message` replaces its text."""

    def __init__(self, name: str, message: str = "", status: int | None = None) -> None:
        super().__init__(message or name)
        self.name = name
        self.message = message
        self.status = status


class Ask(NamedTuple):
    """A generation to perform.

    Attributes:
        wire: `openai`, `anthropic` or `gemini`.
        model: as named by the client, without a fault suffix.
        fault: the suffix behind `!` in the model name; empty if none.
        stream: events or one body.
        prompt: the last user text.
        prompt_tokens: request bytes / 4, rounded up.
        max_tokens: 0 for no limit.
        include_usage: OpenAI's stream option.
        choices: OpenAI's `n`.
        inputs: embeddings: the texts; empty for a chat.
        base64: embeddings are wanted in base64.
        begun: the answer so far, where the request asks for its rest.
    """

    wire: str
    model: str
    fault: str = ""
    stream: bool = False
    prompt: str = ""
    prompt_tokens: int = 0
    max_tokens: int = 0
    include_usage: bool = False
    choices: int = 1
    inputs: tuple[str, ...] = ()
    base64: bool = False
    begun: str = ""


class Reply(NamedTuple):
    """What the model says: one piece for each token (or for `tokens` of them together), and whether it was cut."""

    id: str
    pieces: tuple[str, ...]
    cut: bool
    tokens: int = 0

    @property
    def billed(self) -> int:
        """Tokens of the whole answer."""
        return self.tokens or len(self.pieces)

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.pieces)


class Stream(NamedTuple):
    """The events of a streamed answer, in their order on the wire.

    Attributes:
        preamble: before the first token.
        content: one for each token (and choice).
        finish: the finish, and usage where the wire has it there.
        terminator: empty where the wire has none.
        second_finish: another finish that contradicts the first.
        error: the in-band error.
        ping: what the wire sends to keep a connection alive.
    """

    preamble: tuple[bytes, ...]
    content: tuple[bytes, ...]
    finish: tuple[bytes, ...]
    terminator: bytes
    second_finish: bytes
    error: bytes
    ping: bytes


class Body(NamedTuple):
    """A whole answer."""

    status: int
    content_type: str
    data: bytes
    headers: Mapping[str, str] = {}


class Wire(Protocol):
    """What a wire module offers."""

    def key(self, request: Request) -> str:
        """The API key, or the empty string."""
        ...

    def read(self, request: Request) -> Ask:
        """What is asked for; raises `Refusal`."""
        ...

    def body(self, ask: Ask, reply: Reply, *, usage: bool, dialect: str) -> Body:
        """The whole answer."""
        ...

    def stream(self, ask: Ask, reply: Reply, *, usage: bool, dialect: str) -> Stream:
        """The streamed answer."""
        ...

    def models(self, names: tuple[str, ...]) -> bytes:
        """The models list."""
        ...


def reply_to(ask: Ask, tokens: int = 0) -> Reply:
    """The answer to `ask`: names the model, echoes the last user text, ends with its hash.

    Args:
        ask: what was asked.
        tokens: length of the answer before `max_tokens` cuts it; 0 for its natural one.
    """
    digest = hashlib.sha256(f"{ask.model}\n{ask.prompt}".encode(errors="replace")).hexdigest()
    words = ["\u2713", ask.model, "heard:", *ask.prompt[:400].split(), f"[{digest[:8]}]"]
    if tokens:
        words = [*words, *(WORDS[i % len(WORDS)] for i in range(tokens - len(words)))][:tokens]
    pieces = [word if i == 0 else " " + word for i, word in enumerate(words)]
    if ask.begun:
        pieces = _rest(pieces, ask.begun)
    cut = 0 < ask.max_tokens < len(pieces)
    return Reply(digest[8:32], tuple(pieces[: ask.max_tokens] if cut else pieces), cut)


def _rest(pieces: list[str], begun: str) -> list[str]:
    """What comes after the text that the answer begins with; after any other text all of it, as of a real model."""
    whole = "".join(pieces)
    left = len(begun) if whole.startswith(begun) else 0
    rest = []
    for piece in pieces:
        if left < len(piece):
            rest.append(piece[left:])
        left = max(0, left - len(piece))
    return rest


def read_object(body: bytes) -> dict[str, Json]:
    """The JSON object of a request body.

    Raises:
        Refusal: it is not one.
    """
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        value = None
    if not isinstance(value, dict):
        raise Refusal("bad_request", "We could not parse the JSON body of your request.")
    return value


def model_and_fault(name: Json) -> tuple[str, str]:
    """`gpt-4.1!status=503` as its two halves.

    Raises:
        Refusal: there is no model name.
    """
    if not isinstance(name, str) or not name:
        raise Refusal("bad_request", "you must provide a model parameter")
    model, _, fault = name.partition("!")
    return model, fault


def whole(value: Json) -> int:
    """A positive number of tokens, or 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def text_of(content: Json, key: str = "text") -> str:
    """The text in a content field: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    parts = [part.get(key) for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return " ".join(part for part in parts if isinstance(part, str))


def last_user(messages: Json, field: str) -> str:
    """The text of the last message whose role is `user` (or has none, as in Gemini).

    Raises:
        Refusal: `messages` is not a list of objects, or empty.
    """
    if not isinstance(messages, list) or not messages:
        raise Refusal("bad_request", f"{'contents' if field == 'parts' else 'messages'}: field required")
    for message in reversed(messages):
        if not isinstance(message, dict):
            raise Refusal("bad_request", "a message must be an object")
        if message.get("role", "user") == "user":
            return text_of(message.get(field))
    return ""


def begun(messages: Json, field: str, *mark: str) -> str:
    """The text of a last message that is an answer and has this mark, if one is needed; empty if there is none."""
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("role") not in ("assistant", "model"):
        return ""
    return text_of(last.get(field)) if all(last.get(name) is True for name in mark) else ""


def estimate(body: bytes) -> int:
    """Prompt tokens of a request: bytes / 4, rounded up."""
    return -(-len(body) // 4)


def encode(value: Json) -> bytes:
    """Compact JSON."""
    return msgspec.json.encode(value)
