"""Where log lines go: a file, a stream, a descriptor. Used by the writer's thread alone; may block there."""

import os
import select
import sys
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

    def write(self, data: bytes) -> None:
        """Write everything; waits while the reader is slow.

        Raises:
            OSError: it is broken; `TornError` if a part had been written.
        """
        written = 0
        try:
            while written < len(data):
                written += self._some(data[written:] if written else data)
        except OSError as error:
            if written:
                raise TornError(error.errno, error.strerror) from error
            raise

    def close(self) -> None:
        """Nothing: it is not ours."""

    def _some(self, data: bytes) -> int:
        try:
            return os.write(self._descriptor, data)
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

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            OSError: the disk is full or gone; `TornError` if a part had been written.
        """
        if self._descriptor < 0 or self._moved():
            self.close()
            self._descriptor = self._open()
        DescriptorSink(self._descriptor).write(data)

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

    def write(self, data: bytes) -> None:
        """Write and flush."""
        self._stream.write(data.decode())
        self._stream.flush()

    def close(self) -> None:
        """Nothing: it is not ours."""


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
