"""Commands that run until they are stopped, and commands that talk to stand-in providers; all on loopback."""

import json
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]
Ports = tuple[int, int, int]


def lab(start: Start) -> "tuple[subprocess.Popen[str], dict[str, str]]":
    """Running stand-ins and their addresses."""
    process = start("lab", "--ports", "0", "0", "0", "--json")
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        line = process.stdout.readline()
        assert line, "".join(lines)
        lines.append(line)
    return process, json.loads("".join(lines))["providers"]


def banner(process: "subprocess.Popen[str]", last: str) -> str:
    """What a starting gateway says, up to the line that holds `last`."""
    assert process.stderr is not None
    lines: list[str] = []
    while not lines or last not in lines[-1]:
        line = process.stderr.readline()
        assert line, "".join(lines)
        lines.append(line)
    return "".join(lines)


def configuration(tmp_path: Path, url: str) -> Path:
    """A file with one provider there and one where nobody listens."""
    path = tmp_path / "standfast.yaml"
    path.write_text(
        f"providers:\n  openai: {{base_url: '{url}/v1', keys: [k]}}\n"
        "  dead: {type: openai_like, base_url: 'http://127.0.0.1:1/v1', keys: [none]}\n"
        "models:\n  good: [openai/gpt-4.1]\n  mended: [dead/x, openai/gpt-4.1]\n  bad: [dead/x]\nlog: {format: off}\n"
    )
    return path


def test_lab_runs_until_it_is_told_to_stop(start: Start) -> None:
    """The stand-ins say where they listen, answer there, and end with 0 on SIGTERM."""
    process, urls = lab(start)
    assert list(urls) == ["openai", "anthropic", "gemini"]
    with urllib.request.urlopen(f"{urls['openai']}/lab/state") as answer:  # noqa: S310 - loopback
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_lab_says_which_ports_are_taken(run: Run) -> None:
    """A port in use ends with 1 and a message that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        done = run("lab", "--ports", "0", str(held.getsockname()[1]), "0")
    assert done.returncode == 1
    assert "--ports" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_explained(run: Run, tmp_path: Path) -> None:
    """`serve` on a port in use ends with 1 and names the address and the option."""
    configuration(tmp_path, "http://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        done = run("serve", "--port", str(port))
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_tells_what_it_serves_and_drains(start: Start, tmp_path: Path) -> None:
    """The banner has the address, the models with their targets, whether a key is needed, and a line that works."""
    _, urls = lab(start)
    configuration(tmp_path, urls["openai"])
    process = start("serve", "--port", "0")
    said = banner(process, "curl")
    assert "mended  priority: dead/x, openai/gpt-4.1" in said
    assert "need no key" in said
    line = re.search(r"curl -s (\S+) .* -d '(.*)'", said)
    assert line is not None
    request = urllib.request.Request(line[1], line[2].encode(), {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
        assert json.load(answer)["choices"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_demo_needs_no_key(start: Start, ports: Ports) -> None:
    """`make run` on a bare machine: a gateway in front of three stand-ins, and a line that makes one of them fail."""
    process = start("demo", "--port", "0", "--lab-ports", *map(str, ports))
    said = banner(process, "/lab/journal")
    address = re.search(r"open at (\S+)", said)
    assert address is not None
    assert "gpt-4.1            priority: openai/gpt-4.1, anthropic/claude-sonnet-4-5" in said
    body = json.dumps({"model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}]}).encode()
    fault = json.dumps({"provider": "openai", "fault": {"status": 503}}).encode()
    served = []
    for step in (None, fault):
        if step is not None:
            urllib.request.urlopen(f"http://127.0.0.1:{ports[2]}/lab/faults", step).close()
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{address[1]}/v1/chat/completions", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            served.append(answer.headers["x-standfast-deployment"])
    assert served == ["openai/gpt-4.1", "anthropic/claude-sonnet-4-5"]
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_the_demo_has_a_console_with_the_key_in_the_environment(start: Start, ports: Ports) -> None:
    """Without a configuration file STANDFAST_CONSOLE_KEY is the console's key, whoever answers the requests."""
    key = {"STANDFAST_CONSOLE_KEY": "operator-0123456789"}
    process = start("demo", "--port", "0", "--lab-ports", *map(str, ports), **key)
    assert "/console/ (keys: environment)" in banner(process, "/lab/journal")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_demo_says_which_stand_in_ports_are_taken(run: Run, ports: Ports) -> None:
    """A stand-in's port in use ends with 1 and names the option that moves it."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        taken = held.getsockname()[1]
        done = run("demo", "--port", "0", "--lab-ports", str(ports[0]), str(taken), str(ports[2]))
    assert done.returncode == 1
    assert "--lab-ports" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_reports_every_target(start: Start, run: Run, tmp_path: Path) -> None:
    """Every target once, in the file's order; 1 because one does not answer."""
    _, urls = lab(start)
    configuration(tmp_path, urls["openai"])
    done = run("check", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (1, False)
    assert [(row["target"], row["ok"]) for row in report["targets"]] == [("openai/gpt-4.1", True), ("dead/x", False)]
    assert all({"state", "latency_ms", "detail"} < set(row) for row in report["targets"])
    plain = run("check")
    assert plain.returncode == 1
    assert [line.split("\t")[:2] for line in plain.stdout.splitlines()] == [["openai/gpt-4.1", "yes"], ["dead/x", "no"]]


def test_ask_answers(start: Start, run: Run, tmp_path: Path) -> None:
    """The answer is all that stands on standard output; with --json the attempts come too."""
    _, urls = lab(start)
    configuration(tmp_path, urls["openai"])
    plain = run("ask", "hello")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert plain.stdout.strip()
    reply = json.loads(run("ask", "--model", "mended", "--json", stdin="hello").stdout)
    assert reply["deployment"] == "openai/gpt-4.1"
    assert reply["text"]
    assert [(row["deployment"], row["outcome"]) for row in reply["attempts"]] == [
        ("dead/x", "failure"),
        ("openai/gpt-4.1", "success"),
    ]


@pytest.mark.parametrize(("model", "code", "ends"), [("bad", "connect_failed", 1), ("gud", "model_not_found", 2)])
def test_ask_that_fails(run: Run, tmp_path: Path, model: str, code: str, ends: int) -> None:
    """A request that fails ends with 1, one that is wrong itself with 2; both say why, with --json in data."""
    configuration(tmp_path, "http://127.0.0.1:1")
    done = run("ask", "hello", "--model", model)
    assert (done.returncode, done.stdout) == (ends, "")
    assert done.stderr.startswith("standfast: ")
    assert "Traceback" not in done.stderr
    failed = json.loads(run("ask", "hello", "--model", model, "--json").stdout)
    assert (failed["ok"], failed["error"]["code"]) == (False, code)
