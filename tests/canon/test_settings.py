"""Settings: durations as people write them, no unknown names, frozen."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from standfast.canon.settings import Seconds, Settings, parse_duration


class Example(Settings):
    """A room's settings."""

    wait: Seconds = 1.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("3s", 3.0),
        ("1m30s", 90.0),
        ("15m", 900.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("100us", 0.0001),
        ("1.5h", 5400.0),
        ("1h2m3s4ms", 3723.004),
        (" 3S ", 3.0),
        ("2", 2.0),
        ("0.5", 0.5),
        ("0s", 0.0),
        (7, 7.0),
        (0.25, 0.25),
    ],
)
def test_durations_are_read_as_people_write_them(text: object, seconds: float) -> None:
    """Numbers are seconds, text may have units, and units may be put together."""
    assert parse_duration(text) == pytest.approx(seconds)
    assert Example.model_validate({"wait": text}).wait == pytest.approx(seconds)


@pytest.mark.parametrize(
    "wrong", ["", "s", "3 s", "3x", "1m 30s", "ms250", "3s!", "1m30", "-3s", "three", "3,5s", "1.s"]
)
def test_what_is_not_a_duration_is_an_error_that_shows_one(wrong: str) -> None:
    """Nothing is guessed: the message shows what is right."""
    with pytest.raises(ValueError, match=r"250ms, 3s or 1m30s"):
        parse_duration(wrong)


@pytest.mark.parametrize("wrong", [True, False, None, [], {}, b"3s"])
def test_only_numbers_and_text_are_durations(wrong: object) -> None:
    """`yes` in YAML is not one second."""
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(wrong)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
@settings(deadline=None)
def test_units_add_up(hours: int, minutes: int, seconds: int, millis: int) -> None:
    """The parts of a duration are summed."""
    text = f"{hours}h{minutes}m{seconds}s{millis}ms"
    assert parse_duration(text) == pytest.approx(hours * 3600 + minutes * 60 + seconds + millis / 1000)


@given(st.text(max_size=12))
@settings(deadline=None)
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    """No text makes anything but a float or the one error that pydantic collects."""
    try:
        read: object = parse_duration(text)
    except ValueError as error:
        read = str(error)
    assert isinstance(read, float) or "is not a duration; write 250ms" in str(read)


@given(st.floats(allow_nan=False))
@settings(deadline=None)
def test_numbers_stay_what_they_are(number: float) -> None:
    """A number is seconds already; ranges are the business of the setting."""
    assert math.isclose(parse_duration(number), number) or math.isinf(number)


def test_an_unknown_name_is_an_error() -> None:
    """A misspelt setting is never ignored."""
    with pytest.raises(ValidationError, match="wiat"):
        Example.model_validate({"wiat": "3s"})


def test_settings_are_frozen() -> None:
    """What was validated stays as it was; a reload makes new ones."""
    with pytest.raises(ValidationError, match="frozen"):
        Example().wait = 3.0


def test_defaults_are_validated_too() -> None:
    """A wrong default is found when the settings are made, not when it hurts."""

    class Wrong(Settings):
        wait: Seconds = "soon"  # type: ignore[assignment]

    with pytest.raises(ValidationError, match="not a duration"):
        Wrong()
