"""Removing a content coding from a reply that should not have one (we ask for `identity`).

The rules against decompression bombs: the output is taken in bounded steps, so that nothing is inflated before somebody
wants it, and the whole may not be larger than the cap. A coded body that stops early or goes on after its end is an
invalid reply, never a short one.
"""

import zlib

STEP = 64 * 1024
"""Most bytes that one `pull` gives."""

_GZIP_WBITS = 31
_ZLIB_WBITS = 15
_RAW_WBITS = -15
_MEMBERS = 64  # RFC 1952 allows several members one after the other; nobody who means well sends many
_DEFLATE_METHOD = 8


class ContentError(Exception):
    """The body is not what its content-encoding says, or too large."""


class Decoder:
    """Inflates `gzip`, `x-gzip` and `deflate` (RFC 9110, section 8.4.1) step by step.

    Args:
        coding: the lower-case name of the coding.
        cap: most bytes that the whole body may have, inflated.

    Raises:
        ContentError: the coding is not known.
    """

    __slots__ = ("_cap", "_gzip", "_inflate", "_members", "_pending", "_total")

    def __init__(self, coding: bytes, cap: int) -> None:
        if coding not in (b"gzip", b"x-gzip", b"deflate"):
            raise ContentError("unknown content-encoding")
        self._gzip = coding != b"deflate"
        self._cap = cap
        self._total = 0
        self._members = 1
        self._pending = b""
        # Some servers send `deflate` without its zlib wrapper; the first two bytes tell, so wait for them.
        self._inflate = zlib.decompressobj(_GZIP_WBITS) if self._gzip else None

    def push(self, data: bytes) -> None:
        """Take the next coded bytes; they are inflated by `pull`."""
        self._pending = self._pending + data if self._pending else data

    def pull(self) -> bytes:
        """At most `STEP` inflated bytes; empty if more input is needed.

        Raises:
            ContentError: corrupt, surplus bytes after the end, or over the cap.
        """
        while self._pending:
            if self._inflate is None:
                if len(self._pending) < 2:  # noqa: PLR2004 - the two bytes of the zlib header
                    return b""
                self._inflate = zlib.decompressobj(_wbits(self._pending))
            if self._inflate.eof:
                self._next_member()
            try:
                data = self._inflate.decompress(self._pending, min(STEP, self._cap - self._total + 1))
            except zlib.error:
                raise ContentError("corrupt content-encoding") from None
            self._pending = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if data:
                self._total += len(data)
                if self._total > self._cap:
                    raise ContentError(f"more than {self._cap} bytes, decompressed")
                return data
        return self._held_back()

    def _held_back(self) -> bytes:
        """What zlib keeps when the last step filled its output buffer exactly and took all its input."""
        if self._inflate is None or self._inflate.eof:
            return b""
        data = self._inflate.decompress(b"", min(STEP, self._cap - self._total + 1))
        self._total += len(data)
        if self._total > self._cap:
            raise ContentError(f"more than {self._cap} bytes, decompressed")
        return data

    def _next_member(self) -> None:
        self._members += 1
        if not self._gzip or self._members > _MEMBERS:
            raise ContentError("surplus bytes after the coded body")
        self._inflate = zlib.decompressobj(_GZIP_WBITS)

    def finish(self) -> None:
        """The coded body has ended; call it when `pull` gives nothing more.

        Raises:
            ContentError: the body stopped before its end.
        """
        if self._pending or self._inflate is None or not self._inflate.eof:
            raise ContentError("truncated content-encoding")


def _wbits(start: bytes) -> int:
    """Does the stream begin with a zlib header (RFC 1950, section 2.2)?"""
    wrapped = start[0] & 15 == _DEFLATE_METHOD and (start[0] << 8 | start[1]) % 31 == 0
    return _ZLIB_WBITS if wrapped else _RAW_WBITS
