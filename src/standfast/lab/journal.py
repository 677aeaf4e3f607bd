"""What the stand-in providers saw and did: one entry for each request, and what they would bill."""

import hashlib
from collections import Counter, deque
from collections.abc import Iterator

import msgspec

SECRET = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie"})
"""Headers whose values are never kept; the entry's `key` shows the last four characters."""


class Entry(msgspec.Struct):
    """One request. Instants in seconds since the lab started.

    Attributes:
        number: 1, 2, 3 ... over all providers.
        provider: the port that took it.
        wire: whose API was called; empty for an unknown path.
        arrived: when the request was complete.
        method: HTTP method.
        path: without the query.
        model: as asked for, without a fault suffix.
        key: last four characters of the API key.
        stream: a stream was asked for.
        attempt: value of `x-standfast-attempt`, else of `x-request-id`.
        headers: names in lower case, in their order; secret values replaced by their last four characters.
        size: bytes of the request body.
        sha256: of the whole request body.
        body: the request body, cut to the lab's `kept_body`.
        fault: the fault that was met, in JSON; empty for none.
        status: of the answer; 0 if there was none.
        head_at: when the first byte was written, or None.
        sent: bytes written.
        peer_closed: the peer closed before the answer was complete.
        closed_how: `eof` or `reset`, if it did.
        closed_after: seconds from the first byte written (else from arrival) until it did.
        input_tokens: billed.
        output_tokens: billed.
        outcome: `open`, `answered`, `refused` (status 400 and above), `cut`, `reset` or `peer_closed`.
    """

    number: int
    provider: str
    wire: str
    arrived: float
    method: str
    path: str
    model: str = ""
    key: str = ""
    stream: bool = False
    attempt: str = ""
    headers: list[tuple[str, str]] = []
    size: int = 0
    sha256: str = ""
    body: bytes = b""
    fault: str = ""
    status: int = 0
    head_at: float | None = None
    sent: int = 0
    peer_closed: bool = False
    closed_how: str = ""
    closed_after: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    outcome: str = "open"


class Counters(msgspec.Struct):
    """Totals of one provider since the lab started."""

    connections: int = 0
    open_connections: int = 0
    requests: int = 0
    open_requests: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    input_tokens: int = 0
    output_tokens: int = 0


class Journal:
    """The last entries, oldest first; iterable, indexable, bounded."""

    def __init__(self, size: int, kept_body: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._kept_body = kept_body
        self._number = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Entry:
        return self._entries[index]

    def clear(self) -> None:
        """Forget all entries; numbers go on."""
        self._entries.clear()

    def of(self, provider: str) -> list[Entry]:
        """The entries of one provider, oldest first."""
        return [entry for entry in self._entries if entry.provider == provider]

    def find(self, attempt: str) -> list[Entry]:
        """The entries of one attempt id; more than one is a defect of the caller."""
        return [entry for entry in self._entries if entry.attempt == attempt]

    def open(  # noqa: PLR0917 - one caller, on every request
        self, provider: str, arrived: float, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> Entry:
        """A new entry."""
        self._number += 1
        found = dict(headers)
        entry = Entry(
            self._number,
            provider,
            "",
            arrived,
            method,
            path,
            attempt=found.get("x-standfast-attempt", "") or found.get("x-request-id", ""),
            headers=[(name, mask(value) if name in SECRET else value) for name, value in headers],
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            body=body[: self._kept_body],
        )
        self._entries.append(entry)
        return entry


def mask(secret: str) -> str:
    """The last four characters of a secret long enough to hide the others, else none."""
    return f"...{secret[-4:]}" if len(secret) >= 8 else "..."  # noqa: PLR2004 - twice what is shown


def fingerprint(key: str) -> str:
    """The last four characters of a key; empty without a key."""
    return key[-4:]
