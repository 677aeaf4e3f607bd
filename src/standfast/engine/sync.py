"""The gateway for code without an event loop: the same methods, blocking."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from standfast.engine.considering import Decision
from standfast.engine.gateway import CheckKind, Gateway, Message
from standfast.engine.inquiry import NO_CONTROLS, Controls
from standfast.engine.reply import Reply
from standfast.engine.target_report import TargetReport
from standfast.hooks.base import Hook

T = TypeVar("T")


class SyncGateway:
    """A `Gateway` on a thread of its own. Safe to use from several threads; close it, best with `with`.

    Args:
        source: a YAML or TOML file, or a mapping of the same shape.
        hooks: listeners.

    Raises:
        ConfigError: with every problem of the configuration.
    """

    def __init__(self, source: str | Path | Mapping[str, object], *, hooks: Iterable[Hook] = ()) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="standfast", daemon=True)
        self._thread.start()
        try:
            self._gateway = self._run(self._make(source, hooks))
        except BaseException:
            self._stop()
            raise

    @classmethod
    def from_config(cls, source: str | Path | Mapping[str, object], *, hooks: Iterable[Hook] = ()) -> Self:
        """The same as the constructor, named as in `Gateway`."""
        return cls(source, hooks=hooks)

    def chat(
        self, model: str, messages: Sequence[Message], *, controls: Controls = NO_CONTROLS, **params: object
    ) -> Reply:
        """Ask for a whole answer; see `Gateway.chat`."""
        return self._run(self._gateway.chat(model, messages, controls=controls, **params))

    def stream(
        self, model: str, messages: Sequence[Message], *, controls: Controls = NO_CONTROLS, **params: object
    ) -> Iterator[str]:
        """Ask for an answer piece by piece; see `Gateway.stream`."""
        pieces = self._gateway.stream(model, messages, controls=controls, **params)
        try:
            while (piece := self._run(_next(pieces))) is not None:
                yield piece
        finally:
            self._run(_close(pieces))

    def explain(
        self, model: str, messages: Sequence[Message], *, controls: Controls = NO_CONTROLS, **params: object
    ) -> Decision:
        """Where a chat would go now and why; see `Gateway.explain`."""

        async def explained() -> Decision:
            return self._gateway.explain(model, messages, controls=controls, **params)

        return self._run(explained())

    def force_breaker(self, deployment: str, state: Literal["open", "closed"] | None) -> None:
        """An operator's word about one target's breaker; see `Gateway.force_breaker`."""

        async def forced() -> None:
            self._gateway.force_breaker(deployment, state)

        self._run(forced())

    def check(self, kind: CheckKind = "ping") -> list[TargetReport]:
        """Check every configured target now; see `Gateway.check`."""
        return self._run(self._gateway.check(kind))

    def close(self) -> None:
        """Close the gateway and its thread."""
        if self._thread.is_alive():
            self._run(self._gateway.close())
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _make(self, source: str | Path | Mapping[str, object], hooks: Iterable[Hook]) -> Gateway:
        gateway = Gateway.from_config(source, hooks=hooks)
        gateway.checking.start()
        return gateway

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(pieces: AsyncIterator[str]) -> str | None:
    return await anext(pieces, None)


async def _close(pieces: AsyncIterator[str]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()
