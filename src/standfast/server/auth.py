"""Who calls: from a client key to a name.

Only SHA-256 digests of keys are kept. The first bytes of a digest find the entry, the whole digest is compared in
constant time: how long a refusal takes tells nothing about a key.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from standfast.errors import Unauthorized

_BEARER = b"bearer "
INDEX_BYTES = 8


class Callers:
    """The client keys of one configuration.

    Args:
        keys: pairs of name and key. None at all leaves the door open.
    """

    __slots__ = ("_entries",)

    def __init__(self, keys: Iterable[tuple[str, str]]) -> None:
        self._entries: dict[bytes, list[tuple[bytes, str]]] = {}
        for name, key in keys:
            digest = hashlib.sha256(key.encode()).digest()
            self._entries.setdefault(digest[:INDEX_BYTES], []).append((digest, name))

    @property
    def open(self) -> bool:
        """No keys are configured: everybody may come in."""
        return not self._entries

    def name(self, headers: Mapping[bytes, bytes]) -> str:
        """The caller's name; empty when the door is open.

        The key is taken from `Authorization: Bearer`, `x-api-key` or `x-goog-api-key`, as the SDKs send it.

        Raises:
            Unauthorized: no key, or an unknown one.
        """
        if not self._entries:
            return ""
        key = _key(headers)
        if not key:
            raise Unauthorized("No key given. Send it as 'Authorization: Bearer <key>' or 'x-api-key: <key>'.")
        digest = hashlib.sha256(key).digest()
        for known, name in self._entries.get(digest[:INDEX_BYTES], ()):
            if hmac.compare_digest(known, digest):
                return name
        raise Unauthorized("Unknown key. Keys are listed under 'keys:' in the gateway's configuration.")


def _key(headers: Mapping[bytes, bytes]) -> bytes:
    authorization = headers.get(b"authorization", b"")
    if authorization[:7].lower() == _BEARER:
        return authorization[7:].strip()
    return headers.get(b"x-api-key") or headers.get(b"x-goog-api-key") or b""
