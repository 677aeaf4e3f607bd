"""One stand-in provider: its armed faults, limits and counters, and what it answers to a request."""

from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from itertools import chain
from random import Random
from typing import NamedTuple

import msgspec

from standfast.lab import anthropic_wire, bodies, gemini_wire, openai_wire
from standfast.lab.ask import Ask, Body, Refusal, Reply, Request, Stream, Wire, reply_to
from standfast.lab.faults import NONE, Fault, parse_fault, read_fault
from standfast.lab.journal import Counters, Entry, fingerprint
from standfast.lab.limits import Limits
from standfast.lab.performing import Director, Door, Performance
from standfast.lab.script import Act, Step, play
from standfast.lab.settings import ProviderSettings

WIRES: Mapping[str, Wire] = {"openai": openai_wire, "anthropic": anthropic_wire, "gemini": gemini_wire}
FAULT_HEADER = "x-lab-fault"
ROUTES = {
    ("POST", "/v1/chat/completions"): "openai",
    ("POST", "/beta/chat/completions"): "openai",  # DeepSeek's
    ("POST", "/chat/completions"): "openai",
    ("POST", "/v1/embeddings"): "openai",
    ("POST", "/v1/messages"): "anthropic",
}


class Armed:
    """A fault in force, and how often it was met."""

    __slots__ = ("fault", "met", "seen", "since")

    def __init__(self, fault: Fault, since: float) -> None:
        self.fault = fault
        self.since = since
        self.seen = 0
        self.met = 0

    def draw(self, now: float, rng: Random) -> bool:
        """This request meets the fault. Counts it."""
        fault = self.fault
        if fault.flap_down and (now - self.since) % (fault.flap_up + fault.flap_down) < fault.flap_up:
            return False
        self.seen += 1
        hit = self.seen % fault.every == 0 and (fault.rate >= 1.0 or rng.random() < fault.rate)
        self.met += hit
        return hit

    @property
    def spent(self) -> bool:
        """It was met `times` times."""
        return 0 < self.fault.times <= self.met


class Answer(NamedTuple):
    """What to play for a request; `performance` if a director decides."""

    steps: Iterator[Step]
    status: int
    input_tokens: int
    performance: Performance | None = None


class Provider:
    """A stand-in provider; obtained from `Lab`, which gives it its port.

    Attributes:
        director: decides what befalls requests; None for the armed faults.
        door: what becomes of whoever wants to connect; moved with `move_door`.
    """

    def __init__(self, name: str, settings: ProviderSettings, now: Callable[[], float], rng: Random) -> None:
        self.name = name
        self.settings = settings
        self.counters = Counters()
        self.url = ""
        self.port = settings.port
        self.on_change: Callable[[], None] | None = None
        self.director: Director | None = None
        self.door = Door.OPEN
        self._now = now
        self._rng = rng
        self._armed: list[Armed] = []
        self._limits = Limits(settings, now())

    def fail(self, fault: Fault | str) -> None:
        """Put a fault in force. Of several that apply to a request, the newest is met.

        Raises:
            ValueError: the canned body is unknown, or the text is not a fault.
        """
        fault = known_body(read_fault(fault) if isinstance(fault, str) else fault)
        self._armed.insert(0, Armed(fault, self._now()))
        self._changed()

    def heal(self) -> None:
        """Lift all faults."""
        self._armed.clear()
        self._changed()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults in force, newest first."""
        return tuple(armed.fault for armed in self._armed)

    @property
    def refusing(self) -> bool:
        """The port is closed: by its door, or because a `refuse` is in force."""
        return self.door is not Door.OPEN or any(armed.fault.refuse for armed in self._armed)

    def move_door(self, door: Door) -> None:
        """Let connects in, refuse them or let them wait for ever."""
        if door is not self.door:
            self.door = door
            self._changed()

    def answer(self, request: Request, entry: Entry) -> Answer:
        """What to play for `request`; fills in what the entry can know already."""
        wire = self._wire_of(request)
        key = WIRES[wire].key(request)
        entry.wire, entry.key = wire, fingerprint(key)
        now = self._now()
        try:
            ask, known = self._read(request), NONE
        except Refusal as refusal:
            ask, known = Ask(wire, ""), NONE
            result: Body | Stream = self._refused(refusal, wire)
        else:
            entry.model, entry.stream = ask.model, ask.stream
            if self.director is not None:
                return self._directed(self.director, ask, key, entry)
            generate = ask.prompt_tokens > 0
            try:
                known = self._fault(request, ask.model, key, generate=generate, suffix=ask.fault) or NONE
                result = self._result(request, ask, key, known)
            except Refusal as refusal:
                result = self._refused(refusal, wire)
            except ValueError as error:
                result = self._refused(Refusal("bad_request", str(error)), wire)
        if known is not NONE:
            entry.fault = known.model_dump_json(exclude_defaults=True)
        status = result.status if isinstance(result, Body) else known.status or 200
        tokens = self._tokens(ask, known) if status < 400 and not known.canned else 0  # noqa: PLR2004 - errors begin here
        wait = float(result.headers.get("retry-after", 0)) if isinstance(result, Body) else 0.0
        headers = {**_own_headers(wire, entry), **self._limits.headers(wire, now, wait)}
        pace = self._paced(known, result, tokens) if tokens else known
        entry.status = 0 if known.hang or known.reset or known.garbage else 307 if known.redirect else status
        return Answer(play(result, headers, pace, tokens), status, ask.prompt_tokens)

    def _directed(self, director: Director, ask: Ask, key: str, entry: Entry) -> Answer:
        entry.status = 200
        if ask.prompt_tokens:
            performance = director.perform(ask, key, entry)
            return Answer(iter(()), 200, ask.prompt_tokens, performance)
        listed = Body(200, "application/json", WIRES[ask.wire].models(self.settings.models))
        late = Step(director.ping(), b"", Act.GO_ON)
        return Answer(chain((late,), play(listed, {}, NONE, 0)), 200, 0)

    def _wire_of(self, request: Request) -> str:
        """The wire whose API is called; the port's own for an unknown path."""
        found = ROUTES.get((request.method, request.path))
        if found:
            return found
        if request.path.startswith("/v1beta/") or gemini_wire.key(request) or ":" in request.path:
            return "gemini"
        if request.path == "/v1/models":
            return "anthropic" if request.headers.get("anthropic-version") else "openai"
        return self.settings.wire

    def _read(self, request: Request) -> Ask:
        """The ask of a generation; an ask without prompt tokens for a list or a health check."""
        found = ROUTES.get((request.method, request.path))
        if found:
            return WIRES[found].read(request)
        if request.method == "POST" and request.path.startswith(("/v1beta/models/", "/v1/models/")):
            return gemini_wire.read(request)
        if request.method == "GET" and request.path in ("/v1/models", "/v1beta/models", "/health"):
            return Ask(self._wire_of(request), "")
        raise Refusal("model_not_found", f"no such route: {request.method} {request.path}", 404)

    def _fault(self, request: Request, model: str, key: str, *, generate: bool, suffix: str = "") -> Fault | None:
        """The fault that this request meets: its own first, then the newest in force."""
        own = suffix or request.headers.get(FAULT_HEADER, "")
        if own:
            fault = known_body(parse_fault(own))
            if fault.refuse:
                raise ValueError("refuse closes the port; one request cannot ask for it")
            return fault
        now = self._now()
        for armed in self._armed:
            fault = armed.fault
            applies = (
                (generate or fault.scope == "all")
                and fault.model in ("", model)
                and key.endswith(fault.key)
                and not fault.refuse
            )
            if applies and armed.draw(now, self._rng):
                if armed.spent:
                    self._armed.remove(armed)
                return fault
        return None

    def _result(self, request: Request, ask: Ask, key: str, fault: Fault) -> Body | Stream:
        """The answer, or the canned one.

        Raises:
            Refusal: no or a wrong key, an unknown model, a limit.
        """
        if request.path == "/health" and not fault.canned:
            return Body(fault.status or 200, "application/json", b"{}")
        if not key:
            raise Refusal("missing_key")
        if self.settings.keys and key not in self.settings.keys:
            raise Refusal("invalid_key")
        if fault.canned:
            return self._canned(ask, fault)
        if not ask.prompt_tokens:
            names = self.settings.models
            return Body(fault.status or 200, "application/json", WIRES[ask.wire].models(names))
        if self.settings.strict_models and ask.model not in self.settings.models:
            raise Refusal("model_not_found")
        wait = self._limits.admit(ask.prompt_tokens + ask.max_tokens, self._now())
        if wait:
            limited = bodies.canned("rate_limit", ask.wire, dialect=self.settings.dialect)
            return limited._replace(headers={"retry-after": str(wait)})
        reply = reply_to(ask, fault.tokens or self.settings.tokens)
        usage, dialect = not fault.usage_missing, self.settings.dialect
        wire = WIRES[ask.wire]
        if ask.stream:
            return wire.stream(ask, reply, usage=usage, dialect=dialect)
        body = wire.body(ask, reply, usage=usage, dialect=dialect)
        return body._replace(status=fault.status or 200)

    def _canned(self, ask: Ask, fault: Fault) -> Body | Stream:
        """The canned body; a broken answer with status 200 to a stream comes as a stream."""
        name = fault.canned
        body = bodies.canned(name, ask.wire, status=fault.status, dialect=self.settings.dialect)
        if not ask.stream or name not in bodies.REPLIES:
            return body
        silent = WIRES[ask.wire].stream(ask, Reply("lab", (), cut=False), usage=True, dialect=self.settings.dialect)
        if name == "empty":
            return silent._replace(preamble=(), finish=(), terminator=b"")
        if ask.wire == "gemini" or name not in ("refusal", "empty_completion"):
            return silent._replace(preamble=(), finish=(b"data: " + body.data + b"\n\n",))
        if name == "refusal":
            return silent._replace(finish=(*silent.finish[:-1], silent.second_finish))
        return silent

    def _refused(self, refusal: Refusal, wire: str) -> Body:
        name, dialect = refusal.name, self.settings.dialect
        return bodies.canned(name, wire, status=refusal.status, message=refusal.message, dialect=dialect)

    def _tokens(self, ask: Ask, fault: Fault) -> int:
        """Output tokens of the whole answer."""
        if not ask.prompt_tokens or ask.inputs:
            return 0
        return len(reply_to(ask, fault.tokens or self.settings.tokens).pieces) * ask.choices

    def _paced(self, fault: Fault, result: Body | Stream, tokens: int) -> Fault:
        """The fault with the provider's pace where it sets none; a whole answer comes when all is generated."""
        first = fault.first_token_delay or self.settings.first_token_delay
        gap = fault.chunk_delay or self.settings.chunk_delay
        if isinstance(result, Stream):
            return fault.model_copy(update={"first_token_delay": first, "chunk_delay": gap})
        own = self.settings.first_token_delay + self.settings.chunk_delay * tokens
        return fault.model_copy(update={"delay": fault.delay or own})

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


def known_body(fault: Fault) -> Fault:
    """The fault itself.

    Raises:
        ValueError: its canned body is unknown.
    """
    if fault.body and fault.body not in bodies.names():
        raise ValueError(f"body: no canned body {fault.body!r}; known: {', '.join(bodies.names())}")
    return fault


def state_of(provider: Provider) -> dict[str, object]:
    """The provider's address, faults and counters, for JSON."""
    return {
        "url": provider.url,
        "wire": provider.settings.wire,
        "dialect": provider.settings.dialect,
        "listening": not provider.refusing,
        "faults": [fault.model_dump(exclude_defaults=True) for fault in provider.faults],
        "counters": msgspec.to_builtins(provider.counters, str_keys=True),
    }


def _own_headers(wire: str, entry: Entry) -> dict[str, str]:
    """Headers that the wire's provider sends with every answer."""
    names = {"openai": "x-request-id", "anthropic": "request-id"}
    own = {"date": formatdate(usegmt=True)}
    if wire in names:
        own[names[wire]] = f"req_lab_{entry.number}"
    if wire == "openai":
        own |= {"openai-version": "2020-10-01", "openai-processing-ms": "1"}
    return own
