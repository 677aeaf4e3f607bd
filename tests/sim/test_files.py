"""Scenario files: every problem at once, with place, line and suggestion."""

from pathlib import Path

import pytest

from standfast.errors import ConfigError
from standfast.sim import files
from support.rehearsal import scenario

GOOD = """\
title: t
duration: 10m
workload:
  rate: 2
upstreams:
  "*": {first_token: 1s}
troubles:
  - {at: 1m, lasts: 2m, where: primary, errors: server_error}
"""


def problems(text: str) -> dict[str, str]:
    """What is wrong with a text, by place."""
    with pytest.raises(ConfigError) as caught:
        files.parse(text, "s.yaml")
    return {problem.path: f"{problem.message} {problem.suggestion}".strip() for problem in caught.value.problems}


def test_a_good_file_is_read() -> None:
    """Durations, short forms and selectors as they are written."""
    found = files.parse(GOOD, "s.yaml")
    assert (found.duration, found.workload.rate) == (600.0, 2.0)
    assert found.troubles[0].where == ("primary",)
    assert found.troubles[0].errors[0].kind == "server_error"


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("title: t", "titel: t", "titel", "is not a setting that exists here (line 1) title"),
        ("title: t\n", "", "title", "is missing"),
        ("rate: 2", "rate: 0", "workload.rate", "must be greater than 0"),
        ("rate: 2", "rate: 2\n  requests: 3", "workload", "say either `requests`"),
        ("rate: 2", "rate: 2\n  streaming: 2", "workload.streaming", "must be at most 1"),
        ("rate: 2", "rate: 2\n  arrivals: poison", "workload.arrivals", "'poisson' or 'constant' (line 5) poisson"),
        ("rate: 2", "rate: 2\n  curve: [1]", "workload", "a curve needs at least two rates"),
        ("rate: 2", "rate: 2\n  priorities: {3: 0}", "workload", "priorities: at least one share"),
        ("rate: 2", "rate: 2\n  bursts: [{at: 11m, lasts: 1s, factor: 2}]", "workload.bursts[0].at", "can never"),
        ("duration: 10m", "duration: soon", "duration", "'soon' is not a duration; write 250ms, 3s or 1m30s (line 2)"),
        ("{first_token: 1s}", "{first_tokn: 1s}", "upstreams.*.first_tokn", "first_token"),
        ("{first_token: 1s}", "{first_token: {median: 1s}}", "upstreams.*.first_token", "write one of"),
        ("at: 1m", "at: 20m", "troubles[0].at", "can never take effect: the scenario ends after 600 s (line 8)"),
        ("lasts: 2m, ", "", "troubles[0].lasts", "is missing"),
        ("server_error", "server_eror", "troubles[0].errors[0]", "Did you mean 'server_error'?"),
        ("errors: server_error", "errors: client_cancelled", "troubles[0].errors[0].kind", "unknown failure of an ups"),
        ("errors: server_error", "slow: 1", "troubles[0]", "can never take effect: say errors, slow"),
        ("errors: server_error", "capacity: 0.5", "troubles[0].capacity", "can never take effect: no section of upstr"),
        ("errors: server_error", "slow: 2, capacity: 0.5", "troubles[0].capacity", "no section of upstreams has a cap"),
        ("errors: server_error", "slow: 2, errors: [{kind: stalled, share: 0}]", "troubles[0]", "must be above"),
        ("errors: server_error", "slow: 2, down: 1s", "troubles[0]", "flapping needs both"),
        ("where: primary", "where: a b", "troubles[0].where[0]", "expected *, primary, secondary"),
        ("errors: server_error", "errors: [{kind: stalled, share: 0.7}, {kind: overloaded, share: 0.4}]",
         "troubles[0].errors", "must not be above 1"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_place(old: str, new: str, path: str, words: str) -> None:
    """The path as written, what would be right, the line, and the nearest right spelling."""
    assert old in GOOD
    found = problems(GOOD.replace(old, new))
    near = next((place for place in found if path.startswith(place) or place.startswith(path)), None)
    assert near is not None, found
    assert words in found[near], found


@pytest.mark.parametrize(
    ("section", "path", "words"),
    [
        ("limits: {tpm: .inf}", "limits.tpm", "must be a finite number"),
        ("limits: {rpm: .nan}", "limits.rpm", "must be a finite number"),
        ("limits: {rpm: 1e-320}", "limits.rpm", "must be at least 0.001"),
        ("limits: {rpm: 5, burst: 1e300}", "limits.burst", "must be at most 1000000000"),
        ("limits: {rpm: true}", "limits.rpm", "expected a number"),
        ("price: .inf", "price", "must be a finite number"),
        ("price: true", "price", "expected a number"),
        ("price: {input: 1, output: false}", "price.output", "expected a number"),
        ("capacity: {concurrency: 2, crowding: .inf}", "capacity.crowding", "must be a finite number"),
        ("capacity: {concurrency: true}", "capacity.concurrency", "expected a number"),
        ("quota: {tokens: true}", "quota.tokens", "expected a number"),
        ("errors: [{kind: overloaded, share: true}]", "errors[0].share", "expected a number"),
        ("per_token: {median: 1s, p95: 1e300}", "per_token", "no amount may be above"),
    ],
)
def test_numbers_are_finite_and_no_booleans(section: str, path: str, words: str) -> None:
    """What would end in an overflow, or is no number, is told with its place before anything is played."""
    found = problems(GOOD.replace("{first_token: 1s}", f"{{first_token: 1s, {section}}}"))
    assert any(place.startswith(f"upstreams.*.{path}") and words in told for place, told in found.items()), found


@pytest.mark.parametrize("line", ["streaming: true", "rate: true", "sessions: true", "prompt_tokens: true"])
def test_true_is_no_number_of_a_workload(line: str) -> None:
    """`true` is not 1, wherever a number is meant."""
    (told,) = problems(GOOD.replace("rate: 2", line if line.startswith("rate") else f"rate: 2\n  {line}")).values()
    assert told.startswith("expected a number")


def test_all_mistakes_come_at_once() -> None:
    """Nobody mends a file one error at a time."""
    text = GOOD.replace("rate: 2", "rate: -1").replace("1s}", "-1s}").replace("title: t", "titel: t")
    assert {"workload.rate", "titel"} < set(problems(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is empty"), ("a: [", "line"), ("- 1", "expected settings"), ("a: 1\na: 2", "twice"), ("a: !x 1", "tags")],
)
def test_what_is_no_scenario_at_all_is_told(text: str, words: str) -> None:
    """Broken YAML, another shape, and what the configuration's reader refuses too."""
    found = problems(text)
    assert any(words in f"{path} {message}" for path, message in found.items()), found


def test_an_unknown_name_gets_the_nearest() -> None:
    """A typing error in a scenario's name is answered with the right one."""
    with pytest.raises(ConfigError, match="Did you mean 'brownout'"):
        files.find("brown-out")
    with pytest.raises(LookupError, match="Did you mean 'flapping'"):
        files.shipped("flaping")


def test_a_path_names_a_file(tmp_path: Path) -> None:
    """A scenario of one's own is a file; a missing one says so."""
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert files.find(str(path)).title == "t"
    with pytest.raises(ConfigError, match="cannot be read"):
        files.find(str(tmp_path / "other.yaml"))
    path.write_bytes(b"title: \xff\n")
    with pytest.raises(ConfigError, match="line 1: is no UTF-8"):
        files.find(str(path))


def test_what_is_written_is_read_again() -> None:
    """A saved scenario is the same scenario."""
    original = scenario(
        workload={"callers": {"a": 1, "b": 2}, "priorities": {1: 0.5, 5: 0.5}},
        troubles=[{"at": 1, "lasts": 2, "where": ["*"], "errors": [{"kind": "overloaded", "share": 0.5}]}],
    )
    again = files.parse(files.write(original), "again")
    assert again == original
