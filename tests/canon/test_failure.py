"""The failure table: complete, and in itself consistent."""

from types import MappingProxyType

import pytest

from standfast.canon.failure import MEANING, Blame, Cooldown, Failure, FailureKind, Meaning, SameTarget

K = FailureKind

every_row = pytest.mark.parametrize("kind", FailureKind)


def others(meaning: Meaning) -> tuple[bool, bool, bool]:
    """What else may be tried: another key, another deployment, another model."""
    return meaning.other_key, meaning.other_deployment, meaning.other_model


def kinds(where: str) -> set[FailureKind]:
    """The kinds for which a column is true."""
    return {kind for kind, meaning in MEANING.items() if getattr(meaning, where)}


def test_every_kind_has_its_row() -> None:
    """The table is the one place, so it is whole; and nobody can change it."""
    assert set(MEANING) == set(FailureKind)
    assert isinstance(MEANING, MappingProxyType)


@every_row
def test_every_row_helps_the_reader(kind: FailureKind) -> None:
    """A status that a client understands, and one sentence of advice."""
    meaning = MEANING[kind]
    assert 400 <= meaning.status <= 599
    assert meaning.advice.endswith(".")
    assert meaning.advice[0].isupper()


@every_row
def test_only_ill_health_trips_a_breaker(kind: FailureKind) -> None:
    """Rate limits, bad keys and the client's own mistakes never open a breaker (429 is not ill health)."""
    meaning = MEANING[kind]
    if meaning.blame in {Blame.KEY, Blame.NOBODY}:
        assert not meaning.trips_breaker


@every_row
def test_nobodys_failure_rests_nobody(kind: FailureKind) -> None:
    """B3, B5: what the client did wrong costs exactly one attempt and leaves no trace in anybody's health."""
    meaning = MEANING[kind]
    if meaning.blame is Blame.NOBODY:
        assert meaning.cooldown is Cooldown.NONE
        assert meaning.same_target is SameTarget.NEVER
        assert others(meaning) == (False, False, False)
        assert not meaning.ambiguous


@every_row
def test_everybody_elses_failure_can_be_served_elsewhere(kind: FailureKind) -> None:
    """Whoever else is to blame, another deployment and another model may answer; another key if it was the key."""
    meaning = MEANING[kind]
    if meaning.blame is not Blame.NOBODY:
        assert others(meaning) == (meaning.blame is Blame.KEY, True, True)


@every_row
def test_a_hint_is_waited_for_where_it_makes_the_rest(kind: FailureKind) -> None:
    """Asking the same target again after a hint goes together with a cooldown from that hint."""
    meaning = MEANING[kind]
    assert (meaning.same_target is SameTarget.HINT) == (meaning.cooldown is Cooldown.HINT)


@every_row
def test_what_a_human_must_mend_is_not_repeated(kind: FailureKind) -> None:
    """B6, B8, B12: a long rest means that the same target is not asked again within the request."""
    meaning = MEANING[kind]
    if meaning.cooldown is Cooldown.LONG:
        assert meaning.same_target is SameTarget.NEVER
        assert not meaning.trips_breaker


@every_row
def test_an_upstream_key_problem_is_not_the_clients(kind: FailureKind) -> None:
    """B6: an upstream 401 or 403 is never shown as the client's own."""
    assert MEANING[kind].status not in {401, 402, 403}


def test_the_columns_that_cost_money_or_health() -> None:
    """Changing what may have been billed, what trips, or what rests for long is a decision, not an accident."""
    assert kinds("ambiguous") == {K.FIRST_TOKEN_TIMEOUT, K.STALLED, K.BROKEN_STREAM}
    assert kinds("trips_breaker") == {
        K.CONNECT_FAILED,
        K.CONNECT_TIMEOUT,
        K.FIRST_TOKEN_TIMEOUT,
        K.STALLED,
        K.BROKEN_STREAM,
        K.SERVER_ERROR,
        K.OVERLOADED,
        K.EMPTY_REPLY,
        K.INVALID_REPLY,
    }
    assert {kind for kind, meaning in MEANING.items() if meaning.cooldown is Cooldown.LONG} == {
        K.QUOTA_EXHAUSTED,
        K.AUTH_FAILED,
        K.FORBIDDEN,
        K.MODEL_NOT_FOUND,
    }


@every_row
@pytest.mark.parametrize("sent", [False, True])
def test_what_was_not_sent_was_not_billed(kind: FailureKind, sent: bool) -> None:
    """A6: a failure is ambiguous only if its row says so and the request had been written completely."""
    assert Failure(kind, sent=sent).ambiguous == (sent and MEANING[kind].ambiguous)


@every_row
def test_a_failure_knows_its_row(kind: FailureKind) -> None:
    """The meaning of a failure is the row of its kind, whatever else it says."""
    assert Failure(kind, "detail", 503, 2.0, "code").meaning is MEANING[kind]
