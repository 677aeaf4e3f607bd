"""`standfast drill`: a few seconds of everything going wrong, on real sockets, beside the rehearsal."""

import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from standfast.cli import main

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]

SCENARIO = {
    "title": "three seconds",
    "duration": "3s",
    "workload": {
        "requests": 90,
        "streaming": 0.7,
        "prompt_tokens": {"low": 60, "high": 200},
        "completion_tokens": {"low": 2, "high": 30},
        "callers": {"app": 1},
    },
    "upstreams": {
        "*": {
            "first_token": {"low": "20ms", "high": "60ms"},
            "per_token": "2ms",
            "price": {"input": 2, "output": 8},
        },
        "primary": {
            "limits": {"rpm": 1200},
            "errors": [
                {"kind": "connect_failed", "share": 0.2},
                {"kind": "server_error", "share": 0.2},
                {"kind": "invalid_reply", "share": 0.2},
            ],
        },
    },
}


def config(ports: dict[str, int] | None = None) -> dict[str, object]:
    """Three providers of three wire formats, and a key at the door; not at these addresses, unless ports are named."""
    providers: dict[str, object] = {name: {"keys": [f"sk-{name}"]} for name in ("openai", "anthropic", "gemini")}
    if ports:
        paths = {"openai": "/v1", "anthropic": "", "gemini": "/v1beta"}
        providers = {
            name: {"keys": [f"sk-{name}"], "base_url": f"http://127.0.0.1:{port}{paths[name]}"}
            for name, port in ports.items()
        }
    return {
        "keys": [{"name": "app", "key": "the-key-of-the-app"}],
        "providers": providers,
        "models": {"m": ["openai/gpt-4.1", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"]},
        "defaults": {
            "retry": {"backoff": {"base": "20ms", "cap": "50ms"}},
            "breaker": {"consecutive": 1000, "rate": 1.0},  # never: each kind of failure is met
        },
        "log": {"format": "off"},
    }


def write(folder: Path, name: str, value: object) -> str:
    """A YAML file."""
    (folder / name).write_text(yaml.safe_dump(value))
    return name


def test_a_drill_and_its_rehearsal(run: Run, tmp_path: Path) -> None:
    """Both reports on the same requests; every answer was looked at; what failed upstream failed in both."""
    names = write(tmp_path, "gateway.yaml", config()), write(tmp_path, "s.yaml", SCENARIO)
    done = run("drill", *names, "--minutes", "1", "--rate", "30", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    drill, rehearsal = report["drill"], report["rehearsal"]
    assert report["false_successes"] == 0
    assert drill["figures"]["requests"] == rehearsal["figures"]["requests"] == 90
    assert report["plain"]["figures"]["requests"] == 90
    assert list(report["way"]) == ["there", "held", "back"]
    assert all(leg["mean_ms"] > 0 and leg["p99_ms"] > 0 for leg in report["way"].values())  # one stall moves the mean
    assert all(leg["attempts"] > 30 for leg in report["way"].values())
    assert drill["figures"]["answered"] + drill["figures"]["broken"] + drill["figures"]["unavailable"] == 90
    assert drill["figures"]["answered"] >= 80
    assert drill["figures"]["attempts"] >= 90
    assert drill["figures"]["cost"] == pytest.approx(rehearsal["figures"]["cost"], rel=0.15), "streams cost, too"
    for each in (drill, rehearsal):
        failed = {kind for row in each["targets"] for kind in row["failures"]}
        assert {"connect_failed", "server_error", "invalid_reply"} <= failed
        assert next(row["target"] for row in each["targets"]) == "openai/gpt-4.1"
    assert {row["text"].split()[0] for row in report["agreement"]} == {
        "availability",
        "p50_first_token_ms",
        "attempts_per_request",
    }


def test_a_gateway_that_runs_already(run: Run, start: Start, tmp_path: Path) -> None:
    """Its providers' loopback ports become the stand-ins'; the report is for people unless JSON is asked for."""
    ports = {}
    for name in ("openai", "anthropic", "gemini"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports[name] = probe.getsockname()[1]
    names = write(tmp_path, "gateway.yaml", config(ports)), write(tmp_path, "s.yaml", SCENARIO)
    gateway = start("serve", "--config", names[0], "--port", "0")
    assert gateway.stderr is not None
    line = next(line for line in gateway.stderr if "open at" in line)
    url = line.split()[-1]
    done = run("drill", *names, "--rate", "10", "--gateway", url)
    assert done.returncode == 0, done.stderr
    assert "three seconds; seed 1, 3 s" in done.stdout
    assert "false successes: 0 of 30" in done.stdout
    assert gateway.poll() is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "SCENARIO: is missing; there are: all-down-and-back"),
        (("nowhere",), "unknown scenario 'nowhere'"),
        (("flapping", "--minutes", "0"), "--minutes: must be above 0"),
        (("flapping", "--rate", "-1"), "--rate: must be above 0"),
        (("flapping", "--gateway", "http://gateway.example"), "--gateway: must be an address on this machine"),
        (
            ("flapping", "--gateway", "http://127.0.0.1:1"),
            "providers.openai.base_url: a drill with --gateway stands in",
        ),
        (("missing.yaml", "flapping"), "missing.yaml"),
    ],
)
def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str) -> None:
    """2, nothing on standard output, and what to do."""
    assert main(["drill", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert words in told.err


def test_a_gateway_that_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    """1, and where it was looked for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = probe.getsockname()[1]
        ports = {"openai": 0, "anthropic": 0, "gemini": 0}
        for name in ports:
            with socket.socket() as other:
                other.bind(("127.0.0.1", 0))
                ports[name] = other.getsockname()[1]
        names = write(tmp_path, "gateway.yaml", config(ports)), write(tmp_path, "s.yaml", SCENARIO)
        done = run("drill", *names, "--gateway", f"http://127.0.0.1:{nobody}")
    assert done.returncode == 1
    assert f"no metrics from http://127.0.0.1:{nobody}/metrics" in done.stderr
    assert "Is the gateway running there?" in done.stderr


def test_a_port_that_is_taken_is_told(run: Run, tmp_path: Path) -> None:
    """1: a provider's port that somebody else has cannot be stood in for."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = {"openai": taken.getsockname()[1], "anthropic": 1, "gemini": 2}
        names = write(tmp_path, "gateway.yaml", config(ports)), write(tmp_path, "s.yaml", SCENARIO)
        done = run("drill", *names, "--gateway", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "the stand-in providers cannot listen on the providers' ports" in done.stderr


def test_a_drill_that_is_told_to_stop_takes_its_gateway_along(start: Start, tmp_path: Path) -> None:
    """SIGTERM, as from a CI runner: the gateway that was started is stopped by its own id."""
    names = write(tmp_path, "gateway.yaml", config()), write(tmp_path, "s.yaml", {**SCENARIO, "duration": "60s"})
    drill = start("drill", *names)
    children = Path(f"/proc/{drill.pid}/task/{drill.pid}/children")
    for _ in range(400):
        if found := children.read_text().split():
            break
        time.sleep(0.05)
    (gateway,) = found
    drill.terminate()
    assert drill.wait(timeout=20) == 130
    assert not Path(f"/proc/{gateway}").exists()
