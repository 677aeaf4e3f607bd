"""The official OpenAI SDK for Python is satisfied with the gateway, whoever answers behind it."""

import asyncio
import json

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from sdk.asking import FAMILIES, PIXEL, USER, upstream_body, upstream_json, wires
from support.processes import GatewayProcess, LabProcess

# answers


@wires
def test_a_whole_answer(client: OpenAI, lab: LabProcess, wire: str) -> None:
    """Text, finish reason, usage as billed by the provider, and who answered, for every upstream wire."""
    model, target = FAMILIES[wire]
    raw = client.chat.completions.with_raw_response.create(model=model, messages=USER)
    reply = raw.parse()
    served = target.partition("/")[2]
    assert f"{served} heard: hello sdk" in reply.choices[0].message.content
    assert (reply.object, reply.choices[0].message.role) == ("chat.completion", "assistant")
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == served
    (entry,) = lab.journal()
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (entry["input_tokens"], entry["output_tokens"])
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    headers = {name: raw.headers[f"x-standfast-{name}"] for name in ("model", "deployment", "attempts", "fallback")}
    assert headers == {"model": served, "deployment": target, "attempts": "1", "fallback": "false"}
    assert raw.headers["x-standfast-request-id"]


@wires
def test_a_streamed_answer(client: OpenAI, lab: LabProcess, wire: str) -> None:
    """The pieces are the whole answer's text; one role, one finish, usage last and only because it was asked for."""
    model, target = FAMILIES[wire]
    whole = client.chat.completions.create(model=model, messages=USER)
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=USER, stream=True, stream_options={"include_usage": True}
    )
    assert raw.headers["x-standfast-deployment"] == target
    chunks = list(raw.parse())
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert [chunk.usage for chunk in chunks[:-1] if chunk.usage] == []
    entry = lab.journal()[-1]
    usage = chunks[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (entry["input_tokens"], entry["output_tokens"])
    assert len({chunk.id for chunk in chunks}) == 1


@wires
def test_usage_is_sent_to_those_who_asked(client: OpenAI, wire: str) -> None:
    """Without include_usage no chunk has usage or lacks choices, as with OpenAI."""
    stream = client.chat.completions.create(model=FAMILIES[wire][0], messages=USER, stream=True)
    chunks = list(stream)
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


@wires
def test_the_stream_helper_accumulates(client: OpenAI, wire: str) -> None:
    """The SDK's own accumulator, which checks what it reads, ends with a complete answer."""
    model = FAMILIES[wire][0]
    with client.chat.completions.stream(model=model, messages=USER) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds
    assert final.choices[0].finish_reason == "stop"
    assert "heard: hello sdk" in final.choices[0].message.content


@wires
def test_the_asynchronous_client(gateway: GatewayProcess, wire: str) -> None:
    """Twenty answers at a time, half of them streamed, all the right ones."""
    model = FAMILIES[wire][0]

    async def one(sdk: AsyncOpenAI, number: int) -> str:
        asked = [{"role": "user", "content": f"question {number}"}]
        if number % 2:
            reply = await sdk.chat.completions.create(model=model, messages=asked)
            return reply.choices[0].message.content or ""
        stream = await sdk.chat.completions.create(model=model, messages=asked, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def scenario() -> list[str]:
        async with AsyncOpenAI(base_url=gateway.api, api_key=gateway.key, timeout=20) as sdk:
            return await asyncio.gather(*(one(sdk, number) for number in range(20)))

    texts = asyncio.run(scenario())
    assert [f"heard: question {number} [" in text for number, text in enumerate(texts)] == [True] * 20


@pytest.mark.parametrize("wire", ["anthropic", "gemini"])
def test_settings_are_translated(client: OpenAI, lab: LabProcess, wire: str) -> None:
    """System prompt, image, stop, max_tokens and temperature arrive in the provider's own words."""
    reply = client.chat.completions.create(
        model=FAMILIES[wire][0],
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            },
        ],
        max_tokens=3,
        temperature=0.25,
        stop=["END", "STOP"],
    )
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 3
    (entry,) = lab.journal()
    sent = upstream_json(entry)
    if wire == "anthropic":
        assert (sent["max_tokens"], sent["temperature"], sent["stop_sequences"]) == (3, 0.25, ["END", "STOP"])
        assert "Be brief." in json.dumps(sent["system"])
        parts = sent["messages"][0]["content"]
        assert parts[1]["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}
        assert [message["role"] for message in sent["messages"]] == ["user"]
    else:
        config = sent["generationConfig"]
        assert (config["maxOutputTokens"], config["temperature"]) == (3, 0.25)
        assert config["stopSequences"] == ["END", "STOP"]
        assert sent["systemInstruction"]["parts"][0]["text"] == "Be brief."
        parts = sent["contents"][0]["parts"]
        assert parts[1]["inlineData"] == {"mimeType": "image/png", "data": PIXEL}
        assert [content["role"] for content in sent["contents"]] == ["user"]


@wires
def test_an_answer_cut_by_max_tokens(client: OpenAI, wire: str) -> None:
    """The finish reason is `length`, whole and streamed, whatever the provider calls it."""
    model = FAMILIES[wire][0]
    whole = client.chat.completions.create(model=model, messages=USER, max_tokens=2)
    chunks = list(client.chat.completions.create(model=model, messages=USER, max_tokens=2, stream=True))
    streamed = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert (whole.choices[0].finish_reason, streamed) == ("length", ["length"])


def test_embeddings(client: OpenAI, lab: LabProcess) -> None:
    """The SDK asks for base64 by itself; base64 and floats are the same vectors."""
    model = "text-embedding-3-small"
    packed = client.embeddings.create(model=model, input=["one", "two"])
    assert upstream_json(lab.journal()[-1])["encoding_format"] == "base64"
    plain = client.embeddings.create(model=model, input=["one", "two"], encoding_format="float")
    assert [row.index for row in packed.data] == [0, 1]
    assert [row.embedding for row in packed.data] == [row.embedding for row in plain.data]
    assert packed.data[0].embedding != packed.data[1].embedding
    assert packed.usage.prompt_tokens > 0


def test_models(client: OpenAI) -> None:
    """The list has what clients may name; one of them can be had alone; another name is NotFoundError."""
    names = {model.id for model in client.models.list()}
    assert {"gpt-4.1", "claude", "gemini", "text-embedding-3-small"} <= names
    assert client.models.retrieve("gpt-4.1").id == "gpt-4.1"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4.l")


# what is not touched


def test_bytes_pass_untouched(client: OpenAI, lab: LabProcess) -> None:
    """Same wire, same name: the upstream gets the SDK's bytes without `standfast`; unknown fields stay."""
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4.1",
        messages=[{"role": "user", "content": '\u00e9\u4e2d\U0001f600 \\ " /'}],
        seed=2**63,
        extra_body={"standfast": {"tags": ["a", "b"]}, "x_unknown": {"deep": [1.10, None, {"k": "v"}]}},
    )
    sent: bytes = raw.http_request.content
    own = b'"standfast":{"tags":["a","b"]}'
    assert sent.count(own) == 1
    (entry,) = lab.journal()
    assert upstream_body(entry) == sent.replace(own + b",", b"").replace(b"," + own, b"")
    assert upstream_json(entry)["x_unknown"] == {"deep": [1.1, None, {"k": "v"}]}


def test_another_name_upstream_changes_the_name_alone(client: OpenAI, lab: LabProcess) -> None:
    """Only the model's name is spliced; every other byte, unknown fields and tools included, is the client's."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "model": "alias"}}}
    raw = client.chat.completions.with_raw_response.create(
        model="alias", messages=USER, tools=[tool], extra_body={"x_unknown": 1.0}
    )
    (entry,) = lab.journal()
    sent: bytes = raw.http_request.content
    assert upstream_body(entry) == sent.replace(b'"model":"alias"', b'"model":"gpt-4.1-mini"', 1)
