"""The waiting line in front of busy targets, performed in virtual time."""

from itertools import pairwise

from standfast.canon.instants import Monotonic
from standfast.policy.steps import Queue, Refuse, Send, Step
from standfast.sim.drive import Drive
from standfast.sim.ending import SHED
from standfast.sim.stage import Stage
from standfast.sim.world import START, TICK
from support.rehearsal import config, scenario

BUSY = {"openai": {"type": "openai_like", "base_url": "http://x.test", "keys": ["none"], "limits": {"concurrency": 1}}}


def test_a_free_place_is_given_at_the_instant_at_which_it_is_free() -> None:
    """One request at a time: the others wait, nobody loses a tick between two answers; the important ones go first."""
    waited: set[int] = set()
    sent: list[tuple[int, float]] = []

    def trace(drive: Drive, steps: list[Step], now: Monotonic) -> None:
        for step in steps:
            if isinstance(step, Queue):
                waited.add(id(drive))
            if isinstance(step, Send):
                sent.append((drive.request.priority, now - START))

    weather = scenario(workload={"requests": 8, "priorities": {1: 0.5, 5: 0.5}}, duration="800ms")
    stage = Stage(config(["openai/a"], providers=BUSY), weather, 4, trace=trace)
    stage.run()
    assert stage.tally.answered == 8
    assert len(waited) == 7
    starts = [at for _, at in sent]
    assert all(abs(after - before - 1.0) < 1e-6 for before, after in pairwise(starts))
    order = [priority for priority, _ in sent[1:]]
    assert order == sorted(order, reverse=True)
    assert set(order) == {1, 5}


def test_nothing_waits_past_its_time() -> None:
    """What cannot be served within the line's longest wait is told so when it is over, and counted as shed."""
    refused: list[float] = []

    def trace(drive: Drive, steps: list[Step], now: Monotonic) -> None:
        refused.extend(now - drive.request.arrived for step in steps if isinstance(step, Refuse))

    weather = scenario(workload={"requests": 30}, duration="1s", upstreams={"*": {"whole": "2s"}})
    stage = Stage(config(["openai/a"], providers=BUSY), weather, 1, trace=trace)
    stage.run()
    longest = stage.fleet.line.settings.max_wait
    assert stage.tally.reasons == {SHED: 30 - stage.tally.answered}
    assert stage.tally.answered >= longest / 2
    assert refused
    assert max(refused) <= longest + TICK + 1e-6
    assert len(stage.fleet.line) == 0
