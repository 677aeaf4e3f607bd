"""The head of an upstream's answer, taken apart when somebody looks at its headers; most answers' nobody does.

The parser has read these bytes in its strict mode (no folded line, no bare line end, no space before a colon) and knows
where the body ends. So they are cut here where it has cut them: at CRLF, and at the first colon of a line.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

CODED: Final = b"-encoding:"
"""In a lower-case head without it no coding is named, of the transfer or of the content."""
CHUNKED: Final = b"\ntransfer-encoding: chunked\r\n"
"""Where it is the only one, the body stands as it is between the chunks' sizes."""
_BLANK: Final = b" \t"
_CR: Final = ord("\r")


class AnswerHead(msgspec.Struct, eq=False):
    """A collection of header lines: names in lower case, values as they came but for the blanks around them.

    Attributes:
        raw: from the status line to the end of the last header line, without the empty line.
        lower: the same in lower case.
    """

    raw: bytes
    lower: bytes
    _lines: list[tuple[bytes, bytes]] | None = None

    @property
    def framed(self) -> bool:
        """It says where the body ends, unless the status says that there is none."""
        lower = self.lower
        return lower.find(b"\ntransfer-encoding:") >= 0 or lower.find(b"\ncontent-length:") >= 0

    def word(self, name: bytes) -> bytes:
        """The value of the first header of this name, both in lower case; empty if there is none."""
        _, found, rest = self.lower.partition(b"\n%b:" % name)
        return rest.partition(b"\r\n")[0].strip(_BLANK) if found else b""

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
    for line in raw.split(b"\r\n")[1:-1]:
        name, _, value = line.partition(b":")
        lines.append((name.lower(), value.strip(_BLANK)))
    return lines


def cut(seen: bytes | bytearray, start: int) -> tuple[bytes, int]:
    """The head that begins at `start` in what was seen of an answer, and where it ends, the empty line included.

    As the parser does, line ends before a status line are passed over.

    Raises:
        ValueError, IndexError: there is none that is complete.
    """
    while seen[start] <= _CR:
        start += 1
    end = seen.index(b"\r\n\r\n", start)
    head = seen[start : end + 2]
    return head if isinstance(head, bytes) else bytes(head), end + 4
