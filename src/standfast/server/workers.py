"""Several serving processes on one port: the parent only watches."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

log = logging.getLogger("standfast")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

RESTART_PAUSE = 1.0
"""Seconds between restarts of workers that die at once, so that a crash loop does not eat the machine."""


def supervise(worker: Callable[[int, bool], int], count: int) -> int:
    """Fork `count` workers, restart those that die, hand signals on; returns when all have ended after a signal.

    Each is called with its number, from 0, and whether it is started anew: then it has the number of the one before it.

    The listening socket is made before the fork, so the kernel spreads connections over the workers.
    """
    team = _Team(worker)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, team.stop)
    signal.signal(signal.SIGHUP, team.hand_on)
    for place in range(count):
        team.fork(place)
    return team.watch()


class _Leaving(BaseException):
    """Told to stop before there was anything to drain."""


class _Team:
    """The workers of one parent."""

    def __init__(self, worker: Callable[[int, bool], int]) -> None:
        self._worker = worker
        self._pids: dict[int, int] = {}  # and their numbers
        self._stopping = False

    def fork(self, number: int, *, anew: bool = False) -> None:
        """One worker more. Signals wait until the parent knows the worker, and the worker has handlers of its own."""
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid:
            self._pids[pid] = number
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            return
        os._exit(self._work(number, anew=anew))

    def _work(self, number: int, *, anew: bool) -> int:
        """The life of a worker, from the fork on; its exit code."""
        told = False

        def leave(signal_number: int, frame: FrameType | None) -> None:
            del signal_number, frame
            nonlocal told
            told = True
            for each in (signal.SIGTERM, signal.SIGINT):
                signal.signal(each, signal.SIG_IGN)  # a second one must not meet the first one's way out
            raise _Leaving

        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a worker that starts reads the newest file anyway
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, leave)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # what came meanwhile comes here
            return self._worker(number, anew)
        except BaseException:
            if told:  # whatever became of the exception on its way here
                return 0
            log.exception("worker %d failed", os.getpid())
            return 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def watch(self) -> int:
        """Wait for workers to end; restart them until told to stop."""
        worst = 0
        while self._pids:
            try:
                pid, status = os.wait()
            except InterruptedError:
                continue
            number = self._pids.pop(pid, 0)
            code = os.waitstatus_to_exitcode(status)
            if self._stopping:
                worst = max(worst, abs(code))
                continue
            log.error("worker %d ended with %d; starting another", pid, code)
            time.sleep(RESTART_PAUSE)
            if not self._stopping:
                self.fork(number, anew=True)
        return worst

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Drain all workers."""
        self._stopping = True
        self.hand_on(number, frame)

    def hand_on(self, number: int, frame: FrameType | None) -> None:
        """Give every worker the same signal."""
        del frame
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
