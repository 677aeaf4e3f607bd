"""Who decides what befalls a request, if no armed fault does: a director from outside, a drill for instance.

The director knows what an upstream would do; the lab does it on the wire. Of the director the lab knows what stands
here. While a provider has one, its armed faults and its limits are out of force.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Protocol

from standfast.lab.ask import Ask
from standfast.lab.journal import Entry
from standfast.lab.script import Step


class Door(Enum):
    """What becomes of whoever wants to connect."""

    OPEN = "open"
    AJAR = "ajar"  # refused; connections that are open stay so
    CLOSED = "closed"  # refused, and idle connections are dropped
    DEAF = "deaf"  # neither accepted nor refused: the handshake gets no answer


class Performance(Protocol):
    """One exchange.

    Attributes:
        closes: the connection is not used again.
    """

    closes: bool

    def steps(self, wake: Callable[[], None]) -> Iterator[Step]:
        """What to play; after a step that waits (`Act.WAIT`), call `wake` when it goes on."""
        ...

    def over(self) -> None:
        """It was played to its end, or the peer left."""
        ...


class Director(Protocol):
    """Decides what befalls the requests of one provider."""

    def perform(self, ask: Ask, key: str, entry: Entry) -> Performance:
        """A generation.

        Args:
            ask: what is asked.
            key: the upstream key.
            entry: the journal's; its status is to be filled in.
        """
        ...

    def ping(self) -> float:
        """Seconds until the models list is given."""
        ...
