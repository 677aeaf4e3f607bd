"""The line in front of busy deployments: who waits for a slot, and whose turn it is.

House rules of this file:

* Higher priority first. Among equals it is fair between callers: who has had less is next, however many requests
  somebody else has lined up (start-time fair queueing; Goyal, Vin and Cheng, SIGCOMM 1996). A request's start tag is
  the later of the line's virtual time when it came and its caller's finish; its finish is that and its estimated
  tokens. Virtual time is the start tag of whoever was called last.
* A caller pays when it is called, and not when it lines up. The paper's tags are given on arrival, because its packets
  never leave unserved; given at the head of the caller's own queue they are the same numbers for all that are served
  (there the finish of the one before is the later of the two), and who leaves unserved has paid nothing: neither is
  the caller's next request behind, nor are those that stood behind the one that left.
* Who is called and lines up again gets back what it paid, and its place.
* An empty line forgets everything: nobody waits for what another has had.
* The line is bounded. When it is full the lowest priority goes first, and of equals the newest: whoever has waited for
  longer is nearer to an answer.
* Nobody is overtaken by a newcomer of the same or a lower priority that wants the same deployment (`blocks`).
* Whoever would wait in vain need not line up (`policy.shedding`).
* Nothing waits past its deadline: `ripe` hands out such a ticket, and its request finds out by itself.

Each operation costs O(log n) for each deployment that is wanted (amortised: what has left the line stays in the heaps
until it comes up). A deployment's heap has one entry for each caller and priority, at its start tag or before: tags
move on as callers are called, and an entry that is behind the times is put right when it comes up. Only lining up again
moves a tag back; then the caller's entries are made anew.
"""

import heapq
import itertools
from typing import Annotated

from pydantic import Field

from standfast.canon.ask import Ask
from standfast.canon.deployment import Deployment
from standfast.canon.instants import Monotonic
from standfast.canon.settings import Seconds, Settings
from standfast.policy.shedding import Shedding

LEAST_COST = 1.0
"""Tokens that a request is charged at least, so that tags move on."""

CALLERS = 4_096
"""Callers whose share is remembered; then those that are owed nothing are forgotten."""


class QueueSettings(Settings):
    """Waiting for a slot when every target is busy.

    Attributes:
        max_waiting: requests that may wait at the same time; 0 for none (Envoy's `max_pending_requests` is 1024).
        max_wait: the longest wait, seconds; below what clients and proxies give up after.
        shed_early: refuse at once whoever would wait in vain, lowest priority first, instead of after the wait.
    """

    max_waiting: Annotated[int, Field(ge=0)] = 1000
    max_wait: Annotated[Seconds, Field(gt=0)] = 10.0
    shed_early: bool = True


class Ticket:
    """One request's place in the line. Compared by identity.

    Attributes:
        ask: whose.
        wants: deployments of which any will do.
        since: when it lined up first.
        deadline: it is handed out at this instant at the latest.
        ripe: it may try again at this instant, slot or not: a limit of so much a minute lets it pass then.
        holder: the driver's; what finds the request again.
    """

    __slots__ = ("ask", "deadline", "first", "holder", "number", "paid", "ripe", "since", "tag", "wants")

    def __init__(
        self, ask: Ask, wants: tuple[Deployment, ...], since: Monotonic, deadline: Monotonic, ripe: Monotonic
    ) -> None:
        self.ask = ask
        self.wants = wants
        self.since = since
        self.deadline = deadline
        self.ripe = ripe
        self.holder: object | None = None
        self.tag: float | None = None  # virtual time when it lined up first
        self.first = -1  # of its first stay in the line; kept when it lines up again, as is the tag
        self.number = -1  # of its stay in the line; -1 while it is in none
        self.paid: Account | None = None  # whose finish moved on when it was called


class Account:
    """What one caller has had, and where it waits.

    Attributes:
        finish: its last finish, virtual time; who is owed nothing has one that is past.
        flows: its requests by deployment and rank.
    """

    __slots__ = ("finish", "flows")

    def __init__(self) -> None:
        self.finish = 0.0
        self.flows: dict[tuple[Deployment, int], Flow] = {}

    def start(self, ticket: Ticket) -> float:
        """The start tag of this caller's request, if it is called next."""
        return max(ticket.tag or 0.0, self.finish)


class Flow:
    """One caller's requests of one priority for one deployment; it has one valid entry in the deployment's heap.

    Attributes:
        account: the caller's.
        queue: first numbers and numbers of its requests, oldest first; who has left stays until it comes up.
        key: start tag and first number by which the valid entry is sorted: those of the oldest request, or before.
        entry: number of the valid entry.
    """

    __slots__ = ("account", "entry", "key", "queue")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.queue: list[tuple[int, int]] = []
        self.key = (0.0, 0)
        self.entry = -1


class Line:
    """All requests of one fleet that wait.

    Args:
        settings: how many, how long.

    Attributes:
        settings: the same.
        waiting: who waits, by number; to look at. (Asking whether anybody does by `len` is a call per request.)
        shedding: who need not line up, because it would wait in vain.
    """

    __slots__ = (
        "_accounts",
        "_by_deployment",
        "_next",
        "_numbers",
        "_ripening",
        "_time",
        "settings",
        "shedding",
        "waiting",
    )

    def __init__(self, settings: QueueSettings) -> None:
        self.settings = settings
        self.shedding = Shedding()
        self._numbers = itertools.count()
        self.waiting: dict[int, Ticket] = {}
        self._by_deployment: dict[Deployment, list[tuple[int, tuple[float, int], int, Flow]]] = {}
        self._ripening: list[tuple[float, int]] = []
        self._next: list[tuple[int, int, int]] = []  # who would be shed: lowest priority first, newest first
        self._time = 0.0  # virtual, in tokens
        self._accounts: dict[str, Account] = {}

    def __len__(self) -> int:
        return len(self.waiting)

    def enter(self, ticket: Ticket, now: Monotonic) -> Ticket | None:
        """Line up.

        Returns:
            Whoever had to leave because the line was full (perhaps this one), None if there was room.
        """
        self.give_back(ticket)
        shed: Ticket | None = None
        if len(self.waiting) >= self.settings.max_waiting:
            shed = self._worst(ticket)
            if shed is ticket:
                return ticket
            self.leave(shed)
        self.shedding.lined_up(ticket.ask, now, again=ticket.tag is not None)
        number = ticket.number = next(self._numbers)
        if ticket.tag is None:
            ticket.tag, ticket.first = self._time, number
        elif ticket.tag > self._time:  # the line has been empty meanwhile
            ticket.tag = self._time
        self.waiting[number] = ticket
        self._join(ticket)
        heapq.heappush(self._ripening, (min(ticket.ripe, ticket.deadline), number))
        heapq.heappush(self._next, (ticket.ask.priority, -number, number))
        return shed

    def leave(self, ticket: Ticket) -> None:
        """Wait no longer; does nothing if it does not wait."""
        if self.waiting.pop(ticket.number, None) is not None:
            self.shedding.left(ticket.ask)
        ticket.number = -1
        if not self.waiting:
            self._by_deployment.clear()
            self._accounts.clear()
            self._ripening.clear()
            self._next.clear()
            self._time = 0.0

    def give_back(self, ticket: Ticket) -> None:
        """What it paid when it was called, because it could not be sent; does nothing if it has paid nothing."""
        account, ticket.paid = ticket.paid, None
        if account is None:
            return
        account.finish -= _cost(ticket.ask)
        for (deployment, rank), flow in account.flows.items():
            self._move_up(deployment, rank, flow)

    def blocks(self, ask: Ask, deployment: Deployment) -> bool:
        """Does somebody of the same or a higher priority wait for this deployment already?"""
        first = self._first(deployment)
        return first is not None and first.ask.priority >= ask.priority

    def freed(self, deployment: Deployment, now: Monotonic) -> Ticket | None:
        """Whose turn it is now that a slot is free there; None if nobody waits for it."""
        ticket = self._first(deployment)
        if ticket is not None:
            self._serve(ticket, now)
        return ticket

    def ripe(self, now: Monotonic) -> list[Ticket]:
        """Who may try again by now, or must know that its time is over; in the order of the line."""
        found: list[Ticket] = []
        while self._ripening and self._ripening[0][0] <= now:
            ticket = self.waiting.get(heapq.heappop(self._ripening)[1])
            if ticket is not None:
                found.append(ticket)
        found.sort(key=lambda ticket: (-ticket.ask.priority, ticket.first))
        starts = {ticket: self._serve(ticket, now) for ticket in found}
        found.sort(key=lambda ticket: (-ticket.ask.priority, starts[ticket], ticket.first))
        return found

    def hopeless(self, ask: Ask, deadline: Monotonic, now: Monotonic) -> bool:
        """Would a newcomer wait in vain until this instant? Then it is shed at the door."""
        return self.settings.shed_early and self.shedding.hopeless(ask, deadline - now, now)

    def _serve(self, ticket: Ticket, now: Monotonic) -> float:
        """Call it; its start tag. Whose time is over is not served, and pays nothing."""
        account = self._account(ticket.ask.caller)
        start = account.start(ticket)
        if now < ticket.deadline:
            self.shedding.called(ticket.ask, now)
            self._time = max(self._time, start)
            account.finish = start + _cost(ticket.ask)
            ticket.paid = account
        self.leave(ticket)
        return start

    def _account(self, caller: str) -> Account:
        account = self._accounts.get(caller)
        if account is None:
            if len(self._accounts) >= CALLERS:
                kept = {name: each for name, each in self._accounts.items() if each.flows or each.finish > self._time}
                self._accounts = kept
            account = self._accounts[caller] = Account()
        return account

    def _join(self, ticket: Ticket) -> None:
        account, rank = self._account(ticket.ask.caller), -ticket.ask.priority
        for deployment in ticket.wants:
            flow = account.flows.get((deployment, rank))
            if flow is None:
                flow = account.flows[deployment, rank] = Flow(account)
            heapq.heappush(flow.queue, (ticket.first, ticket.number))
            self._move_up(deployment, rank, flow)

    def _move_up(self, deployment: Deployment, rank: int, flow: Flow) -> None:
        """A new entry for a flow that has none, or whose oldest request comes before it."""
        ticket = self._oldest(flow)
        if ticket is None:
            return
        key = (flow.account.start(ticket), ticket.first)
        if flow.entry < 0 or key < flow.key:
            flow.key, flow.entry = key, next(self._numbers)
            heap = self._by_deployment.setdefault(deployment, [])
            heapq.heappush(heap, (rank, key, flow.entry, flow))

    def _first(self, deployment: Deployment) -> Ticket | None:
        heap = self._by_deployment.get(deployment)
        while heap:
            rank, key, entry, flow = heap[0]
            ticket = self._oldest(flow) if entry == flow.entry else None
            if ticket is None:
                heapq.heappop(heap)
                if entry == flow.entry:
                    del flow.account.flows[deployment, rank]
                continue
            true = (flow.account.start(ticket), ticket.first)
            if true == key:
                return ticket
            flow.key = true
            heapq.heapreplace(heap, (rank, true, entry, flow))
        return None

    def _oldest(self, flow: Flow) -> Ticket | None:
        queue = flow.queue
        while queue:
            ticket = self.waiting.get(queue[0][1])
            if ticket is not None:
                return ticket
            heapq.heappop(queue)
        return None

    def _worst(self, newcomer: Ticket) -> Ticket:
        """Of those who wait and the newcomer: the lowest priority, and of these the newest."""
        while self._next and self._next[0][2] not in self.waiting:
            heapq.heappop(self._next)
        if not self._next or self._next[0][0] >= newcomer.ask.priority:
            return newcomer
        return self.waiting[self._next[0][2]]


def _cost(ask: Ask) -> float:
    return max(LEAST_COST, float(ask.prompt_tokens + ask.max_tokens))
