"""Looks at the health of every target, as `engine.checks` does: at real traffic, with a check where there was none.

A ping meets connections that are refused or hang, and a brownout; it does not meet what only real requests do: that is
the health check that lies. A generate check is a tiny real attempt.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Deployment
from standfast.canon.facts import Facts, Price
from standfast.canon.failure import Blame, Failure
from standfast.canon.instants import Monotonic
from standfast.policy.fleet import Denied, Permit
from standfast.policy.health import Health
from standfast.policy.health_budget import Allowance, Purse, check_cost
from standfast.policy.health_check import Check, Evidence, HealthSettings
from standfast.policy.timeouts import Deadlines
from standfast.sim.call import Call
from standfast.sim.crowd import Request

if TYPE_CHECKING:  # the stage brings the checks
    from standfast.sim.stage import Stage

SPREAD = 0.1
"""Share of the interval by which each look is moved by chance."""

PROMPT, ANSWER = 10, 16
"""Tokens of a generate check."""


@dataclass(slots=True)
class _Round:
    """Targets that are looked at together: those of one provider entry, or one that is asked to generate."""

    settings: HealthSettings
    deployments: tuple[Deployment, ...]
    busy: bool = False


class Checkup:
    """All the looks of one run.

    Args:
        stage: where it plays.
        rng: its own source of chance, so that watching changes no decision about requests.
        budget: what generate checks may cost, and how many there may be.
        end: the instant after which nobody looks any more.
    """

    def __init__(self, stage: "Stage", rng: random.Random, budget: HealthSettings, end: float) -> None:
        self._stage = stage
        self._rng = rng
        self._purse = Purse(budget.budget_usd)
        self._allowance = None if budget.budget is None else Allowance(budget.budget)
        self._end = end

    def start(self, now: Monotonic) -> None:
        """Plan the first looks."""
        grouped: dict[tuple[str, HealthSettings], list[Deployment]] = {}
        for deployment in self._stage.fleet.deployments():
            health = self._health(deployment, now)
            if health is not None and deployment in self._stage.stations:
                name = deployment.name if health.settings.kind == "generate" else deployment.provider
                grouped.setdefault((name, health.settings), []).append(deployment)
        for (_, settings), deployments in grouped.items():
            self._plan(_Round(settings, tuple(deployments)), now + settings.interval * self._rng.uniform(0.5, 1.0))

    def _plan(self, each: _Round, at: float) -> None:
        if at < self._end:
            self._stage.world.at(at, partial(self._look, each))

    def _look(self, each: _Round, now: Monotonic) -> None:
        self._plan(each, now + each.settings.interval * self._rng.uniform(1 - SPREAD, 1 + SPREAD))
        silent: list[Deployment] = []
        for deployment in each.deployments:
            standing = self._stage.fleet.standing(deployment, now)
            if standing.health is None:
                continue
            traffic, success, changes = standing.health.look(standing.first_token, now)
            self._stage.tally.moved(changes, now)
            if not (success if each.settings.kind == "generate" else traffic):
                silent.append(deployment)
        if not silent or each.settings.kind == "passive" or each.busy:
            return
        if each.settings.kind != "generate" or not self._generate(each, silent[0], now):
            self._ping(each, silent, now)

    def _ping(self, each: _Round, silent: Sequence[Deployment], now: Monotonic) -> None:
        """One for all of them: endpoint and key are the same."""
        for deployment in silent:
            if self._stage.fleet.standing(deployment, now).free_keys:
                seconds, failure = self._stage.stations[deployment].ping(self._rng, each.settings.timeout, now)
                each.busy = True
                self._stage.world.at(now + seconds, partial(self._pinged, each, silent, seconds, failure))
                return

    def _pinged(
        self, each: _Round, silent: Sequence[Deployment], seconds: float, failure: Failure | None, now: Monotonic
    ) -> None:
        each.busy = False
        self.learn(silent, Check(Evidence.PING, now, seconds, failure), now)

    def _generate(self, each: _Round, deployment: Deployment, now: Monotonic) -> bool:
        """A tiny completion; False without leave or budget."""
        dollars = self._cost(deployment)
        if not self._purse.ready(dollars, now) or not (self._allowance is None or self._allowance.ready(now)):
            return False
        permit = self._stage.fleet.admit(deployment, PROMPT + ANSWER, now, soft=True)
        if isinstance(permit, Denied):
            return False
        self._purse.spend(dollars, now)
        if self._allowance is not None:
            self._allowance.spend(now)
        each.busy = True
        _Question(self, self._stage, each, permit).ask(now)
        return True

    def _cost(self, deployment: Deployment) -> float:
        """US dollars of a check, at the scenario's price."""
        price = self._stage.cast.upstreams[deployment].price
        facts = None if price is None else Facts(prices=(Price(price.input, price.output),))
        return check_cost(facts, PROMPT, ANSWER)[0]

    def learn(self, deployments: Sequence[Deployment], check: Check, now: Monotonic) -> None:
        """Tell the health of these targets what a check found."""
        for deployment in deployments:
            standing = self._stage.fleet.standing(deployment, now)
            if standing.health is not None:
                _, _, changes = standing.health.look(standing.first_token, now)
                self._stage.tally.moved(changes + standing.health.checked(check), now)

    def _health(self, deployment: Deployment, now: Monotonic) -> Health | None:
        return self._stage.fleet.standing(deployment, now).health


class _Question:
    """One generate check under way."""

    def __init__(self, checkup: Checkup, stage: "Stage", each: _Round, permit: Permit) -> None:
        self._checkup = checkup
        self._stage = stage
        self._each = each
        self._permit = permit

    def ask(self, now: Monotonic) -> None:
        """Send it."""
        limit = Monotonic(now + self._each.settings.timeout)
        route = self._stage.cast.models[0][0]  # any: the deployment is chosen
        request = Request(now, route, stream=False, prompt=PROMPT, completion=ANSWER)
        request.deadline = Monotonic(limit + 1.0)
        station = self._stage.stations[self._permit.deployment]
        timeout = self._each.settings.timeout
        call = Call(station, request, self, Deadlines(timeout, timeout, limit, timeout, limit), self._permit.key)
        station.take(call, now)

    def first_content(self, call: Call, now: Monotonic) -> None:
        """Not of a whole reply."""

    def completed(self, call: Call, now: Monotonic) -> None:
        """It was answered."""
        self._ended(call, None, now)

    def failed(self, call: Call, failure: Failure, now: Monotonic) -> None:
        """It was not."""
        self._ended(call, failure, now)

    def _ended(self, call: Call, failure: Failure | None, now: Monotonic) -> None:
        self._each.busy = False
        permit, stage = self._permit, self._stage
        check = Check(Evidence.GENERATE, now, now - call.started, failure)
        if permit.place.health is not None:
            permit.place.health.own(check)
        outcome = Outcome.SUCCESS if failure is None else Outcome.FAILURE
        if failure is not None and not failure.meaning.trips_breaker and failure.meaning.blame is not Blame.KEY:
            failure, outcome = None, Outcome.CANCELLED
        changes = stage.fleet.settle(permit, outcome, now, stage.rng, failure=failure, tokens=PROMPT + ANSWER)
        stage.tally.moved(changes, now)
        self._checkup.learn((permit.deployment,), check, now)
        stage.freed(permit.deployment, now)
