"""Hands for exchanges in virtual time: performs their steps as a driver must, against upstreams that a test describes.

It is strict: a step that breaks the house rules of `policy.exchange` fails the test at once.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import Monotonic
from standfast.canon.record import Change
from standfast.policy.exchange import Exchange
from standfast.policy.fleet import Fleet, KeyPool, Permit
from standfast.policy.hedge import HedgeSettings
from standfast.policy.line import QueueSettings, Ticket
from standfast.policy.mend import OnBreak
from standfast.policy.route import Route
from standfast.policy.steps import (
    Abandon,
    Commit,
    Finish,
    Freed,
    Purpose,
    Queue,
    Refuse,
    Remind,
    Send,
    Shed,
    Sleep,
    Step,
)
from standfast.policy.strategy import Strategy
from standfast.strategies.priority import STRATEGY as PRIORITY
from support.exchanges import START, World


@dataclass
class Scene(World):
    """A world with what a route may say about hedging and mending, and about waiting.

    Targets stand in tiers of their own, unless another strategy than `priority` ranks them all together.
    """

    hedge: HedgeSettings | None = None
    on_break: OnBreak = "replay"
    queue: QueueSettings = field(default_factory=QueueSettings)
    strategy: Strategy = PRIORITY
    rpm: int | None = None
    tpm: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        targets = self.targets
        if not self.strategy.tiered:
            alone = World(self.names).targets
            targets = self.targets = tuple(type(each)(each.deployment) for each in alone)
        self.route = Route("m", targets, self.strategy, self.retry, hedge=self.hedge, on_break=self.on_break)
        pools = [
            KeyPool(provider, tuple(f"{provider}-{n}" for n in range(self.keys)), self.rpm, self.tpm, self.concurrency)
            for provider in dict.fromkeys(each.deployment.provider for each in targets)
        ]
        self.fleet = Fleet({each.deployment: self.breaker for each in targets}, pools, None, self.queue)

    def history(self, name: str, seconds: float, count: int = 40, *, stream: bool = True) -> None:
        """Let a deployment have answered that fast before, so that its 95th percentile is known."""
        place = self.fleet.place(next(each.deployment for each in self.targets if each.name == name))
        for _ in range(count):
            (place.stream if stream else place.whole).observe(seconds)


@dataclass(frozen=True)
class Plan:
    """What an upstream does with one attempt; seconds since it was sent, None for never.

    Attributes:
        content: when the first content comes.
        end: when the answer is whole.
        fail: when and how it fails.
        differs: a replay differs from what the client has (instead of catching up).
    """

    content: float | None = None
    end: float | None = None
    fail: tuple[float, Failure] | None = None
    differs: bool = False


Behave = Callable[[Send, "Client"], Plan]


@dataclass(eq=False)
class Client:
    """One request, and what became of it."""

    exchange: Exchange
    poison: bool = False
    calls: dict[Permit, Send] = field(default_factory=dict)
    ends: list[Step] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    commits: list[Permit] = field(default_factory=list)
    ended: Monotonic | None = None
    waited: bool = False
    naps: int = 0

    @property
    def answered(self) -> bool:
        """It got a whole answer."""
        return bool(self.ends) and isinstance(self.ends[0], Finish)

    @property
    def refusal(self) -> Refuse:
        """Its refusal; it must have one."""
        (end,) = self.ends
        assert isinstance(end, Refuse), end
        return end


class Hands:
    """Plays requests on a scene.

    Args:
        scene: the fleet and the route.
        behave: what an upstream does with each attempt.
        replayable, resumable: what the driver says of broken answers.
    """

    def __init__(
        self, scene: Scene, behave: Behave, *, replayable: bool = True, resumable: bool = False, seed: int = 1
    ) -> None:
        self.scene = scene
        self.behave = behave
        self.rng = random.Random(seed)
        self.now = START
        self.clients: list[Client] = []
        self.changes: list[Change] = []
        self.sent: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self._replayable = replayable
        self._resumable = resumable
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = itertools.count()
        self._freed: list[Any] = []
        self._handing_on = False

    # what a test does

    def arrive(self, at: float, *, poison: bool = False, seconds: float = 900.0, **ask: object) -> Client:
        """A request that comes so many seconds after the start."""
        client = Client(self.scene.exchange(Monotonic(START + at), seconds=seconds, **ask), poison)
        self.clients.append(client)
        self.at(START + at, self._open, client)
        return client

    def leave(self, at: float, client: Client) -> None:
        """The client hangs up."""
        self.at(START + at, self._cancel, client)

    def at(self, instant: float, what: Callable[..., None], *arguments: Any) -> None:
        """Put something on the agenda."""
        heapq.heappush(self._agenda, (instant, next(self._count), what, arguments))

    def run(self, until: float | None = None) -> None:
        """Let time pass, until nothing is to be done or so many seconds after the start."""
        while self._agenda and (until is None or self._agenda[0][0] <= START + until):
            self.step()

    def step(self) -> bool:
        """Do what is next on the agenda; False if there is nothing."""
        if not self._agenda:
            return False
        instant, _, what, arguments = heapq.heappop(self._agenda)
        self.now = Monotonic(max(self.now, instant))
        what(*arguments)
        self._look_at_line()
        return True

    # what happens

    def _open(self, client: Client) -> None:
        self._perform(client, client.exchange.open(self.now))

    def _cancel(self, client: Client) -> None:
        self._perform(client, client.exchange.cancel(self.now))

    def _content(self, client: Client, permit: Permit) -> None:
        if permit in client.calls:
            self._perform(client, client.exchange.first_content(permit, self.now))

    def _compared(self, client: Client, permit: Permit, *, differs: bool) -> None:
        if permit in client.calls:
            event = client.exchange.diverged if differs else client.exchange.caught_up
            self._perform(client, event(permit, self.now))

    def _end(self, client: Client, permit: Permit) -> None:
        if permit in client.calls:
            self._over(client, permit)
            self._perform(client, client.exchange.completed(permit, None, self.now))
            self._free(permit)

    def _fail(self, client: Client, permit: Permit, failure: Failure) -> None:
        if permit in client.calls:
            self._over(client, permit)
            steps = client.exchange.failed(
                permit, failure, self.now, replayable=self._replayable, resumable=self._resumable
            )
            self._perform(client, steps)
            self._free(permit)

    def _wake(self, client: Client) -> None:
        self._perform(client, client.exchange.woke(self.now))

    def _remind(self, client: Client) -> None:
        self._perform(client, client.exchange.reminded(self.now))

    # the line

    def _look_at_line(self) -> None:
        for ticket in self.scene.fleet.line.ripe(self.now):
            self._called(ticket)

    def _called(self, ticket: Ticket) -> None:
        assert isinstance(ticket.holder, Client)
        assert ticket.holder.exchange.ask.deadline >= self.now - 1e-9, "waited past its deadline"
        self._wake(ticket.holder)

    def _free(self, permit: Permit) -> None:
        self._hand_on(permit.deployment)

    def _hand_on(self, deployment: Any) -> None:
        """One place, one ticket; whoever says `Freed` meanwhile comes after."""
        self._freed.append(deployment)
        if self._handing_on:
            return
        self._handing_on = True
        while self._freed:
            ticket = self.scene.fleet.line.freed(self._freed.pop(0), self.now)
            if ticket is not None:
                self._called(ticket)
        self._handing_on = False

    # steps

    def _perform(self, client: Client, steps: list[Step]) -> None:
        exchange = client.exchange
        self.changes += exchange.changes
        exchange.changes.clear()
        for step in steps:
            match step:
                case Send():
                    self._send(client, step)
                case Sleep(until=until):
                    client.naps += 1
                    self.at(until, self._wake, client)
                case Remind(at=at):
                    self.at(at, self._remind, client)
                case Commit(permit=permit):
                    assert permit in client.calls or not client.ends
                    client.commits.append(permit)
                case Abandon(permit=permit):
                    self._over(client, permit)
                    self._free(permit)
                case Finish() | Refuse():
                    client.ends.append(step)
                    client.ended = self.now
                    assert len(client.ends) == 1, "two outcomes"
                    assert not client.calls, "something is still under way"
                case _:
                    self._perform_in_line(client, step)

    def _perform_in_line(self, client: Client, step: Step) -> None:
        match step:
            case Queue(ticket=ticket):
                client.waited = True
                ticket.holder = client
                self.at(min(ticket.ripe, ticket.deadline), lambda: None)
            case Shed(ticket=ticket):
                other = ticket.holder
                assert isinstance(other, Client)
                self._perform(other, other.exchange.shed(self.now))
            case Freed(deployment=deployment):
                self._hand_on(deployment)

    def _send(self, client: Client, send: Send) -> None:
        exchange, permit, name = client.exchange, send.permit, send.target.name
        assert not client.ends, "a send after the end"
        assert self.now < exchange.ask.deadline, "a send after the deadline"
        repeats = send.purpose in (Purpose.REPLAY, Purpose.RESUME)
        assert repeats == bool(client.commits), "only repetitions are sent after the commitment, and only then"
        assert not (client.calls and send.purpose is not Purpose.HEDGE), "two attempts, and no hedge"
        client.calls[permit] = send
        client.sends.append(send)
        self.sent[name] += 1
        self.under_way[name] += 1
        plan = self.behave(send, client)
        limits = send.deadlines
        quiet = limits.first_content if plan.content is None else self.now + plan.content
        if plan.content is None or quiet > limits.first_content:
            self.at(limits.first_content, self._fail, client, permit, self._timeout(limits.first_content, client))
        else:
            self.at(quiet, self._content, client, permit)
            if send.purpose is Purpose.REPLAY:
                self.at(quiet, lambda: self._compared(client, permit, differs=plan.differs))
        if plan.end is not None:
            self.at(self.now + plan.end, self._end, client, permit)
        if plan.fail is not None:
            self.at(self.now + plan.fail[0], self._fail, client, permit, plan.fail[1])
        self.at(limits.end, self._fail, client, permit, self._timeout(limits.end, client))

    @staticmethod
    def _timeout(instant: float, client: Client) -> Failure:
        late = instant >= client.exchange.ask.deadline
        return Failure(FailureKind.DEADLINE_PASSED if late else FailureKind.FIRST_TOKEN_TIMEOUT)

    def _over(self, client: Client, permit: Permit) -> None:
        send = client.calls.pop(permit)
        self.under_way[send.target.name] -= 1
