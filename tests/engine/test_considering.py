"""What is looked at before a request is judged."""

import json

import pytest

from standfast import plugins
from standfast.canon.ask import Ask
from standfast.canon.deployment import Operation
from standfast.canon.instants import Monotonic
from standfast.config.load import from_mapping
from standfast.engine.assemble import assemble
from standfast.engine.considering import PICTURE_TOKENS, Decision, ask_of, consider, decide, explained
from standfast.engine.inquiry import Inquiry, Wishes, read_controls
from standfast.engine.reply_headers import DECISION_BYTES, TRACE_BYTES, trace_header
from standfast.errors import InvalidRequest
from standfast.policy.explain import Row
from standfast.policy.route import Route

CHAT = plugins.load("formats", "openai_chat").FORMAT
NOW = Monotonic(5.0)
PROVIDERS = {
    "openai": {"keys": ["k"]},
    "local": {"type": "openai_like", "base_url": "http://127.0.0.1:1/v1", "keys": ["none"]},
}
MODELS = {
    "plain": ["openai/gpt-4.1", "local/x"],
    "smart": {"strategy": "smart", "targets": ["openai/gpt-4.1", "openai/gpt-4o-mini", "local/x"]},
}
SNAPSHOT = assemble(from_mapping({"providers": PROVIDERS, "models": MODELS}, {}), informed=True)


def inquiry(prompt: object = "hello", controls: dict[str, object] | None = None, **fields: object) -> Inquiry:
    """A chat request as it enters the engine."""
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], **fields}
    return Inquiry(CHAT, Operation.CHAT, CHAT.read(json.dumps(body).encode()), read_controls(controls or {}))


def considered(asked: Inquiry, model: str = "smart") -> tuple[Ask, Route]:
    """The ask and the route after a look."""
    route = SNAPSHOT.route(model)
    ask, part, _ = consider(asked, ask_of(asked, route, NOW), route, SNAPSHOT.fleet, NOW)
    return ask, part


def test_wishes_are_read_from_headers_and_bodies() -> None:
    """Text as in headers, values as in JSON; what is not there is not wished."""
    texts = {"kind": "Code", "max-cost-usd": "0.01", "max-latency-ms": "1500", "prefer": "Speed"}
    values = {"kind": "code", "max_cost_usd": 0.01, "max_latency_ms": 1500, "prefer": "speed"}
    for given in (texts, values):
        assert read_controls(given).wishes == Wishes("code", 0.01, 1.5, "speed")
    assert read_controls({"session": "s"}).wishes is None
    assert read_controls({"kind": "chat"}).wishes == Wishes("chat")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("kind", value) for value in ("", "a b", "ä", "1", 5, None, "x" * 40)],
        *[("prefer", value) for value in ("", "cheap", 1)],
        *[("max-cost-usd", value) for value in ("", "-0.1", "inf", "nan", "1e99", True, [], None)],
        *[("max-latency-ms", value) for value in ("0", "-1", "soon", 1.5, 10**12)],
    ],
)
def test_wishes_that_make_no_sense_are_refused(name: str, value: object) -> None:
    """A limit that is not understood is an error, never no limit."""
    with pytest.raises(InvalidRequest) as caught:
        read_controls({name: value})
    assert caught.value.param == name


def test_the_nature_is_read_where_it_is_weighed() -> None:
    """A smart route knows kind and needs; a plain one does not look."""
    asked = inquiry("Write a Python function", tools=[{"type": "function"}], reasoning_effort="low")
    ask, _ = considered(asked)
    assert (ask.kind, ask.needs) == ("code", frozenset({"tools", "reasoning"}))
    ask, _ = considered(asked, "plain")
    assert (ask.kind, ask.needs) == ("", frozenset())


def test_what_the_client_says_is_not_doubted() -> None:
    """A kind that is given is the kind, also an invented one."""
    assert considered(inquiry("Write a Python function", {"kind": "legal"}))[0].kind == "legal"


def test_a_picture_is_no_text() -> None:
    """Its bytes are not its tokens: a megabyte of picture does not burst the window."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    asked = inquiry([{"type": "text", "text": "what is this?"}, picture, picture])
    assert asked.envelope.body.count(b"A") > 2_000_000 - 10
    ask, _ = considered(asked)
    assert ask.needs == frozenset({"images"})
    assert 2 * PICTURE_TOKENS <= ask.prompt_tokens < 2 * PICTURE_TOKENS + 200


def test_a_limit_on_the_cost_holds_for_every_strategy() -> None:
    """Who is dearer or unpriced is not in the route any more."""
    for model in ("plain", "smart"):
        _, part = considered(inquiry(controls={"max-cost-usd": "1"}), model)
        assert "local/x" not in [target.name for target in part.targets]


def test_nobody_is_cheap_enough() -> None:
    """Then the request is refused, with what each would cost, and with what to do."""
    with pytest.raises(InvalidRequest, match=r"gpt-4\.1: expected to cost 0\.00\d+ \$.*local/x: unpriced") as caught:
        considered(inquiry(controls={"max-cost-usd": "0.000001"}), "plain")
    assert (caught.value.code, caught.value.param) == ("too_expensive", "max-cost-usd")


def test_an_explanation_changes_nothing() -> None:
    """The same twice; it tells sizes, kind and every target."""
    first, second = (
        explained(inquiry("Solve x^2 = 4", {"priority": 5}), SNAPSHOT.route("smart"), SNAPSHOT.fleet, NOW)
        for _ in range(2)
    )
    assert first == second
    assert (first.model, first.strategy, first.kind, first.priority) == ("smart", "smart", "math", 5)
    assert {row.target for row in first.rows} == {"openai/gpt-4.1", "openai/gpt-4o-mini", "local/x"}


def test_a_decision_travels_in_the_trace() -> None:
    """Before the attempts: strategy, kind and the order, with scores and factors."""
    decision = explained(inquiry("Write a Python function"), SNAPSHOT.route("smart"), SNAPSHOT.fleet, NOW)
    header = trace_header([], "openai/gpt-4.1", decision).decode("ascii")
    explained_row, attempt = json.loads(header.partition(": ")[2])
    told = explained_row["decision"]
    assert (told["strategy"], told["kind"]) == ("smart", "code")
    assert [row["target"] for row in told["ranking"]] == [row.target for row in decision.rows]
    assert {"score", "quality", "price", "speed", "soundness", "room"} <= set(told["ranking"][0])
    assert attempt == {"target": "openai/gpt-4.1", "outcome": "answering"}


def test_a_trace_does_not_say_that_who_serves_was_dropped() -> None:
    """A limit on the latency is a preference: who is slower is passed over, for those that are not, and still asked."""
    asked = inquiry(controls={"max-latency-ms": 1})
    decision = explained(asked, SNAPSHOT.route("smart"), SNAPSHOT.fleet, NOW)
    told = json.loads(trace_header([], "", decision).partition(b": ")[2])[0]["decision"]
    assert all("expected to take" in row["passed_over"] and "dropped" not in row for row in told["ranking"])


@pytest.mark.parametrize("count", [1, 40, 2000])
def test_a_trace_stays_within_its_size(count: int) -> None:
    """However many targets: whole ones within the limit, the best ones, and how many more there are."""
    rows = tuple(
        Row(f"p{n}/\u00e4 model", n + 1, 0.5, {"quality": 0.5}, "lacks \u00e4 \r\n tools") for n in range(count)
    )
    decision = Decision("auto", "smart", "score", "chat", 3, (), 10, 10, rows)
    header = trace_header([], "", decision)
    assert len(header) < TRACE_BYTES
    assert header.count(b"\r\n") == 1
    told = json.loads(header.partition(b": ")[2])[0]["decision"]
    kept = len(told["ranking"])
    assert len(json.dumps(told["ranking"])) <= DECISION_BYTES + 2 * kept
    assert kept + told.get("more", 0) == count
    assert told["ranking"][0]["target"] == "p0/??model"


def test_the_order_written_needs_no_explanation_in_a_trace() -> None:
    """It is explained on demand all the same, with whom it passes over."""
    route = SNAPSHOT.route("plain")
    asked = inquiry()
    decision = decide(ask_of(asked, route, NOW), route, SNAPSHOT.fleet, NOW)
    assert [(row.target, row.place, row.score) for row in decision.rows] == [
        ("openai/gpt-4.1", 1, None),
        ("local/x", 2, None),
    ]
