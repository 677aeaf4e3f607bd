"""The gateway for code without an event loop: the same methods, blocking."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast

from standfast.config.schema import Config
from standfast.engine.chats import Message
from standfast.engine.considering import Decision
from standfast.engine.gateway import CheckKind, Gateway
from standfast.engine.inquiry import NO_CONTROLS, Controls
from standfast.engine.portrait import Portrait
from standfast.engine.reply import Reply
from standfast.engine.target_report import TargetReport
from standfast.hooks.base import Hook

T = TypeVar("T")

_END = object()


class SyncGateway:
    """A `Gateway` on a thread of its own, with the same methods but `submit`, which answers inside the event loop.

    Safe to use from several threads; close it, best with `with`.

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
        self,
        model: str,
        messages: Sequence[Message],
        *,
        session: str = "",
        controls: Controls = NO_CONTROLS,
        **params: object,
    ) -> Reply:
        """Ask for a whole answer; see `Gateway.chat`."""
        return self._run(self._gateway.chat(model, messages, session=session, controls=controls, **params))

    def stream(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        session: str = "",
        controls: Controls = NO_CONTROLS,
        **params: object,
    ) -> Iterator[str]:
        """Ask for an answer piece by piece; see `Gateway.stream`."""
        yield from self._each(self._gateway.stream(model, messages, session=session, controls=controls, **params))

    def explain(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        session: str = "",
        controls: Controls = NO_CONTROLS,
        **params: object,
    ) -> Decision:
        """Where a chat would go now and why; see `Gateway.explain`."""
        return self._call(lambda: self._gateway.explain(model, messages, session=session, controls=controls, **params))

    def reload(self, config: Config) -> tuple[str, ...]:
        """Serve new requests by this configuration; see `Gateway.reload`."""
        return self._call(lambda: self._gateway.reload(config))

    def cut_off(self) -> None:
        """End everything under way with an explicit error; see `Gateway.cut_off`."""
        self._call(self._gateway.cut_off)

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._call(lambda: self._gateway.in_flight)

    def breaker_states(self) -> dict[str, str]:
        """State of every breaker by `provider/model`."""
        return self._call(self._gateway.breaker_states)

    def force_breaker(self, deployment: str, state: Literal["open", "closed"] | None, *, by: str = "") -> None:
        """An operator's word about one target's breaker; see `Gateway.force_breaker`."""
        self._call(lambda: self._gateway.force_breaker(deployment, state, by=by))

    def availability(self) -> dict[str, dict[str, float | None]]:
        """For each model and target: seconds until it may be asked; see `Gateway.availability`."""
        return self._call(self._gateway.availability)

    def health(self) -> list[TargetReport]:
        """How every configured target is, as far as it is known; asks nobody."""
        return self._call(self._gateway.health)

    def portraits(self) -> dict[str, Portrait]:
        """How busy every configured target is and what is left of its limits; see `Gateway.portraits`."""
        return self._call(self._gateway.portraits)

    def check(self, kind: CheckKind = "ping", targets: Collection[str] | None = None) -> list[TargetReport]:
        """Check configured targets now; see `Gateway.check`."""
        return self._run(self._gateway.check(kind, targets))

    def checks(self, kind: CheckKind = "ping", targets: Collection[str] | None = None) -> Iterator[TargetReport]:
        """The same, each report as soon as it is there; see `Gateway.checks`."""
        return self._each(self._gateway.checks(kind, targets))

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

    def _call(self, work: Callable[[], T]) -> T:
        """Do it on the gateway's thread."""

        async def done() -> T:
            return work()

        return self._run(done())

    def _each(self, items: AsyncIterator[T]) -> Iterator[T]:
        try:
            while (item := self._run(_next(items))) is not _END:
                yield item
        finally:
            self._run(_close(items))

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(items: AsyncIterator[T]) -> T:
    """The next one; `_END` after the last."""
    return await anext(items, cast("T", _END))


async def _close(items: AsyncIterator[T]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
