"""Builders for tests of the rehearsal stage: small scenarios, and configurations to play them with."""

from collections.abc import Mapping, Sequence

from standfast.canon.attempt import Outcome
from standfast.canon.deployment import Operation
from standfast.canon.instants import Monotonic, Wall
from standfast.canon.record import RequestRecord
from standfast.config.load import from_mapping
from standfast.config.schema import Config
from standfast.policy.steps import Finish, Refuse, Step
from standfast.sim import files
from standfast.sim.drive import Drive
from standfast.sim.report import Report, report_of
from standfast.sim.settings import Scenario
from standfast.sim.stage import Stage, Trace, Way
from standfast.sim.world import START

PLAIN = {"whole": "1s", "first_token": "500ms", "per_token": "10ms"}
"""An upstream without chance."""

PATIENT = {"connect": "1h", "first_token": "10h", "gap": "10h", "total": "100h"}
"""Deadlines that no test reaches."""


def config(targets: Sequence[object] = ("openai/a", "anthropic/b"), **sections: object) -> Config:
    """A configuration with one model, `m`."""
    model = {"targets": list(targets), **dict(_mapping(sections.pop("model", None)))}
    names = dict.fromkeys(str(_mapping(each).get("target", each)).partition("/")[0] for each in targets)
    providers = {name: {"type": "openai_like", "base_url": f"http://{name}.test", "keys": ["none"]} for name in names}
    data: dict[str, object] = {"providers": providers, "models": {"m": model}, **sections}
    return from_mapping(data, {})


def scenario(*, workload: Mapping[str, object] | None = None, **fields: object) -> Scenario:
    """A scenario; whole replies of a second, one a second for a minute, unless told otherwise."""
    asked = {"requests": 60, "arrivals": "constant", "streaming": 0, **(workload or {})}
    data = {"title": "t", "duration": "60s", "upstreams": {"*": PLAIN}, "workload": asked, **fields}
    return files.from_mapping(data)


def play(
    weather: Scenario, house: Config | None = None, *, seed: int = 1, way: Way = Way.GATEWAY, trace: Trace | None = None
) -> Stage:
    """A stage whose play is over."""
    stage = Stage(house or config(), weather, seed, way, trace)
    stage.run()
    return stage


def report(weather: Scenario, house: Config | None = None, *, seed: int = 1, way: Way = Way.GATEWAY) -> Report:
    """What the play amounts to."""
    stage = play(weather, house, seed=seed, way=way)
    return report_of(stage.tally, weather, "test", seed)


def figure(found: Report, name: str) -> float:
    """A figure that must be there."""
    value = found.figures[name]
    assert value is not None, name
    return value


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def witnessed(weather: Scenario, house: Config, *, seed: int = 1, wall: float = 0.0) -> list[RequestRecord]:
    """The records that hooks would have been told of, had the play been real; `wall` is when it began."""
    records: list[RequestRecord] = []

    def trace(drive: Drive, steps: list[Step], now: Monotonic) -> None:
        exchange, ask = drive.exchange, drive.exchange.ask
        for step in steps:
            if not isinstance(step, Finish | Refuse):
                continue
            attempts = tuple(exchange.attempts)
            answering = next((each for each in reversed(attempts) if each.outcome is Outcome.SUCCESS), None)
            ok = isinstance(step, Finish)
            failure = step.failure if isinstance(step, Refuse) else None
            content = [each.first_content for each in attempts if each.first_content is not None]
            records.append(
                RequestRecord(
                    "req_1",
                    Wall(wall + ask.arrived - START),
                    ask.caller,
                    ask.model,
                    Operation.CHAT,
                    ask.stream,
                    200 if ok else 503,
                    "" if ok else (failure.kind.value if failure is not None else "no_target_available"),
                    answering.deployment if ok and answering is not None else "",
                    fallback=ok and answering is not None and answering.deployment != exchange.first_choice.name,  # type: ignore[union-attr]
                    attempts=attempts,
                    first_token=min(content) if content and ask.stream else None,
                    total=now - ask.arrived,
                    upstream=now - ask.arrived,
                    usage=answering.usage if answering is not None else None,
                    priority=ask.priority,
                )
            )

    play(weather, house, seed=seed, trace=trace)
    return records
