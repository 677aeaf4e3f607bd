"""The lab: stand-in providers on their ports, one journal, one control API."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from types import TracebackType
from typing import Self

from standfast.lab.connection import Connection, Deps
from standfast.lab.control import EVERYONE, Control
from standfast.lab.journal import Journal
from standfast.lab.listener import Listener
from standfast.lab.performing import Door
from standfast.lab.provider import Provider
from standfast.lab.settings import LabSettings


class Lab:
    """Stand-in providers; `async with Lab() as lab`, or `start` and `stop`.

    Args:
        settings: providers, models, limits.
        ports: provider -> port, over the settings; 0 for a free one.
        now: seconds of a clock that only grows, for flapping, limits and the journal; the event loop's if left out.
            Delays run on the event loop in any case.

    Raises:
        LookupError: `ports` names a provider that the settings do not have.
    """

    def __init__(
        self,
        settings: LabSettings | None = None,
        *,
        ports: Mapping[str, int] | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.settings = settings or LabSettings()
        unknown = set(ports or {}) - set(self.settings.providers)
        if unknown:
            raise LookupError(f"no provider {min(unknown)!r}; known: {', '.join(self.settings.providers)}")
        self.journal = Journal(self.settings.journal, self.settings.kept_body)
        self._ports = ports or {}
        self._clock = now
        self._began = 0.0
        self._providers: dict[str, Provider] = {}
        self._listeners: list[Listener] = []
        self._live: dict[str, set[Connection]] = {}

    async def start(self) -> Self:
        """Open the ports.

        Raises:
            OSError: a port is taken; none stays open.
            RuntimeError: the lab runs already.
        """
        if self._listeners:
            raise RuntimeError("the lab runs already")
        now = self._clock or asyncio.get_running_loop().time
        self._began = now()
        elapsed = partial(self._elapsed, now)
        rng = Random(self.settings.seed)  # noqa: S311 - seeded faults, not secrets
        control = Control(self._providers, self.journal)
        try:
            for name, settings in self.settings.providers.items():
                provider = Provider(name, settings, elapsed, rng)
                deps = Deps(provider, self.journal, control, elapsed, self.settings.body_bytes)
                live = self._live.setdefault(name, set())
                listener = Listener(partial(Connection, deps, live))
                self._listeners.append(listener)
                provider.port = listener.bind(self.settings.host, self._ports.get(name, settings.port))
                host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
                provider.url = f"http://{host}:{provider.port}"
                provider.on_change = partial(_listen_or_refuse, provider, listener, live)
                self._providers[name] = provider
        except OSError:
            await self.stop()
            raise
        for listener in self._listeners:
            listener.open()
        return self

    async def stop(self) -> None:
        """Close the ports and every connection."""
        for provider in self._providers.values():
            provider.on_change = None
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for live in self._live.values():
            for connection in tuple(live):
                connection.abort()
        while any(self._live.values()):  # noqa: ASYNC110 - connection_lost comes with the loop's next turns
            await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    def __getitem__(self, name: str) -> Provider:
        """The provider of a name."""
        return self._providers[name]

    @property
    def providers(self) -> Mapping[str, Provider]:
        """All providers by name."""
        return self._providers

    @property
    def openai(self) -> Provider:
        """The provider named `openai`."""
        return self._providers["openai"]

    @property
    def anthropic(self) -> Provider:
        """The provider named `anthropic`."""
        return self._providers["anthropic"]

    @property
    def gemini(self) -> Provider:
        """The provider named `gemini`."""
        return self._providers["gemini"]

    def heal(self) -> None:
        """Lift every fault of every provider."""
        for provider in self._providers.values():
            provider.heal()

    def describe(self) -> str:
        """The addresses, and three curl lines that make one provider fail, stall and heal again."""
        width = max(map(len, self._providers))
        lines = [
            f"  {name:<{width}}  {each.url}  {', '.join(each.settings.models)}"
            for name, each in self._providers.items()
        ]
        names = list(self._providers)
        first, control = names[0], self._providers[names[-1]].url
        down = f'{{"provider": "{first}", "fault": {{"status": 503}}}}'
        stall = f'{{"provider": "{first}", "fault": {{"stall_after_chunks": 3}}}}'
        return "\n".join(
            [
                "Stand-in providers (any key is accepted):",
                *lines,
                f"Make {first} answer 503, make it stall in mid-stream, heal everything:",
                f"  curl -s {control}/lab/faults -d '{down}'",
                f"  curl -s {control}/lab/faults -d '{stall}'",
                f"  curl -s -X DELETE {control}/lab/faults",
                f'("provider": "{EVERYONE}" means all; what happened: {control}/lab/journal)',
            ]
        )

    def _elapsed(self, now: Callable[[], float]) -> float:
        return now() - self._began


def _listen_or_refuse(provider: Provider, listener: Listener, live: set[Connection]) -> None:
    """Make the port follow the faults and the door: a refusing provider drops its idle connections too."""
    if not provider.refusing:
        listener.open()
        return
    if provider.door is Door.DEAF:
        listener.deafen()
    else:
        listener.refuse()
    if provider.door is Door.AJAR:
        return
    for connection in tuple(live):
        if not connection.busy:
            connection.drop()
