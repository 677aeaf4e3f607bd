"""All who ask: the scenario's requests at their instants, each with the habits that the scenario gives callers.

The requests are the rehearsal's, one by one. What becomes of each is judged by what the caller has in hand: an answer
counts if it is the whole of one answer to the question, whatever the gateway says of it.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from standfast.canon.instants import Monotonic
from standfast.drill.way import Way
from standfast.drill.wire import Asker, Heard, ask
from standfast.drill.words import Question, faithful, question
from standfast.sim.crowd import Request
from standfast.sim.customer import wait_before, worth_repeating
from standfast.sim.ending import GAVE_UP, answer, no_answer
from standfast.sim.settings import Scenario
from standfast.sim.tally import Tally
from standfast.sim.world import START

BYTES_PER_TOKEN = 4
OVER_TIME = 20.0
"""Seconds that a caller waits beyond the deadline that it names: what comes later does not come."""

SUCCESS = 200


@dataclass(frozen=True, slots=True)
class Door:
    """The gateway, as callers know it.

    Attributes:
        url: `http://host:port`.
        keys: client keys by the name of the caller; "" for everybody else's.
    """

    url: str
    keys: Mapping[str, str]


@dataclass(slots=True)
class Callers:
    """Everybody.

    Args:
        scenario: whose callers.
        door: whom they ask.
        tally: the books.
        rng: for what callers do by themselves.
        longest: seconds that the configuration lets a request take at most.
        way: told when a request is written, and when its answer is here.

    Attributes:
        lies: answers that the gateway called whole and that are not: the numbers of the requests.
        ended: requests with an outcome.
    """

    scenario: Scenario
    door: Door
    tally: Tally
    rng: random.Random
    longest: float
    way: Way = field(default_factory=Way)
    lies: list[int] = field(default_factory=list)
    ended: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def come(self, requests: Iterable[Request], began: float, told: Callable[[int], None]) -> None:
        """Ask all, each at its instant; returns when the last one has its outcome."""
        loop = asyncio.get_running_loop()
        for number, request in enumerate(requests):
            wait = began + request.arrived - START - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            task = loop.create_task(self._attend(number, request, began))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            told(self.ended)
        while self._tasks:
            done, _ = await asyncio.wait(tuple(self._tasks), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            told(self.ended)

    async def _attend(self, number: int, request: Request, began: float) -> None:
        """One caller, from the first try to the outcome."""
        loop = asyncio.get_running_loop()
        url = urlsplit(self.door.url)
        wanted = Question(number, request.completion, request.prompt, request.repeatable)
        written = self._written(number, request)
        gone_at = None if request.patience is None else loop.time() + request.patience
        limit = min(self.longest, self.scenario.workload.deadline or self.longest) + OVER_TIME
        tries = 0
        while True:
            tries += 1
            timers: list[asyncio.TimerHandle] = []

            def started(asker: Asker, timers: list[asyncio.TimerHandle] = timers) -> None:
                asker.on_sent = lambda: self.way.asked(number, _on(began))
                if gone_at is not None:
                    timers.append(loop.call_at(gone_at, asker.hang_up))

            host, port = url.hostname or "", url.port or 80
            heard = await ask(host, port, written, stream=request.stream, limit=limit, started=started)
            attempts = int(heard.headers.get("x-standfast-attempts", "0"))
            self.way.over(number, _on(began), whole=heard.finished, attempts=attempts)
            for timer in timers:
                timer.cancel()
            if not self._again(heard, tries):
                break
            hint = heard.headers.get("retry-after")
            await asyncio.sleep(wait_before(tries, float(hint) if hint else None, self.rng))
            if gone_at is not None and loop.time() >= gone_at:
                heard.left = True
                break
        self._enter(request, wanted, heard, tries, began)

    def _again(self, heard: Heard, tries: int) -> bool:
        client = self.scenario.workload.client
        if heard.finished or heard.left or heard.first_at is not None or tries > client.retries:
            return False
        if client.obeys and heard.headers.get("x-should-retry") == "false":
            return False
        return worth_repeating(heard.status)

    def _enter(self, request: Request, wanted: Question, heard: Heard, tries: int, began: float) -> None:
        now = _on(began)
        first = None if heard.first_at is None else START + heard.first_at - began
        self.ended += 1
        if heard.finished and faithful(heard.text, wanted):
            served = heard.headers.get("x-standfast-deployment", "")
            fallback = heard.headers.get("x-standfast-fallback") == "true"
            served = served if served in self.tally.targets else request.route.targets[0].name
            self.tally.targets[served].work(request.prompt, request.completion, useful=True)
            self.tally.ended(answer(request, now, served, fallback=fallback, first=first, tries=tries))
            return
        if heard.finished:
            self.lies.append(wanted.number)
        reason = "false_success" if heard.finished else GAVE_UP if heard.left else heard.code or f"http_{heard.status}"
        broken = heard.first_at is not None
        self.tally.ended(no_answer(request, now, reason, broken=broken, first=first, tries=tries))

    def _written(self, number: int, request: Request) -> bytes:
        """The HTTP request: as many bytes as tokens ask for."""
        fields: dict[str, object] = {"model": request.route.model, "stream": request.stream}
        if request.max_tokens:
            fields["max_tokens"] = request.max_tokens
        text = question(number, request)
        body = _body(fields, text)
        body = _body(fields, text + " " + "x" * max(0, request.prompt * BYTES_PER_TOKEN - len(body) - 1))
        named = {"x-standfast-priority": str(request.priority)}
        if request.session:
            named["x-standfast-session"] = request.session
        if self.scenario.workload.deadline is not None:
            named["x-standfast-deadline-ms"] = str(round(self.scenario.workload.deadline * 1e3))
        key = self.door.keys.get(request.caller, self.door.keys.get("", ""))
        if key:
            named["authorization"] = f"Bearer {key}"
        lines = [
            "POST /v1/chat/completions HTTP/1.1",
            f"host: {urlsplit(self.door.url).netloc}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "connection: close",
            *(f"{name}: {value}" for name, value in named.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


def _on(began: float) -> Monotonic:
    """Now, on the scenario's clock."""
    return Monotonic(START + asyncio.get_running_loop().time() - began)


def _body(fields: Mapping[str, object], text: str) -> bytes:
    return msgspec.json.encode({**fields, "messages": [{"role": "user", "content": text}]})
