"""The official SDKs, pointed at the lab, are satisfied: it speaks the real wire formats."""

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from standfast.lab import Fault, Lab, LabSettings, ProviderSettings

USER = [{"role": "user", "content": "hello lab"}]


def test_openai_sdk(run: Callable[..., None], t: Any) -> None:
    """Chat whole and streamed with usage, embeddings as floats, the models list."""

    async def body(lab: Lab) -> None:
        async with openai.AsyncOpenAI(api_key=t.key, base_url=lab.openai.url + "/v1", max_retries=0) as client:
            whole = await client.chat.completions.create(model="gpt-4.1", messages=USER)
            text = whole.choices[0].message.content
            assert "gpt-4.1 heard: hello lab" in text
            assert whole.usage.total_tokens == whole.usage.prompt_tokens + len(text.split())
            stream = await client.chat.completions.create(
                model="gpt-4.1", messages=USER, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
            assert chunks[-2].choices[0].finish_reason == "stop"
            assert chunks[-1].choices == []
            assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
            short = await client.chat.completions.create(model="gpt-4.1", messages=USER, max_tokens=2, n=2)
            assert [c.finish_reason for c in short.choices] == ["length", "length"]
            assert short.usage.completion_tokens == 4
            vectors = await client.embeddings.create(model="e", input=["a", "b"])
            plain = await client.embeddings.create(model="e", input=["a", "b"], encoding_format="float")
            assert [v.embedding for v in vectors.data] == [v.embedding for v in plain.data]
            assert "gpt-4.1" in [model.id async for model in client.models.list()]

    run(body)


def test_openai_sdk_meets_faults(run: Callable[..., None], t: Any) -> None:
    """Status errors and in-band errors raise in the SDK what they raise with the real provider."""

    async def body(lab: Lab) -> None:
        async with openai.AsyncOpenAI(api_key=t.key, base_url=lab.openai.url + "/v1", max_retries=0) as client:
            with pytest.raises(openai.RateLimitError) as limited:
                await client.chat.completions.create(model="m!status=429", messages=USER)
            assert limited.value.code == "rate_limit_exceeded"
            with pytest.raises(openai.AuthenticationError):
                await client.chat.completions.create(model="m!status=401", messages=USER)
            lab.openai.fail(Fault(error_event_after_chunks=1))
            with pytest.raises(openai.APIError):
                async for _ in await client.chat.completions.create(model="m", messages=USER, stream=True):
                    pass

    run(body)


def test_deepseek_habits_please_the_openai_sdk(run: Callable[..., None], t: Any) -> None:
    """B2: comments before the first token, a blank line before JSON, usage on the finish chunk."""

    async def body(lab: Lab) -> None:
        async with openai.AsyncOpenAI(api_key=t.key, base_url=lab["deepseek"].url + "/v1", max_retries=0) as client:
            whole = await client.chat.completions.create(model="deepseek-chat", messages=USER)
            assert whole.usage.model_extra["prompt_cache_miss_tokens"] == whole.usage.prompt_tokens
            stream = await client.chat.completions.create(model="deepseek-chat", messages=USER, stream=True)
            chunks = [chunk async for chunk in stream]
            assert (chunks[-1].choices[0].finish_reason, chunks[-1].usage) == (
                "stop",
                whole.usage.model_copy(
                    update={
                        "prompt_tokens": chunks[-1].usage.prompt_tokens,
                        "prompt_cache_miss_tokens": chunks[-1].usage.prompt_tokens,
                        "total_tokens": chunks[-1].usage.total_tokens,
                    }
                ),
            )
        raw = await t.send(lab["deepseek"].port, t.ask("openai", stream=True))
        assert raw.body().startswith(b": keep-alive\n\n")
        assert (await t.send(lab["deepseek"].port, t.ask("openai"))).rest.startswith(b"\n{")

    run(body, LabSettings(providers={"deepseek": ProviderSettings(dialect="deepseek")}))


def test_anthropic_sdk(run: Callable[..., None], t: Any) -> None:
    """Messages whole and streamed, the models list, and the typed errors."""

    async def body(lab: Lab) -> None:
        async with anthropic.AsyncAnthropic(api_key=t.key, base_url=lab.anthropic.url, max_retries=0) as client:
            whole = await client.messages.create(model="claude", max_tokens=50, messages=USER)
            async with client.messages.stream(model="claude", max_tokens=50, messages=USER) as stream:
                final = await stream.get_final_message()
            assert final.content[0].text == whole.content[0].text
            assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", whole.usage.output_tokens)
            short = await client.messages.create(model="claude", max_tokens=1, messages=USER)
            assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 1)
            assert "claude-haiku-4-5" in [model.id async for model in client.models.list()]
            with pytest.raises(anthropic.APIStatusError) as busy:
                await client.messages.create(model="claude!body=overloaded", max_tokens=5, messages=USER)
            assert (busy.value.status_code, busy.value.body["error"]["type"]) == (529, "overloaded_error")
            refused = await client.messages.create(model="claude!body=refusal", max_tokens=5, messages=USER)
            assert (refused.stop_reason, refused.content) == ("refusal", [])
            async with client.messages.stream(model="claude!body=refusal", max_tokens=5, messages=USER) as stream:
                assert (await stream.get_final_message()).stop_reason == "refusal"

    run(body)


@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_google_genai_sdk(run: Callable[..., None], t: Any, version: str) -> None:
    """Content whole and streamed, the models list, and the typed errors, under both API versions."""

    async def body(lab: Lab) -> None:
        options = {"base_url": lab.gemini.url, "api_version": version}
        client = genai.Client(api_key=t.key, http_options=options)
        models = client.aio.models
        whole = await models.generate_content(model="gemini-2.5-flash", contents="hello lab")
        assert "hello lab" in whole.text
        stream = await models.generate_content_stream(model="gemini-2.5-flash", contents="hello lab")
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.text for chunk in chunks) == whole.text
        assert chunks[-1].usage_metadata == whole.usage_metadata
        assert chunks[-1].candidates[0].finish_reason == genai.types.FinishReason.STOP
        config = genai.types.GenerateContentConfig(max_output_tokens=2)
        short = await models.generate_content(model="gemini-2.5-flash", contents="hello", config=config)
        assert short.candidates[0].finish_reason == genai.types.FinishReason.MAX_TOKENS
        lab.gemini.fail(Fault(body="invalid_key"))
        with pytest.raises(genai.errors.ClientError) as wrong:
            await models.generate_content(model="gemini-2.5-flash", contents="hello")
        assert (wrong.value.code, wrong.value.details["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
        await client.aio.aclose()

    run(body)


@pytest.mark.parametrize(
    ("wire", "path", "headers", "sent", "status"),
    [
        ("openai", "/v1/chat/completions", {}, b'{"model":"m","messages":[{"role":"user","content":"x"}]}', 401),
        ("openai", "/v1/chat/completions", {"authorization": "Bearer k"}, b'{"model":"m"}', 400),
        ("openai", "/v1/chat/completions", {"authorization": "Bearer k"}, b"{nope", 400),
        ("openai", "/v1/nothing", {"authorization": "Bearer k"}, b"{}", 404),
        ("anthropic", "/v1/messages", {"x-api-key": "k"}, b'{"model":"m","max_tokens":1,"messages":[{}]}', 400),
        ("anthropic", "/v1/messages", {"anthropic-version": "1"}, b'{"model":"m","max_tokens":1,"messages":[{}]}', 401),
        (
            "anthropic",
            "/v1/messages",
            {"anthropic-version": "1", "x-api-key": "k"},
            b'{"model":"m","messages":[{}]}',
            400,
        ),
        ("gemini", "/v1beta/models/g:generateContent", {"x-goog-api-key": "k"}, b"{}", 400),
        ("gemini", "/v1beta/models/g:generateContent", {}, b'{"contents":[{}]}', 403),
        ("gemini", "/v1beta/models/g:dance", {"x-goog-api-key": "k"}, b'{"contents":[{}]}', 404),
    ],
)
def test_what_real_providers_refuse_is_refused_in_their_shape(
    run: Callable[..., None], t: Any, *, wire: str, path: str, headers: dict[str, str], sent: bytes, status: int
) -> None:
    """Missing keys, messages, max_tokens, versions and routes are errors of the wire's own shape, on every port."""

    async def body(lab: Lab) -> None:
        for provider in lab.providers.values():
            if status == 404 and provider.name != wire:
                continue
            heard = await t.send(provider.port, t.request("POST", path, headers, sent))
            assert heard.status == status
            key = {"openai": "param", "anthropic": "type", "gemini": "status"}[wire]
            assert key in heard.json["error"]

    run(body)


def test_configured_keys_and_models_are_checked(run: Callable[..., None], t: Any) -> None:
    """With keys configured another key is 401; with strict models another model is 404."""
    settings = ProviderSettings(keys=(t.key,), models=("m-1",), strict_models=True)

    async def body(lab: Lab) -> None:
        assert (await t.send(lab["p"].port, t.ask("openai"))).status == 200
        assert (await t.send(lab["p"].port, t.ask("openai", model="m-2"))).status == 404
        assert (await t.send(lab["p"].port, t.ask("openai", headers={"authorization": "Bearer no"}))).status == 401

    run(body, LabSettings(providers={"p": settings}))


def test_connections_are_kept_alive_and_pipelined_requests_keep_their_order(run: Callable[..., None], t: Any) -> None:
    """Several requests on one connection are answered one after the other."""

    async def body(lab: Lab) -> None:
        asked = [t.ask("openai", text=text).replace(b"connection: close\r\n", b"") for text in ("one", "two")]
        heard = await t.send(lab.openai.port, b"".join(asked) + t.ask("openai", text="three"))
        assert heard.raw.count(b"HTTP/1.1 200 OK") == 3
        assert heard.raw.index(b"heard: one") < heard.raw.index(b"heard: two") < heard.raw.index(b"heard: three")
        assert lab.openai.counters.connections == 1
        bad = await t.send(lab.openai.port, b"\x16\x03\x01 not http\r\n\r\n")
        assert bad.status == 400
        await asyncio.sleep(0)

    run(body)
