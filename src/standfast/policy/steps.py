"""What an `Exchange` asks its driver to do. A list of these is its whole output.

Perform them in order. Only `Finish` and `Refuse` end a request; exactly one of them comes. `Freed` speaks to other
requests and may stand behind it.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from standfast.canon.attempt import Attempt
from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure
from standfast.canon.instants import Monotonic
from standfast.policy.fleet import Permit
from standfast.policy.route import Target
from standfast.policy.timeouts import Deadlines

if TYPE_CHECKING:  # a step is made for every request, a ticket for few
    from standfast.policy.line import Ticket


class Purpose(StrEnum):
    """What an attempt is sent for."""

    ANSWER = "answer"
    HEDGE = "hedge"  # a second one beside an attempt that is slow; whoever has content first answers
    REPLAY = "replay"  # the broken answer again: swallow its text while it equals what the client has
    RESUME = "resume"  # the broken answer's rest: the request goes out with the text that the client has


# `gc=False` on values: none can lead back to itself, so the garbage collector need not look.


class Send(msgspec.Struct, frozen=True, gc=False):
    """Start an attempt. Its end must be reported exactly once, with this permit.

    What else is reported depends on the purpose:

        ANSWER, HEDGE   `first_content`
        REPLAY          `first_content` (nothing follows from it), then either `caught_up`, as soon as its text goes
                        beyond what the client has, or `diverged` at the first difference; an end before the client's
                        text is reached is a difference too
        RESUME          `first_content`
    """

    target: Target
    permit: Permit
    deadlines: Deadlines
    purpose: Purpose = Purpose.ANSWER


class Sleep(msgspec.Struct, frozen=True):
    """Call `woke` at this instant (not before). At most one sleep is pending."""

    until: Monotonic


class Queue(msgspec.Struct, frozen=True):
    """The request waits in the fleet's line: put what finds it again into `ticket.holder`.

    Call `woke` when `Line.freed` or `Line.ripe` hands out the ticket. Neither a sleep nor an attempt is pending.
    """

    ticket: "Ticket"


class Shed(msgspec.Struct, frozen=True):
    """Another request had to leave the line for this one: call `shed` of the exchange that `ticket.holder` finds."""

    ticket: "Ticket"


class Freed(msgspec.Struct, frozen=True):
    """The next in line for this deployment may try: ask `Line.freed` once, and call `woke` of whom it hands out.

    It comes when a request that has waited was sent, where a limit may let more than one pass, or went away. (That the
    end of an attempt makes room the driver knows by itself.) Whoever is sent then says `Freed` again: keep a list, do
    not perform one inside another.
    """

    deployment: Deployment


class Remind(msgspec.Struct, frozen=True):
    """Call `reminded` at this instant, unless content came or the request ended before. A later one replaces it."""

    at: Monotonic


class Commit(msgspec.Struct, frozen=True):
    """This attempt gives the answer: from now on its bytes go to the client.

    A second one comes when a repetition takes over a broken answer.
    """

    permit: Permit


class Abandon(msgspec.Struct, frozen=True):
    """Stop this attempt now; it is settled already, report nothing."""

    permit: Permit


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The answer is complete."""

    permit: Permit


class Refuse(msgspec.Struct, frozen=True):
    """No complete answer will come; tell the client (or nobody, if it is gone).

    Attributes:
        failure: how the last attempt ended, or what broke the answer; None if no attempt was sent.
        retry_after: seconds after which a repetition has a chance, never earlier than true; None if pointless.
        broken: content had been delivered: the answer breaks off.
        attempts: everything that was tried.
        shed: it waited for its turn, or would have had to, and there was no room or no time for it.
    """

    failure: Failure | None
    retry_after: float | None
    broken: bool
    attempts: tuple[Attempt, ...]
    shed: bool = False


Step: TypeAlias = Send | Sleep | Queue | Shed | Freed | Remind | Commit | Abandon | Finish | Refuse
