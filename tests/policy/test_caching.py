"""How long a kept answer is good for, and what it may stand in for."""

import pytest
from pydantic import ValidationError

from standfast.canon.failure import MEANING, Failure, FailureKind
from standfast.policy.caching import LONGEST, CacheSettings, replaceable
from standfast.policy.fallback import MESSAGE_CHARS, FallbackSettings


def test_the_ages_of_an_answer() -> None:
    """Fresh until `ttl`, in place of an error until `stale_if_error` after that, then gone; ends are exclusive."""
    settings = CacheSettings(ttl=10.0, stale_if_error=5.0)
    table = [(age, settings.fresh(age), settings.usable(age)) for age in (0.0, 9.9, 10.0, 14.9, 15.0)]
    assert table == [
        (0.0, True, True),
        (9.9, True, True),
        (10.0, False, True),
        (14.9, False, True),
        (15.0, False, False),
    ]
    assert settings.kept == 15.0


def test_without_ttl_an_answer_only_stands_in_for_errors() -> None:
    """`ttl: 0` with `stale_if_error` never answers at once; both 0 keep nothing."""
    only_errors = CacheSettings(ttl=0.0, stale_if_error=60.0)
    assert not only_errors.fresh(0.0)
    assert only_errors.usable(0.0)
    off = CacheSettings(ttl=0.0)
    assert (off.kept, off.fresh(0.0), off.usable(0.0)) == (0.0, False, False)


@pytest.mark.parametrize("name", ["ttl", "stale_if_error"])
@pytest.mark.parametrize("value", [-1, LONGEST + 1, "8d", "for ever"])
def test_nothing_is_kept_for_ever(name: str, value: object) -> None:
    """What is kept holds what somebody was told; its time is bounded."""
    with pytest.raises(ValidationError):
        CacheSettings.model_validate({name: value})


def test_layers_replace_only_what_they_write() -> None:
    """A model's `cache` lies over the default one."""
    base = CacheSettings(ttl=60.0, stale_if_error=3600.0)
    assert CacheSettings(ttl=1.0).over(base) == CacheSettings(ttl=1.0, stale_if_error=3600.0)
    assert CacheSettings(ttl=1.0).over(None) == CacheSettings(ttl=1.0)


THE_CLIENTS_OWN = {
    FailureKind.CONTEXT_TOO_LONG,
    FailureKind.CONTENT_FILTERED,
    FailureKind.INVALID_REQUEST,
    FailureKind.PAYLOAD_TOO_LARGE,
    FailureKind.CLIENT_CANCELLED,
}


@pytest.mark.parametrize("kind", FailureKind)
def test_a_wrong_request_is_told_that_it_is_wrong(kind: FailureKind) -> None:
    """D5: failures of upstreams may be replaced, and a deadline that passed; never the client's own mistakes."""
    assert kind in MEANING
    assert replaceable(Failure(kind), broken=False) is (kind not in THE_CLIENTS_OWN)


@pytest.mark.parametrize("failure", [None, *map(Failure, FailureKind)])
def test_nothing_follows_content(failure: Failure | None) -> None:
    """G3: once content of an answer has been delivered nothing else takes its place."""
    assert not replaceable(failure, broken=True)


def test_when_nobody_could_be_asked() -> None:
    """D5: with every breaker open there is no failure to look at; what is kept may answer."""
    assert replaceable(None, broken=False)


def test_a_message_has_an_end() -> None:
    """The message is bounded, and must be written."""
    assert FallbackSettings(message="x" * MESSAGE_CHARS).message
    for wrong in ({"message": "x" * (MESSAGE_CHARS + 1)}, {}, {"message": 5}):
        with pytest.raises(ValidationError):
            FallbackSettings.model_validate(wrong)
