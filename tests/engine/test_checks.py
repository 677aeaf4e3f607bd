"""The scheduler of health checks: what is asked when, and what comes of it. Time moves only when a test says so."""

import asyncio
import random

import pytest

from standfast.engine.checks import Checks
from standfast.engine.probes import MAX_TOKENS
from standfast.errors import UnknownDeployment
from standfast.lab import Fault
from standfast.policy.breaker import State
from support.chat import run, until
from support.watching import Watched, watched

TWO = {"m": ["openai/gpt-4.1", "openai/gpt-4.1-mini"]}
ONE = {"m": ["openai/gpt-4.1"]}
ALL = {"m": ["openai/gpt-4.1", "twin/gpt-4.1", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash", "dead/x"]}
OUTAGE = Fault(status=500, scope="all")


def deployment(w: Watched, name: str = "openai/gpt-4.1") -> object:
    """The deployment of that name."""
    return next(each for each in w.gateway.snapshot.fleet.deployments() if each.name == name)


def test_the_first_look_waits_for_half_an_interval_at_least() -> None:
    """Who lives for a moment checks nothing; after a whole interval everything has been looked at, once."""

    async def scenario() -> None:
        async with watched(ALL) as w:
            assert 15 <= await w.turn() <= 30
            await w.turn(14.9)
            assert not w.asked()
            for _ in range(16):
                await w.turn(1)
            assert sorted(entry.key for entry in w.asked("GET")) == ["-one", "mini", "opic", "twin"]
            assert {report.health for report in w.gateway.health()} == {"healthy", "unknown"}
            assert w.reports()["dead/x"].detail.startswith("connect_failed")

    run(scenario)


def test_looks_are_spread() -> None:
    """Providers do not keep step, and neither do two looks of one provider: each comes within a tenth of its time."""

    async def scenario() -> None:
        async with watched(ALL) as w:
            checks = Checks(w.gateway.services, lambda: w.gateway.snapshot, random.Random(7))
            start = w.clock.now()
            checks.turn(start)
            first = {name: each.due for (name, _), each in checks._rounds.items()}
            assert len(set(first.values())) == 5
            assert all(15 <= due - start <= 30 for due in first.values())
            gaps = []
            for _ in range(20):
                now = max(each.due for each in checks._rounds.values())
                w.clock.advance(now - w.clock.now())
                checks.turn(now)
                gaps += [each.due - now for each in checks._rounds.values() if each.due > now]
            await checks.stop()
            assert all(27 <= gap <= 33 for gap in gaps)
            assert len({round(gap, 6) for gap in gaps}) > 10

    run(scenario)


def test_one_ping_serves_all_deployments_of_a_provider() -> None:
    """Endpoint and key are the same, so the answer is."""

    async def scenario() -> None:
        async with watched(TWO) as w:
            await w.turns(2)
            assert len(w.asked()) == 2
            assert [w.health(target) for target in TWO["m"]] == ["healthy", "healthy"]
            assert w.changes() == [(target, "healthy") for target in TWO["m"]]

    run(scenario)


def test_an_outage_is_found_without_traffic_and_so_is_its_end() -> None:
    """Three failed pings in a row make it unhealthy, three good ones healthy; each change is an event."""

    async def scenario() -> None:
        async with watched(ONE) as w:
            await w.turns(1)
            w.lab.openai.fail(OUTAGE)
            await w.turns(2)
            assert w.health() == "healthy"
            await w.turns(1)
            assert w.health() == "unhealthy"
            w.lab.openai.heal()
            await w.turns(3)
            assert [after for _, after in w.changes()] == ["healthy", "unhealthy", "healthy"]

    run(scenario)


def test_nothing_is_checked_while_real_traffic_is_fresh() -> None:
    """A real success says more than a ping; once there is none in an interval the pings come back."""

    async def scenario() -> None:
        async with watched(ONE) as w:
            for _ in range(4):
                await w.chat()
                await w.turns(1)
            assert not w.asked("GET")
            assert w.health() == "healthy"
            await w.turns(1)
            assert len(w.asked("GET")) == 1

    run(scenario)


def test_traffic_to_one_deployment_is_not_traffic_to_another() -> None:
    """The ping is made for those that were silent."""

    async def scenario() -> None:
        async with watched(TWO) as w:
            await w.chat()
            await w.turns(1)
            assert len(w.asked("GET")) == 1
            reports = w.reports()
            assert (reports["openai/gpt-4.1"].checked_s, reports["openai/gpt-4.1-mini"].checked_s) == (None, 0.0)
            assert {report.health for report in reports.values()} == {"healthy"}

    run(scenario)


def test_passive_asks_nobody() -> None:
    """`kind: passive` judges real traffic alone."""

    async def scenario() -> None:
        async with watched(ONE, kind="passive") as w:
            await w.turns(2)
            assert w.health() == "unknown"
            await w.chat()
            await w.turns(1)
            assert w.health() == "healthy"
            assert not w.asked("GET")

    run(scenario)


def test_off_watches_nothing() -> None:
    """`kind: off` plans no look and knows no health."""

    async def scenario() -> None:
        async with watched(ONE, kind="off") as w:
            assert await w.turn() == float("inf")
            await w.chat()
            await w.turns(2)
            assert len(w.asked()) == 1
            assert w.health() == "unknown"
            assert not w.changes()

    run(scenario)


@pytest.mark.parametrize("target", ["openai/gpt-4.1", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"])
def test_a_generate_check_is_a_tiny_completion(target: str) -> None:
    """In the provider's own format, with few tokens, and the expected word makes it a success."""

    async def scenario() -> None:
        async with watched({"m": [target]}, kind="generate") as w:
            await w.turns(1)
            (entry,) = w.asked()
            assert entry.method == "POST"
            assert b"Reply with the single word OK." in entry.body
            assert str(MAX_TOKENS).encode() in entry.body
            assert entry.output_tokens <= MAX_TOKENS
            report = w.reports()[target]
            assert (report.health, report.kind, report.ok) == ("healthy", "generate", True)

    run(scenario)


def test_an_unexpected_answer_is_a_failure() -> None:
    """A well-formed success that does not hold the word is `invalid_reply`; without a word any answer will do."""

    async def scenario() -> None:
        for expect, ok in (("PURPLE", False), ("ok", True), ("", True)):
            async with watched(ONE, kind="generate", expect=expect) as w:
                await w.turns(1)
                report = w.reports()["openai/gpt-4.1"]
                assert report.ok is ok
                assert report.detail == ("" if ok else "invalid_reply: not the expected answer")

    run(scenario)


@pytest.mark.parametrize("body", ["html", "empty", "empty_completion"])
def test_what_is_no_answer_is_a_failure(body: str) -> None:
    """An HTML page, an empty body, an answer without content: none of them is a success because its status is 200."""

    async def scenario() -> None:
        async with watched(ONE, kind="generate") as w:
            w.lab.openai.fail(Fault(status=200, body=body))
            await w.turns(1)
            report = w.reports()["openai/gpt-4.1"]
            assert report.ok is False
            assert report.detail.partition(":")[0] in ("invalid_reply", "empty_reply")

    run(scenario)


def test_one_generate_check_an_interval() -> None:
    """Its own success is not the real traffic that would make the next one needless, and it is one result."""

    async def scenario() -> None:
        async with watched(ONE, kind="generate") as w:
            await w.turns(5)
            assert len(w.asked("POST")) == 5
            w.lab.openai.fail(Fault(status=500))
            await w.turns(2)
            assert w.health() == "healthy"
            await w.turns(1)
            assert w.health() == "unhealthy"
            w.lab.openai.heal()
            await w.turns(3)
            assert w.health() == "healthy"
            assert len(w.asked("POST")) == len(w.asked()) == 11

    run(scenario)


def test_a_generate_check_gives_way_to_real_successes_alone() -> None:
    """One caller's failures may be that caller's doing: then the check is made all the same."""

    async def scenario() -> None:
        async with watched(ONE, kind="generate") as w:
            await w.chat()
            await w.turns(1)
            assert len(w.asked("POST")) == 1
            w.lab.openai.fail(Fault(status=500, times=1))
            await w.chat()
            await w.turns(1)
            assert len(w.asked("POST")) == 3

    run(scenario)


def test_the_budget_bounds_what_checks_cost() -> None:
    """Beyond `budget` generate checks an hour, over all deployments, a check is a ping."""

    async def scenario() -> None:
        models = {"m": ["openai/gpt-4.1", "openai/gpt-4.1-mini", "twin/gpt-4.1"]}
        async with watched(models, kind="generate", budget=20) as w:
            for _ in range(3600 // 5):
                await w.turn(5)
            assert 10 < len(w.asked("POST")) <= 20
            assert len(w.asked("GET")) > 250
            assert {report.health for report in w.gateway.health()} == {"healthy"}

    run(scenario)


def test_the_budget_is_money() -> None:
    """Beyond `budget_usd` a day a check is a ping; what it costs is what its answer reports at the model's price."""

    async def scenario() -> None:
        async with watched(ONE, kind="generate", budget_usd=0.024) as w:
            await w.turns(1)
            (report,) = w.reports().values()
            assert (report.kind, report.advice) == ("generate", "")
            (asked,) = w.asked("POST")
            dollars = (asked.input_tokens * 2.0 + asked.output_tokens * 8.0) / 1e6  # gpt-4.1
            assert report.cost_usd == pytest.approx(dollars)
            for _ in range(3600 // 31):
                await w.turn(31)
            affordable = 0.001 * (1 + 23 / 24) / dollars
            assert affordable - 3 < len(w.asked("POST")) < affordable + 1
            assert w.asked("GET")
            assert w.health() == "healthy"

    run(scenario)


def test_an_unknown_price_is_told() -> None:
    """What nobody knows the price of is counted at a high one, and the report says so; one's own price ends that."""

    async def scenario() -> None:
        async with watched({"m": ["twin/own-model"]}, kind="generate") as w:
            await w.turns(1)
            (report,) = w.reports().values()
            assert report.cost_usd
            assert "price is unknown" in report.advice
            w.reload(facts={"twin/own-model": {"price": 0}})
            await w.turns(1)
            (report,) = w.reports().values()
            assert (report.cost_usd, report.advice) == (0.0, "")

    run(scenario)


def test_an_ordered_check_knows_the_price_too() -> None:
    """Also where the configuration pings, and nobody has wanted to know any price before."""

    async def scenario() -> None:
        async with watched(ONE) as w:
            assert not w.gateway.snapshot.informed
            reports = [report async for report in w.gateway.checks("generate")]
            (asked,) = w.asked("POST")
            assert [report.advice for report in reports] == [""]
            dollars = (asked.input_tokens * 2.0 + asked.output_tokens * 8.0) / 1e6  # gpt-4.1
            assert reports[0].cost_usd == pytest.approx(dollars)

    run(scenario)


def test_what_cannot_have_been_billed_costs_nothing() -> None:
    """A refused check gives its reservation back; one that may have run keeps it."""

    async def scenario() -> None:
        async with watched(ONE, kind="generate") as w:
            w.lab.openai.fail(Fault(status=404))
            await w.turns(1)
            assert w.reports()["openai/gpt-4.1"].cost_usd == 0.0
            w.lab.openai.heal()
            w.lab.openai.fail(Fault(reset=True))
            await w.turns(1)
            assert w.reports()["openai/gpt-4.1"].cost_usd == pytest.approx((31 * 2.0 + MAX_TOKENS * 8.0) / 1e6)

    run(scenario)


def test_a_generate_check_obeys_the_key_limits_and_gives_back_what_it_takes() -> None:
    """It takes a slot of its key like every attempt, so a busy key is not asked beyond its limit."""

    async def scenario() -> None:
        async with watched(ONE, kind="generate") as w:
            w.mapping["providers"]["openai"]["limits"] = {"rpm": 1}  # type: ignore[index]
            w.mapping["providers"]["openai"]["keys"] = ["sk-lab-one"]  # type: ignore[index]
            w.reload()
            await w.chat()
            await w.turns(1)
            await w.turns(1)
            methods = [entry.method for entry in w.asked()]
            assert methods.count("POST") == 2
            assert w.gateway.snapshot.fleet.in_flight(deployment(w)) == 0  # type: ignore[arg-type]

    run(scenario)


def test_keys_at_rest_are_not_used() -> None:
    """A key in cooldown is left alone; when every key rests nothing is asked, and the report says so."""

    async def scenario() -> None:
        async with watched(ONE) as w:
            w.lab.openai.fail(Fault(status=429, headers={"retry-after": "600"}))
            await w.chat()
            resting = w.asked("POST")[0].key
            await w.turns(2)
            assert {entry.key for entry in w.asked("GET")} == {"-one", "-two"} - {resting}
            await w.chat()
            w.lab.journal.clear()
            await w.turns(3)
            assert not w.asked()
            (report,) = await w.gateway.check()
            assert (report.ok, report.keys_free, report.keys) == (None, 0, 2)
            assert report.detail == "not checked: every key rests"
            assert not w.asked()

    run(scenario)


def test_a_check_that_still_runs_is_not_made_twice() -> None:
    """And stopping gives it up at once, with its permit."""

    async def scenario() -> None:
        async with watched(ONE, kind="generate") as w:
            w.lab.openai.fail(Fault(hang=True))
            for _ in range(3):
                w.checks.turn(w.clock.advance(33.1))
                await until(w.asked)
            assert len(w.checks._running) == 1
            assert w.gateway.snapshot.fleet.in_flight(deployment(w)) == 1  # type: ignore[arg-type]
            await w.checks.stop()
            assert w.gateway.snapshot.fleet.in_flight(deployment(w)) == 0  # type: ignore[arg-type]
            assert not w.changes()

    run(scenario)


def test_checks_do_not_block_traffic_nor_each_other() -> None:
    """While one provider's ping hangs, others are checked and requests are served."""

    async def scenario() -> None:
        models = {"m": ["openai/gpt-4.1"], "n": ["anthropic/claude-sonnet-4-5"]}
        async with watched(models) as w:
            w.lab.openai.fail(Fault(hang=True, scope="all", times=1))
            w.checks.turn(w.clock.advance(33.1))
            await until(lambda: w.health("anthropic/claude-sonnet-4-5") == "healthy")
            assert await w.chat() == "openai/gpt-4.1"
            assert w.health() == "unknown"

    run(scenario)


def test_a_check_that_does_not_answer_in_time_has_failed() -> None:
    """`timeout` bounds a check; the deployment is asked again at its next turn."""

    async def scenario() -> None:
        async with watched(ONE, timeout="20ms") as w:
            w.lab.openai.fail(Fault(hang=True, scope="all"))
            await w.turns(3)
            assert w.health() == "unhealthy"
            assert w.reports()["openai/gpt-4.1"].detail == "first_token_timeout: no answer within 0.02 s"

    run(scenario)


def test_a_generate_check_can_be_the_breaker_s_trial() -> None:
    """It asks the breaker's leave: none while it is open (then it pings), and its success closes a half-open one."""

    async def scenario() -> None:
        async with watched(ONE, kind="generate", interval="11s") as w:
            w.lab.openai.fail(Fault(status=500))
            fleet = w.gateway.snapshot.fleet
            await w.chat(times=5)
            place = deployment(w)
            assert fleet.breaker_state(place, w.clock.now()) is State.OPEN  # type: ignore[arg-type]
            await w.gateway.check("generate")
            assert w.reports()["openai/gpt-4.1"].kind == ""
            w.lab.openai.heal()
            for _ in range(6):
                await w.turn(12.2)
            assert fleet.breaker_state(place, w.clock.now()) is State.CLOSED  # type: ignore[arg-type]
            assert w.health() == "healthy"

    run(scenario)


def test_what_a_check_s_own_question_is_refused_for_rests_nobody() -> None:
    """A model that cannot chat answers 404 to the check: its deployment must not be put to rest for real requests."""

    async def scenario() -> None:
        async with watched(ONE, kind="generate") as w:
            w.lab.openai.fail(Fault(status=404, times=1))
            await w.turns(1)
            assert w.reports()["openai/gpt-4.1"].detail.startswith("model_not_found")
            assert w.health() == "unknown"
            assert await w.chat() == "openai/gpt-4.1"

    run(scenario)


def test_a_reload_keeps_what_is_known_and_watches_what_is_new() -> None:
    """States stay, looks keep their time, new deployments are looked at, removed ones no longer."""

    async def scenario() -> None:
        async with watched(ONE) as w:
            await w.turns(2)
            due = await w.turn()
            w.reload(models={"m": ["openai/gpt-4.1"], "n": ["anthropic/claude-sonnet-4-5"]})
            assert await w.turn() <= due
            assert (w.health(), w.health("anthropic/claude-sonnet-4-5")) == ("healthy", "unknown")
            await w.turns(1)
            assert w.health("anthropic/claude-sonnet-4-5") == "healthy"
            w.reload(models={"n": ["anthropic/claude-sonnet-4-5"]})
            w.lab.journal.clear()
            await w.turns(2)
            assert {entry.provider for entry in w.asked()} == {"anthropic"}

    run(scenario)


def test_a_reload_while_a_check_runs() -> None:
    """What comes of it is dropped if its deployment is gone."""

    async def scenario() -> None:
        async with watched(ONE) as w:
            w.lab.openai.fail(Fault(delay=0.05, scope="all"))
            w.checks.turn(w.clock.advance(33.1))
            await until(w.asked)
            w.reload(models={"n": ["anthropic/claude-sonnet-4-5"]})
            await w.checks.settled()
            assert list(w.reports()) == ["anthropic/claude-sonnet-4-5"]
            assert not w.changes()
            w.checks.turn(w.clock.now())
            w.checks.turn(w.clock.advance(33.1))
            w.reload()  # before the check has begun
            await w.checks.settled()
            assert {entry.provider for entry in w.asked()} == {"openai"}

    run(scenario)


def test_an_ordered_check_reports_every_target_and_counts() -> None:
    """Each target once, all at once, whatever is due; what is found feeds the state."""

    async def scenario() -> None:
        async with watched(ALL) as w:
            for kind, requests in (("ping", 4), ("generate", 4)):
                w.lab.journal.clear()
                reports = {each.target: each for each in await w.gateway.check(kind)}  # type: ignore[arg-type]
                assert set(reports) == set(ALL["m"])
                assert len(w.asked()) == requests
                assert {each.kind for each in reports.values()} == {kind}
                assert [name for name, each in reports.items() if not each.ok] == ["dead/x"]
                assert (reports["dead/x"].health, reports["dead/x"].state) == ("unhealthy", "closed")
                assert reports["dead/x"].advice == "Check that the provider's base_url is reachable."
            assert [target for target, each in w.reports().items() if each.health == "healthy"] == ALL["m"][:-1]
            assert w.health("dead/x") == "unknown", "one failed check is no verdict"
            await w.gateway.check()
            assert w.health("dead/x") == "unhealthy"

    run(scenario)


def test_an_ordered_check_may_be_left() -> None:
    """Who takes the first report and goes leaves nothing running."""

    async def scenario() -> None:
        async with watched(ALL) as w:
            w.lab.anthropic.fail(Fault(hang=True, scope="all"))
            reports = w.gateway.checks()
            await anext(reports)
            await reports.aclose()  # type: ignore[attr-defined]
            assert [task for task in asyncio.all_tasks() if "_order" in repr(task.get_coro())] == []

    run(scenario)


def test_the_gateway_starts_and_stops_the_watch() -> None:
    """In `async with` the looks come by themselves, `wake` hastens them, and afterwards nothing runs."""

    async def scenario() -> None:
        async with watched(ONE) as w:
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "standfast-checks"]
            async with w.gateway:
                await until(lambda: w.checks._rounds)
                w.clock.advance(33.1)
                w.checks.wake()
                await until(lambda: w.health() == "healthy")
                w.checks.start()
                assert len([task for task in asyncio.all_tasks() if task.get_name() == "standfast-checks"]) == 1
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "standfast-checks"]

    run(scenario)


def test_some_targets_are_checked_alone() -> None:
    """Who is named is checked, and nobody else; an unknown name is refused at once, with the nearest one."""

    async def scenario() -> None:
        async with watched(ALL) as w:
            names = list(w.gateway.portraits())
            reports = await w.gateway.check("generate", [names[2], names[0]])
            assert {report.target for report in reports} == {names[0], names[2]}
            assert len(w.asked("POST")) == 2
            with pytest.raises(UnknownDeployment, match="Did you mean"):
                w.gateway.checks("ping", [names[0] + "x"])

    run(scenario)
