"""Rate limits told by headers: every dialect is understood, and nothing that stands there does harm."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast import plugins
from standfast.canon.instants import Wall
from standfast.canon.rates import Counts, Rate
from standfast.providers._rates import ANTHROPIC, LARGEST, OPENAI_SHAPED, read_rates
from standfast.providers.base import Provider

RECEIVED = Wall(1_760_000_000.0)  # Thu, 09 Oct 2025 08:53:20 GMT
DATE = (b"date", b"Thu, 09 Oct 2025 08:50:00 GMT")  # 200 seconds behind the local clock
NAMES = plugins.names("providers")
DAY = 86400.0


def rates(provider: str, **headers: str) -> dict[str, Rate]:
    """What a provider's answer with these headers tells; underscores stand for hyphens."""
    found: Provider = plugins.load("providers", provider).PROVIDER
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {rate.name: rate for rate in found.rates([DATE, *raw], RECEIVED)}


def test_openai_tells_requests_and_tokens() -> None:
    """The six headers of OpenAI, with resets as Go durations."""
    found = rates(
        "openai",
        x_ratelimit_limit_requests="10000",
        x_ratelimit_remaining_requests="9999",
        x_ratelimit_reset_requests="6ms",
        x_ratelimit_limit_tokens="2000000",
        x_ratelimit_remaining_tokens="1999400",
        x_ratelimit_reset_tokens="1m6s",
    )
    assert found == {
        "requests": Rate("requests", Counts.REQUESTS, 9999.0, 10000.0, 0.006),
        "tokens": Rate("tokens", Counts.TOKENS, 1999400.0, 2000000.0, 66.0),
    }


def test_a_project_has_a_token_limit_of_its_own() -> None:
    """Two limits that count the same are told apart by their names."""
    found = rates(
        "openai",
        x_ratelimit_limit_tokens="100",
        x_ratelimit_remaining_tokens="90",
        x_ratelimit_limit_project_tokens="50",
        x_ratelimit_remaining_project_tokens="40",
    )
    assert {name: rate.remaining for name, rate in found.items()} == {"tokens": 90.0, "project-tokens": 40.0}


def test_anthropic_tells_instants_by_its_own_clock() -> None:
    """F11: an RFC 3339 reset counts from the answer's own Date, so a wrong local clock does no harm."""
    found = rates(
        "anthropic",
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="49",
        anthropic_ratelimit_requests_reset="2025-10-09T08:50:02Z",
        anthropic_ratelimit_input_tokens_limit="40000",
        anthropic_ratelimit_input_tokens_remaining="0",
        anthropic_ratelimit_input_tokens_reset="2025-10-09T08:51:00Z",
        anthropic_ratelimit_output_tokens_limit="8000",
        anthropic_ratelimit_output_tokens_remaining="8000",
        anthropic_ratelimit_output_tokens_reset="2025-10-09T08:49:00Z",
        anthropic_ratelimit_tokens_limit="48000",
        anthropic_ratelimit_tokens_remaining="0",
        anthropic_priority_input_tokens_remaining="0",
        anthropic_priority_input_tokens_limit="10",
    )
    assert found == {
        "requests": Rate("requests", Counts.REQUESTS, 49.0, 50.0, 2.0),
        "input-tokens": Rate("input-tokens", Counts.INPUT, 0.0, 40000.0, 60.0),
        "output-tokens": Rate("output-tokens", Counts.OUTPUT, 8000.0, 8000.0, 0.0),
    }


def test_anthropics_tightest_limit_counts_where_the_others_are_missing() -> None:
    """`tokens` shows whichever is tightest, and counts only when nothing more precise is there."""
    found = rates("anthropic", anthropic_ratelimit_tokens_limit="48000", anthropic_ratelimit_tokens_remaining="7")
    assert found == {"tokens": Rate("tokens", Counts.TOKENS, 7.0, 48000.0, None)}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"limit_requests": "14400", "remaining_requests": "14370", "reset_requests": "2m59.56s"}, 179.56),
        ({"limit_requests": "600", "remaining_requests": "1", "reset_requests": "10"}, 10.0),
        ({"limit_requests": "600", "remaining_requests": "1", "reset_requests": "2025-10-09T08:50:30+00:00"}, 30.0),
        ({"limit_requests": "600", "remaining_requests": "1", "reset_requests": "2025-10-09T08:00:00Z"}, 0.0),
        ({"limit_requests": "600", "remaining_requests": "1", "reset_requests": "soon"}, None),
        ({"limit_requests": "600", "remaining_requests": "1", "reset_requests": "9" * 12}, None),
        ({"limit_requests": "600", "remaining_requests": "1"}, None),
    ],
)
def test_three_ways_to_write_a_reset(headers: dict[str, str], expected: float | None) -> None:
    """Seconds, a Go duration, an ISO instant; what is past is now, what cannot be read is unknown."""
    (rate,) = rates("openai_like", **{f"x_ratelimit_{name}": value for name, value in headers.items()}).values()
    assert rate.reset == (None if expected is None else pytest.approx(expected))


def test_windows_stand_in_the_names() -> None:
    """A suffix says for how long a limit is; `req` is a request."""
    found = rates(
        "openai_like",
        x_ratelimit_limit_requests_day="14400",
        x_ratelimit_remaining_requests_day="14399",
        x_ratelimit_limit_tokens_minute="60000",
        x_ratelimit_remaining_tokens_minute="1",
        x_ratelimit_limit_req_minute="300",
        x_ratelimit_remaining_req_minute="299",
    )
    assert {name: (rate.counts, rate.window) for name, rate in found.items()} == {
        "requests-day": (Counts.REQUESTS, DAY),
        "tokens-minute": (Counts.TOKENS, 60.0),
        "req-minute": (Counts.REQUESTS, 60.0),
    }


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"limit_requests": "600"},
        {"limit_requests": "600", "reset_requests": "1s"},
        {"remaining_requests": "5"},
        {"limit_requests": "0", "remaining_requests": "0"},
        {"limit_requests": "600", "remaining_requests": "many"},
        {"limit_requests": "600", "remaining_requests": "nan"},
        {"limit_requests": "600", "remaining_requests": "inf"},
        {"limit_requests": "600", "remaining_requests": "9" * 40},
        {"limit_requests": "600", "remaining_requests": ""},
    ],
)
def test_what_is_missing_is_unknown(headers: dict[str, str]) -> None:
    """Absence and nonsense tell nothing, least of all that nothing is left."""
    assert rates("openai", **{f"x_ratelimit_{name}": value for name, value in headers.items()}) == {}


@pytest.mark.parametrize(("remaining", "expected"), [("-3", 0.0), ("700", 600.0), (" 12 ", 12.0)])
def test_odd_amounts_are_put_right(remaining: str, expected: float) -> None:
    """Less than nothing is nothing, more than the limit is the limit."""
    found = rates("openai", x_ratelimit_limit_requests="600", x_ratelimit_remaining_requests=remaining)
    assert found["requests"].remaining == expected


def test_the_first_of_several_counts() -> None:
    """A proxy that adds its own header after the provider's does not change what the provider said."""
    headers = [
        (b"x-ratelimit-limit-requests", b"600"),
        (b"x-ratelimit-remaining-requests", b"500"),
        (b"x-ratelimit-remaining-requests", b"1"),
    ]
    assert read_rates(headers, OPENAI_SHAPED, RECEIVED)[0].remaining == 500.0


def test_gemini_tells_nothing() -> None:
    """A provider without such headers says so, and nobody looks."""
    found: Provider = plugins.load("providers", "gemini").PROVIDER
    assert found.limit_headers == frozenset()
    assert found.rates([(b"x-ratelimit-remaining-requests", b"1")], RECEIVED) == ()


@pytest.mark.parametrize("name", NAMES)
def test_the_named_headers_are_those_that_are_read(name: str) -> None:
    """Whoever meets none of `limit_headers` need not ask: names are lower case, and nothing else is read."""
    provider: Provider = plugins.load("providers", name).PROVIDER
    assert all(
        header == header.lower() and header.startswith((b"x-", b"anthropic-")) for header in provider.limit_headers
    )
    for header in {*OPENAI_SHAPED, *ANTHROPIC} - provider.limit_headers:
        assert provider.rates([(header, b"5"), (header.replace(b"remaining", b"limit"), b"9")], RECEIVED) == ()


VALUES = st.binary(max_size=30) | st.sampled_from(
    [
        b"0",
        b"1",
        b"59.9",
        b"-1",
        b"1e9",
        b"1_0",
        b"6m0s",
        b"1s1s",
        b"2025-10-09T08:50:30Z",
        b"0001-01-01",
        b"\xb5s",
        b" ",
    ]
)
HEADERS = st.lists(
    st.tuples(st.sampled_from([*OPENAI_SHAPED, *ANTHROPIC, b"date", b"x-other"]) | st.binary(max_size=12), VALUES),
    max_size=12,
)


@given(HEADERS)
@settings(max_examples=500, deadline=None)
def test_no_header_does_harm(headers: list[tuple[bytes, bytes]]) -> None:
    """B10: whatever stands in the headers, reading them never raises, and what comes out is finite and in range."""
    for name in NAMES:
        provider: Provider = plugins.load("providers", name).PROVIDER
        for rate in provider.rates(headers, RECEIVED):
            assert 0.0 <= rate.remaining <= (rate.limit or LARGEST)
            assert rate.limit is None or 0.0 < rate.limit <= LARGEST
            assert rate.reset is None or (rate.reset >= 0.0 and math.isfinite(rate.reset))
            assert rate.limit is not None or rate.reset is not None
