"""The quick way to read a reply says what the slow one says."""

import json

from hypothesis import given
from hypothesis import strategies as st

from standfast.formats._openai_reply import _inspect_slowly, inspect

numbers = st.one_of(
    st.integers(-2, 10), st.just(1 << 53), st.just(2.0), st.just(2.5), st.none(), st.just("3"), st.just(True)
)
details = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens", "reasoning_tokens", "other"]), numbers),
    st.just("odd"),
)
usages = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"prompt_tokens": numbers},
        optional={
            "completion_tokens": numbers,
            "prompt_tokens_details": details,
            "completion_tokens_details": details,
            "prompt_cache_hit_tokens": numbers,
            "total_tokens": numbers,
        },
    ),
    st.just([]),
)
reasons = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "function_call", "error", "", None, 5])
messages = st.sampled_from([{"content": "text"}, {"content": ""}, {"content": None}, {"tool_calls": [{}]}, None, "odd"])
choices = st.lists(
    st.fixed_dictionaries({"finish_reason": reasons}, optional={"message": messages, "index": numbers}), max_size=3
)
errors = st.sampled_from([None, {"message": "no"}, "no", {}, False])


@given(st.fixed_dictionaries({}, optional={"choices": choices, "usage": usages, "error": errors, "object": reasons}))
def test_both_ways_give_the_same_facts(reply: dict[str, object]) -> None:
    """B18: whatever a reply holds, its facts do not depend on how quickly they were read."""
    data = json.dumps(reply).encode()
    assert inspect(data) == _inspect_slowly(data)


def test_the_usual_reply_takes_the_quick_way() -> None:
    """A reply as OpenAI sends it: the facts are right, not only equal."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 12,
        "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 0},
    }
    reply = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}], "usage": usage}
    facts = inspect(json.dumps(reply).encode())
    assert facts.usage is not None
    assert (facts.usage.prompt, facts.usage.completion, facts.usage.cached, facts.usage.reasoning) == (9, 12, 4, 5)
    assert (facts.finish, facts.empty, facts.error, facts.malformed) == ("stop", False, None, "")
