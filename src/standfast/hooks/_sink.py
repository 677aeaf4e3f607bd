"""Where log lines go: a file, a stream, a descriptor. Used by the writer's thread alone; may block there.

What is written comes in parts, 1,000 at most (the system takes 1,024), which leave together without being copied.
"""

import os
import select
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

STANDARD_ERROR = "-"
_WAIT_MS = 100
_MODE = 0o640


class TornError(OSError):
    """A write failed half-way: the sink holds a piece of a line."""


class DescriptorSink:
    """A descriptor that somebody else owns, for instance that of standard error."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, parts: Sequence[bytes]) -> None:
        """Write everything; waits while the reader is slow.

        Raises:
            OSError: it is broken; `TornError` if some of it had been written.
        """
        missing = whole = sum(map(len, parts))
        left: Sequence[bytes | memoryview] = parts
        try:
            while missing:
                taken = self._some(left)
                missing -= taken
                if taken and missing:
                    left = (_rest(left, taken),)
        except OSError as error:
            if missing < whole:
                raise TornError(error.errno, error.strerror) from error
            raise

    def close(self) -> None:
        """Nothing: it is not ours."""

    def _some(self, parts: Sequence[bytes | memoryview]) -> int:
        try:
            return os.writev(self._descriptor, parts)
        except BlockingIOError:  # somebody made the shared descriptor non-blocking, event loops do that
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll(_WAIT_MS)
            return 0


class FileSink:
    """A file of our own, opened for appending; opened anew when it was moved away (log rotation)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = self._open()

    def write(self, parts: Sequence[bytes]) -> None:
        """Append.

        Raises:
            OSError: the disk is full or gone; `TornError` if some of it had been written.
        """
        if self._descriptor < 0 or self._moved():
            self.close()
            self._descriptor = self._open()
        DescriptorSink(self._descriptor).write(parts)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)

    def _moved(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        here = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


class StreamSink:
    """A text stream without a descriptor, for instance one that a test looks into."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, parts: Sequence[bytes]) -> None:
        """Write and flush."""
        self._stream.write(b"".join(parts).decode())
        self._stream.flush()

    def close(self) -> None:
        """Nothing: it is not ours."""


def _rest(parts: Sequence[bytes | memoryview], taken: int) -> memoryview:
    """What is left of them; they are copied once, however small the pieces are in which the reader takes them."""
    return memoryview(parts[0] if len(parts) == 1 else b"".join(parts))[taken:]


def open_sink(target: TextIO | Path | str) -> DescriptorSink | FileSink | StreamSink:
    """The sink for a stream or a path; `-` is standard error.

    Raises:
        OSError: the file cannot be opened; better said at the start than at the first line.
    """
    if target == STANDARD_ERROR:
        target = sys.stderr
    if isinstance(target, str | Path):
        return FileSink(Path(target))
    try:
        return DescriptorSink(target.fileno())
    except (OSError, ValueError, AttributeError):
        return StreamSink(target)
