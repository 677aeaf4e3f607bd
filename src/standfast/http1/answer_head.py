"""The head of an upstream's answer, taken apart when somebody looks at its headers; most answers' nobody does.

The parser has read these bytes in its strict mode (no folded line, no bare line end, no space before a colon) and knows
where the body ends. So they are cut here where it has cut them: at CRLF, and at the first colon of a line.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

CODED: Final = b"-encoding:"
"""In a lower-case head without it no coding is named, of the transfer or of the content."""
_FRAMES: Final = (b"\ncontent-length:", b"\ntransfer-encoding:")
_BLANK: Final = b" \t"


class AnswerHead(msgspec.Struct, eq=False):
    """A collection of header lines: names in lower case, values as they came but for the blanks around them.

    Attributes:
        raw: from the status line to the last header line, without the empty line.
        lower: the same in lower case.
    """

    raw: bytes
    lower: bytes
    _lines: list[tuple[bytes, bytes]] | None = None

    @property
    def framed(self) -> bool:
        """It says where the body ends, unless the status says that there is none."""
        return any(self.lower.find(frame) >= 0 for frame in _FRAMES)

    def without(self, *names: bytes) -> "AnswerHead":
        """The same with these headers left out, for whoever iterates over them."""
        return AnswerHead(self.raw, self.lower, [line for line in self if line[0] not in names])

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        lines = self._lines
        if lines is None:
            self._lines = lines = _lines(self.raw)
        return iter(lines)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, line: object) -> bool:
        return any(line == each for each in self)


def _lines(raw: bytes) -> list[tuple[bytes, bytes]]:
    lines = []
    for line in raw.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        lines.append((name.lower(), value.strip(_BLANK)))
    return lines


def last_head(seen: bytes | bytearray, before: int) -> bytes | None:
    """The head in what was seen of an answer, `before` interim ones behind; None if there is none.

    As the parser does, line ends before a status line are passed over.
    """
    if isinstance(seen, bytearray):
        seen = bytes(seen)
    rest = seen.lstrip(b"\r\n")
    while before:
        rest = rest.partition(b"\r\n\r\n")[2].lstrip(b"\r\n")
        before -= 1
    end = rest.find(b"\r\n\r\n")
    return rest[:end] if end >= 0 else None
