"""F12: a new configuration is swapped in whole or not at all, and what was learnt is kept."""

import asyncio
import json
from pathlib import Path

import pytest

from standfast.config.load import from_mapping
from standfast.lab import Fault, Lab
from standfast.server.reloading import reload_from
from support.chat import Talk, answer_of, ask, at_rest, attempts, chat, entries, finished, run, until
from support.http import call, read_response
from support.stack import Stack, stack

BREAKER = {"breaker": {"consecutive": 2, "open": "60s"}}


def configuration(lab: Lab, models: dict[str, object], **more: object) -> dict[str, object]:
    """A configuration that names the lab's providers as the stack does."""
    providers = {
        "openai": {"base_url": f"{lab.openai.url}/v1", "keys": ["sk-lab-openai"]},
        "twin": {"type": "openai_like", "base_url": f"{lab.openai.url}/v1", "keys": ["sk-lab-twin"]},
        "anthropic": {"base_url": lab.anthropic.url, "keys": ["sk-lab-anthropic"]},
    }
    return {"providers": providers, "models": models, **more}


def write(path: Path, lab: Lab, models: dict[str, object], **more: object) -> None:
    """The same as a file (JSON is YAML)."""
    path.write_text(json.dumps(configuration(lab, models, **more)))


async def open_breaker(s: Stack) -> None:
    """Let the first target's breaker open."""
    s.lab.openai.fail(Fault(status=500, key="openai"))
    while s.gateway.breaker_states()["openai/gpt-4.1"] != "open":
        assert finished(await ask(s))


def test_what_was_learnt_is_kept() -> None:
    """F12: an open breaker stays open over a reload: no request tries the dead target again."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}, defaults=BREAKER) as s:
            await open_breaker(s)
            models: dict[str, object] = {"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"], "n": ["twin/x"]}
            s.gateway.reload(from_mapping(configuration(s.lab, models, defaults=BREAKER), {}))
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "open"
            answer = await ask(s)
            assert (answer.headers["x-standfast-model"], attempts(answer)) == ("claude-haiku-4-5", 1)
            assert finished(await ask(s, "n"))
            changed = {"breaker": {**BREAKER["breaker"], "consecutive": 9}}
            s.gateway.reload(from_mapping(configuration(s.lab, models, defaults=changed), {}))
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "closed"

    run(scenario)


def test_what_is_under_way_keeps_its_snapshot() -> None:
    """F12: a request in flight ends as it began, though its model and target are gone from the configuration."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(first_token_delay=0.2, chunk_delay=0.02))
            talk = await Talk.begin(s, chat(stream=True))
            failing = await Talk.begin(s, chat("m", prompt="other"))
            await until(lambda: len(entries(s)) == 2)
            s.gateway.reload(from_mapping(configuration(s.lab, {"other": ["anthropic/claude-haiku-4-5"]}), {}))
            assert (await ask(s)).status == 404
            assert finished(await ask(s, "other"))
            answer = await read_response(talk.reader)
            assert finished(answer)
            assert answer.text == answer_of("gpt-4.1")
            assert finished(await read_response(failing.reader))
            await talk.close()
            await failing.close()
            await until(lambda: at_rest(s))

    run(scenario)


def test_a_failover_under_way_uses_the_old_targets() -> None:
    """F12: the second attempt of a request that began before the reload goes where its configuration said."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(status=500, delay=0.1, key="openai"))
            asking = asyncio.create_task(ask(s))
            await until(lambda: entries(s))
            s.gateway.reload(from_mapping(configuration(s.lab, {"m": ["anthropic/claude-haiku-4-5"]}), {}))
            answer = await asking
            assert finished(answer)
            assert answer.headers["x-standfast-deployment"] == "twin/gpt-4.1"
            await until(lambda: at_rest(s))

    run(scenario)


def test_retries_can_be_turned_off_while_it_runs() -> None:
    """An operator who takes the retry budget away during an incident is obeyed at once."""

    async def scenario() -> None:
        models: dict[str, object] = {"m": ["openai/gpt-4.1"]}
        retry: dict[str, object] = {"budget": 0, "budget_floor": 1, "backoff": {"base": "1ms", "cap": "1ms"}}
        async with stack(models, defaults={"retry": retry}) as s:
            s.lab.openai.fail(Fault(status=500, key="openai"))
            assert attempts(await ask(s)) > 1
            off = {"retry": {**retry, "budget_floor": 0}}
            s.gateway.reload(from_mapping(configuration(s.lab, models, defaults=off), {}))
            before = len(entries(s))
            await ask(s)
            assert len(entries(s)) == before + 1

    run(scenario)


def test_what_waits_for_a_restart_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is led to believe that a reload has moved the port: it is told, by name, until it is true."""

    async def scenario() -> None:
        path = tmp_path / "standfast.yaml"
        models: dict[str, object] = {"m": ["openai/gpt-4.1"]}
        async with stack(models) as s:
            write(path, s.lab, models, server={"heartbeat": "1s", "open_door": True})
            assert not reload_from(path, s.plane).error
            assert not caplog.messages
            server = {"port": 9, "upstream": {"reply_bytes": 1_000_000}, "heartbeat": "1s"}
            write(path, s.lab, models, server=server, log={"format": "text"})
            for _ in range(2):
                assert not reload_from(path, s.plane).error
                assert "before a restart: server.port, server.upstream.reply_bytes, log.format" in caplog.messages[-1]
            assert s.gateway.services.heartbeat == 1.0
            caplog.clear()
            write(path, s.lab, models)
            assert not reload_from(path, s.plane, {"port": 8000}).error
            assert not caplog.messages

    run(scenario)


@pytest.mark.parametrize(
    "text",
    [
        "models: [",
        "",
        "models: {m: []}\n",
        "models: {m: [nobody/x]}\nproviders: {}\n",
        "unknown_section: {}\n",
        '{"providers": {"openai": {"keys": ["sk',
        "\x00\x01",
        None,
    ],
    ids=["syntax", "empty", "no-targets", "no-provider", "unknown", "half-written", "binary", "deleted"],
)
def test_a_broken_file_changes_nothing(text: str | None, tmp_path: Path) -> None:
    """F12, F3: whatever is wrong with the file, the old configuration serves on and the reason is told."""

    async def scenario() -> None:
        path = tmp_path / "standfast.yaml"
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            if text is not None:
                path.write_text(text)
            before = s.gateway.snapshot
            reason = reload_from(path, s.plane).error
            assert reason
            assert s.gateway.snapshot is before
            assert finished(await ask(s))

    run(scenario)


def test_a_good_file_is_swapped_in_whole(tmp_path: Path) -> None:
    """F12, F13: models and client keys change together; the old key is refused at once."""

    async def scenario() -> None:
        path = tmp_path / "standfast.yaml"
        old, new = "sk-client-old-000000", "sk-client-new-000000"
        async with stack({"m": ["openai/gpt-4.1"]}, keys=(("old", old),)) as s:
            assert finished(await ask(s, headers={"authorization": f"Bearer {old}"}))
            write(path, s.lab, {"n": ["twin/gpt-4.1"]}, keys=[{"name": "new", "key": new}])
            assert not reload_from(path, s.plane).error
            assert (await ask(s, "n", headers={"authorization": f"Bearer {old}"})).status == 401
            assert finished(await ask(s, "n", headers={"authorization": f"Bearer {new}"}))
            assert s.recorder.records[-1].caller == "new"
            assert (await ask(s, "m", headers={"authorization": f"Bearer {new}"})).status == 404

    run(scenario)


def test_without_a_file_there_is_nothing_to_reload() -> None:
    """F12: a gateway that was started without a file says so."""

    async def scenario() -> None:
        async with stack({"m": ["openai/gpt-4.1"]}) as s:
            assert "without a configuration file" in reload_from(None, s.plane).error
            assert finished(await ask(s))

    run(scenario)


def test_many_reloads_under_load_fail_nobody(tmp_path: Path) -> None:
    """F12: good and bad files in turn while requests run: no request fails, nothing is left."""

    async def scenario() -> None:
        path = tmp_path / "standfast.yaml"
        async with stack({"m": ["openai/gpt-4.1", "twin/gpt-4.1"]}) as s:
            s.lab.openai.fail(Fault(chunk_delay=0.002))
            stop = False
            answers = []

            async def load(stream: bool) -> None:
                while not stop:
                    answers.append(await ask(s, stream=stream))

            clients = [asyncio.create_task(load(n % 2 == 0)) for n in range(8)]
            for n in range(30):
                if n % 3 == 2:
                    path.write_text("models: [")
                else:
                    write(path, s.lab, {"m": [["openai/gpt-4.1"], ["twin/gpt-4.1", "openai/gpt-4.1"]][n % 2]})
                assert bool(reload_from(path, s.plane).error) is (n % 3 == 2)
                await asyncio.sleep(0.01)
            stop = True
            await asyncio.gather(*clients)
            assert len(answers) > 20
            assert all(finished(answer) and attempts(answer) == 1 for answer in answers)
            await until(lambda: at_rest(s))

    run(scenario)


def test_health_tells_who_is_down() -> None:
    """D4: the health routes show an open breaker and what still serves; 503 only when every model is unhealthy."""

    async def scenario() -> None:
        models = {"m": ["openai/gpt-4.1", "twin/gpt-4.1"], "n": ["openai/gpt-4.1"]}
        async with stack(models, defaults=BREAKER) as s:
            assert (await call(s.port, "/health", method="GET")).json()["status"] == "healthy"
            await open_breaker(s)
            answer = await call(s.port, "/v1/health", method="GET")
            body = answer.json()
            assert (answer.status, body["status"]) == (200, "degraded")
            shown = body["models"]
            assert isinstance(shown, dict)
            assert (shown["m"]["status"], shown["n"]["status"]) == ("degraded", "unhealthy")
            assert shown["m"]["targets"]["openai/gpt-4.1"]["breaker"] == "open"
            assert 0 < shown["m"]["targets"]["openai/gpt-4.1"]["retry_after_s"] <= 60
            s.lab.openai.fail(Fault(status=401, key="twin"))
            await ask(s)
            assert (await call(s.port, "/health", method="GET")).status == 503

    run(scenario)
