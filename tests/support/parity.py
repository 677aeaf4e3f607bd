"""One trace, played twice: by the rehearsal and by the real engine; every decision of both is written down.

What is equal: the scenario's requests, its stations (each with a source of chance of its own), the policy's source of
chance, the instants at which the gateway's watch looks. Everything else is each side's own code.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

import standfast.engine.gateway as engine_gateway
import standfast.engine.watch as engine_watch
import standfast.sim.drive as sim_drive
import standfast.sim.world as sim_world
from standfast import plugins
from standfast.canon.deployment import Operation
from standfast.canon.instants import Monotonic, Wall
from standfast.canon.record import RequestRecord
from standfast.config.schema import Config
from standfast.engine.call import Call as EngineCall
from standfast.engine.checks import Checks
from standfast.engine.drive import Drive as EngineDrive
from standfast.engine.gateway import Gateway
from standfast.engine.inquiry import Controls, Inquiry
from standfast.policy.exchange import Exchange
from standfast.policy.fleet import Permit
from standfast.policy.steps import Abandon, Commit, Finish, Freed, Queue, Refuse, Remind, Send, Shed, Sleep, Step
from standfast.sim.books import enter
from standfast.sim.crowd import Request
from standfast.sim.drive import ALIKE
from standfast.sim.report import Report, report_of
from standfast.sim.settings import Scenario
from standfast.sim.stage import CHUNK, Stage
from standfast.sim.tally import Tally
from standfast.sim.world import START, World
from support.wires import Loop, Ordered, Wires

FORMAT = plugins.load("formats", "openai_chat").FORMAT

TICK = 1 / 16
"""Seconds between two looks of the watch, a power of two: sums of instants on the grid are exact."""

BYTES_PER_TOKEN = 4

WALL = Wall(1_760_000_000.0)
"""When it begins, Unix time."""


Decision = tuple[Any, ...]
"""Instant, the request's arrival, the event, the steps, the states that changed."""


@dataclass
class Play:
    """What was decided.

    Attributes:
        decisions: in order: instant, the request's arrival, the event, the steps, the states that changed.
        planned: of every request, the number of the last decision after which the watch looks for something else.
        report: what it amounts to.
    """

    decisions: list[Decision] = field(default_factory=list)
    planned: dict[Monotonic, int] = field(default_factory=dict)
    report: Report | None = None

    def steps(self) -> Iterator[Decision]:
        """All steps."""
        for decision in self.decisions:
            yield from decision[3]

    def changes(self) -> set[tuple[object, ...]]:
        """Subject and new state of all that changed."""
        return {(change[0], change[3]) for decision in self.decisions for change in decision[4]}


def rehearsed(config: Config, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> Play:
    """As `standfast simulate` plays it."""
    play = Play()
    with monkeypatch.context() as patch:
        patch.setattr(sim_world, "TICK", TICK)
        stage = Stage(config, scenario, scenario.seed)
        patch.setattr(sim_drive, "Exchange", _recorder(play, scenario.seed, lambda: stage.world.now))
        stage.run()
    return _over(play, stage)


def performed(config: Config, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> Play:
    """As a gateway serves it, with the rehearsal's upstreams at the end of its wires."""
    play = Play()
    with monkeypatch.context() as patch:
        patch.setattr(sim_world, "TICK", TICK)
        patch.setattr(engine_watch, "TICK", TICK)
        house = _House(config, scenario, play)
        patch.setattr(engine_gateway, "Exchange", _recorder(play, scenario.seed, lambda: house.world.now))
        loop = Loop(house.world, TICK)
        patch.setattr(engine_watch, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
        house.run()
        assert not loop.errors
    books = Tally(START, scenario.duration, dict.fromkeys(house.stage.tally.targets))
    for record in house.records:
        enter(books, record, WALL, house.stage.cast.models[0][0].targets[0].name)
    house.stage.tally = books
    return _over(play, house.stage)


def _over(play: Play, stage: Stage) -> Play:
    """What different requests decide at one instant has no order."""
    play.decisions.sort(key=lambda decision: decision[:2])
    play.report = report_of(stage.tally, stage.scenario, "", stage.seed)
    return play


class _House:
    """A gateway in virtual time. The stage only lends what a scenario makes: time, stations, requests, books."""

    def __init__(self, config: Config, scenario: Scenario, play: Play) -> None:
        self._play = play
        self.stage = stage = Stage(config, scenario, scenario.seed)
        self.world: World = stage.world
        self.gateway = Gateway(config, clock=_Clock(self.world), rng=stage.rng, hooks=[self])
        watch = self.gateway.services.watch
        watch._near = Ordered(self._place)  # type: ignore[assignment]
        watch.lanes = Ordered()  # type: ignore[assignment]
        hosts = {
            urlsplit(deployment.base_url).hostname or "": station for deployment, station in stage.stations.items()
        }
        wires = Wires(self.world, hosts, self._request_of, self._alike)
        self.gateway.services.client = wires  # type: ignore[assignment]
        self._checks = Checks(self.gateway.services, lambda: self.gateway.snapshot, stage._chance("checks"))
        self._requests = stage.requests()
        self._coming: Request | None = None
        self._asked: dict[Monotonic, tuple[Request, _Out]] = {}
        self.records: list[RequestRecord] = []

    def run(self) -> None:
        """To the end."""
        self._look(self.world.now)
        self._announce()
        while self.world.run(CHUNK):
            pass

    def _look(self, now: Monotonic) -> None:
        """At the health of all that are due, as the gateway's own task does."""
        due = self._checks.turn(now)
        if due < START + self.stage.scenario.duration:
            self.world.at(due, self._look)

    # hooks

    def request_ended(self, record: RequestRecord) -> None:
        """Keep it."""
        self.records.append(record)

    def changed(self, change: object) -> None:
        """The decisions have it."""

    def close(self) -> None:
        """Nothing is held."""

    # requests

    def _announce(self) -> None:
        self._coming = coming = next(self._requests, None)
        if coming is not None:
            self.world.at(coming.arrived, self._comes)

    def _comes(self, now: Monotonic) -> None:
        request = self._coming
        self._announce()
        assert request is not None
        out = _Out()
        self._asked[now] = (request, out)
        if request.patience is not None:
            self.world.at(now + request.patience, lambda _now: out.hang_up())
        controls = Controls(
            session=request.session, priority=request.priority, deadline=self.stage.scenario.workload.deadline
        )
        inquiry = Inquiry(FORMAT, Operation.CHAT, FORMAT.read(_body(request)), controls, request.caller)
        out.drive = self.gateway.submit(inquiry, out)

    def _request_of(self, call: EngineCall) -> Request:
        return self._asked[call._drive.exchange.ask.arrived][0]

    def _alike(self, request: Request, model: str) -> int:
        """As `sim.drive` draws it, at the same moment, from the same source."""
        out = self._asked[request.arrived][1]
        drive = out.drive
        assert drive is not None
        broken = next(each for each in drive.exchange.attempts[::-1] if each.first_content is not None)
        same = request.repeatable and broken.deployment.partition("/")[2] == model
        return request.completion if same else int(self.stage.callers.expovariate(1.0 / ALIKE))

    def _place(self, drive: EngineDrive) -> int:
        """The watch looks at requests in no order; here in that of their last decisions, as the rehearsal does."""
        return self._play.planned.get(drive.exchange.ask.arrived, 0)


class _Clock:
    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> Monotonic:
        return self._world.now

    def wall(self) -> Wall:
        return Wall(WALL + self._world.now - START)


class _Out:
    """The client's side: takes everything, and leaves when its patience is over."""

    def __init__(self) -> None:
        self.drive: EngineDrive | None = None
        self.over = self.content = False

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer."""
        del status, headers, body
        self.over = True

    def begin(self, status: int, headers: bytes) -> None:
        """The head."""

    def write(self, data: bytes) -> None:
        """More."""
        del data
        self.content = True

    def splice(self, flow: object) -> None:
        """There is no short way here."""
        del flow

    def end(self) -> None:
        """Complete."""
        self.over = True

    def abort(self) -> None:
        """Cut."""
        self.over = True

    def hang_up(self) -> None:
        """Unless there is content."""
        if not self.over and not self.content and self.drive is not None:
            self.over = True
            self.drive.client_gone()


def _body(request: Request) -> bytes:
    """A request that the gateway counts as so many tokens."""
    fields: dict[str, object] = {"model": request.route.model}
    if request.stream:
        fields |= {"stream": True}
    if request.max_tokens:
        fields |= {"max_tokens": request.max_tokens}
    empty = len(msgspec.json.encode({**fields, "messages": [{"role": "user", "content": ""}]}))
    missing = request.prompt * BYTES_PER_TOKEN - empty
    assert missing >= 0, "a request of so few tokens cannot be written"
    return msgspec.json.encode({**fields, "messages": [{"role": "user", "content": "x" * missing}]})


def _recorder(play: Play, seed: int, now_of: Callable[[], Monotonic]) -> type[Exchange]:
    """An exchange that writes down what it decides.

    Each has a source of chance of its own: whom the watch looks at first within one look is nobody's decision, so it
    must not shift what the others draw.
    """

    class Recorded(Exchange):
        def __post_init__(self) -> None:
            self._rng = random.Random(f"{seed}/{self.ask.arrived}")

    def wrapped(name: str) -> Any:
        plain = getattr(Exchange, name)

        def method(self: Exchange, *args: Any, **kwargs: Any) -> Any:
            before = len(self.changes)
            steps = plain(self, *args, **kwargs)
            changes = self.changes[before:]
            if steps or changes:
                about = [arg for arg in args if isinstance(arg, Permit)]
                told = [(each.subject, each.name, each.before, each.after, each.reason, each.until) for each in changes]
                play.decisions.append(
                    (
                        now_of(),
                        self.ask.arrived,
                        f"{name} {about[0].deployment.name if about else ''}",
                        tuple(described(step) for step in steps),
                        tuple(told),
                    )
                )
                if name != "reminded" and any(isinstance(step, Send | Sleep | Commit) for step in steps):
                    play.planned[self.ask.arrived] = len(play.decisions)
            return steps

        return method

    for name in EVENTS:
        setattr(Recorded, name, wrapped(name))
    return Recorded


EVENTS = (
    "open",
    "unsendable",
    "first_content",
    "completed",
    "failed",
    "caught_up",
    "diverged",
    "reminded",
    "woke",
    "shed",
    "cancel",
)


def described(step: Step) -> tuple[object, ...]:
    """A step as plain values."""
    rest: tuple[object, ...]
    match step:
        case Send(target=target, permit=permit, deadlines=deadlines, purpose=purpose):
            rest = (target.name, permit.key, purpose.value, *msgspec.structs.astuple(deadlines))
        case Sleep(until=instant) | Remind(at=instant):
            rest = (instant,)
        case Queue(ticket=ticket):
            rest = (tuple(each.name for each in ticket.wants), ticket.ripe, ticket.deadline)
        case Shed(ticket=ticket):
            rest = (ticket.ask.arrived,)
        case Freed(deployment=deployment):
            rest = (deployment.name,)
        case Commit(permit=permit) | Abandon(permit=permit) | Finish(permit=permit):
            rest = (permit.deployment.name, permit.key)
        case Refuse(failure=failure, retry_after=retry_after, broken=broken, shed=shed):
            rest = (None if failure is None else failure.kind.value, retry_after, broken, shed)
    return (type(step).__name__.lower(), *rest)


NOTICED = frozenset(("the open time is over", "its time is over"))
"""Reasons of changes that time makes: they are told by whoever looks first, and a health check may be that."""


def _decided(decisions: Sequence[Decision]) -> list[Decision]:
    """Without what was merely noticed."""
    found: list[Decision] = []
    for *head, steps, changes in decisions:
        told = tuple(change for change in changes if change[4] not in NOTICED)
        if steps or told:
            found.append((*head, steps, told))
    return found


def difference(one: Sequence[Decision], other: Sequence[Decision], before: int = 6) -> str:
    """Where two lists of decisions part, and what went before; empty if they do not."""
    one, other = _decided(one), _decided(other)
    for at in range(max(len(one), len(other))):
        left = one[at] if at < len(one) else None
        right = other[at] if at < len(other) else None
        if left != right:
            past = "\n".join(f"  both      {each}" for each in one[max(0, at - before) : at])
            return f"decision {at}:\n{past}\n  rehearsed {left}\n  performed {right}"
    return ""
