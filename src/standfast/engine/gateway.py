"""The gateway as a library: everything that HTTP can do, without HTTP.

The server is an embedder of this class like any other.
"""

import os
import random
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

import msgspec

from standfast import plugins
from standfast.canon.ask import Ask
from standfast.canon.deployment import Operation
from standfast.canon.instants import Monotonic
from standfast.clock import Clock, SystemClock
from standfast.config.load import from_mapping, load
from standfast.config.restart import awaiting_restart
from standfast.config.routes import AUTO
from standfast.config.schema import Config
from standfast.engine.answers import Answers
from standfast.engine.assemble import Snapshot, assemble, secrets_in
from standfast.engine.bus import Bus
from standfast.engine.chats import Chats, Message
from standfast.engine.checks import Checks
from standfast.engine.considering import BYTES_PER_TOKEN, Decision, consider, decide, explained
from standfast.engine.drive import Drive
from standfast.engine.inquiry import NO_CONTROLS, Controls, Inquiry
from standfast.engine.portrait import Portrait, portrait
from standfast.engine.services import Services
from standfast.engine.target_report import TargetReport
from standfast.engine.watch import Watch
from standfast.errors import UnknownDeployment, Untranslatable
from standfast.formats.base import Format
from standfast.hooks.base import Hook
from standfast.http1.base import Downstream
from standfast.http1.client import UpstreamClient
from standfast.policy.breaker import State
from standfast.policy.exchange import Exchange
from standfast.policy.health_check import Evidence
from standfast.policy.retry import RetryBudget
from standfast.policy.route import Route
from standfast.redact import Redactor

CheckKind = Literal["ping", "generate"]


class Gateway(Chats):
    """Many models behind one door that stays open.

    Use it inside a running event loop, as an async context manager::

        async with Gateway.from_config("standfast.yaml") as gateway:
            reply = await gateway.chat("gpt-4.1", [{"role": "user", "content": "hello"}])

    Args:
        config: a checked configuration.
        hooks: listeners, told of every request and change of state.
        clock: where time comes from.
        rng: the only source of chance.
    """

    def __init__(
        self,
        config: Config,
        *,
        hooks: Iterable[Hook] = (),
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        clock = clock or SystemClock()
        upstream = config.server.upstream
        retry = config.defaults.retry
        self._begun = config
        self.snapshot: Snapshot = assemble(config)
        self.services = Services(
            clock=clock,
            rng=rng or random.Random(),  # noqa: S311 - chance for balancing and jitter, not for secrets
            watch=Watch(clock),
            client=UpstreamClient(upstream, clock),
            budget=RetryBudget(retry.budget, retry.budget_floor),
            bus=Bus(hooks),
            answers=Answers(config.cache, clock, upstream.reply_bytes),
            redactor=Redactor(secrets_in(config)),
            event_bytes=upstream.event_bytes,
            reply_bytes=upstream.reply_bytes,
            heartbeat=config.server.heartbeat,
        )
        self.checking = Checks(self.services, lambda: self.snapshot)
        self._chat: Format = plugins.load("formats", "openai_chat").FORMAT

    @classmethod
    def from_config(cls, source: str | Path | Mapping[str, object], *, hooks: Iterable[Hook] = ()) -> Self:
        """A gateway from a YAML or TOML file, or from a mapping of the same shape.

        Raises:
            ConfigError: with every problem of the configuration.
        """
        if isinstance(source, Mapping):
            return cls(from_mapping(source, os.environ), hooks=hooks)
        return cls(load(Path(source), os.environ), hooks=hooks)

    async def __aenter__(self) -> Self:
        self.checking.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Cut off what is under way (with explicit errors), close all connections and hooks."""
        await self.checking.stop()
        self.cut_off()
        self.services.watch.close()
        await self.services.client.close()
        await self.services.answers.close()
        self.services.bus.close()

    # requests

    def explain(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        session: str = "",
        controls: Controls = NO_CONTROLS,
        **params: object,
    ) -> Decision:
        """Where a chat would go now and why: who was considered, who passed over, what each was worth. Sends nothing.

        Raises:
            InvalidRequest, UnknownModel: as `chat`.
        """
        envelope = self._chat.read(msgspec.json.encode({"model": model, "messages": messages, **params}))
        controls = controls.of_session(session)
        inquiry = Inquiry(self._chat, Operation.CHAT, envelope, controls)
        route = self.snapshot.routes.get(model) or self._unlisted(model)[1]
        limited = controls.wishes is not None and controls.wishes.max_cost is not None
        snapshot, route = self._informed(route.model) if limited else (self.snapshot, route)
        return explained(inquiry, route, snapshot.fleet, self.services.clock.now())

    def submit(self, inquiry: Inquiry, out: Downstream) -> Drive:
        """Set a request off; its answer goes through `out`, now or later.

        Raises:
            UnknownModel: no such model; nothing was sent, `out` is untouched.
            Untranslatable: no target of the model offers the operation; the same.
            InvalidRequest: nobody can answer within the cost that the request allows; the same.
        """
        snapshot, services = self.snapshot, self.services
        envelope, controls = inquiry.envelope, inquiry.controls
        route = snapshot.routes.get(envelope.model)
        if route is None:
            snapshot, route = self._unlisted(envelope.model)
        operation = inquiry.operation
        if not route.tiers[operation]:
            raise Untranslatable(
                f"No target of {route.model!r} offers {operation.value}. Name a model whose provider does.",
                param="model",
            )
        now = services.clock.now()
        total = route.total
        if controls.deadline is not None and controls.deadline < total:
            total = controls.deadline
        ask = Ask(
            route.model,
            envelope.stream,
            operation,
            now,
            Monotonic(now + total),
            len(envelope.body) // BYTES_PER_TOKEN,
            envelope.max_tokens,
            envelope.reasoning,
            controls.priority,
            controls.session,
            controls.fallback,
            inquiry.caller,
            controls.tags,
        )
        if route.curious or controls.wishes is not None or controls.trace:
            snapshot, ask, route = self._considered(inquiry, snapshot, ask, route)
        exchange = Exchange(ask, route, snapshot.fleet, services.budget, services.rng)
        identity, received = services.request_id(), services.clock.wall()
        drive = Drive(services, snapshot, inquiry, exchange, out, identity, ask.stream, ask.deadline, received)
        if snapshot.terms or controls.validate is not None:
            drive.demands, drive.reserve = services.answers.prepare(inquiry, route.model, snapshot)
        drive.start()
        return drive

    def _unlisted(self, model: str) -> tuple[Snapshot, Route]:
        """The route of a model that is not configured; what clients have named before makes room once it is much.

        Requests under way keep the snapshot that they began with.
        """
        if self.snapshot.crowded:
            self.snapshot = assemble(self.snapshot.config, self.snapshot)
        return self._informed(model) if model == AUTO else (self.snapshot, self.snapshot.route(model))

    def _informed(self, model: str) -> tuple[Snapshot, Route]:
        """The same with facts of all models; they are gathered when the first request needs them, which takes 0.1 s."""
        if not self.snapshot.informed:
            self.snapshot = assemble(self.snapshot.config, self.snapshot, informed=True)
        return self.snapshot, self.snapshot.route(model)

    def _considered(self, inquiry: Inquiry, snapshot: Snapshot, ask: Ask, route: Route) -> tuple[Snapshot, Ask, Route]:
        """What the request wishes and is about, and what that leaves of its route; for the trace, why it goes there."""
        wishes, now = inquiry.controls.wishes, ask.arrived
        if wishes is not None and wishes.max_cost is not None and not snapshot.informed:
            snapshot, route = self._informed(route.model)
        ask, route, excluded = consider(inquiry, ask, route, snapshot.fleet, now)
        if inquiry.controls.trace and (excluded or not route.strategy.tiered):  # else there is nothing to explain
            inquiry.decision = decide(ask, route, snapshot.fleet, now, excluded)
        return snapshot, ask, route

    # life

    def reload(self, config: Config) -> tuple[str, ...]:
        """Serve new requests by this configuration; those under way keep the one they began with.

        What was learnt about deployments and keys that are still there is kept, and so are the retries under way.

        Returns:
            The settings (`server.port`, `log.path`) that differ from those the gateway began with and have no effect
            before a restart: those of `server` (but for `heartbeat`), `log` and `cache`.

        Raises:
            LookupError, ValueError: it cannot be put to work; the old one stays.
        """
        self.snapshot = assemble(config, self.snapshot)
        budget, retry = self.services.budget, config.defaults.retry
        budget.limit(retry.budget, retry.budget_floor)
        self.services.bus.changed(tuple(budget.news))
        budget.news.clear()
        self.services.bus.changed(self.snapshot.fleet.take_news())
        self.checking.wake()
        self.services.heartbeat = config.server.heartbeat
        self.services.redactor.learn(secrets_in(config))
        return awaiting_restart(self._begun, config)

    def cut_off(self) -> None:
        """End everything under way with an explicit error; first what waits, so that nobody's end sets it off."""
        for drive in sorted(self.services.watch.active, key=lambda drive: not drive.waits):
            drive.cut_off()

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return len(self.services.watch.active)

    # health

    def breaker_states(self) -> dict[str, str]:
        """State of every breaker by `provider/model`."""
        fleet, now = self.snapshot.fleet, self.services.clock.now()
        return {deployment.name: fleet.breaker_state(deployment, now).value for deployment in fleet.deployments()}

    def force_breaker(self, deployment: str, state: Literal["open", "closed"] | None, *, by: str = "") -> None:
        """An operator's word about one target's breaker, until the next one.

        Args:
            deployment: `provider/model`.
            state: `open` lets nothing through, no probe either; `closed` everything; None takes that back: it is
                closed, with clean counts, and left to itself again. One that nobody has forced stays as it is.
            by: the operator's name, for the events.

        Raises:
            UnknownDeployment: nothing of this name is served; the message names the nearest.
            ValueError: another state.
        """
        fleet, now = self.snapshot.fleet, self.services.clock.now()
        known = {each.name: each for each in fleet.deployments()}
        if deployment not in known:
            raise UnknownDeployment(plugins.unknown("deployment", deployment, known))
        if state not in ("open", "closed", None):
            raise ValueError("a breaker can be forced `open` or `closed`, or released (None)")
        forced = State(f"forced_{state}") if state is not None else None
        moved = fleet.force(known[deployment], forced, now, by)  # looks at it, and so may leave news of before
        self.services.bus.changed((*fleet.take_news(), *moved))

    def availability(self) -> dict[str, dict[str, float | None]]:
        """For each configured model and each of its targets: seconds until it may be asked (0 now, None: unknown)."""
        fleet, now = self.snapshot.fleet, self.services.clock.now()
        report: dict[str, dict[str, float | None]] = {}
        for name, route in self.snapshot.routes.items():
            rows = report[name] = {}
            for target in route.targets:
                wait = fleet.available_at(target.deployment, now) - now
                rows[target.deployment.name] = None if wait == float("inf") else wait
        return report

    def health(self) -> list[TargetReport]:
        """How every configured target is, as far as it is known; asks nobody."""
        return self.checking.reports()

    def portraits(self) -> dict[str, Portrait]:
        """How busy every configured target is and what is left of its limits, by `provider/model`; asks nobody."""
        fleet, now = self.snapshot.fleet, self.services.clock.now()
        found = self.snapshot.configured()
        return {each.name: portrait(fleet.place(each), fleet.available_at(each, now), now) for each in found}

    async def check(self, kind: CheckKind = "ping", targets: Collection[str] | None = None) -> list[TargetReport]:
        """Check targets now, all at once: `ping` its provider, or `generate` a tiny answer, for money.

        What is found counts for the targets' health.

        Args:
            kind: of the check.
            targets: `provider/model`, configured ones; None for all of them.

        Raises:
            ValueError: another kind of check.
            UnknownDeployment: a target is not configured; the message names the nearest.
        """
        return [report async for report in self.checks(kind, targets)]

    def checks(self, kind: CheckKind = "ping", targets: Collection[str] | None = None) -> AsyncIterator[TargetReport]:
        """The same, each report as soon as it is there.

        Raises:
            ValueError: another kind of check; at once.
            UnknownDeployment: a target is not configured; at once.
        """
        if kind not in get_args(CheckKind):
            raise ValueError(f"a check is `ping` or `generate`, not {kind!r}")
        return self.checking.ordered(Evidence(kind), self.snapshot.configured(targets))
