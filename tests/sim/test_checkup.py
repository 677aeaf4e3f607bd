"""Health is watched in virtual time as it is in the real gateway."""

from standfast.policy.health_check import HealthState
from standfast.sim.stage import Stage
from standfast.sim.world import START
from support.rehearsal import config, scenario

HEALTH = {"interval": "10s", "healthy_after": 2, "unhealthy_after": 2}


def states(kind: str, **fields: object) -> dict[str, HealthState]:
    """What is believed of each target when the last request has its outcome."""
    stage = Stage(config(defaults={"health": {**HEALTH, "kind": kind}}), scenario(**fields), 1)  # type: ignore[arg-type]
    stage.run()
    now = stage.world.now
    found = {each.name: stage.fleet.standing(each, now).health for each in stage.fleet.deployments()}
    return {name: health.state(now) for name, health in found.items() if health is not None}


def test_real_traffic_is_the_evidence_where_there_is_some() -> None:
    """The primary serves: no ping is needed; the secondary is only pinged, or, if nobody may, unknown."""
    assert states("ping") == {"openai/a": HealthState.HEALTHY, "anthropic/b": HealthState.HEALTHY}
    assert states("passive") == {"openai/a": HealthState.HEALTHY, "anthropic/b": HealthState.UNKNOWN}
    assert states("off") == {}


def test_a_ping_meets_refused_connections_but_not_failing_answers() -> None:
    """D14: a health endpoint that lies: connections work, chats fail; nobody has asked for a chat yet."""
    refused = {"*": {"whole": 1}, "secondary": {"errors": ["connect_failed"]}}
    lying = {"*": {"whole": 1}, "secondary": {"errors": ["server_error"]}}
    assert states("ping", upstreams=refused)["anthropic/b"] is HealthState.UNHEALTHY
    assert states("ping", upstreams=lying)["anthropic/b"] is HealthState.HEALTHY


def test_a_generate_check_is_a_real_attempt() -> None:
    """It finds out what a ping does not, and it stands in the books as an attempt."""
    weather = scenario(upstreams={"*": {"whole": 1, "price": 1}, "secondary": {"errors": ["server_error"]}})
    stage = Stage(config(defaults={"health": {**HEALTH, "kind": "generate", "budget": 100_000}}), weather, 1)
    stage.run()
    deployments = {each.name: each for each in stage.fleet.deployments()}
    health = stage.fleet.standing(deployments["anthropic/b"], stage.world.now).health
    assert health is not None
    assert health.state(stage.world.now) is HealthState.UNHEALTHY
    assert stage.tally.targets["anthropic/b"].attempts >= 3
    assert stage.tally.fallbacks == 0
    assert all(stage.fleet.in_flight(each) == 0 for each in deployments.values())


def test_nobody_looks_after_the_end() -> None:
    """A play ends with its last request, not with its checks."""
    stage = Stage(config(), scenario(workload={"requests": 1}, duration="600s"), 1)
    stage.run()
    assert stage.world.now <= START + 600 + 60
