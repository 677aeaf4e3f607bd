"""The line in front of busy deployments: who waits for a slot, and whose turn it is.

House rules of this file:

* Higher priority first. Among equals it is fair between callers: who has had less is next, however many requests
  somebody else has lined up (start-time fair queueing; Goyal, Vin and Cheng, SIGCOMM 1996). A request's tag is the
  later of the line's virtual time and its caller's last finish; its caller's finish moves on by the estimated tokens.
* The line is bounded. When it is full the lowest priority goes first, and of equals the newest: whoever has waited for
  longer is nearer to an answer.
* Nobody is overtaken by a newcomer of the same or a lower priority that wants the same deployment (`blocks`).
* Whoever would wait in vain need not line up (`policy.shedding`).
* Nothing waits past its deadline: `ripe` hands out such a ticket, and its request finds out by itself.

Each operation costs O(log n) (amortised: what has left the line stays in the heaps until it comes up).
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

    __slots__ = ("ask", "deadline", "holder", "number", "ripe", "since", "tag", "wants")

    def __init__(
        self, ask: Ask, wants: tuple[Deployment, ...], since: Monotonic, deadline: Monotonic, ripe: Monotonic
    ) -> None:
        self.ask = ask
        self.wants = wants
        self.since = since
        self.deadline = deadline
        self.ripe = ripe
        self.holder: object | None = None
        self.tag: float | None = None  # kept when it lines up again: it keeps its place
        self.number = -1  # of its stay in the line; -1 while it is in none


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
        "_by_deployment",
        "_finish",
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
        self._by_deployment: dict[Deployment, list[tuple[int, float, int]]] = {}
        self._ripening: list[tuple[float, int]] = []
        self._next: list[tuple[int, int, int]] = []  # who would be shed: lowest priority first, newest first
        self._time = 0.0  # virtual, in tokens
        self._finish: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self.waiting)

    def enter(self, ticket: Ticket, now: Monotonic) -> Ticket | None:
        """Line up.

        Returns:
            Whoever had to leave because the line was full (perhaps this one), None if there was room.
        """
        shed: Ticket | None = None
        if len(self.waiting) >= self.settings.max_waiting:
            shed = self._worst(ticket)
            if shed is ticket:
                return ticket
            self.leave(shed)
        self.shedding.lined_up(ticket.ask, now, again=ticket.tag is not None)
        if ticket.tag is None:
            ticket.tag = self._tag(ticket.ask)
        number = ticket.number = next(self._numbers)
        self.waiting[number] = ticket
        rank = -ticket.ask.priority
        for deployment in ticket.wants:
            heapq.heappush(self._by_deployment.setdefault(deployment, []), (rank, ticket.tag, number))
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
            self._ripening.clear()
            self._next.clear()

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
        found.sort(key=lambda ticket: (-ticket.ask.priority, ticket.tag))
        for ticket in found:
            self._serve(ticket, now)
        return found

    def hopeless(self, ask: Ask, deadline: Monotonic, now: Monotonic) -> bool:
        """Would a newcomer wait in vain until this instant? Then it is shed at the door."""
        return self.settings.shed_early and self.shedding.hopeless(ask, deadline - now, now)

    def _serve(self, ticket: Ticket, now: Monotonic) -> None:
        if now < ticket.deadline:
            self.shedding.called(ticket.ask, now)
        self._time = max(self._time, ticket.tag or 0.0)
        self.leave(ticket)

    def _tag(self, ask: Ask) -> float:
        tag = max(self._time, self._finish.get(ask.caller, 0.0))
        if len(self._finish) >= CALLERS and ask.caller not in self._finish:
            self._finish = {caller: finish for caller, finish in self._finish.items() if finish > self._time}
        self._finish[ask.caller] = tag + max(LEAST_COST, float(ask.prompt_tokens + ask.max_tokens))
        return tag

    def _first(self, deployment: Deployment) -> Ticket | None:
        heap = self._by_deployment.get(deployment)
        while heap:
            ticket = self.waiting.get(heap[0][2])
            if ticket is not None:
                return ticket
            heapq.heappop(heap)
        return None

    def _worst(self, newcomer: Ticket) -> Ticket:
        """Of those who wait and the newcomer: the lowest priority, and of these the newest."""
        while self._next and self._next[0][2] not in self.waiting:
            heapq.heappop(self._next)
        if not self._next or self._next[0][0] >= newcomer.ask.priority:
            return newcomer
        return self.waiting[self._next[0][2]]
