"""A gateway that watches the lab's stand-ins, with a clock that only the test moves."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from standfast.clock import ManualClock
from standfast.config.load import from_mapping
from standfast.engine.checks import Checks
from standfast.engine.gateway import Gateway
from standfast.engine.target_report import TargetReport
from standfast.errors import RequestFailed
from standfast.lab.journal import Entry
from standfast.lab.server import Lab
from support.stack import Recorder, free_port

HELLO = [{"role": "user", "content": "hello"}]


@dataclass
class Watched:
    """What a test holds in hand. `checks` is the gateway's scheduler; nothing runs but what the test lets run."""

    lab: Lab
    gateway: Gateway
    clock: ManualClock
    recorder: Recorder
    mapping: dict[str, object]

    @property
    def checks(self) -> Checks:
        """The scheduler."""
        return self.gateway.checking

    async def turn(self, seconds: float = 0.0) -> float:
        """Let time pass, do what is due, wait for it; seconds until the next look."""
        now = self.clock.advance(seconds)
        due = self.checks.turn(now)
        await self.checks.settled()
        return due - now

    async def turns(self, number: int) -> None:
        """So many looks at everything, one after the other."""
        for _ in range(number):
            await self.turn(33.1)

    async def chat(self, model: str = "m", *, times: int = 1) -> str:
        """Real requests; who answered the last one, empty if nobody did."""
        answered = ""
        for _ in range(times):
            try:
                answered = (await self.gateway.chat(model, HELLO)).deployment
            except RequestFailed:
                answered = ""
        return answered

    def health(self, target: str = "openai/gpt-4.1") -> str:
        """The health of a target."""
        return next(report.health for report in self.gateway.health() if report.target == target)

    def reports(self) -> dict[str, TargetReport]:
        """What is known of every target."""
        return {report.target: report for report in self.gateway.health()}

    def asked(self, method: str = "", key: str = "") -> list[Entry]:
        """What the stand-ins were asked, of this method, with a key that ends so."""
        return [entry for entry in self.lab.journal if entry.method.endswith(method) and entry.key.endswith(key)]

    def changes(self) -> list[tuple[str, str]]:
        """Every change of health that was told: target and state."""
        return [(change.name, change.after) for change in self.recorder.changes if change.subject == "health"]

    def reload(self, **changed: object) -> None:
        """Another configuration."""
        self.gateway.reload(from_mapping({**self.mapping, **changed}, {}))


@contextlib.asynccontextmanager
async def watched(models: Mapping[str, object], **health: object) -> AsyncIterator[Watched]:
    """A gateway in front of the lab with these models and default health settings.

    It is not entered, so it starts nothing by itself; its looks are planned.
    """
    async with Lab(ports={"openai": 0, "anthropic": 0, "gemini": 0}) as lab:
        mapping: dict[str, object] = {
            "providers": {
                "openai": {"base_url": f"{lab.openai.url}/v1", "keys": ["sk-lab-one", "sk-lab-two"]},
                "twin": {"type": "openai_like", "base_url": f"{lab.openai.url}/v1", "keys": ["sk-lab-twin"]},
                "spare": {"type": "openai_like", "base_url": f"{lab.gemini.url}/v1", "keys": ["sk-lab-spare"]},
                "anthropic": {"base_url": lab.anthropic.url, "keys": ["sk-lab-anthropic"]},
                "gemini": {"base_url": f"{lab.gemini.url}/v1beta", "keys": ["lab-gemini"]},
                "dead": {"type": "openai_like", "base_url": f"http://127.0.0.1:{free_port()}/v1", "keys": ["none"]},
            },
            "models": models,
            "defaults": {"health": health, "retry": {"max_attempts": 1}},  # a retry would wait for the clock
        }
        recorder, clock = Recorder(), ManualClock()
        gateway = Gateway(from_mapping(mapping, {}), hooks=[recorder], clock=clock, rng=random.Random(1))
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        held = Watched(lab, gateway, clock, recorder, mapping)
        await held.turn()
        try:
            yield held
        finally:
            await gateway.close()
        assert not complaints
