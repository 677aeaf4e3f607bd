"""Waiting for a turn in front of deployments that are well but busy, instead of failing.

Rules:

* A request waits when nothing but limits (of keys, of requests at the same time) keeps it from being sent, and a short
  wait may suffice: until the line's own limit and never beyond its deadline. A wait that is known to be longer is not
  begun, and neither is one that is to be expected longer because too many go first (`policy.shedding`).
* Who is denied again when it is its turn keeps its place in the line, and the time since which it waits. If it cannot
  line up again, its turn has cost its caller nothing.
* Only who is first for a deployment is told when to look again; who stands behind others is woken when they are sent
  or leave. So the order holds even where small requests would slip through limits that stop a large one.
* A request that waits is no work under way, so it does not make the retry budget larger.
"""

from standfast.canon.deployment import Deployment
from standfast.canon.instants import NEVER, Monotonic
from standfast.policy.effort import Effort
from standfast.policy.line import Ticket
from standfast.policy.route import Target
from standfast.policy.steps import Queue

LOOK_AGAIN = 1.0
"""Seconds after which who is first looks again, where nobody knows when a place becomes free."""


class Waiting:
    """One request's place in the line.

    Args:
        effort: what the request may still do.

    Attributes:
        targets: for which of them it waits.
        displaced: whoever had to leave the line for it, to be told.
        shed: there was no room for this one, or no time.
    """

    __slots__ = ("_effort", "_in_line", "_ticket", "displaced", "shed", "targets")

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._ticket: Ticket | None = None
        self._in_line = False
        self.targets: list[Target] = []
        self.displaced: Ticket | None = None
        self.shed = False

    @property
    def wants(self) -> tuple[Deployment, ...]:
        """For which deployments it waits, or waited last."""
        return () if self._ticket is None else self._ticket.wants

    def enter(self, now: Monotonic) -> Queue | None:
        """Wait, if that may help; None if it does not."""
        queue = self._enter(now)
        if queue is None and self._ticket is not None:
            self._effort.fleet.line.give_back(self._ticket)
        return queue

    def leave(self, *, gone: bool = False) -> bool:
        """Wait no longer; was it waiting? `gone` if the line has handed out or shed the ticket already."""
        if not self._in_line:
            return False
        self._in_line = False
        if self._ticket is not None and not gone:
            self._effort.fleet.line.leave(self._ticket)
        self._effort.budget.started()
        return True

    def _enter(self, now: Monotonic) -> Queue | None:
        effort = self._effort
        line, deadline = effort.fleet.line, effort.ask.deadline
        found = effort.wishes.busy(now)
        self.shed = False
        if not found:
            return None
        rest = effort.wishes.rested(now)
        if rest is not None and rest[0] - now <= effort.route.retry.wait:
            found.append(rest)
        since = now if self._ticket is None else self._ticket.since
        deadline = min(deadline, Monotonic(since + line.settings.max_wait))
        ripe = self._ripe(found, deadline, now)
        if now >= deadline or ripe is None or (self._ticket is None and line.hopeless(effort.ask, deadline, now)):
            self.shed = True
            return None
        self.targets = list(dict.fromkeys(target for _, target in found))
        ticket = self._ticket or Ticket(effort.ask, (), since, deadline, ripe)
        ticket.wants, ticket.ripe = tuple(target.deployment for target in self.targets), ripe
        self.displaced = line.enter(ticket, now)
        if self.displaced is ticket:
            self.displaced, self.shed = None, True
            return None
        self._ticket, self._in_line = ticket, True
        effort.budget.ended()
        return Queue(ticket)

    def _ripe(self, found: list[tuple[Monotonic, Target]], deadline: Monotonic, now: Monotonic) -> Monotonic | None:
        """When to look again; None if it is known to be too late then."""
        denied = self._effort.wishes.denied
        known = [until for until, _ in found if now < until < NEVER]
        soonest = min(known, default=NEVER)
        if soonest < deadline:
            return soonest
        if len(known) == len(found):
            return None
        behind = all(target in denied and denied[target].why == "behind" for _, target in found)
        return deadline if behind else min(deadline, Monotonic(now + LOOK_AGAIN))
