"""The state of all deployments and upstream keys, and the permits to use them.

House rules of this file:

* Asking (`admit`) and reporting (`settle`) are two steps; every permit is settled exactly once, as success, failure or
  "says nothing" (cancelled). A second settlement is dropped.
* A failure blames exactly one: the key (its seat at this deployment for rate limits, the key everywhere for bad
  credentials and spent quotas), the deployment, or nobody. What a kind means is decided in `canon.failure.MEANING`.
* A late result belongs to the state in which its permit was given: the breaker drops results of an older generation,
  a success that was admitted before a rest began does not end the rest.
* Nothing here waits. `Denied.until` says when asking again has a chance.

Three objects carry the state (`policy.places`): a
`Place` per deployment (breaker, latency, its own rest), a `Key` per upstream key
(quarantine, limits), and a `Seat` per pair of both (the cooldown of a rate limit, which providers count per model).
"""

import random
from collections.abc import Collection, Mapping, Sequence

from standfast.canon.ask import Ask
from standfast.canon.attempt import SUCCESS, Outcome
from standfast.canon.deployment import Deployment
from standfast.canon.failure import Failure
from standfast.canon.instants import NEVER, Monotonic
from standfast.canon.rates import Rate
from standfast.canon.record import Change
from standfast.policy.adaptive import AdaptiveSettings
from standfast.policy.blame import breaker_moved, judged, lagged, outrun, served, states_moved
from standfast.policy.breaker import LETTING, SHUT, BreakerSettings, State
from standfast.policy.health import Health
from standfast.policy.health_check import HealthSettings
from standfast.policy.kin import Family
from standfast.policy.latency import Pace
from standfast.policy.limits import TargetLimits
from standfast.policy.line import Line, QueueSettings
from standfast.policy.places import Denied, Key, KeyPool, Permit, Place, Seat, Standing, avoided, inherit
from standfast.policy.seating import bound, give_back, learn, standing, take_seat, withdraw
from standfast.policy.silence import ENOUGH
from standfast.policy.strategy import Notes
from standfast.policy.timeouts import thinks
from standfast.policy.usual import LEAST

__all__ = ["Denied", "Fleet", "KeyPool", "Permit"]

OPERATOR = "an operator's word"
SOUND_FAILURE_SHARE = 0.1
"""Up to this share of recent failures a deployment counts as sound: a failover to it is expected to be the last."""


class Fleet:
    """All deployments and keys of one configuration.

    Args:
        deployments: each with its breaker settings; the same deployment may serve several models.
        pools: the keys of each provider entry that a deployment names.
        previous: the fleet of the configuration before; what is still there keeps its state.
        queue: how requests wait when everything is busy.

    Attributes:
        line: those that wait; the line of the configuration before, if there was one, with all who wait in it.
        notes: what strategies remember from one ranking to the next.
        news: states that changed when they were merely looked at; whoever meets them takes them out and tells them.
    """

    def __init__(
        self,
        deployments: Mapping[Deployment, BreakerSettings],
        pools: Sequence[KeyPool],
        previous: "Fleet | None" = None,
        queue: QueueSettings | None = None,
    ) -> None:
        old_keys = previous._keys if previous else {}  # noqa: SLF001 - of the same class
        old_places = previous._places if previous else {}  # noqa: SLF001 - of the same class
        self.news: list[Change] = previous.news if previous else []
        known = previous._families if previous else {}  # noqa: SLF001 - of the same class
        self._families: dict[str, Family] = {name: Family(name, down=each.down) for name, each in known.items()}
        self._keys: dict[tuple[str, str], Key] = {}
        self._by_provider: dict[str, list[Key]] = {}
        for pool in pools:
            for identity in pool.identities:
                key = old_keys.get((pool.provider, identity))
                if key is None or key.pool != (pool.rpm, pool.tpm, pool.concurrency):
                    key = Key(pool)
                self._keys[pool.provider, identity] = key
                self._by_provider.setdefault(pool.provider, []).append(key)
        queue = queue or QueueSettings()
        self.line: Line = Line(queue) if previous is None else previous.line
        self.line.settings = queue
        self.notes = Notes()
        self._paced = False
        self._places: dict[Deployment, Place] = {}
        for deployment, settings in deployments.items():
            before = old_places.get(deployment)
            if before is not None and self._same(before, settings):
                self._places[deployment] = before
                continue
            self._add(deployment, settings)
            if before is not None:
                inherit(self._places[deployment], before)
            elif old_places:
                self._places[deployment].breaker.introduce()
        for deployment, place in self._places.items():
            self._family(deployment).add(place.breaker)
        for family in self._families.values():
            self.news += family.moved()

    def ensure(self, deployment: Deployment, settings: BreakerSettings) -> None:
        """Have this deployment in the fleet; its provider's keys must be known."""
        if deployment not in self._places:
            self._add(deployment, settings)
            self._family(deployment).add(self._places[deployment].breaker)

    def _add(self, deployment: Deployment, settings: BreakerSettings) -> None:
        seats = [Seat(index, key) for index, key in enumerate(self._by_provider[deployment.provider])]
        self._places[deployment] = Place(deployment, settings, seats, self.news)
        if self._paced:
            self._places[deployment].pace = Pace()

    def _family(self, deployment: Deployment) -> Family:
        return self._families.setdefault(deployment.provider, Family(deployment.provider))

    def admit(
        self,
        deployment: Deployment,
        tokens: int,
        now: Monotonic,
        prompt: int = 0,
        tried_keys: Collection[int] = (),
        *,
        soft: bool = False,
    ) -> Permit | Denied:
        """Ask for leave to send one attempt of about `tokens` tokens, with a key not in `tried_keys`.

        `prompt` are the tokens of it that are not the answer's. `soft` ignores reasons to go elsewhere that do not hold
        when there is no elsewhere.
        """
        place = self._places[deployment]
        if place.rest.until > now:
            return Denied("resting", place.rest.until)
        health, silence = place.health, place.silence
        quiet = silence.waiting >= ENOUGH and now - silence.since >= LEAST
        if not soft and (quiet or (health is not None and health.shunned > now)):
            spared = avoided(place, now)
            if spared is not None:
                return spared
        adaptive = place.adaptive
        if place.in_flight >= adaptive.ceiling and place.in_flight >= adaptive.limit(now):
            return Denied("full", NEVER)
        seat = place.seats[0]
        if place.choosy or tried_keys or seat.rest.until > now or seat.key.rest.until > now:
            found = take_seat(place, tokens, prompt, now, tried_keys)
            if isinstance(found, Denied):
                return found
            seat = found
        breaker = place.breaker
        ticket = breaker.admit(now)
        if ticket is None:
            ticket = breaker.admit_softly(now) if soft else None
            if ticket is None:
                if seat.metered:
                    withdraw(place, seat, tokens, now)
                return Denied("open" if soft else breaker.refusal(now), breaker.retry_at(now))
        return self._permit(place, seat, ticket, tokens, prompt)

    def admit_probe(self, deployments: Sequence[Deployment], now: Monotonic) -> Permit | None:
        """When every breaker is open: a rare permit for the one that has been open for longest, or None."""
        places = [place for place in map(self._places.__getitem__, deployments) if place.rest.until <= now]
        for place in sorted(places, key=lambda place: place.breaker.opened_at):
            seat = take_seat(place, 0, 0, now, ())
            if isinstance(seat, Denied):
                continue
            ticket = place.breaker.force_probe(now)
            if ticket is not None:
                return self._permit(place, seat, ticket, 0, 0)
            if seat.metered:
                withdraw(place, seat, 0, now)
        return None

    def settle(  # noqa: PLR0917 - on every request: keywords cost more
        self,
        permit: Permit,
        outcome: Outcome,
        now: Monotonic,
        rng: random.Random,
        failure: Failure | None = None,
        tokens: int | None = None,
        completion: int = 0,
    ) -> tuple[Change, ...]:
        """Report how an attempt ended; `tokens` is what it really used. Returns the states that changed.

        `completion` is the part of it that is the answer; 0 if nobody knows.
        """
        if permit.settled:
            return ()
        permit.settled = True
        if permit.trail is not None:
            permit.trail.pace.ended(permit.trail, completion if outcome is SUCCESS else None, now)
        place, seat = permit.place, permit.seat
        place.in_flight -= 1
        seat.key.in_flight -= 1
        if seat.metered:
            give_back(permit, tokens, now)
        if permit.waits:
            permit.waits = False
            place.silence.left(failure, now)
        if outcome is SUCCESS:
            served(place, seat, now)
        changes: tuple[Change, ...] = ()
        if failure is not None:
            changes, outcome = judged(permit, failure, outcome, now, rng)
        moved = place.breaker.settle(permit.ticket, outcome, now, rng, slow=permit.slow)
        if moved is not None or place.adaptive.moved:
            changes += states_moved(place, moved, outcome, failure, now)
        return changes

    def first_content(
        self, permit: Permit, seconds: float, ask: Ask, now: Monotonic, rng: random.Random
    ) -> tuple[Change, ...]:
        """Learn how long the first content took. Returns the states that changed, because it was slow."""
        place, stream, prompt_tokens = permit.place, ask.stream, ask.prompt_tokens
        if stream:
            place.stream.observe(seconds)
            place.adaptive.spoke(seconds, prompt_tokens, permit.load, now)
        else:
            place.whole.observe(seconds)
        silence = place.silence
        silence.lost = 0
        if permit.waits:
            permit.waits = False
            silence.waiting -= 1  # `broken`: a call costs as much as all of this
            silence.since = now
            if silence.told:
                silence.ended()
        if not place.breaker.free:
            place.breaker.heard(permit.ticket)
        trail = permit.trail
        if trail is not None:
            trail.pace.spoke(trail, Monotonic(trail.since + seconds))
        slow = place.usual.observe(seconds, prompt_tokens, now, stream)
        return lagged(permit, now, rng) if slow else ()

    def learn(self, permit: Permit, rates: Collection[Rate], now: Monotonic) -> None:
        """What an answer's headers tell of the limits of its key; also if they tell nothing."""
        learn(permit, rates, now)

    def outrun(
        self, permit: Permit, seconds: float, ask: Ask, now: Monotonic, rng: random.Random
    ) -> tuple[Change, ...]:
        """Learn that no content had come after so many seconds, and another was faster. Before it is settled."""
        return outrun(permit, seconds, ask, now, rng)

    def available_at(self, deployment: Deployment, now: Monotonic, *, patience: float = NEVER) -> Monotonic:
        """When this deployment may next be asked; `now` if it may be now, NEVER if no key can serve it.

        After `patience` seconds a breaker that is open by itself counts as worth asking: it is probed meanwhile.
        """
        place = self._places[deployment]
        at = max(now, place.rest.until)
        if place.breaker.barred(now):
            retry_at = place.breaker.retry_at(now)
            at = max(at, Monotonic(min(retry_at, now + patience)) if retry_at < NEVER else NEVER)
        keys = min((max(seat.rest.until, seat.key.rest.until) for seat in place.seats), default=NEVER)
        return Monotonic(max(at, keys))

    def hint_end(self, deployment: Deployment, now: Monotonic) -> Monotonic | None:
        """When a rest ends whose end the provider itself named; None unless that is all that keeps it from serving."""
        place = self._places[deployment]
        if place.breaker.state(now) in SHUT or (place.rest.until > now and place.rest.until != place.hinted):
            return None
        ends = [
            seat.rest.until
            for seat in place.seats
            if seat.key.rest.until <= now and (seat.rest.until <= now or seat.rest.until == seat.hinted)
        ]
        end = max(place.rest.until, min(ends, default=NEVER))
        return end if now < end < NEVER else None

    def sound(self, deployment: Deployment, now: Monotonic) -> bool:
        """Is an attempt here expected to succeed: breaker closed, few recent failures."""
        breaker = self._places[deployment].breaker
        calls, failures = breaker.recent(now)
        return breaker.state(now) in LETTING and failures <= calls * SOUND_FAILURE_SHARE

    def force(self, deployment: Deployment, state: State | None, now: Monotonic, by: str = "") -> tuple[Change, ...]:
        """The word of an operator (`by`) about a breaker; see `Breaker.force`. Returns the states that changed."""
        place = self._places[deployment]
        moved = place.breaker.force(state, now)
        return () if moved is None else breaker_moved(place, moved, f"word of {by}" if by else OPERATOR, now)

    def breaker_state(self, deployment: Deployment, now: Monotonic) -> State:
        """State of the deployment's breaker."""
        return self._places[deployment].breaker.state(now)

    def take_news(self) -> tuple[Change, ...]:
        """States that changed when they were merely looked at, each once."""
        news = tuple(self.news)
        self.news.clear()
        return news

    def watch(self, settings: Mapping[Deployment, HealthSettings]) -> None:
        """Judge the health of these deployments; what is known under the same settings is kept."""
        for deployment, wanted in settings.items():
            place = self._places[deployment]
            if wanted.kind == "off":
                place.health = None
            elif place.health is None or place.health.settings != wanted:
                place.health = Health(deployment.name, wanted, thinks=thinks(deployment.model))

    def bound(self, limits: Mapping[Deployment, TargetLimits], adaptive: AdaptiveSettings) -> None:
        """Limit what is under way at these deployments so; what was learned under the same settings is kept."""
        for deployment, wanted in limits.items():
            bound(self._places[deployment], wanted, adaptive)

    def standing(self, deployment: Deployment, now: Monotonic) -> Standing:
        """How this deployment stands, for checks and reports."""
        return standing(self._places[deployment], now)

    def measure(self) -> None:
        """Measure from now on how fast each deployment is, because a strategy compares by it."""
        self._paced = True
        for place in self._places.values():
            place.pace = place.pace or Pace()

    def place(self, deployment: Deployment) -> Place:
        """The state of a deployment, to look at."""
        return self._places[deployment]

    def in_flight(self, deployment: Deployment) -> int:
        """Attempts under way."""
        return self._places[deployment].in_flight

    def deployments(self) -> tuple[Deployment, ...]:
        """All of them, in configuration order."""
        return tuple(self._places)

    def _same(self, before: Place, settings: BreakerSettings) -> bool:
        """Does nothing in the new configuration contradict this place? Then what is under way there still counts."""
        keys = self._by_provider.get(before.deployment.provider, [])
        return before.settings == settings and [seat.key for seat in before.seats] == keys

    def _permit(self, place: Place, seat: Seat, ticket: int, tokens: int, prompt: int) -> Permit:
        load = place.in_flight = place.in_flight + 1
        seat.key.in_flight += 1
        permit = Permit(place, seat, ticket, tokens, seat.index, load)
        if seat.quota is not None:
            permit.reckoned = (prompt, seat.quota.take(tokens, prompt))
        return permit
