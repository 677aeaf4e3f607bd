"""Second attempts at an answer that broke off.

A replay is heard in silence until it has said what the client has. A continuation says what the client has not, so its
first content is the client's at once; only its relay is another one.
"""

from standfast.canon.attempt import reported
from standfast.canon.structs import plain_stores
from standfast.engine.call import Call
from standfast.engine.lifeline import DRAINING, FLOWING, WAITING
from standfast.engine.outlet import Outlet
from standfast.errors import Untranslatable
from standfast.formats._heard import NOTHING, Heard
from standfast.formats._replay import ReplayRelay
from standfast.formats._resume import ResumeRelay
from standfast.formats.base import Format, StreamRelay
from standfast.policy.steps import Purpose


@plain_stores
class RepeatCall(Call):
    """Performs a `Send` with the purpose REPLAY; `told` is what the client has."""

    told: Heard = NOTHING
    _taken_over: bool = False

    def _make_relay(self) -> StreamRelay:
        drive = self._drive
        return ReplayRelay(
            self._format,
            self._client_format,
            self.told,
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
            self._lane.touched = self._drive.services.watch.turn
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


@plain_stores
class ResumeCall(Call):
    """Performs a `Send` with the purpose RESUME; `told` is what the client has."""

    told: Heard = NOTHING

    def _make_relay(self) -> StreamRelay:
        drive = self._drive
        return ResumeRelay(
            self._format,
            self._client_format,
            self.told,
            reported(drive.exchange.attempts),
            include_usage=drive.inquiry.envelope.include_usage,
            max_event_bytes=drive.services.event_bytes,
        )


REPETITIONS = {Purpose.REPLAY: RepeatCall, Purpose.RESUME: ResumeCall}


def for_the_rest(request: bytes, told: Heard | None, outlet: Outlet, form: Format) -> bytes:
    """The same request, asking for what comes after the text that the client has.

    Raises:
        Untranslatable: the target cannot be asked that.
    """
    if told is None or outlet.prefill is None:
        raise Untranslatable("nobody knows how to tell this server to go on with an answer")
    return form.go_on(request, told.start, outlet.prefill)
