"""A second attempt at an answer that broke off: heard in silence until it has said what the client has."""

from typing import TYPE_CHECKING

from standfast.engine.call import Call
from standfast.engine.lifeline import DRAINING, FLOWING, WAITING
from standfast.engine.outlet import Outlet
from standfast.formats._replay import Heard, ReplayRelay
from standfast.formats.base import Format, StreamRelay
from standfast.policy.steps import Send

if TYPE_CHECKING:  # a drive makes its calls
    from standfast.engine.drive import Drive


class RepeatCall(Call):
    """Performs a `Send` with the purpose REPLAY.

    Args:
        told: what the client has.
    """

    __slots__ = ("_taken_over", "_told")

    def __init__(self, drive: "Drive", send: Send, outlet: Outlet, upstream_format: Format, told: Heard) -> None:
        super().__init__(drive, drive, send, outlet, upstream_format)
        self._told = told
        self._taken_over = False

    def _make_relay(self) -> StreamRelay:
        drive = self._drive
        return ReplayRelay(
            self._format,
            self._client_format,
            self._told,
            include_usage=drive.inquiry.envelope.include_usage,
            max_event_bytes=drive.services.event_bytes,
        )

    def body(self, data: bytes) -> None:
        """The next bytes of the answer."""
        relay = self._relay
        if not isinstance(relay, ReplayRelay) or self._phase is DRAINING:
            super().body(data)
            return
        before = relay.characters
        out = relay.feed(data)
        if relay.characters > before:
            self._lane.touched = True
        self._first(out)
        self._look(relay)

    def _first(self, out: bytes) -> None:
        relay = self._relay
        if not isinstance(relay, ReplayRelay):
            return
        if relay.content and self._phase is WAITING:
            self._phase = FLOWING
            self._drive.first_content(self)
        if relay.beyond and not self._taken_over:
            self._taken_over = True
            self._drive.caught_up(self)
        if out:
            self._drive.pass_on(out)

    def _given_up(self, relay: StreamRelay) -> bool:
        return isinstance(relay, ReplayRelay) and bool(relay.diverged)

    def _look(self, relay: StreamRelay) -> None:
        if self._given_up(relay):
            upstream = self._upstream
            self._over()
            if upstream is not None:
                upstream.cancel()
            self._drive.diverged(self)
        else:
            super()._look(relay)
