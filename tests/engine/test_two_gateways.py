"""Two gateways in front of the same providers: what one believes is its own affair. Time moves as the test says."""

import contextlib
import random
from collections.abc import AsyncIterator

from standfast.clock import ManualClock
from standfast.config.load import from_mapping
from standfast.engine.gateway import Gateway
from standfast.lab import Fault
from standfast.lab.server import Lab
from support.chat import run

FIRST, SECOND = "openai/gpt-4.1", "anthropic/gpt-4.1"
HELLO = [{"role": "user", "content": "hello"}]


@contextlib.asynccontextmanager
async def gateway(lab: Lab, key: str) -> AsyncIterator[tuple[Gateway, ManualClock]]:
    """A gateway with its own clock, and its own key, by which the lab tells it from the other one."""
    mapping = {
        "providers": {
            "openai": {"base_url": f"{lab.openai.url}/v1", "keys": [key]},
            "anthropic": {"base_url": lab.anthropic.url, "keys": [key]},
        },
        "models": {"m": [FIRST, SECOND]},
        "defaults": {"health": {"kind": "passive"}},
    }
    clock = ManualClock()
    async with Gateway(from_mapping(mapping, {}), clock=clock, rng=random.Random(7)) as found:
        yield found, clock


async def answered(found: tuple[Gateway, ManualClock], times: int, every: float = 1.0) -> list[str]:
    """Who answered so many requests, one each so many seconds; none may fail."""
    names = []
    for _ in range(times):
        found[1].advance(every)
        names.append((await found[0].chat("m", HELLO)).deployment)
    return names


def test_one_gateways_trip_is_not_the_others() -> None:
    """D13: in a split view one trips and serves from elsewhere, the other is untouched; then each converges itself."""

    async def scenario() -> None:
        async with (
            Lab(ports={"openai": 0, "anthropic": 0}) as lab,
            gateway(lab, "sk-lab-one") as one,
            gateway(lab, "sk-lab-two") as two,
        ):
            lab.openai.fail(Fault(status=503, key="one"))
            assert set(await answered(one, 20, 0.1)) == {SECOND}
            assert set(await answered(two, 20, 0.1)) == {FIRST}
            assert one[0].breaker_states() == {FIRST: "open", SECOND: "closed"}
            assert two[0].breaker_states() == {FIRST: "closed", SECOND: "closed"}
            tried = [entry.key for entry in lab.journal.of("openai")]
            assert (tried.count("-one"), tried.count("-two")) == (5, 20)  # it tripped, and left it alone
            lab.openai.heal()
            lab.openai.fail(Fault(status=503, key="two"))  # now the other one is blind
            assert set(await answered(two, 20, 0.1)) == {SECOND}
            await answered(one, 60, 2.0)
            assert set(await answered(one, 20, 0.1)) == {FIRST}
            assert one[0].breaker_states() == {FIRST: "closed", SECOND: "closed"}
            assert two[0].breaker_states()[FIRST] == "open"
            lab.openai.heal()
            await answered(two, 60, 2.0)
            assert set(await answered(two, 20, 0.1)) == {FIRST}

    run(scenario)
