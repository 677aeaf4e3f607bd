"""Tokens that an answer does not report: unknown, and never nothing."""

import json

import pytest

from standfast.hooks._lines import json_line
from standfast.hooks.prometheus import PrometheusHook
from standfast.lab import Fault
from standfast.lab.server import Lab
from support.chat import WIRES, ask, finished, run
from support.raw import http_answer, raw_upstream
from support.stack import stack

ZERO = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_without_usage_is_counted_as_unknown(wire: str, stream: bool) -> None:
    """C9: no usage is no 0: not in the record, the log or the metrics; and every request has its one record."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES[wire])}) as s:
            s.lab[wire].fail(Fault(usage_missing=True))
            metrics = PrometheusHook()
            s.gateway.services.bus.plug(metrics)
            for _ in range(3):
                assert finished(await ask(s, stream=stream))
            assert len(s.recorder.records) == 3
            assert [record.usage for record in s.recorder.records] == [None] * 3
            assert [attempt.usage for record in s.recorder.records for attempt in record.attempts] == [None] * 3
            assert json.loads(json_line(s.recorder.records[0], 0.0))["usage"] is None
            assert list(metrics.tokens.items()) == []

    run(scenario)


def test_a_usage_of_nothing_is_no_usage() -> None:
    """C9: an answer that reports 0 tokens has reported none."""

    async def scenario() -> None:
        async with (
            raw_upstream(http_answer(200, ZERO)) as raw,
            stack({"m": ["r/m"]}, providers={"r": raw.provider}) as s,
        ):
            assert finished(await ask(s))
            assert s.recorder.records[0].usage is None

    run(scenario)


@pytest.mark.parametrize("fault", [Fault(usage_missing=True), Fault(cut_after_chunks=2, how="reset")])
def test_the_estimate_stands_where_nothing_is_reported(fault: Fault) -> None:
    """C9: a key's tokens a minute are not given back for an answer that does not say what it used."""

    def tight(lab: Lab) -> dict[str, object]:
        url = f"{lab.openai.url}/v1"
        return {"openai": {"base_url": url, "keys": ["sk-lab-openai"], "limits": {"tpm": 6000}}}  # 1000 at once

    async def scenario() -> None:
        defaults = {"queue": {"max_waiting": 0}, "on_break": "error"}
        async with stack({"m": ["openai/gpt-4.1"]}, providers=tight, defaults=defaults) as s:
            s.lab.openai.fail(fault)
            await ask(s, stream=True, max_tokens=900)
            refused = await ask(s, stream=True, max_tokens=900)
            assert refused.status == 503
            s.lab.openai.heal()
        async with stack({"m": ["openai/gpt-4.1"]}, providers=tight, defaults=defaults) as s:
            for _ in range(2):  # what is reported is all that counts
                assert finished(await ask(s, stream=True, max_tokens=900, stream_options={"include_usage": True}))

    run(scenario)
