"""Retry hints: every form that providers use, and none that hurts."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.canon.instants import Wall
from standfast.providers._hints import ABSURD, CEILING, go_duration, retry_after, should_retry
from standfast.providers.base import Answer

RECEIVED = Wall(1_760_000_000.0)  # Thu, 09 Oct 2025 08:53:20 GMT
DATE = (b"date", b"Thu, 09 Oct 2025 08:50:00 GMT")  # 200 seconds behind the local clock


def answer(*headers: tuple[bytes, bytes], status: int = 429) -> Answer:
    """An answer with these headers."""
    return Answer(status, headers, b"", RECEIVED)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"retry-after", b"7")], 7.0),
        ([(b"retry-after", b" 1.5 ")], 1.5),
        ([(b"retry-after-ms", b"250")], 0.25),
        ([(b"retry-after", b"Thu, 09 Oct 2025 08:53:50 GMT")], 30.0),
        ([(b"retry-after", b"Thursday, 09-Oct-25 08:53:50 GMT")], 30.0),
        ([(b"retry-after", b"Thu Oct  9 08:53:50 2025")], 30.0),
        ([(b"retry-after", b"172800")], CEILING),
        ([(b"retry-after", b"Thu, 09 Oct 2025 08:53:10 GMT")], None),  # past
        ([(b"retry-after", b"Tue, 09 Oct 2035 08:53:20 GMT")], None),  # ten years
        ([(b"retry-after", b"315360000")], None),  # ten years
        ([(b"retry-after", b"0")], None),
        ([(b"retry-after", b"-5")], None),
        ([(b"retry-after", b"abc")], None),
        ([(b"retry-after", b"nan")], None),
        ([(b"retry-after", b"inf")], None),
        ([(b"retry-after", b"1e3")], None),
        ([(b"retry-after", b"1_0")], None),
        ([(b"retry-after", b"")], None),
        ([(b"retry-after", b"9" * 5000)], None),
        ([(b"retry-after", b"\xff\xfe")], None),
        ([], None),
    ],
)
def test_forms_of_retry_after(headers: list[tuple[bytes, bytes]], expected: float | None) -> None:
    """B10: seconds, milliseconds and dates are read; past, zero, absurd and malformed values are no hint."""
    assert retry_after(answer(*headers)) == expected


def test_dates_are_read_against_the_answers_own_clock() -> None:
    """A date counts from the answer's Date header, so a wrong local clock does no harm."""
    assert retry_after(answer(DATE, (b"retry-after", b"Thu, 09 Oct 2025 08:50:42 GMT"))) == 42.0


def test_the_order_of_precedence() -> None:
    """Milliseconds before seconds before the body's hint before reset headers; an unusable one yields to the next."""
    reset = [(b"x-ratelimit-remaining-requests", b"0"), (b"x-ratelimit-reset-requests", b"4s")]
    seconds = (b"retry-after", b"3")
    assert retry_after(answer((b"retry-after-ms", b"1000"), seconds, *reset), 9.0) == 1.0
    assert retry_after(answer((b"retry-after-ms", b"junk"), seconds, *reset), 9.0) == 3.0
    assert retry_after(answer((b"retry-after", b"junk"), *reset), 9.0) == 9.0
    assert retry_after(answer(*reset)) == 4.0


def test_a_success_has_no_hint_in_its_headers() -> None:
    """Some providers send retry-after with HTTP 200: only the body's hint of an in-band error counts there."""
    assert retry_after(answer((b"retry-after", b"36"), status=200)) is None
    assert retry_after(answer((b"retry-after", b"36"), status=200), 5.0) == 5.0


@pytest.mark.parametrize(
    ("name", "reset", "expected"),
    [
        ("x-ratelimit-{}-requests", b"1h23m31s", 5011.0),
        ("x-ratelimit-{}-tokens", b"6m0s", 360.0),
        ("x-ratelimit-{}-project-tokens", b"33.023s", 33.023),
        ("x-ratelimit-{}-tokens", b"370ms", 0.37),
        ("x-ratelimit-{}-requests-day", b"12.5", 12.5),
        ("x-ratelimit-{}-requests", b"2025-10-09T08:51:00Z", 60.0),
        ("x-ratelimit-{}-requests", b"soon", None),
    ],
)
def test_reset_headers_of_openai_and_its_dialects(name: str, reset: bytes, expected: float | None) -> None:
    """A used-up limit names its reset as Go duration, seconds or instant; one with something left does not count."""
    left, until = name.format("remaining").encode(), name.format("reset").encode()
    assert retry_after(answer(DATE, (left, b"0"), (until, reset))) == expected
    assert retry_after(answer(DATE, (left, b"17"), (until, reset))) is None
    assert retry_after(answer(DATE, (left, b"0"), (until, reset), status=500)) is None


def test_reset_headers_of_anthropic() -> None:
    """RFC 3339 resets are converted with the Date header, and the latest of the used-up limits counts."""
    headers = [
        (b"anthropic-ratelimit-requests-remaining", b"0"),
        (b"anthropic-ratelimit-requests-reset", b"2025-10-09T08:50:10Z"),
        (b"anthropic-ratelimit-input-tokens-remaining", b"0"),
        (b"anthropic-ratelimit-input-tokens-reset", b"2025-10-09T08:50:55Z"),
        (b"anthropic-ratelimit-tokens-remaining", b"1000"),
        (b"anthropic-ratelimit-tokens-reset", b"2025-10-09T09:50:00Z"),
    ]
    assert retry_after(answer(DATE, *headers)) == 55.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1s", 1.0), ("34.074824224s", 34.074824224), ("900ms", 0.9), ("5\u00b5s", 5e-6), ("1h1m1s1ms", 3661.001)],
)
def test_go_durations(text: str, expected: float) -> None:
    """Go's units are summed."""
    assert go_duration(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "1", "s", "-1s", "1s ", "1s2", "1 s", "1e3s", "1d", ".5s"])
def test_go_durations_reject_leftovers(text: str) -> None:
    """What is not wholly a duration is none."""
    assert go_duration(text) is None


def test_should_retry_is_read_as_three_values() -> None:
    """x-should-retry is true, false or nothing."""
    heads = [(b"x-should-retry", b"true")], [(b"x-should-retry", b" False")], [(b"x-should-retry", b"maybe")], []
    assert [should_retry(answer(*head)) for head in heads] == [True, False, None, None]


_NAMES = st.sampled_from(
    b"retry-after retry-after-ms date x-ratelimit-remaining- x-ratelimit-reset- x-should-retry "
    b"x-ratelimit-remaining-requests x-ratelimit-reset-requests "
    b"anthropic-ratelimit-tokens-remaining anthropic-ratelimit-tokens-reset".split()
)
_VALUES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"0", b"nan", b"-inf", b"1e308", b"9999-12-31T23:59:59Z", b"0001-01-01T00:00:00+23:59"]),
    st.text("0123456789.hmsuMTZ:-+, GOctThu", max_size=40).map(str.encode),
    st.datetimes().map(lambda when: when.strftime("%a, %d %b %Y %H:%M:%S GMT").encode()),
    st.datetimes().map(lambda when: when.isoformat().encode()),
)


@settings(max_examples=1500, deadline=None)
@given(
    headers=st.lists(st.tuples(_NAMES, _VALUES), max_size=6),
    hint=st.one_of(st.none(), st.floats()),
    status=st.sampled_from([200, 429, 503, 529]),
)
def test_no_header_can_break_the_parser(headers: list[tuple[bytes, bytes]], hint: float | None, status: int) -> None:
    """B10: whatever the headers hold, the hint is None or between 0 and 24 hours."""
    seconds = retry_after(Answer(status, headers, b"", RECEIVED), hint)
    assert seconds is None or (math.isfinite(seconds) and 0.0 < seconds <= CEILING < ABSURD)
    assert should_retry(Answer(status, headers, b"", RECEIVED)) in (True, False, None)
