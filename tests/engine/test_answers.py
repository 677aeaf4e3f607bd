"""What is said without an upstream, and what is kept, with no wire in between."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from standfast import plugins
from standfast.canon.deployment import Deployment, Operation
from standfast.canon.failure import Failure, FailureKind
from standfast.clock import ManualClock
from standfast.config.load import from_mapping
from standfast.engine.answers import Answers, Reserve, Served
from standfast.engine.assemble import Snapshot, assemble
from standfast.engine.inquiry import Inquiry, read_controls
from standfast.engine.judging import Demands
from standfast.errors import InvalidRequest
from standfast.formats.base import Format
from standfast.formats.openai_chat import FORMAT
from standfast.policy.steps import Refuse
from support.http import Response

EMBEDDINGS: Format = plugins.load("formats", "openai_embeddings").FORMAT
FIRST = Deployment("openai", "gpt-4.1", "http://openai.test")
PROVIDERS = {"openai": {"keys": ["sk-1"]}, "anthropic": {"keys": ["sk-2"]}}
DOWN = Refuse(Failure(FailureKind.SERVER_ERROR), 1.0, False, ())


def body_of(text: str, finish: str = "stop") -> bytes:
    """A whole reply."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return json.dumps({"id": "c", "model": "gpt-4.1", "choices": [choice]}).encode()


class World:
    """A gateway's answers under one configuration, in virtual time."""

    def __init__(self, model: Mapping[str, object] | None = None, **config: object) -> None:
        self.clock = ManualClock()
        self.snapshot = self.configured(model, **config)
        self.answers = Answers(self.snapshot.config.cache, self.clock, 10_000)

    def configured(self, model: Mapping[str, object] | None = None, **config: object) -> Snapshot:
        """A snapshot whose model `m` says this."""
        models = {
            "m": {"targets": ["openai/gpt-4.1", "anthropic/claude"], **(model or {})},
            "plain": ["openai/gpt-4.1"],
        }
        return assemble(from_mapping({"providers": PROVIDERS, "models": models, **config}, {}))

    def prepared(
        self,
        *,
        model: str = "m",
        caller: str = "",
        operation: Operation = Operation.CHAT,
        controls: Mapping[str, object] | None = None,
        **fields: object,
    ) -> tuple[Demands | None, Reserve | None]:
        """What holds for the answers to a request."""
        form = FORMAT if operation is Operation.CHAT else EMBEDDINGS
        asked = {"messages": [{"role": "user", "content": "hi"}]} if form is FORMAT else {"input": "hi"}
        envelope = form.read(json.dumps({"model": model, **asked, **fields}).encode())
        inquiry = Inquiry(form, operation, envelope, read_controls(controls or {}), caller)
        return self.answers.prepare(inquiry, model, self.snapshot)

    def reserve(self, **request: object) -> Reserve:
        """The reserve of a request that must have one."""
        reserve = self.prepared(**request)[1]  # type: ignore[arg-type]
        assert reserve is not None
        return reserve

    def at_once(self, **request: object) -> Served | None:
        """What a request is told at once."""
        return self.reserve(**request).at_once(self.clock.now())

    def at_last(self, refuse: Refuse = DOWN, **request: object) -> Served | None:
        """What a request is told in place of this refusal."""
        return self.reserve(**request).at_last(refuse, "req_1", self.clock.now())

    def keep(self, body: bytes = b"", *, fallback: bool = False, **request: object) -> None:
        """A request has got this answer."""
        self.reserve(**request).keep(FIRST, body or body_of("kept"), fallback=fallback)


KEEPING = {"cache": {"ttl": "10s", "stale_if_error": "20s"}}


def test_a_model_that_says_nothing_has_nothing() -> None:
    """Where no model says anything about answers there is no object at all, so requests cost nothing more."""
    world = World()
    assert dict(world.snapshot.terms) == {}
    assert world.prepared() == (None, None)
    assert World(KEEPING).prepared(model="plain") == (None, None)


def test_fresh_then_stale_then_gone() -> None:
    """At once while it is fresh, in place of an error after that, then not at all."""
    world = World(KEEPING)
    world.keep(body_of("one"))
    world.clock.advance(9.0)
    served = world.at_once()
    assert served is not None
    assert (served.source, served.body, served.fallback) == ("cache", body_of("one"), False)
    assert (served.deployment, served.model) == ("openai/gpt-4.1", "gpt-4.1")
    lines = served.headers.decode().split("\r\n")
    assert {"x-standfast-cache: hit", "x-standfast-source: cache", "age: 9"} <= set(lines)
    assert {"content-type: application/json", "x-standfast-deployment: openai/gpt-4.1"} <= set(lines)
    world.clock.advance(1.0)
    assert world.at_once() is None
    stale = world.at_last()
    assert stale is not None
    assert (stale.source, stale.body) == ("stale", body_of("one"))
    assert {"x-standfast-cache: stale", "x-standfast-source: stale", "age: 10"} <= set(
        stale.headers.decode().split("\r\n")
    )
    world.clock.advance(20.0)
    assert world.at_last() is None


def test_only_the_same_request_of_the_same_caller() -> None:
    """E15: another caller, another prompt, another mode or another model never gets it."""
    world = World(KEEPING, defaults={"cache": {"ttl": "10s"}})
    world.keep(caller="ann")
    assert world.at_once(caller="ann") is not None
    assert world.at_once(caller="bob") is None
    assert world.at_once() is None
    assert world.at_once(caller="ann", messages=[{"role": "user", "content": "other"}]) is None
    assert world.at_once(caller="ann", stream=True) is None
    assert world.at_once(caller="ann", temperature=1.0) is None
    assert world.at_once(caller="ann", model="plain") is None
    assert world.at_once(caller="ann", model="openai/gpt-4.1") is None


def test_temperature_is_no_reason_not_to_keep() -> None:
    """Who turns the cache on asks for the same answer to the same request, sampled or not."""
    world = World(KEEPING)
    world.keep(temperature=1.5)
    assert world.at_once(temperature=1.5) is not None


def test_controls_of_the_caller() -> None:
    """`off` neither gives nor keeps; `refresh` gives nothing and keeps the new answer."""
    world = World(KEEPING)
    world.keep(controls={"cache": "off"})
    assert world.at_once() is None
    world.keep(body_of("old"))
    assert world.at_once(controls={"cache": "off"}) is None
    assert world.at_once(controls={"cache": "refresh"}) is None
    assert world.at_last(controls={"cache": "refresh"}) is None
    world.keep(body_of("new"), controls={"cache": "refresh"})
    served = world.at_once(controls={"cache": "on"})
    assert served is not None
    assert served.body == body_of("new")


def test_a_miss_is_marked() -> None:
    """An answer from an upstream says that it was looked for and not found; not where nobody looked."""
    world = World(KEEPING)
    assert world.reserve().mark == b"x-standfast-cache: miss\r\n"
    assert world.reserve(controls={"cache": "off"}).mark == b""
    assert World({"fallback": {"message": "x"}}).reserve().mark == b""


def test_a_stream_is_kept_as_it_was_sent() -> None:
    """The pieces together are given to the same request, as one piece."""
    world = World(KEEPING)
    reserve = world.reserve(stream=True)
    for piece in (b"data: 1\n\n", b"data: 2\n\ndata: 3\n\n"):
        reserve.add(piece)
    reserve.keep(FIRST, b"", fallback=False)
    served = world.at_once(stream=True)
    assert served is not None
    assert served.body == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"
    assert b"text/event-stream" in served.headers
    assert served.notice == b": x-standfast-source: cache\n\n"


def test_a_stream_of_two_sources_is_not_kept() -> None:
    """G3: what was mended in the middle is given once, to the client that saw it happen, and never again."""
    world = World(KEEPING)
    reserve = world.reserve(stream=True)
    reserve.add(b"data: 1\n\n")
    reserve.drop()
    reserve.add(b"data: 2\n\n")
    reserve.keep(FIRST, b"", fallback=False)
    assert world.at_once(stream=True) is None


def test_a_long_stream_is_not_collected() -> None:
    """F6: what is too large to be kept is not held in memory either."""
    world = World(KEEPING, cache={"max_bytes": 4096, "max_entry_bytes": 100})
    reserve = world.reserve(stream=True)
    for _ in range(1000):
        reserve.add(b"data: {}" + b" " * 40 + b"\n\n")
        assert sum(map(len, reserve._collected)) <= 100
    reserve.keep(FIRST, b"", fallback=False)
    assert world.at_once(stream=True) is None


def test_who_wants_no_other_model_gets_no_kept_answer_of_one() -> None:
    """`fallback: 0` holds for kept answers and for the message."""
    world = World({**KEEPING, "fallback": {"message": "Sorry."}})
    world.keep(fallback=True)
    served = world.at_once()
    assert served is not None
    assert served.fallback
    assert world.at_once(controls={"fallback": False}) is None
    assert world.at_last(controls={"fallback": False}) is None
    world.keep(fallback=False)
    assert world.at_once(controls={"fallback": False}) is not None


def test_a_kept_answer_must_satisfy_the_rules_that_hold_now() -> None:
    """Rules of the request, of the model and of the target that answered are asked of kept answers too."""
    world = World(KEEPING)
    world.keep(body_of("short"))
    assert world.at_once(controls={"validate": {"min_chars": 5}}) is not None
    assert world.at_once(controls={"validate": {"min_chars": 6}}) is None
    world.snapshot = world.configured({**KEEPING, "validate": {"min_chars": 6}})
    assert world.at_once() is None
    own = [{"target": "openai/gpt-4.1", "validate": {"min_chars": 5}}, "anthropic/claude"]
    world.snapshot = world.configured({**KEEPING, "targets": own, "validate": {"min_chars": 6}})
    assert world.at_once() is not None


def test_a_reload_that_changes_who_answers_changes_what_is_kept() -> None:
    """Other targets, other parameters or another name in the reply: what was kept before is not given any more."""
    world = World(KEEPING)
    world.keep()
    assert world.at_once() is not None
    for change in (
        {"targets": ["anthropic/claude"]},
        {"targets": [{"target": "openai/gpt-4.1", "params": {"temperature": 0}}, "anthropic/claude"]},
        {"reply_model": "requested"},
    ):
        world.snapshot = world.configured({**KEEPING, **change})
        assert world.at_once() is None
    world.snapshot = world.configured({"cache": {"ttl": "11s", "stale_if_error": "20s"}, "strategy": "weighted"})
    assert world.at_once() is not None
    world.clock.advance(5.0)
    world.snapshot = world.configured({"cache": {"ttl": "4s"}})
    assert world.at_once() is None


def test_a_body_without_a_single_meaning_is_not_kept() -> None:
    """Where no key can be made nothing is given, kept or marked, and the message still is said."""
    world = World({**KEEPING, "fallback": {"message": "Sorry."}})
    envelope = FORMAT.read(b'{"model": "m", "messages": [{"role": "user", "role": "user"}]}')
    reserve = world.answers.prepare(Inquiry(FORMAT, Operation.CHAT, envelope), "m", world.snapshot)[1]
    assert reserve is not None
    reserve.keep(FIRST, body_of("x"), fallback=False)
    assert len(world.answers.store) == 0
    assert (reserve.mark, reserve.at_once(world.clock.now())) == (b"", None)
    assert reserve.at_last(DOWN, "req_1", world.clock.now()) is not None


# the message

SORRY = {"fallback": {"message": 'Sorry, "m" rests.\nTry later.'}}
TEXT = 'Sorry, "m" rests.\nTry later.'


def test_the_message_is_a_complete_answer() -> None:
    """In the client's format, with `stop`, the name that the client used and no tokens; marked."""
    served = World(SORRY).at_last()
    assert served is not None
    reply = json.loads(served.body)
    assert (reply["id"], reply["model"], reply["object"]) == ("req_1", "m", "chat.completion")
    assert reply["choices"][0]["message"]["content"] == TEXT
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["usage"]["total_tokens"] == 0
    assert (served.source, served.fallback, served.deployment) == ("fallback", True, "")
    assert b"x-standfast-source: fallback\r\n" in served.headers
    assert b"x-standfast-cache" not in served.headers


@pytest.mark.parametrize("usage", [False, True])
def test_the_message_as_a_stream(usage: bool) -> None:
    """The same as a stream that is complete by the client's rules, with token counts where they were asked for."""
    served = World(SORRY).at_last(stream=True, stream_options={"include_usage": usage})
    assert served is not None
    shown = Response(200, {"content-type": "text/event-stream"}, served.body)
    assert shown.text == TEXT
    assert shown.events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in shown.events[:-1]]
    assert {chunk["model"] for chunk in chunks} == {"m"}
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]][-1] == "stop"
    assert [chunk["usage"]["total_tokens"] for chunk in chunks if chunk.get("usage")] == ([0] if usage else [])


def test_a_kept_answer_goes_before_the_message() -> None:
    """A real answer, however old it may be, is worth more than an excuse."""
    world = World({**KEEPING, **SORRY})
    world.keep()
    world.clock.advance(15.0)
    served = world.at_last()
    assert served is not None
    assert served.source == "stale"
    world.clock.advance(15.0)
    served = world.at_last()
    assert served is not None
    assert served.source == "fallback"


@pytest.mark.parametrize(
    "kind", [FailureKind.INVALID_REQUEST, FailureKind.CONTEXT_TOO_LONG, FailureKind.CONTENT_FILTERED]
)
def test_nothing_hides_the_clients_own_mistake(kind: FailureKind) -> None:
    """A request that is wrong is told so, though there is something to say."""
    world = World({**KEEPING, **SORRY})
    world.keep()
    assert world.at_last(Refuse(Failure(kind), None, False, ())) is None
    assert world.at_last(Refuse(Failure(FailureKind.STALLED), None, True, ())) is None


@pytest.mark.parametrize(
    ("wanted", "message", "said"),
    [
        ({"type": "json_object"}, "Sorry.", False),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}, "Sorry.", False),
        ({"type": "json_object"}, '{"error": "busy"}', True),
        ({"type": "text"}, "Sorry.", True),
        ("strange", "Sorry.", False),
    ],
)
def test_who_demands_json_is_not_told_prose(wanted: object, message: str, said: bool) -> None:
    """A client that parses the answer gets an error rather than a text that it would break on."""
    world = World({"fallback": {"message": message}})
    assert (world.at_last(response_format=wanted) is not None) is said


def test_the_message_must_satisfy_the_rules() -> None:
    """A request's own rules hold for the message too: no answer that was promised to be different."""
    world = World(SORRY)
    assert world.at_last(controls={"validate": {"min_chars": 5}}) is not None
    assert world.at_last(controls={"validate": {"json": True}}) is None


def test_there_is_no_message_for_what_is_no_chat() -> None:
    """Embeddings are kept as anything else, but nobody makes up a vector."""
    world = World({**KEEPING, **SORRY})
    vectors = b'{"data": [{"embedding": [1]}]}'
    assert world.at_last(operation=Operation.EMBEDDINGS) is None
    world.keep(vectors, operation=Operation.EMBEDDINGS)
    served = world.at_once(operation=Operation.EMBEDDINGS)
    assert served is not None
    assert served.body == vectors
    with pytest.raises(InvalidRequest, match="validate"):
        world.prepared(operation=Operation.EMBEDDINGS, controls={"validate": {"min_chars": 1}})


def test_rules_for_chats_leave_embeddings_alone() -> None:
    """A model's `validate` speaks of texts; its embeddings are kept and given without it."""
    world = World({**KEEPING, "validate": {"json_schema": {"required": ["never"]}}})
    assert world.prepared(operation=Operation.EMBEDDINGS)[0] is None
    assert world.prepared()[0] is not None


def test_models_named_directly_have_the_defaults() -> None:
    """`provider/model` that nobody configured follows `defaults`; a model may switch off what they say."""
    world = World({"fallback": {"message": ""}, "cache": {"ttl": 0}}, defaults={**KEEPING, **SORRY})
    served = world.at_last(model="openai/gpt-4.1")
    assert served is not None
    assert served.source == "fallback"
    world = World(
        {"fallback": {"message": ""}, "cache": {"ttl": 0, "stale_if_error": 0}}, defaults={**KEEPING, **SORRY}
    )
    assert world.prepared() == (None, None)


def test_the_store_holds_no_prompt() -> None:
    """Keys are digests: of what was asked nothing stands in the store but what the answer repeats."""
    world = World(KEEPING)
    world.keep(messages=[{"role": "user", "content": "canary"}])
    (key,) = world.answers.store._answers  # type: ignore[attr-defined]
    assert len(key) == 32
    assert b"canary" not in key


def test_closing_releases_the_store() -> None:
    """The gateway closes its answers with itself."""
    world = World(KEEPING)
    world.keep()
    asyncio.run(world.answers.close())
    assert len(world.answers.store) == 0


def test_no_kept_answer_outlives_what_the_configuration_said() -> None:
    """The end of an answer is set when it is kept, so that it goes even if nobody asks for it again."""
    world = World(KEEPING)
    world.keep()
    world.clock.advance(30.0)
    assert world.at_once(messages=[{"role": "user", "content": "something else"}]) is None
    assert len(world.answers.store) == 0
