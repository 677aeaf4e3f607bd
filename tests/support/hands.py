"""Hands for exchanges in virtual time: performs their steps as a driver must, against upstreams that a test describes.

It is strict: a step that breaks the house rules of `policy.exchange` fails the test at once.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from standfast.canon.deployment import Deployment
from standfast.canon.facts import Facts
from standfast.canon.failure import Failure, FailureKind
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.record import Change
from standfast.canon.usage import Usage
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

GOES_ON = Facts(abilities=frozenset({"continuation"}))


@dataclass
class Scene(World):
    """A world with what a route may say about hedging and mending, and about waiting.

    Targets stand in tiers of their own, unless another strategy than `priority` ranks them all together. `goes_on`:
    their models are known to go on with an answer that was begun.
    """

    hedge: HedgeSettings | None = None
    on_break: OnBreak = "replay"
    queue: QueueSettings = field(default_factory=QueueSettings)
    strategy: Strategy = PRIORITY
    rpm: int | None = None
    tpm: int | None = None
    goes_on: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        targets = self.targets
        if not self.strategy.tiered:
            alone = World(self.names).targets
            targets = self.targets = tuple(type(each)(each.deployment) for each in alone)
        if self.goes_on:
            for each in targets:
                object.__setattr__(each, "facts", GOES_ON)
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


@dataclass(eq=False, repr=False)
class Client:
    """One request, and what its driver has seen of it.

    Attributes:
        exchange: its judgement.
        poison: for tests that send requests which break every upstream.
        calls: attempts under way.
        heard: attempts whose first content came.
        behind: replays that have not said what the client has.
        sends, commits, ends: all steps of these kinds.
        ended: when.
        sleeping: a nap is pending.
        ticket: its place in the line.
        waited: it has had one.
        breaks: answers that broke off after their first content.
    """

    exchange: Exchange
    poison: bool = False
    calls: dict[Permit, Send] = field(default_factory=dict)
    heard: set[Permit] = field(default_factory=set)
    behind: set[Permit] = field(default_factory=set)
    sends: list[Send] = field(default_factory=list)
    commits: list[Permit] = field(default_factory=list)
    ends: list[Step] = field(default_factory=list)
    ended: Monotonic | None = None
    sleeping: bool = False
    ticket: Ticket | None = None
    waited: bool = False
    breaks: int = 0
    ambiguous: int = 0

    def __repr__(self) -> str:
        return f"<Client: {len(self.sends)} attempts, ends {[type(end).__name__ for end in self.ends]}>"

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
        behave: what an upstream does with each attempt; by default nothing but time out.
        replayable, resumable: what the driver says of broken answers.
        seed: of the upstreams' chance, in `rng`.

    Attributes:
        now: the instant.
        clients: all requests.
        changes: all changes of state that were told.
        sent, under_way: attempts by deployment.
    """

    def __init__(
        self,
        scene: Scene,
        behave: Behave = lambda _, __: Plan(),
        *,
        replayable: bool = True,
        resumable: bool = False,
        seed: int = 1,
    ) -> None:
        self.scene = scene
        self.behave = behave
        self.rng = random.Random(seed)
        self.now = START
        self.clients: list[Client] = []
        self.changes: list[Change] = []
        self.sent: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self.replayable = replayable
        self.resumable = resumable
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = itertools.count()
        self._freed: list[Deployment] = []
        self._handing_on = False

    # time

    def arrive(self, at: float, *, poison: bool = False, seconds: float = 900.0, **ask: object) -> Client:
        """A request that comes so many seconds after the start."""
        client = Client(self.scene.exchange(Monotonic(START + at), seconds=seconds, **ask), poison)
        self.clients.append(client)
        self.at(START + at, self.open, client)
        return client

    def leave(self, at: float, client: Client) -> None:
        """The client hangs up so many seconds after the start."""
        self.at(START + at, self.cancel, client)

    def at(self, instant: float, what: Callable[..., None], *arguments: object) -> None:
        """Put something on the agenda."""
        heapq.heappush(self._agenda, (instant, next(self._count), what, arguments))

    def run(self, until: float = NEVER) -> None:
        """Let time pass, until nothing is to be done or so many seconds after the start."""
        while self._agenda and self._agenda[0][0] <= START + until:
            self.step()
        if until < NEVER:
            self.now = Monotonic(max(self.now, START + until))
            self._look_at_line()

    def step(self) -> bool:
        """Do what is next on the agenda; False if there is nothing."""
        if not self._agenda:
            return False
        instant, _, what, arguments = heapq.heappop(self._agenda)
        self.now = Monotonic(max(self.now, instant))
        what(*arguments)
        self._look_at_line()
        return True

    # events

    def open(self, client: Client) -> None:
        """The request is here."""
        self._perform(client, client.exchange.open(self.now))

    def cancel(self, client: Client) -> None:
        """Its client is gone."""
        client.ticket, client.sleeping = None, False
        self._perform(client, client.exchange.cancel(self.now))

    def content(self, client: Client, permit: Permit) -> None:
        """First content, if the attempt is under way."""
        if permit in client.calls:
            client.heard.add(permit)
            self._perform(client, client.exchange.first_content(permit, self.now))

    def compared(self, client: Client, permit: Permit, *, differs: bool) -> None:
        """A replay differs from what the client has, or goes beyond it."""
        if permit in client.behind:
            client.behind.discard(permit)
            event = client.exchange.diverged if differs else client.exchange.caught_up
            self._perform(client, event(permit, self.now))

    def end(self, client: Client, permit: Permit, usage: Usage | None = None) -> None:
        """An answer is whole, if the attempt is under way."""
        if permit in client.calls:
            self._over(client, permit)
            self._perform(client, client.exchange.completed(permit, usage, self.now))
            assert client.ends, "a whole answer is the end"
            self._hand_on(permit.deployment)

    def fail(self, client: Client, permit: Permit, failure: Failure) -> None:
        """An attempt has failed, if it is under way."""
        if permit in client.calls:
            broke = permit in client.heard and bool(client.commits)
            client.breaks += broke
            client.ambiguous += broke or failure.ambiguous
            self._over(client, permit)
            steps = client.exchange.failed(
                permit, failure, self.now, replayable=self.replayable, resumable=self.resumable
            )
            self._perform(client, steps)
            assert client.breaks < 2 or client.ends, "an answer that has broken twice goes on"
            self._hand_on(permit.deployment)

    def cannot(self, client: Client, permit: Permit) -> None:
        """The target cannot be told the request; nothing was sent."""
        self._over(client, permit)
        failure = Failure(FailureKind.INVALID_REQUEST, "cannot be said", sent=False)
        self._perform(client, client.exchange.unsendable(permit, failure, self.now))
        self._hand_on(permit.deployment)

    def _wake(self, client: Client) -> None:
        if client.sleeping:
            client.sleeping = False
            self._perform(client, client.exchange.woke(self.now))

    def _remind(self, client: Client) -> None:
        self._perform(client, client.exchange.reminded(self.now))  # one that was replaced must change nothing

    def _time_out(self, client: Client, permit: Permit, *, silent: bool) -> None:
        if silent and permit in client.heard:
            return
        late = self.now >= client.exchange.ask.deadline
        self.fail(client, permit, Failure(FailureKind.DEADLINE_PASSED if late else FailureKind.FIRST_TOKEN_TIMEOUT))

    # the line

    def _look_at_line(self) -> None:
        for ticket in self.scene.fleet.line.ripe(self.now):
            self._called(ticket)

    def _called(self, ticket: Ticket) -> None:
        client = ticket.holder
        assert isinstance(client, Client)
        assert client.ticket is ticket
        client.ticket = None
        self._perform(client, client.exchange.woke(self.now))

    def _hand_on(self, deployment: Deployment) -> None:
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
            assert not client.ends or isinstance(step, Freed), "nothing comes after the end"
            match step:
                case Send():
                    self._send(client, step)
                case Sleep(until=until):
                    assert self.now <= until < exchange.ask.deadline
                    client.sleeping = True
                    self.at(until, self._wake, client)
                case Remind(at=at):
                    self.at(at, self._remind, client)
                case Commit(permit=permit):
                    assert permit not in client.commits, "one commit for one source"
                    client.commits.append(permit)
                case Abandon(permit=permit):
                    assert permit.settled
                    self._over(client, permit)
                    self._hand_on(permit.deployment)
                case Finish() | Refuse():
                    self._finish(client, step)
                case _:
                    self._perform_in_line(client, step)

    def _finish(self, client: Client, step: Finish | Refuse) -> None:
        client.ends.append(step)
        client.ended = self.now
        assert client.exchange.over
        assert not client.calls, "something is still under way"
        if isinstance(step, Refuse):
            assert step.broken == bool(client.commits)
            assert step.attempts == tuple(client.exchange.attempts)
        elif client.commits:
            assert step.permit is client.commits[-1], "the end of another answer"

    def _perform_in_line(self, client: Client, step: Step) -> None:
        match step:
            case Queue(ticket=ticket):
                assert ticket.deadline <= client.exchange.ask.deadline, "waits past its deadline"
                client.waited = True
                client.ticket, ticket.holder = ticket, client
                self.at(min(ticket.ripe, ticket.deadline), lambda: None)
            case Shed(ticket=ticket):
                other = ticket.holder
                assert isinstance(other, Client)
                other.ticket = None
                self._perform(other, other.exchange.shed(self.now))
                assert other.ends
            case Freed(deployment=deployment):
                self._hand_on(deployment)

    def _send(self, client: Client, send: Send) -> None:
        self._check(client, send)
        permit, name, limits = send.permit, send.target.name, send.deadlines
        client.calls[permit] = send
        client.sends.append(send)
        self.sent[name] += 1
        self.under_way[name] += 1
        if send.purpose is Purpose.REPLAY:
            client.behind.add(permit)
        plan = self.behave(send, client)
        if plan.content is not None:
            self.at(self.now + plan.content, self.content, client, permit)
            self.at(self.now + plan.content, partial(self.compared, client, permit, differs=plan.differs))
        if plan.end is not None:
            self.at(self.now + plan.end, self.end, client, permit)
        if plan.fail is not None:
            self.at(self.now + plan.fail[0], self.fail, client, permit, plan.fail[1])
        self.at(limits.first_content, partial(self._time_out, client, permit, silent=True))
        self.at(limits.end, partial(self._time_out, client, permit, silent=False))

    def _check(self, client: Client, send: Send) -> None:
        """Every limit of effort, before an attempt goes out."""
        exchange, retry = client.exchange, self.scene.retry
        ask, under_way = exchange.ask, len(client.calls)
        assert self.now < ask.deadline, "a send after the deadline"
        assert self.now <= send.deadlines.first_content <= send.deadlines.end <= ask.deadline
        assert len(exchange.attempts) + under_way < retry.max_attempts
        assert client.ambiguous <= retry.max_ambiguous
        assert not client.sleeping
        assert client.ticket is None
        repeats = send.purpose in {Purpose.REPLAY, Purpose.RESUME}
        assert repeats == bool(client.commits), "only repetitions are sent after the commitment, and only then"
        if send.purpose is Purpose.HEDGE:
            assert under_way + client.ambiguous <= retry.max_ambiguous
            assert send.target.deployment not in {call.target.deployment for call in client.calls.values()}
        else:
            assert not under_way, "two attempts, and no hedge"

    def _over(self, client: Client, permit: Permit) -> None:
        send = client.calls.pop(permit)
        client.behind.discard(permit)
        self.under_way[send.target.name] -= 1
