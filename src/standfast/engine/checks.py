"""Watches the health of every configured deployment: looks at real traffic, checks where there was none.

House rules of this file:

* Each deployment is looked at every `interval`, spread by a tenth so that neither deployments nor gateways keep step.
  The first look comes after a half to a whole interval: who lives for a moment checks nothing, and a fleet of gateways
  that is restarted does not ask all at once.
* Real traffic since the last look is the result; only where there was none a check is made. A generate check is left
  out for a real success alone: it says more than failures that one caller may have caused.
* A ping is made once for all deployments of a provider entry that are due, because endpoint and key are the same.
* A generate check is a real attempt in all but its origin: it needs the fleet's leave (so that keys at rest, key limits
  and open breakers hold for it too) and is settled there. Without leave, or over the budget, the check is a ping.
  (Its price is the model's, its usage what it reports: `policy.health_budget`.)
* Checks run beside each other and beside the traffic; one that still runs when it is due again is not made twice.
* One task waits for what is due. It reads the snapshot anew each time, so a reload needs no word but `wake`.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass

from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Deployment, Operation
from standfast.canon.facts import Facts
from standfast.canon.failure import Blame
from standfast.canon.instants import NEVER, Monotonic
from standfast.config.known import facts_of
from standfast.engine.assemble import Snapshot
from standfast.engine.probes import MAX_TOKENS, Finding, generate, ping
from standfast.engine.services import Services
from standfast.engine.target_report import TargetReport, report_of
from standfast.policy.fleet import Denied
from standfast.policy.health_budget import Allowance, Purse, check_cost, prompt_tokens
from standfast.policy.health_check import Check, Evidence, HealthSettings

SPREAD = 0.1
"""Share of the interval by which each look is moved by chance."""

GRAIN = 0.25
"""Seconds between two looks at what is due, at least: what is due together is done together."""

AT_ONCE = 32
"""Checks under way at the same time when all are ordered."""


@dataclass(slots=True)
class Round:
    """Deployments that are due together, and when."""

    settings: HealthSettings
    deployments: tuple[Deployment, ...]
    due: Monotonic
    busy: bool = False


class Checks:
    """The scheduler of one gateway, and the checks themselves.

    Args:
        services: the hands' tools.
        snapshot: gives the configuration at work.
        rng: spreads the looks; its own source, so that watching changes no decision about requests.
    """

    def __init__(self, services: Services, snapshot: Callable[[], Snapshot], rng: random.Random | None = None) -> None:
        self._services = services
        self._snapshot = snapshot
        self._rng = rng or random.Random()  # noqa: S311 - chance for spreading, not for secrets
        self._rounds: dict[tuple[str, HealthSettings], Round] = {}
        self._planned: Snapshot | None = None
        self._purse, self._allowance = self._budget()
        self._task: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()

    # life

    def start(self) -> None:
        """Begin to watch, in the running loop; a second call changes nothing."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="standfast-checks")

    def wake(self) -> None:
        """The configuration changed: look what is due by the new one."""
        self._woken.set()

    async def stop(self) -> None:
        """Watch no more; checks under way are given up."""
        tasks = [*self._running, *([self._task] if self._task is not None else [])]
        self._task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until no check is under way that `turn` began."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            now = self._services.clock.now()
            try:
                due = self.turn(now)
            except Exception as error:  # noqa: BLE001 - one defect must not end the watch
                due = Monotonic(now + 1.0)
                _complain("a look at the deployments' health failed", error)
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due == NEVER else max(GRAIN, due - now)):
                    await self._woken.wait()

    # what is due

    def turn(self, now: Monotonic) -> Monotonic:
        """Look at all that is due, begin the checks that are needed; when the next look is due."""
        snapshot = self._snapshot()
        if snapshot is not self._planned:
            self._plan(snapshot, now)
        for each in self._rounds.values():
            if each.due <= now:
                each.due = Monotonic(now + each.settings.interval * self._rng.uniform(1 - SPREAD, 1 + SPREAD))
                self._look(snapshot, each, now)
        return min((each.due for each in self._rounds.values()), default=NEVER)

    def _plan(self, snapshot: Snapshot, now: Monotonic) -> None:
        """The rounds of this configuration; those that were there before keep their time."""
        grouped: dict[tuple[str, HealthSettings], list[Deployment]] = {}
        for deployment in snapshot.configured():
            health = snapshot.fleet.standing(deployment, now).health
            if health is not None:
                settings = health.settings
                name = deployment.name if settings.kind == "generate" else deployment.provider
                grouped.setdefault((name, settings), []).append(deployment)
        rounds: dict[tuple[str, HealthSettings], Round] = {}
        for key, deployments in grouped.items():
            known = self._rounds.get(key)
            if known is None:
                due = Monotonic(now + key[1].interval * self._rng.uniform(0.5, 1.0))
                known = Round(key[1], (), due)
            known.deployments = tuple(deployments)
            rounds[key] = known
        self._rounds = rounds
        self._planned = snapshot
        purse, allowance = self._budget()
        if purse.daily != self._purse.daily:
            self._purse = purse
        if allowance is None or self._allowance is None or allowance.hourly != self._allowance.hourly:
            self._allowance = allowance

    def _budget(self) -> tuple[Purse, Allowance | None]:
        settings = self._snapshot().config.defaults.health
        return Purse(settings.budget_usd), None if settings.budget is None else Allowance(settings.budget)

    def _look(self, snapshot: Snapshot, due: Round, now: Monotonic) -> None:
        silent: list[Deployment] = []
        for deployment in due.deployments:
            standing = snapshot.fleet.standing(deployment, now)
            if standing.health is None:
                continue
            any_traffic, success, changes = standing.health.look(standing.first_token, now)
            self._services.bus.changed(changes)
            if not (success if due.settings.kind == "generate" else any_traffic):
                silent.append(deployment)
        self._services.bus.changed(snapshot.fleet.take_news())
        if silent and due.settings.kind != "passive" and not due.busy:
            due.busy = True
            self._begin(self._check(due, silent))

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _complain("a health check failed", error)

    async def _check(self, due: Round, deployments: Sequence[Deployment]) -> None:
        try:
            if due.settings.kind == "generate":
                deployments = [each for each in deployments if await self._generate(each, due.settings) is None]
            if deployments:
                await self._ping(deployments, due.settings.timeout)
        finally:
            due.busy = False

    # the checks

    async def ordered(self, kind: Evidence, deployments: Sequence[Deployment]) -> AsyncIterator[TargetReport]:
        """Check these configured deployments now, whatever is due; each report as soon as it is there."""
        snapshot = self._snapshot()
        room = asyncio.Semaphore(AT_ONCE)
        groups: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            name = deployment.name if kind is Evidence.GENERATE else deployment.provider
            groups.setdefault(name, []).append(deployment)

        async def one(deployments: Sequence[Deployment]) -> list[TargetReport]:
            async with room:
                return await self._order(snapshot, deployments, kind)

        tasks = [asyncio.create_task(one(deployments)) for deployments in groups.values()]
        try:
            for next_done in asyncio.as_completed(tasks):
                for report in await next_done:
                    yield report
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _order(self, snapshot: Snapshot, deployments: Sequence[Deployment], kind: Evidence) -> list[TargetReport]:
        settings = [self._settings(snapshot, each) for each in deployments]
        made: dict[Deployment, Check] = {}
        if kind is Evidence.GENERATE:
            for deployment, own in zip(deployments, settings, strict=True):
                check = await self._generate(deployment, own, ordered=True)
                if check is not None:
                    made[deployment] = check
        else:
            made = await self._ping(deployments, max(own.timeout for own in settings))
        now = self._services.clock.now()
        return [report_of(snapshot, each, made.get(each), now, ordered=True) for each in deployments]

    def _settings(self, snapshot: Snapshot, deployment: Deployment) -> HealthSettings:
        health = snapshot.fleet.standing(deployment, self._services.clock.now()).health
        return health.settings if health is not None else snapshot.config.defaults.health

    async def _ping(self, deployments: Sequence[Deployment], limit: float) -> dict[Deployment, Check]:
        """One ping for deployments of one provider entry; nothing if every key rests."""
        services, snapshot = self._services, self._snapshot()
        now = services.clock.now()
        for deployment in deployments:
            if deployment not in snapshot.outlets:
                continue
            free = snapshot.fleet.standing(deployment, now).free_keys
            if free:
                finding = await ping(services, snapshot, deployment, free[0], limit)
                check = Check(Evidence.PING, services.clock.now(), finding.seconds, finding.failure)
                self._learn(deployments, check)
                return dict.fromkeys(deployments, check)
        return {}

    async def _generate(
        self, deployment: Deployment, settings: HealthSettings, *, ordered: bool = False
    ) -> Check | None:
        """A tiny completion; None without leave, budget or an operation that could answer it."""
        services, snapshot = self._services, self._snapshot()
        outlet = snapshot.outlets.get(deployment)
        facts = await _facts(snapshot, deployment)
        now = services.clock.now()
        most, assumed = check_cost(facts, prompt_tokens(settings.prompt), MAX_TOKENS)
        if outlet is None or Operation.CHAT not in outlet.formats or not (ordered or self._affordable(most, now)):
            return None
        tokens = len(settings.prompt) // 4 + MAX_TOKENS
        permit = snapshot.fleet.admit(deployment, tokens, now, soft=True)
        if isinstance(permit, Denied):
            return None
        self._purse.spend(most, now)
        if self._allowance is not None:
            self._allowance.spend(now)
        finding: Finding | None = None
        try:
            finding = await generate(services, snapshot, deployment, permit.key, settings)
        finally:
            if finding is None:  # we gave up: it says nothing
                snapshot.fleet.settle(permit, Outcome.CANCELLED, services.clock.now(), services.rng)
        now, failure = services.clock.now(), finding.failure
        spent = _spent(finding, facts, most)
        self._purse.spend(spent - most, now)
        check = Check(Evidence.GENERATE, now, finding.seconds, failure, spent, assumed)
        if permit.place.health is not None:
            permit.place.health.own(check)
        if failure is not None and not failure.meaning.trips_breaker and failure.meaning.blame is not Blame.KEY:
            failure, outcome = None, Outcome.CANCELLED  # what our question was refused for says nothing of others'
        else:
            outcome = Outcome.SUCCESS if failure is None else Outcome.FAILURE
        used = finding.usage.total if finding.usage is not None else None
        changes = snapshot.fleet.settle(permit, outcome, now, services.rng, failure=failure, tokens=used)
        services.bus.changed((*snapshot.fleet.take_news(), *changes))
        self._learn((deployment,), check)
        return check

    def _affordable(self, dollars: float, now: Monotonic) -> bool:
        return self._purse.ready(dollars, now) and (self._allowance is None or self._allowance.ready(now))

    def _learn(self, deployments: Iterable[Deployment], check: Check) -> None:
        """Tell the health that holds now; a deployment that a reload has removed meanwhile has none."""
        snapshot = self._snapshot()
        for deployment in deployments:
            if deployment in snapshot.outlets:
                standing = snapshot.fleet.standing(deployment, check.at)
                if standing.health is not None:
                    _, _, changes = standing.health.look(standing.first_token, check.at)
                    self._services.bus.changed(changes + standing.health.checked(check))

    # reports

    def reports(self) -> list[TargetReport]:
        """How every configured target is, as far as it is known; asks nobody."""
        snapshot, now = self._snapshot(), self._services.clock.now()
        reports = []
        for deployment in snapshot.configured():
            health = snapshot.fleet.standing(deployment, now).health
            reports.append(
                report_of(snapshot, deployment, health.last if health is not None else None, now, ordered=False)
            )
        return reports


async def _facts(snapshot: Snapshot, deployment: Deployment) -> Facts | None:
    """What is known of the model; beside the loop where nobody wanted to know it before, because that takes 0.1 s."""
    if not snapshot.informed:
        return await asyncio.to_thread(facts_of, deployment, snapshot.config)
    targets = (target for route in snapshot.routes.values() for target in route.targets)
    return next((target.facts for target in targets if target.deployment == deployment), None)


def _spent(finding: Finding, facts: Facts | None, most: float) -> float:
    """US dollars of one check: by its usage, else nothing if it cannot have been billed, else what was reserved."""
    if finding.usage is not None:
        return check_cost(facts, finding.usage.prompt, finding.usage.completion)[0]
    return most if finding.failure is None or finding.failure.ambiguous else 0.0


def _complain(message: str, error: BaseException) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
