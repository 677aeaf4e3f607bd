"""What an `Exchange` asks its driver to do. A list of these is its whole output.

Perform them in order. Only `Finish` and `Refuse` end a request; exactly one of them comes.
"""

from typing import TypeAlias

import msgspec

from standfast.canon.attempt import Attempt
from standfast.canon.failure import Failure
from standfast.canon.instants import Monotonic
from standfast.policy.fleet import Permit
from standfast.policy.route import Target
from standfast.policy.timeouts import Deadlines


class Send(msgspec.Struct, frozen=True):
    """Start an attempt. Its end must be reported exactly once, with this permit."""

    target: Target
    permit: Permit
    deadlines: Deadlines


class Sleep(msgspec.Struct, frozen=True):
    """Call `woke` at this instant (not before). At most one sleep is pending."""

    until: Monotonic


class Commit(msgspec.Struct, frozen=True):
    """This attempt gives the answer: from now on its bytes go to the client."""

    permit: Permit


class Abandon(msgspec.Struct, frozen=True):
    """Stop this attempt now; it is settled already, report nothing."""

    permit: Permit


class Finish(msgspec.Struct, frozen=True):
    """The answer is complete."""

    permit: Permit


class Refuse(msgspec.Struct, frozen=True):
    """No complete answer will come; tell the client (or nobody, if it is gone).

    Attributes:
        failure: how the last attempt ended; None if none was sent.
        retry_after: seconds after which a repetition has a chance, never earlier than true; None if pointless.
        broken: content had been delivered: the answer breaks off.
        attempts: everything that was tried.
    """

    failure: Failure | None
    retry_after: float | None
    broken: bool
    attempts: tuple[Attempt, ...]


Step: TypeAlias = Send | Sleep | Commit | Abandon | Finish | Refuse
