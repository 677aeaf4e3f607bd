"""Every problem at once, each with its path, a sentence and a suggestion."""

import pytest

from standfast.config.load import from_mapping
from standfast.errors import ConfigError, Problem

PROVIDERS: dict[str, object] = {"openai": {"keys": ["sk-1"]}, "anthropic": {"keys": ["sk-2"]}}
GOOD: dict[str, object] = {"providers": PROVIDERS, "models": {"m": ["openai/m"]}}


def problems(data: dict[str, object], environ: dict[str, str] | None = None) -> list[Problem]:
    """What is wrong with `data`; empty if nothing is."""
    try:
        from_mapping(data, environ or {})
    except ConfigError as error:
        return list(error.problems)
    return []


def provider(**entry: object) -> dict[str, object]:
    """A configuration with one provider entry named `p`."""
    return {"providers": {"p": entry}, "models": {"m": ["p/m"]}}


def model(entry: object) -> dict[str, object]:
    """A configuration with one model entry named `m`."""
    return {**GOOD, "models": {"m": entry}}


def target(**entry: object) -> dict[str, object]:
    """A configuration whose one target is this."""
    return model({"targets": [{"target": "openai/m", **entry}]})


LOCAL = {"type": "openai_like", "keys": ["none"]}
AT = {"base_url": "http://127.0.0.1:9/v1"}

ONE = [
    # what is missing altogether
    ({"models": {"m": ["openai/m"]}, "providers": {}}, "providers", ""),
    ({**GOOD, "models": {}}, "models", ""),
    ({**GOOD, "models": None}, "models", ""),
    # names that do not exist
    ({**GOOD, "modles": {}}, "modles", "models"),
    ({**GOOD, "server": {"prt": 1}}, "server.prt", "port"),
    ({**GOOD, "server": {"limits": {"header_byte": 1}}}, "server.limits.header_byte", "header_bytes"),
    ({**GOOD, "defaults": {"retry": {"backoff": {"bas": 1}}}}, "defaults.retry.backoff.bas", "base"),
    (provider(**LOCAL, **AT, limits={"rpmm": 1}), "providers.p.limits.rpmm", "rpm"),
    (target(wieght=2), "models.m.targets[0].wieght", "weight"),
    (target(timeouts={"totl": 2}), "models.m.targets[0].timeouts.totl", "total"),
    # types and ranges
    ({**GOOD, "server": {"port": 70_000}}, "server.port", ""),
    ({**GOOD, "server": {"port": "eighty"}}, "server.port", ""),
    ({**GOOD, "server": []}, "server", ""),
    ({**GOOD, "keys": {"dev": "x"}}, "keys", ""),
    ({**GOOD, "log": {"format": "jsn"}}, "log.format", "json"),
    ({**GOOD, "defaults": {"timeouts": {"first_token": "autp"}}}, "defaults.timeouts.first_token", ""),
    ({**GOOD, "defaults": {"timeouts": {"total": "15 parsecs"}}}, "defaults.timeouts.total", ""),
    ({**GOOD, "defaults": {"timeouts": {"total": "inf"}}}, "defaults.timeouts.total", ""),
    ({**GOOD, "defaults": {"health": {"kind": "pign"}}}, "defaults.health.kind", "ping"),
    ({**GOOD, "defaults": {"timeouts": {"total": float("inf")}}}, "defaults.timeouts.total", ""),
    ({**GOOD, "defaults": {"breaker": {"rate": 1.5}}}, "defaults.breaker.rate", ""),
    (target(weight=0), "models.m.targets[0].weight", ""),
    (target(weight=-1), "models.m.targets[0].weight", ""),
    (target(tier=0), "models.m.targets[0].tier", ""),
    # providers
    (provider(**AT, keys=["none"]), "providers.p", "type: openai_like"),
    (provider(type="openai_lik", **AT, keys=["none"]), "providers.p.type", "openai_like"),
    ({"providers": {"opnai": {"keys": ["k"]}}, "models": {"m": ["opnai/m"]}}, "providers.opnai", "openai"),
    (provider(**LOCAL), "providers.p.base_url", ""),
    (provider(**LOCAL, base_url="ftp://host/v1"), "providers.p.base_url", ""),
    (provider(**LOCAL, base_url="http:///v1"), "providers.p.base_url", ""),
    (provider(**LOCAL, base_url="http://[::1/v1"), "providers.p.base_url", ""),
    (provider(**LOCAL, base_url="http://h:99999/v1"), "providers.p.base_url", ""),
    (provider(**LOCAL, base_url="http://me:pw@host/v1"), "providers.p.base_url", ""),
    (provider(**LOCAL, base_url="http://host/v1?key=1"), "providers.p.base_url", ""),
    (provider(**LOCAL, base_url="http://host/v1#x"), "providers.p.base_url", ""),
    (provider(**LOCAL, base_url="http://ho st/v1"), "providers.p.base_url", ""),
    (provider(type="openai"), "providers.p.keys", ""),
    (provider(type="openai", keys=[]), "providers.p.keys", ""),
    (provider(type="openai", keys=[""]), "providers.p.keys[0]", ""),
    (provider(type="openai", keys=["a\nb"]), "providers.p.keys[0]", ""),
    (provider(type="openai", keys=["a", "b", "a"]), "providers.p.keys[2]", ""),
    (provider(type="openai", keys=["a", "none"]), "providers.p.keys[1]", ""),
    (provider(type="openai", keys="a"), "providers.p.keys", ""),
    (provider(type="openai", keys=["a"], headers={"x y": "1"}), "providers.p.headers.x y", ""),
    (provider(type="openai", keys=["a"], headers={"Host": "h"}), "providers.p.headers.Host", ""),
    (provider(type="openai", keys=["a"], headers={"x": "1\r\ny: 2"}), "providers.p.headers.x", ""),
    (provider(type="openai", keys=["a"], headers={"x": "1", "X": "2"}), "providers.p.headers.X", ""),
    (provider(type="openai", keys=["a"], ca_file="/no/such/file.pem"), "providers.p.ca_file", ""),
    # models
    (model([]), "models.m", ""),
    (model(None), "models.m", ""),
    (model({"targets": []}), "models.m.targets", ""),
    (model({}), "models.m.targets", ""),
    (model(["openai"]), "models.m[0]", ""),
    (model(["openai/"]), "models.m[0]", ""),
    (model(["opnai/gpt-4.1"]), "models.m[0]", "openai/gpt-4.1"),
    (model(["openai/a", "openai/a"]), "models.m[1]", ""),
    (model({"targets": ["openai/a", {"target": "openai/a"}]}), "models.m.targets[1]", ""),
    (model({"targets": ["openai/a"], "strategy": "priorty"}), "models.m.strategy", "priority"),
    ({**GOOD, "defaults": {"strategy": "wieghted"}}, "defaults.strategy", "weighted"),
    ({**GOOD, "models": {"": ["openai/a"]}}, "models.", ""),
    ({**GOOD, "models": {"a b": ["openai/a"]}}, "models.a b", ""),
    (target(params={"model": "x"}), "models.m.targets[0].params.model", ""),
    (target(params={"messages": []}), "models.m.targets[0].params.messages", ""),
    (target(params={"stream": True}), "models.m.targets[0].params.stream", ""),
    # client keys
    ({**GOOD, "keys": [{"name": "a", "key": ""}]}, "keys[0].key", ""),
    ({**GOOD, "keys": [{"name": "a", "key": "two words"}]}, "keys[0].key", ""),
    ({**GOOD, "keys": [{"name": "", "key": "one"}]}, "keys[0].name", ""),
    ({**GOOD, "keys": [{"key": "one"}]}, "keys[0].name", ""),
    ({**GOOD, "keys": [{"name": "a"}]}, "keys[0].key", ""),
    ({**GOOD, "keys": [{"name": "a", "key": "one"}, {"name": "a", "key": "two"}]}, "keys[1].name", ""),
    ({**GOOD, "keys": [{"name": "a", "key": "one"}, {"name": "b", "key": "one"}]}, "keys[1].key", ""),
    ({**GOOD, "server": {"host": "0.0.0.0"}}, "server.host", ""),  # noqa: S104 - never bound
    ({**GOOD, "server": {"host": "::"}, "keys": []}, "server.host", ""),
    ({**GOOD, "server": {"host": "10.0.0.1"}, "keys": [{"name": "a", "key": "short"}]}, "keys[0].key", ""),
    # rules that could never take effect
    (target(weight=2), "models.m.targets[0].weight", ""),
    ({**GOOD, "defaults": {"breaker": {"open": "10m"}}}, "defaults.breaker.open_cap", ""),
    ({**GOOD, "defaults": {"retry": {"backoff": {"cap": "1ms"}}}}, "defaults.retry.backoff.cap", ""),
    (model({"targets": ["openai/m"], "retry": {"backoff": {"base": "9s"}}}), "models.m.retry.backoff.cap", ""),
    (model({"targets": ["openai/m"], "retry": {"budget": 0.5}}), "models.m.retry.budget", ""),
    (model({"targets": ["openai/m"], "health": {"budget": 5}}), "models.m.health.budget", ""),
    (model({"targets": ["openai/m"], "health": {"budget_usd": 5}}), "models.m.health.budget_usd", ""),
    ({**GOOD, "defaults": {"health": {"unhealthy_ms": 100}}}, "defaults.health.unhealthy_ms", ""),
    ({**GOOD, "defaults": {"health": {"interval": "5s"}}}, "defaults.health.interval", ""),
    (model({"targets": ["openai/m"], "health": {"timeout": "1m"}}), "models.m.health.timeout", ""),
    ({**GOOD, "defaults": {"on_break": "resume"}}, "defaults.on_break", ""),
    (model({"targets": ["openai/m"], "on_break": "resume"}), "models.m.on_break", ""),
]


@pytest.mark.parametrize(("data", "path", "suggestion"), ONE, ids=[f"{at}-{row[1]}" for at, row in enumerate(ONE)])
def test_one_mistake_is_one_problem(data: dict[str, object], path: str, suggestion: str) -> None:
    """Each mistake gives exactly one problem, at its own path, with the nearest right spelling where there is one."""
    assert [(problem.path, problem.suggestion) for problem in problems(data)] == [(path, suggestion)]


RIGHT = [
    GOOD,
    {
        **model({"targets": ["openai/m"], "retry": {"backoff": {"base": "9s"}}}),
        "defaults": {"retry": {"backoff": {"cap": "20s"}}},
    },
    provider(**LOCAL, **AT),
    provider(type="openai", keys=["a"], headers={"OpenAI-Organization": "org"}),
    target(tier=7),
    target(weight=1),
    model({"targets": [{"target": "openai/m", "weight": 2}], "strategy": "weighted"}),
    model({"targets": ["openai/some/deep/name", "anthropic/m"]}),
    {**GOOD, "defaults": {"on_break": "error"}},
    {**GOOD, "keys": [{"name": "a", "key": "short"}]},
    {**GOOD, "server": {"host": "::1"}},
    {**GOOD, "server": {"host": "localhost"}},
    {**GOOD, "server": {"host": "0.0.0.0", "open_door": True}},  # noqa: S104 - never bound
    {**GOOD, "server": {"host": "0.0.0.0"}, "keys": [{"name": "a", "key": "0123456789abcdef"}]},  # noqa: S104
]


@pytest.mark.parametrize("data", RIGHT, ids=range(len(RIGHT)))
def test_what_is_right_has_no_problem(data: dict[str, object]) -> None:
    """The checks refuse nothing that can serve."""
    assert problems(data) == []


def test_all_problems_come_at_once() -> None:
    """Types, names, references and missing variables are reported together, each once."""
    data: dict[str, object] = {
        "server": {"port": -1},
        "providers": {"openai": {"keys": ["${NOT_SET}"]}, "local": {"type": "openai_like", "keys": ["none"]}},
        "models": {"a": ["opnai/x"], "b": {"strategy": "fastst", "targets": [{"target": "openai/x", "weight": 0}]}},
        "defaults": {"max_cost_usd": 1},
    }
    assert sorted(problem.path for problem in problems(data)) == [
        "defaults.max_cost_usd",
        "models.a[0]",
        "models.b.strategy",
        "models.b.targets[0].weight",
        "providers.local.base_url",
        "providers.openai.keys[0]",
        "server.port",
    ]


def test_what_comes_later_says_so() -> None:
    """A feature of the plan is refused by name."""
    (problem,) = problems({**GOOD, "defaults": {"max_cost_usd": 1}})
    assert problem.message == "cost limits arrive in a later version; remove it"


CANARY = "sk-canary-5f3a9c"
SECRET_PLACES = [
    {**GOOD, "keys": [{"name": "a", "key": CANARY}, {"name": "b", "key": CANARY}]},
    {**GOOD, "keys": [CANARY]},
    {**GOOD, "keys": CANARY},
    {**GOOD, "keys": [{"name": "a", "key": [CANARY]}]},
    {**GOOD, "keys": [{"name": "a", "key": CANARY + " x"}]},
    {**GOOD, "providers": {"openai": CANARY}},
    {**GOOD, "providers": {"openai": {"keys": CANARY}}},
    {**GOOD, "providers": {"openai": {"keys": [CANARY, CANARY]}}},
    {**GOOD, "providers": {"openai": {"keys": [CANARY + "\n"]}}},
    {**GOOD, "providers": {"openai": {"keys": [{"key": CANARY}]}}},
    {**GOOD, "providers": {"openai": {"keys": ["k"], "headers": {"x": CANARY + "\n"}}}},
    {**GOOD, "providers": {"openai": {"keys": ["k"], "headers": CANARY, "limits": 4}}},
    {**GOOD, "providers": {"openai": {"keys": ["k"], "base_url": f"http://me:{CANARY}@host"}}},
    {**GOOD, "providers": {"p": {"type": "${SECRET}", "keys": ["k"]}}},
    {**GOOD, "defaults": {"strategy": "${SECRET}", "timeouts": {"total": "${SECRET}"}}},
    {**GOOD, "models": {"m": ["${SECRET}/x"]}},
]


@pytest.mark.parametrize("data", SECRET_PLACES, ids=range(len(SECRET_PLACES)))
def test_no_message_shows_a_secret(data: dict[str, object]) -> None:
    """What stands where keys stand, or came from the environment, is never repeated in a message."""
    with pytest.raises(ConfigError) as caught:
        from_mapping(data, {"SECRET": CANARY})
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value.problems)


def test_a_model_s_retry_is_laid_over_the_default() -> None:
    """What a model does not write about retries stays the default's, inside the backoff too."""
    data = {
        **GOOD,
        "defaults": {"retry": {"max_attempts": 7, "backoff": {"base": "1s", "cap": "20s"}}},
        "models": {"m": {"targets": ["openai/m"], "retry": {"wait": "9s", "backoff": {"cap": "4s"}}}},
    }
    retry = from_mapping(data, {}).models["m"].retry
    assert retry is not None
    assert (retry.max_attempts, retry.wait, retry.backoff.base, retry.backoff.cap) == (7, 9.0, 1.0, 4.0)


def test_the_input_is_left_as_it_was() -> None:
    """Loading does not change the caller's mapping."""
    data = {**GOOD, "defaults": {"max_cost_usd": 1}, "server": {"port": 1}}
    with pytest.raises(ConfigError):
        from_mapping(data, {}, server={"port": 2})
    assert data["defaults"] == {"max_cost_usd": 1}
    assert data["server"] == {"port": 1}
