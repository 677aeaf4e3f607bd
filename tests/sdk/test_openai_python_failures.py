"""What the official OpenAI SDK for Python raises, and what it never notices: refusals, failover, broken answers."""

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from sdk.asking import CONTINUED, FAMILIES, USER, upstream_json, wires
from support.chat import answer_of
from support.processes import GatewayProcess, LabProcess

# refusals


def test_a_wrong_key(gateway: GatewayProcess, lab: LabProcess) -> None:
    """AuthenticationError with OpenAI's code, at once, and nothing is sent upstream."""
    with (
        OpenAI(base_url=gateway.api, api_key="sk-wrong-key-000000") as sdk,
        pytest.raises(openai.AuthenticationError) as error,
    ):
        sdk.chat.completions.create(model="gpt-4.1", messages=USER)
    assert (error.value.code, error.value.type) == ("invalid_api_key", "authentication_error")
    assert "sk-wrong-key-000000" not in str(error.value)
    with OpenAI(base_url=gateway.api, api_key="sk-wrong-key-000000") as sdk, pytest.raises(openai.AuthenticationError):
        sdk.models.list()
    assert lab.journal() == []


def test_an_unknown_model(client: OpenAI) -> None:
    """NotFoundError that says which field and which name was probably meant."""
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="gpt-4.2", messages=USER)
    assert (error.value.code, error.value.param) == ("model_not_found", "model")
    assert "gpt-4.1" in str(error.value)


def test_a_request_that_the_gateway_refuses(client: OpenAI, lab: LabProcess) -> None:
    """BadRequestError with param and code, without an attempt upstream."""
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="gpt-4.1", messages=USER, stream="please")
    assert (error.value.param, error.value.code) == ("stream", "invalid_request")
    assert lab.journal() == []


def test_a_request_that_the_provider_refuses(client: OpenAI, lab: LabProcess) -> None:
    """B3/B4: the provider's 400 is BadRequestError with its code; one attempt, no failover."""
    lab.fail("openai", body="context_too_long")
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="gpt-4.1", messages=USER)
    assert error.value.code == "context_length_exceeded"
    assert lab.providers() == ["openai"]


@pytest.mark.parametrize("model", ["claude", "gemini"])
def test_tools_towards_another_wire(client: OpenAI, lab: LabProcess, model: str) -> None:
    """What cannot be translated yet is refused by name, never dropped."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model=model, messages=USER, tools=[tool])
    assert (error.value.param, error.value.code) == ("tools", "unsupported_by_target")
    assert "tools" in str(error.value)
    assert lab.journal() == []


def test_an_operation_that_no_target_offers(client: OpenAI, lab: LabProcess) -> None:
    """A model that can never do what is asked is the client's 400, not an outage that a repetition could end."""
    with pytest.raises(openai.BadRequestError) as error:
        client.embeddings.create(model="claude", input="x")
    assert error.value.code == "unsupported_by_target"
    assert lab.journal() == []


@pytest.mark.parametrize("stream", [False, True])
def test_all_targets_down(client: OpenAI, lab: LabProcess, *, stream: bool) -> None:
    """D7: 503 with a Retry-After and `x-should-retry: false`; the SDK, with its own retries on, does not ask again."""
    assert client.max_retries == 2
    lab.fail("*", status=503)
    with pytest.raises(openai.APIStatusError) as error:
        client.chat.completions.create(model="gpt-4.1", messages=USER, stream=stream)
    assert error.value.status_code == 503
    headers = error.value.response.headers
    assert headers["x-should-retry"] == "false"
    assert lab.providers() == ["openai", "anthropic", "gemini"]
    assert int(headers["retry-after"]) >= 1


# failover and broken answers


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 529},
        {"reset": True},
        {"body": "html", "status": 200},
        {"body": "empty"},
        {"garbage": 200},
    ],
    ids=str,
)
def test_failover_is_invisible(client: OpenAI, lab: LabProcess, fault: dict[str, object], *, stream: bool) -> None:
    """G4: whatever OpenAI does before its first content, the client has an answer, from Anthropic."""
    lab.fail("openai", **fault)
    raw = client.chat.completions.with_raw_response.create(model="gpt-4.1", messages=USER, stream=stream)
    assert raw.headers["x-standfast-deployment"] == "anthropic/claude-sonnet-4-5"
    assert raw.headers["x-standfast-fallback"] == "true"
    assert int(raw.headers["x-standfast-attempts"]) == len(lab.journal())
    parsed: Any = raw.parse()
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in parsed)
    else:
        text = parsed.choices[0].message.content
    assert "claude-sonnet-4-5 heard: hello sdk" in text


@pytest.mark.parametrize(
    "fault",
    [
        {"error_event_after_chunks": 0},
        {"cut_after_chunks": 0},
        {"cut_after_chunks": 0, "how": "clean_end"},
        {"cut_after_chunks": 0, "how": "reset"},
    ],
    ids=str,
)
def test_a_stream_that_breaks_before_content_is_replaced(
    client: OpenAI, lab: LabProcess, fault: dict[str, object]
) -> None:
    """C3: the head and the role chunk had come, no text yet; the client sees one answer of one model."""
    lab.fail("openai", **fault)
    chunks = list(client.chat.completions.create(model="gpt-4.1", messages=USER, stream=True))
    assert {chunk.model for chunk in chunks} == {"claude-sonnet-4-5"}
    assert "heard: hello sdk" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_the_third_choice_answers(client: OpenAI, lab: LabProcess) -> None:
    """With OpenAI and Anthropic down Gemini answers, in OpenAI's shape."""
    lab.fail("openai", status=500)
    lab.fail("anthropic", status=529)
    raw = client.chat.completions.with_raw_response.create(model="gpt-4.1", messages=USER)
    assert raw.headers["x-standfast-deployment"] == "gemini/gemini-2.5-flash"
    assert "gemini-2.5-flash heard" in raw.parse().choices[0].message.content


def test_a_refused_connection_is_mended(client: OpenAI) -> None:
    """A1: a dead first target costs one attempt and no error."""
    raw = client.chat.completions.with_raw_response.create(model="mended", messages=USER)
    found = [raw.headers[f"x-standfast-{name}"] for name in ("deployment", "attempts", "fallback")]
    assert found == ["openai/gpt-4.1", "2", "true"]


@wires
@pytest.mark.parametrize(
    "fault",
    [
        {"cut_after_chunks": 2},
        {"cut_after_chunks": 2, "how": "reset"},
        {"cut_after_chunks": 2, "how": "clean_end"},
        {"error_event_after_chunks": 2},
        {"error_event_after_chunks": 2, "done_after_error": True},
    ],
    ids=str,
)
def test_a_stream_that_breaks_raises(client: OpenAI, lab: LabProcess, wire: str, fault: dict[str, object]) -> None:
    """C2/C4/C5: the text so far arrives, then the SDK raises APIError; no finish reason says that it was complete."""
    lab.fail(wire, chunk_delay=0.02, **fault)
    heard: list[Any] = []
    stream = client.chat.completions.create(model=FAMILIES[wire][0], messages=USER, stream=True)
    with pytest.raises(openai.APIError):
        heard.extend(stream)
    choices = [choice for chunk in heard for choice in chunk.choices]
    assert not [choice.finish_reason for choice in choices if choice.finish_reason]
    assert 1 <= len(lab.journal()) <= 2  # given again once where that may help; it broke again


def test_what_arrived_before_a_break_is_delivered(client: OpenAI, lab: LabProcess) -> None:
    """C4: the two pieces that came before the break are heard, and the error is OpenAI-shaped."""
    lab.fail("openai", error_event_after_chunks=2, chunk_delay=0.02)
    heard: list[str] = []
    stream = client.chat.completions.create(model="gpt-4.1", messages=USER, stream=True)
    with pytest.raises(openai.APIError) as error:
        heard.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(heard) == "\u2713 gpt-4.1"
    assert error.value.code
    assert error.value.type == "upstream_error"


@wires
def test_a_break_that_is_mended_is_not_noticed(client: OpenAI, lab: LabProcess, wire: str) -> None:
    """G3: the second attempt says the same and goes on: the SDK reads one whole answer with one id."""
    lab.fail(wire, cut_after_chunks=2, how="reset", chunk_delay=0.02, times=1)
    model, target = FAMILIES[wire]
    heard = list(client.chat.completions.create(model=model, messages=USER, stream=True))
    text = "".join(choice.delta.content or "" for chunk in heard for choice in chunk.choices)
    assert text == answer_of(target.partition("/")[2], "hello sdk")
    assert [choice.finish_reason for chunk in heard for choice in chunk.choices if choice.finish_reason] == ["stop"]
    assert len({chunk.id for chunk in heard}) == 1
    assert len(lab.journal()) == 2


@wires
def test_a_break_that_is_continued_gives_one_answer(client: OpenAI, lab: LabProcess, wire: str) -> None:
    """`on_break: resume`: the SDK reads one whole answer with one id and one finish, and the usage of both attempts."""
    lab.fail(wire, cut_after_chunks=2, how="reset", chunk_delay=0.02, times=1)
    with client.chat.completions.stream(
        model=f"rest-{wire}", messages=USER, stream_options={"include_usage": True}
    ) as helper:
        final = helper.get_final_completion()
    (choice,) = final.choices
    assert choice.message.content == answer_of(CONTINUED[wire].partition("/")[2], "hello sdk")
    assert choice.finish_reason == "stop"
    first, second = lab.journal()
    asked = upstream_json(second)
    last = asked["contents" if wire == "gemini" else "messages"][-1]
    assert last["role"] == ("model" if wire == "gemini" else "assistant")
    assert "assistant" not in str(upstream_json(first))
    assert final.usage is not None
    assert final.usage.completion_tokens <= first["output_tokens"] + second["output_tokens"]


def test_a_break_meets_the_asynchronous_client(gateway: GatewayProcess, lab: LabProcess) -> None:
    """C4: the asynchronous stream raises APIError too, and so does the accumulating helper."""
    lab.fail("openai", cut_after_chunks=2, how="clean_end", chunk_delay=0.02)

    async def scenario() -> None:
        async with AsyncOpenAI(base_url=gateway.api, api_key=gateway.key, timeout=20) as sdk:
            stream = await sdk.chat.completions.create(model="gpt-4.1", messages=USER, stream=True)
            with pytest.raises(openai.APIError):
                await anext(chunk async for chunk in stream if chunk.choices[0].finish_reason)
            async with sdk.chat.completions.stream(model="gpt-4.1", messages=USER) as helper:
                with pytest.raises(openai.APIError):
                    await helper.get_final_completion()

    asyncio.run(scenario())
    assert lab.providers() == ["openai"] * 4  # each given again once, which broke again


@wires
def test_a_client_that_leaves(client: OpenAI, lab: LabProcess, wire: str) -> None:
    """C11: closing the SDK's stream closes the upstream's."""
    lab.fail(wire, tokens=400, chunk_delay=0.02)
    stream = client.chat.completions.create(model=FAMILIES[wire][0], messages=USER, stream=True)
    next(iter(stream))
    stream.close()
    assert lab.until("peer_closed", value=True)["outcome"] == "peer_closed"
