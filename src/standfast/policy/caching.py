"""How long a kept answer may be given again, and which endings of a request it may stand in for.

Theory: RFC 9111 (fresh and stale answers) and RFC 5861 (`stale-if-error`), with ages counted from the moment at which
the answer was whole.

      stored           stored + ttl                 stored + ttl + stale_if_error
        |--- fresh --------|--- stale: only in place of an error ---|--- gone
"""

from typing import Annotated

from pydantic import Field

from standfast.canon.failure import Blame, Failure
from standfast.canon.settings import Seconds, Settings

LONGEST = 7 * 24 * 3600.0
"""Seconds that an answer may be fresh, and be stale: what is kept holds what somebody was told."""

_SERVER_ERROR = 500


class CacheSettings(Settings):
    """Answers are kept and given again to the same caller for exactly the same request.

    Exactly the same: the same JSON values, numbers included, whatever the order of members and the white space; also
    under `temperature` above 0, because who turns the cache on asks for that.

    Attributes:
        ttl: how long an answer is given again without asking anybody. 0: never; with `stale_if_error` it still stands
            in for errors.
        stale_if_error: how long after that it stands in for an error (as RFC 5861's stale-if-error).
    """

    ttl: Annotated[Seconds, Field(ge=0, le=LONGEST)] = 300.0
    stale_if_error: Annotated[Seconds, Field(ge=0, le=LONGEST)] = 0.0

    @property
    def kept(self) -> float:
        """Seconds until an answer is of no use any more; 0 if nothing is to be kept."""
        return self.ttl + self.stale_if_error

    def fresh(self, age: float) -> bool:
        """May an answer of this age (seconds) be given without asking anybody?"""
        return age < self.ttl

    def usable(self, age: float) -> bool:
        """May it at least stand in for an error?"""
        return age < self.kept

    def over(self, base: "CacheSettings | None") -> "CacheSettings":
        """These laid over `base`: what is not written here stays as there."""
        if base is None:
            return self
        return base.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


def replaceable(failure: Failure | None, *, broken: bool) -> bool:
    """May something that the gateway has itself take the place of this refusal?

    Args:
        failure: how the last attempt ended; None if none was sent.
        broken: content of another answer has been delivered.

    Not after content (an answer has one source), and not where the client is at fault: a wrong request must be seen to
    be wrong. A deadline that has passed is nobody's fault, and the client still listens.
    """
    if broken:
        return False
    if failure is None:
        return True
    meaning = failure.meaning
    return meaning.blame is not Blame.NOBODY or meaning.status >= _SERVER_ERROR
