"""What the gateway can say without an upstream: an answer that it kept, or the configured message.

In this order, for a request whose model says so:

    at once     a fresh kept answer; nobody is asked (`cache`)
    upstreams   all that the exchange does; a complete answer is kept
    at last     in place of the refusal: a stale kept answer (`stale`), else the configured message (`fallback`)

House rules of this file:

* A kept answer goes to the caller who got it first, for exactly the same request, in the same mode (whole or
  streamed): the very bytes that were sent, so that nothing had to be understood and nothing is made up.
* Kept is only what ended well: an answer that was cut, failed, or was mended from two sources is not. A kept answer
  must satisfy the rules that hold now, as a new one must.
* Whatever is said here is marked in the headers and in the record, costs no tokens and counts no attempt.
* The key is a digest (`engine.answer_key`): no prompt stands in the store. What is kept may still tell what was asked.
"""

from typing import TYPE_CHECKING, NamedTuple

from standfast import plugins
from standfast.canon.deployment import Deployment, Operation
from standfast.canon.instants import Monotonic
from standfast.clock import Clock
from standfast.engine.answer_key import key_of
from standfast.engine.inquiry import Inquiry
from standfast.engine.judging import Demands, Judge
from standfast.engine.message import serves, written
from standfast.engine.reply_headers import JSON_HEADERS, STREAM_HEADERS, deployment_headers
from standfast.engine.terms import UNLISTED, Terms
from standfast.errors import InvalidRequest
from standfast.http1.base import Downstream
from standfast.policy.caching import CacheSettings, replaceable
from standfast.policy.steps import Refuse
from standfast.policy.validation import Rules
from standfast.stores.base import AnswerStore, AnswerStoreSettings, KeptAnswer

if TYPE_CHECKING:  # the snapshot is the configuration at work; it knows the terms, not this file
    from standfast.engine.assemble import Snapshot

CACHE, STALE, FALLBACK = "cache", "stale", "fallback"
"""Sources of an answer, as in `RequestRecord.source` and the header x-standfast-source."""

_MISS = b"x-standfast-cache: miss\r\n"


class Served(NamedTuple):
    """An answer of the gateway's own.

    Attributes:
        source: `cache`, `stale` or `fallback`.
        body: a whole reply, or all events of a stream, in the client's format.
        headers: complete header lines, content type included, the request's own ones not.
        notice: what a stream says instead, as a comment, if its headers have left already.
        deployment: `provider/model` that answered at the time; empty for the message.
        model: the upstream's model; what the client named for the message.
        fallback: it is not an answer of the first choice.
    """

    source: str
    body: bytes
    headers: bytes
    notice: bytes
    deployment: str
    model: str
    fallback: bool

    def give(self, out: Downstream, own: bytes, *, stream: bool, opened: bool) -> None:
        """Send it.

        Args:
            out: the client's side.
            own: header lines of the request.
            stream: the client wants server-sent events.
            opened: the stream's head has left already, with a heartbeat.
        """
        if not stream:
            out.reply(200, self.headers + own, self.body)
            return
        if opened:
            out.write(self.notice)
        else:
            out.begin(200, self.headers + own)
        out.write(self.body)
        out.end()


class Reserve:
    """What may be said to one request without an upstream, and what may be kept of its answer.

    Made by `Answers.prepare`, used by the drive: `at_once`, then `add` for each piece of a stream, then either `keep`
    or `at_last`.

    Attributes:
        mark: header lines for whatever does not come from here.
    """

    __slots__ = (
        "_answers",
        "_collected",
        "_demands",
        "_inquiry",
        "_key",
        "_read",
        "_room",
        "_terms",
        "mark",
    )

    def __init__(self, answers: "Answers", inquiry: Inquiry, terms: Terms, key: bytes, demands: Demands | None) -> None:
        control = inquiry.controls.cache
        self._answers = answers
        self._inquiry = inquiry
        self._terms = terms
        self._demands = demands
        self._key = key if control != "off" else b""
        self._read = control not in ("off", "refresh")
        self._collected: list[bytes] = []
        self._room = answers.settings.max_entry_bytes if self._key else 0
        self.mark = _MISS if self._key and self._read else b""

    def at_once(self, now: Monotonic) -> Served | None:
        """A fresh kept answer."""
        return self._kept(now, CACHE)

    def at_last(self, refuse: Refuse, request_id: str, now: Monotonic) -> Served | None:
        """What takes the place of a refusal; None for nothing: the client is told the error."""
        if not replaceable(refuse.failure, broken=refuse.broken):
            return None
        return self._kept(now, STALE) or self._message(request_id)

    def add(self, events: bytes) -> None:
        """The next bytes that went to the client's stream."""
        self._room -= len(events)
        if self._room >= 0:
            self._collected.append(events)
        else:
            self._collected.clear()

    def drop(self) -> None:
        """Keep nothing of this answer: it is not one answer from one source."""
        self._room = -1
        self._collected.clear()

    def keep(self, deployment: Deployment, body: bytes, *, fallback: bool) -> None:
        """The answer is complete and has been sent.

        Args:
            deployment: who served.
            body: a whole reply; of a stream what was added counts.
            fallback: another target than the first choice.
        """
        cache = self._terms.cache
        if not self._key or cache is None or self._room < 0:
            return
        if self._inquiry.envelope.stream:
            body = b"".join(self._collected)
            self._collected.clear()
        now = self._answers.clock.now()
        gone = Monotonic(now + cache.kept)
        answer = KeptAnswer(body, deployment.provider, deployment.model, fallback, stored=now, gone=gone)
        self._answers.store.put(self._key, answer, now)

    # inside

    def _kept(self, now: Monotonic, source: str) -> Served | None:
        cache = self._terms.cache
        if cache is None or not self._key or not self._read:
            return None
        answer = self._answers.store.get(self._key, now)
        if answer is None or not self._suits(answer, cache, now, source):
            return None
        deployment = Deployment(answer.provider, answer.model, "")
        word = "hit" if source == CACHE else STALE
        lines = f"x-standfast-cache: {word}\r\nage: {int(now - answer.stored)}\r\n".encode()
        return self._served(source, answer.body, deployment, lines, fallback=answer.fallback)

    def _suits(self, answer: KeptAnswer, cache: CacheSettings, now: Monotonic, source: str) -> bool:
        age = now - answer.stored
        if not (cache.fresh(age) if source == CACHE else cache.usable(age)):
            return False
        if answer.fallback and not self._inquiry.controls.fallback:
            return False
        judge = self._judge(f"{answer.provider}/{answer.model}")
        if judge is None:
            return True
        return (judge.stream if self._inquiry.envelope.stream else judge.whole)(answer.body) is None

    def _judge(self, target: str = "") -> Judge | None:
        return None if self._demands is None else self._demands.of(target)

    def _message(self, request_id: str) -> Served | None:
        inquiry, message = self._inquiry, self._terms.message
        if not message or not inquiry.controls.fallback:
            return None
        judge = self._judge()
        if judge is not None and not judge.accepts(message):
            return None
        if not serves(inquiry, message):
            return None
        body = written(inquiry, message, request_id, int(self._answers.clock.wall()))
        return self._served(FALLBACK, body, None, b"", fallback=True)

    def _served(
        self, source: str, body: bytes, deployment: Deployment | None, lines: bytes, *, fallback: bool
    ) -> Served:
        self.mark = b""
        kind = STREAM_HEADERS if self._inquiry.envelope.stream else JSON_HEADERS
        named = b"" if deployment is None else deployment_headers(deployment)
        headers = kind + named + lines + f"x-standfast-source: {source}\r\n".encode()
        notice = f": x-standfast-source: {source}\n\n".encode()
        name = "" if deployment is None else deployment.name
        model = self._inquiry.envelope.model if deployment is None else deployment.model
        return Served(source, body, headers, notice, name, model, fallback)


class Answers:
    """The kept answers of one gateway.

    Args:
        settings: where they are kept. A reload does not change it.
        clock: the gateway's.
        held_bytes: how much of a stream may be held back until it is judged (`server.upstream.reply_bytes`).
    """

    def __init__(self, settings: AnswerStoreSettings, clock: Clock, held_bytes: int) -> None:
        self.settings = settings
        self.clock = clock
        self._held_bytes = held_bytes
        self.store: AnswerStore = plugins.load("stores", settings.store).open_answers(settings, clock)

    def prepare(self, inquiry: Inquiry, model: str, snapshot: "Snapshot") -> tuple[Demands | None, Reserve | None]:
        """What holds for the answers to one request; None for what does not concern it.

        Args:
            inquiry: the request.
            model: its route's name.
            snapshot: the configuration at work.

        Raises:
            InvalidRequest: the request brings rules for something that has no text.
        """
        terms = snapshot.terms.get(model if model in snapshot.routes else UNLISTED)
        asked = inquiry.controls.validate
        chat = inquiry.operation is Operation.CHAT
        if asked is not None and not chat:
            raise InvalidRequest(f"'validate' is for chats; {inquiry.operation.value} have no text.", param="validate")
        demands: Demands | None = None
        if chat and (asked is not None or (terms is not None and (terms.rules or terms.by_target))):
            own = None if asked is None else Rules(asked, asked=True)
            general, by_target = (None, None) if terms is None else (terms.rules, terms.by_target)
            demands = Demands(inquiry.format, general, by_target or {}, own, clock=self.clock, limit=self._held_bytes)
        if terms is None or (terms.cache is None and not terms.message):
            return demands, None
        key = b"" if terms.cache is None else key_of(inquiry, model, terms.scope)
        return demands, Reserve(self, inquiry, terms, key, demands)

    async def close(self) -> None:
        """Release what the store holds."""
        await self.store.close()
