"""Trials on the wire: nobody waits long for what one finds out."""

import asyncio
from time import perf_counter

from standfast.lab import Fault
from support.chat import WIRES, ask, at_rest, entries, finished, run, until
from support.stack import stack

BREAKER = {"consecutive": 3, "open": "100ms", "open_cap": "30s", "ramp": 0}
KNOWN = 20
"""Answers after which a target's usual first token is known."""


def test_a_trial_that_hangs_does_not_keep_its_caller_waiting() -> None:
    """D3: hedging is not set; after a second the next target answers the trial, the hanging call is closed."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES["openai"])}, defaults={"breaker": BREAKER}) as s:
            for _ in range(KNOWN):
                assert finished(await ask(s, stream=True))
            s.lab.openai.fail(Fault(status=500, key="openai"))
            for _ in range(3):
                assert finished(await ask(s, stream=True))
            await until(lambda: s.gateway.breaker_states()["openai/gpt-4.1"] == "half_open")
            s.lab.openai.heal()
            s.lab.openai.fail(Fault(hang=True, key="openai"))
            s.lab.journal.clear()
            began = perf_counter()
            trial, *others = await asyncio.gather(*(ask(s, stream=True) for _ in range(4)))
            took = perf_counter() - began
            assert all(finished(answer) for answer in (trial, *others))
            assert 1.0 <= took < 3.0  # the time-out is 5 s at least
            hanging = [entry for entry in entries(s) if entry.key == "enai"]
            assert len(hanging) == 1
            await until(lambda: hanging[0].peer_closed)
            (record,) = (
                record
                for record in s.recorder.records
                if len(record.attempts) == 2 and record.attempts[1:][0].purpose == "hedge"
            )
            told = {attempt.deployment: (attempt.outcome, attempt.purpose) for attempt in record.attempts}
            assert told == {"openai/gpt-4.1": ("cancelled", "answer"), "twin/gpt-4.1": ("success", "hedge")}
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "open"
            assert [change.reason for change in s.recorder.changes if change.after == "open"][-1] == "outrun"
            await until(lambda: at_rest(s))

    run(scenario)


def test_nobody_is_sent_where_nobody_is_heard() -> None:
    """A7: five wait for a target that hangs; who comes a second later is answered by the next one at once."""

    async def scenario() -> None:
        async with stack({"m": list(WIRES["openai"])}) as s:
            for _ in range(KNOWN):
                assert finished(await ask(s, stream=True))
            s.lab.openai.fail(Fault(hang=True, key="openai"))
            waiting = [asyncio.create_task(ask(s, stream=True)) for _ in range(5)]
            place = s.gateway.snapshot.fleet.place(s.gateway.snapshot.fleet.deployments()[0])
            await until(lambda: place.silence.waiting == 5)
            await asyncio.sleep((place.usual.latest() or 0.0) + 0.1)
            began = perf_counter()
            assert finished(await ask(s, stream=True))
            assert perf_counter() - began < 0.5
            assert s.recorder.records[-1].deployment == "twin/gpt-4.1"
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "closed"
            (change,) = (change for change in s.recorder.changes if change.subject == "silence")
            assert (change.name, change.after) == ("openai/gpt-4.1", "silent")
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await until(lambda: at_rest(s))

    run(scenario)
