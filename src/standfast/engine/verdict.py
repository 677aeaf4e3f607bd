"""What a complete answer with a success status is worth: a reply for the client, or which failure it is."""

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.usage import Usage
from standfast.clock import Clock
from standfast.formats._translate import translate_reply
from standfast.formats.base import Format


class Unclassified(Exception):
    """The answer is an error of the provider's; it says which.

    Attributes:
        body: the JSON text of the error.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__("an error with status 200")
        self.body = body


def verdict(  # noqa: PLR0917 - one caller, on every request: keywords cost more
    upstream: Format, client: Format, body: bytes, stream: bool, status: int, clock: Clock
) -> tuple[Failure | None, bytes, Usage | None]:
    """Judge a whole reply and write it as the client wants it.

    Returns:
        What is wrong with it (None for nothing), the client's body, and the usage that it reports.

    Raises:
        Unclassified: it is an error in the provider's own words.
    """
    if upstream is client:
        facts, out = upstream.inspect_reply(body), body
    else:
        out, facts = translate_reply(upstream, client, body, created=int(clock.wall()))
    if facts.error is not None:
        raise Unclassified(facts.error)
    malformed = facts.malformed or ("a whole reply where a stream was asked for" if stream else "")
    if malformed:
        return Failure(FailureKind.INVALID_REPLY, malformed, status=status), b"", facts.usage
    if facts.empty:
        return Failure(FailureKind.EMPTY_REPLY, "reply without content", status=status), b"", facts.usage
    return None, out, facts.usage
