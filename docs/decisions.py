"""What a decision costs among 10 and among 1,000 targets; writes its table into availability.md.

Each request goes the whole way through the judgement: asked, ranked, admitted, first content, completed; a hundred are
under way at a time, from ten thousand sessions. CPU time, the least of five rounds.
"""  # noqa: INP001 - a script, not a package

import gc
import random
import sys
from collections import deque
from time import process_time

from measured import measured_with, rewrite

from standfast import plugins
from standfast.canon.ask import Ask
from standfast.canon.instants import Monotonic
from standfast.canon.usage import Usage
from standfast.config.load import from_mapping
from standfast.config.routes import fleet_of, routes_of
from standfast.policy.exchange import Exchange
from standfast.policy.fleet import Permit
from standfast.policy.retry import RetryBudget
from standfast.policy.steps import Send

FEW, MANY = 10, 1_000
SESSIONS = 10_000
UNDER_WAY = 100
ROUNDS = 5
BETWEEN = 0.001
"""Seconds between two requests."""

PROVIDERS = 10
USAGE = Usage(prompt=60, completion=40)


def cost(strategy: str, count: int) -> float:
    """CPU microseconds for one request among so many targets."""
    names = [f"p{number % PROVIDERS}/m{number}" for number in range(count)]
    providers = {
        f"p{number}": {"type": "openai_like", "base_url": f"http://p{number}.example/v1", "keys": ["none"]}
        for number in range(PROVIDERS)
    }
    config = from_mapping(
        {"providers": providers, "models": {"assistant": {"strategy": strategy, "targets": names}}}, {}
    )
    routes = routes_of(config)
    route, fleet = routes["assistant"], fleet_of(config, routes.values())
    budget, rng = RetryBudget(0.2, 3), random.Random(1)  # noqa: S311 - seeded on purpose
    least = float("inf")
    now = 1_000.0
    for _ in range(1 + ROUNDS):  # the first one warms up
        under_way: deque[tuple[Exchange, Permit]] = deque()
        gc.collect()
        began = process_time()
        for session in range(SESSIONS):
            now += BETWEEN
            at = Monotonic(now)
            ask = Ask("assistant", arrived=at, deadline=Monotonic(now + 60.0), session=str(session), prompt_tokens=60)
            exchange = Exchange(ask, route, fleet, budget, rng)
            (step,) = exchange.open(at)
            if not isinstance(step, Send):
                sys.exit(f"{strategy} among {count}: {step} instead of an attempt")
            under_way.append((exchange, step.permit))
            if len(under_way) == UNDER_WAY:
                first, permit = under_way.popleft()
                first.first_content(permit, at)
                first.completed(permit, USAGE, at)
        least = min(least, (process_time() - began) / SESSIONS)
        for exchange, permit in under_way:
            exchange.completed(permit, USAGE, Monotonic(now))
    return least * 1e6


def table() -> str:
    """All strategies."""
    lines = [f"| strategy | {FEW} targets, us | {MANY:,} targets, us | ratio |", "|---|---:|---:|---:|"]
    for name in plugins.names("strategies"):
        few, many = cost(name, FEW), cost(name, MANY)
        sys.stderr.write(f"{name}: {few:.1f} us, {many:.1f} us\n")
        lines.append(f"| {name} | {few:.1f} | {many:.1f} | {many / few:.2f} |")
    return "\n".join([*lines, "", measured_with()])


if __name__ == "__main__":
    rewrite("decisions.py", {"decisions": table()})
