"""Reading files: whole and checked, or every reason why not."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standfast.config.load import find, from_mapping, load
from standfast.config.schema import Config
from standfast.errors import ConfigError

ENVIRON = {
    "STANDFAST_KEY": "sf-0123456789abcdef0123",
    "OPENAI_API_KEY": "sk-openai",
    "ANTHROPIC_API_KEY": "sk-ant",
    "GEMINI_API_KEY": "gm-key",
    "HOLYSHEEP_API_KEY": "hs-key",
}

HOUSE_PLAN = """
server: {host: 127.0.0.1, port: 8000}
keys:
  - {name: dev, key: "${STANDFAST_KEY}"}
providers:
  openai:    {keys: ["${OPENAI_API_KEY}"]}
  anthropic: {keys: ["${ANTHROPIC_API_KEY}"]}
  gemini:    {keys: ["${GEMINI_API_KEY}"]}
  holysheep: {keys: ["${HOLYSHEEP_API_KEY}"]}            # preset of type openai_like
  local:     {type: openai_like, base_url: "http://127.0.0.1:9100/v1", keys: [none],
              limits: {rpm: 500, tpm: 150000, concurrency: 50}}
models:
  gpt-4.1:
    strategy: priority
    targets:
      - openai/gpt-4.1
      - {target: anthropic/claude-sonnet-4-5, params: {max_tokens: 4096, temperature: 0.7}, timeouts: {total: 45s}}
      - {target: gemini/gemini-2.5-flash, tier: 3}
defaults:
  timeouts: {connect: 3s, first_token: auto, gap: 30s, total: 15m}
  retry:    {max_attempts: 4, max_ambiguous: 1, budget: 0.2, wait: 3s, backoff: {base: 250ms, cap: 8s}}
  on_break: error
  breaker:  {consecutive: 5, rate: 0.5, min_calls: 10, window: 30s, open: 5s, open_cap: 5m, half_open_permits: 3,
             half_open_successes: 2}
"""

SMALL = "providers: {openai: {keys: [k]}}\nmodels: {m: [openai/m]}\n"


def write(tmp_path: Path, text: str | bytes, name: str = "standfast.yaml") -> Path:
    """A file with that content."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path, environ: dict[str, str] | None = None) -> ConfigError:
    """The error that loading the file ends with."""
    with pytest.raises(ConfigError) as caught:
        load(path, ENVIRON if environ is None else environ)
    return caught.value


def test_the_example_of_the_house_plan_loads(tmp_path: Path) -> None:
    """The configuration contract: its example, without what a later version brings, is right and means what it says."""
    config = load(write(tmp_path, HOUSE_PLAN), ENVIRON)
    first, second, third = config.models["gpt-4.1"].targets
    assert (first.provider, first.model) == ("openai", "gpt-4.1")
    assert dict(second.params) == {"max_tokens": 4096, "temperature": 0.7}
    assert second.timeouts.total == 45.0
    assert third.tier == 3
    assert config.defaults.timeouts.total == 900.0
    assert config.defaults.retry.backoff.base == 0.25
    assert config.providers["local"].limits.tpm == 150_000
    assert config.keys[0].key.get_secret_value() == ENVIRON["STANDFAST_KEY"]


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    """One schema behind both notations."""
    toml = """
[[keys]]
name = "dev"
key = "${STANDFAST_KEY}"
[providers.openai]
keys = ["${OPENAI_API_KEY}"]
limits = {rpm = 5}
[models."gpt-4.1"]
targets = ["openai/gpt-4.1", {target = "openai/gpt-4.1-mini", timeouts = {total = "45s"}}]
[log]
format = "off"
"""
    yaml = """
keys: [{name: dev, key: "${STANDFAST_KEY}"}]
providers: {openai: {keys: ["${OPENAI_API_KEY}"], limits: {rpm: 5}}}
models: {gpt-4.1: [openai/gpt-4.1, {target: openai/gpt-4.1-mini, timeouts: {total: 45s}}]}
log: {format: off}
"""
    assert load(write(tmp_path, toml, "a.toml"), ENVIRON) == load(write(tmp_path, yaml, "a.yml"), ENVIRON)


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    """F12: a deleted file is a refusal with a way forward, nothing else."""
    assert "standfast config init" in str(refusal(tmp_path / "gone.yaml"))


def test_a_directory_is_a_refusal(tmp_path: Path) -> None:
    """F12: what cannot be read as a file is a refusal that names the reason."""
    (tmp_path / "d.yaml").mkdir()
    assert "cannot be read" in str(refusal(tmp_path / "d.yaml"))


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
@pytest.mark.parametrize("name", ["a.yaml", "a.toml"])
def test_an_empty_file_is_a_refusal(tmp_path: Path, text: str, name: str) -> None:
    """F12: an empty file never means the defaults."""
    assert refusal(write(tmp_path, text, name)).problems


@pytest.mark.parametrize("cut", range(1, HOUSE_PLAN.index("- openai/gpt-4.1"), 7))
def test_a_half_written_file_is_a_refusal(tmp_path: Path, cut: int) -> None:
    """F12: a file cut off before its first target is written is refused, wherever the cut is."""
    assert refusal(write(tmp_path, HOUSE_PLAN[:cut])).problems


@pytest.mark.parametrize(
    ("text", "name", "place"),
    [
        ("a: [1, 2\nb: 3\n", "x.yaml", "line 2"),
        ("models:\n\t- x\n", "x.yaml", "line 2"),
        ("a: 1\n---\nb: 2\n", "x.yaml", "line 2"),
        ("a: *nowhere\n", "x.yaml", "line 1"),
        ("a = 1\nb = = 2\n", "x.toml", "line 2"),
        ("a = 1\na = 2\n", "x.toml", "line 2"),
        (b"a: 1\nb: \xff\n", "x.yaml", "line 2"),
        (b"a: 1\nb: \x07\n", "x.yaml", "line 2"),
    ],
)
def test_a_syntax_error_names_its_line(tmp_path: Path, text: str | bytes, name: str, place: str) -> None:
    """A text that is no document is refused with the line where it stops being one."""
    (problem,) = refusal(write(tmp_path, text, name)).problems
    assert problem.path == place


def test_a_problem_names_its_line(tmp_path: Path) -> None:
    """Every problem of a YAML file says where it is written, and they come in the order of the lines."""
    text = "providers:\n  openai:\n    keys: [k]\n    limts: {}\nmodels:\n  m: [opnai/m]\nlog: {format: x}\n"
    problems = refusal(write(tmp_path, text)).problems
    assert [problem.path for problem in problems] == ["providers.openai.limts", "models.m[0]", "log.format"]
    assert [problem.message.rpartition("(")[2] for problem in problems] == ["line 4)", "line 6)", "line 7)"]


def test_a_name_written_twice_is_a_problem(tmp_path: Path) -> None:
    """The second of two equal names never wins in silence."""
    text = SMALL + "log: {format: text, format: json}\n"
    (problem,) = refusal(write(tmp_path, text)).problems
    assert problem.path == "log.format"
    assert "twice (lines 3 and 3)" in problem.message


def test_the_suffix_decides(tmp_path: Path) -> None:
    """A file of another kind is refused, not guessed at."""
    assert ".yaml, .yml, .toml" in str(refusal(write(tmp_path, SMALL, "standfast.json")))


def test_overrides_are_judged_with_the_file(tmp_path: Path) -> None:
    """What the command line overrides passes the same checks: an open address needs keys."""
    path = write(tmp_path, SMALL)
    assert load(path, {}, server={"port": 9}).server.port == 9
    with pytest.raises(ConfigError) as caught:
        load(path, {}, server={"host": "0.0.0.0"})  # noqa: S104 - never bound
    assert [problem.path for problem in caught.value.problems] == ["server.host"]


def test_find_prefers_yaml(tmp_path: Path) -> None:
    """The working directory's file is found by its name; YAML before TOML."""
    assert find(tmp_path) is None
    toml = write(tmp_path, "", "standfast.toml")
    assert find(tmp_path) == toml
    assert find(write(tmp_path, "").parent) == tmp_path / "standfast.yaml"


def test_a_secret_in_a_broken_line_is_not_shown(tmp_path: Path) -> None:
    """A syntax error shows no part of the line that is long enough to be a key."""
    for text in ("keys: *sk-canary-0123456789\n", "a: !sk-canary-0123456789 {x: [\n", "k: 'sk-canary-0123456789\n"):
        assert "canary" not in str(refusal(write(tmp_path, text)))


def test_aliases_that_grow_are_stopped(tmp_path: Path) -> None:
    """A small file of aliases to aliases ends with a problem, not with the machine's memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than" in str(refusal(write(tmp_path, "\n".join(lines))))


@pytest.mark.parametrize("name", ["a.yaml", "a.toml"])
def test_deep_nesting_is_a_refusal(tmp_path: Path, name: str) -> None:
    """A document nested beyond the interpreter's depth is refused."""
    assert refusal(write(tmp_path, "a = " * (name == "a.toml") + "[" * 5000, name)).problems


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.just("${X:-}")
    | st.just("none"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
WORDS = [
    "openai",
    "keys",
    "targets",
    "target",
    "m",
    "base_url",
    "headers",
    "params",
    "weight",
    "strategy",
    "name",
    "key",
]
SHAPED = st.dictionaries(
    st.sampled_from(["server", "keys", "providers", "models", "defaults", "log", "x"]),
    TREES | st.dictionaries(st.sampled_from(WORDS), TREES | st.dictionaries(st.sampled_from(WORDS), TREES)),
)


def judged(data: dict[str, object]) -> ConfigError | Config:
    """What comes of a mapping."""
    try:
        return from_mapping(data, {})
    except ConfigError as error:
        return error


@settings(max_examples=250, deadline=None)
@given(data=SHAPED)
def test_any_mapping_loads_or_is_refused(data: dict[str, object]) -> None:
    """Whatever a mapping holds: a configuration, or ConfigError with problems; never another exception."""
    result = judged(data)
    assert isinstance(result, Config) or all(problem.path and problem.message for problem in result.problems)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=80) | st.text(alphabet="a:[]{}&*!<'\"#|>-? \n\t$=.0e~", max_size=60))
@pytest.mark.parametrize("name", ["a.yaml", "a.toml"])
def test_any_bytes_load_or_are_refused(tmp_path: Path, name: str, content: str | bytes) -> None:
    """Whatever a file holds: ConfigError with problems; never another exception."""
    assert refusal(write(tmp_path, content, name), {}).problems
