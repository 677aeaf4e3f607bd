"""Faults are armed and lifted from outside, requests are journalled, ports refuse and open again."""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from standfast.lab import Fault, Lab, LabSettings, ProviderSettings
from standfast.lab.bodies import ERRORS, names


def test_a_curl_line_makes_a_provider_fail_and_heals_it(run: Callable[..., None], t: Any) -> None:
    """The lines that `describe` prints do what they say, from another provider's port."""

    async def body(lab: Lab) -> None:
        payloads = re.findall(r"-d '(.*)'", lab.describe())
        port, target = lab.gemini.port, lab.openai
        post = t.request(
            "POST", "/lab/faults", {"content-type": "application/x-www-form-urlencoded"}, payloads[0].encode()
        )
        assert (await t.send(port, post)).status == 200
        assert (await t.send(target.port, t.ask("openai"))).status == 503
        assert (await t.send(lab.anthropic.port, t.ask("anthropic"))).status == 200
        assert (await t.send(port, t.request("DELETE", "/lab/faults", {}))).status == 200
        assert (await t.send(target.port, t.ask("openai"))).status == 200
        assert json.loads(payloads[1])["fault"] == {"stall_after_chunks": 3}
        for provider in lab.providers.values():
            assert provider.url in lab.describe()

    run(body)


@pytest.mark.parametrize(
    "wrong",
    [
        b"{}",
        b"no json",
        b'{"provider": "nobody", "fault": {}}',
        b'{"fault": {"statsu": 5}}',
        b'{"fault": "body=nothing"}',
    ],
)
def test_a_wrong_fault_changes_nothing_and_says_why(run: Callable[..., None], t: Any, wrong: bytes) -> None:
    """The control API refuses what it does not know with 400 and words."""

    async def body(lab: Lab) -> None:
        heard = await t.send(lab.openai.port, t.request("POST", "/lab/faults", {}, wrong))
        assert heard.status == 400
        assert heard.json["error"]
        assert lab.openai.faults == ()

    run(body)


def test_state_and_journal_speak_json(run: Callable[..., None], t: Any) -> None:
    """State shows faults and counters; the journal filters by provider and number and never shows a key."""

    async def body(lab: Lab) -> None:
        lab.openai.fail(Fault(status=500, every=2))
        for _ in range(2):
            await t.send(lab.openai.port, t.ask("openai", headers={"x-standfast-attempt": "a-1"}))
        await t.send(lab.anthropic.port, t.ask("anthropic"))
        state = (await t.send(lab.gemini.port, t.request("GET", "/lab/state", {}))).json["providers"]["openai"]
        assert state["faults"] == [{"every": 2, "status": 500}]
        assert state["counters"]["statuses"] == {"200": 1, "500": 1}
        assert state["listening"] is True
        heard = await t.send(lab.gemini.port, t.request("GET", "/lab/journal?provider=openai&after=1", {}))
        (entry,) = heard.json["entries"]
        assert (entry["number"], entry["attempt"], entry["status"], entry["key"]) == (2, "a-1", 500, "1234")
        assert t.key.encode() not in heard.raw
        await t.send(lab.gemini.port, t.request("DELETE", "/lab/journal", {}))
        assert len(lab.journal) == 0
        assert (await t.send(lab.gemini.port, t.request("GET", "/lab/nothing", {}))).status == 404

    run(body)


def test_the_journal_keeps_what_an_auditor_needs(run: Callable[..., None], t: Any) -> None:
    """An entry has the whole body's hash, its bounded bytes, what was sent and what would be billed."""

    async def body(lab: Lab) -> None:
        raw = t.ask("openai", text="count me " * 50, headers={"x-standfast-attempt": "att_7"})
        sent = raw.partition(b"\r\n\r\n")[2]
        heard = await t.send(lab.openai.port, raw)
        (entry,) = lab.journal.find("att_7")
        assert (entry.provider, entry.wire, entry.model, entry.stream) == ("openai", "openai", "m-1", False)
        assert (entry.size, entry.sha256) == (len(sent), hashlib.sha256(sent).hexdigest())
        assert entry.body == sent[:40]
        assert entry.sent == len(heard.raw)
        usage = heard.json["usage"]
        assert (entry.input_tokens, entry.output_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
        assert entry.input_tokens == -(-len(sent) // 4)
        assert ("authorization", "...1234") in entry.headers
        assert entry.outcome == "answered"
        await t.send(lab.openai.port, t.ask("openai", model="m!status=500"))
        assert (lab.journal[-1].outcome, lab.journal[-1].input_tokens) == ("refused", 0)
        assert len(lab.journal) == 2

    run(body, LabSettings(kept_body=40, journal=2))


def test_refuse_closes_the_port_until_healed(run: Callable[..., None], t: Any) -> None:
    """A1: connects are refused, idle connections are dropped, and the same port opens again."""

    async def body(lab: Lab) -> None:
        port = lab.openai.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            lab.openai.fail(Fault(refuse=True))
            with pytest.raises(ConnectionRefusedError):
                await t.send(port, t.ask("openai"))
            lab.heal()
            assert (await t.send(port, t.ask("openai"))).status == 200
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        own = t.request("POST", "/lab/faults", {}, b'{"fault": {"refuse": true}}')
        assert (await t.send(port, own)).status == 200
        with pytest.raises(ConnectionRefusedError):
            await t.send(port, t.ask("openai"))
        assert await t.send(lab.gemini.port, t.request("DELETE", "/lab/faults?provider=openai", {}))
        assert (await t.send(port, t.ask("openai"))).status == 200

    run(body)


def test_faults_choose_their_requests(run: Callable[..., None], t: Any) -> None:
    """times, every, model, key and rate decide which requests meet a fault; the newest fault wins."""

    async def body(lab: Lab) -> None:
        async def statuses(count: int, **kind: str) -> list[int]:
            return [(await t.send(lab.openai.port, t.ask("openai", **kind))).status for _ in range(count)]

        lab.openai.fail(Fault(status=503, times=2))
        assert await statuses(3) == [503, 503, 200]
        lab.openai.fail(Fault(status=500, every=3))
        assert await statuses(6) == [200, 200, 500, 200, 200, 500]
        lab.openai.fail(Fault(status=429, times=1))
        assert await statuses(1) == [429]
        lab.heal()
        lab.openai.fail(Fault(status=404, model="bad"))
        assert await statuses(1, model="bad") + await statuses(1) == [404, 200]
        lab.openai.fail(Fault(status=401, key="1234"))
        assert await statuses(1) == [401]
        lab.heal()
        lab.openai.fail(Fault(status=500, rate=0.5))
        assert 10 < (await statuses(40)).count(500) < 30

    run(body)


def test_flapping_follows_the_given_clock(run: Callable[..., None], t: Any) -> None:
    """D3: a square wave of the injected clock, well first."""
    at = [100.0]

    async def body(lab: Lab) -> None:
        lab.openai.fail(Fault(status=503, flap_up=2, flap_down=3))
        found = []
        for _ in range(10):
            found.append((await t.send(lab.openai.port, t.ask("openai"))).status)
            at[0] += 1.0
        assert found == [200, 200, 503, 503, 503] * 2

    run(body, now=lambda: at[0])


def test_a_health_check_may_lie(run: Callable[..., None], t: Any) -> None:
    """D14: generation fails while the models list and /health stay well, unless the fault's scope is all."""

    async def body(lab: Lab) -> None:
        auth = {"authorization": f"Bearer {t.key}"}
        lab.openai.fail(Fault(status=500))
        assert (await t.send(lab.openai.port, t.ask("openai"))).status == 500
        assert (await t.send(lab.openai.port, t.request("GET", "/v1/models", auth))).status == 200
        assert (await t.send(lab.openai.port, t.request("GET", "/health", {}))).status == 200
        lab.openai.fail(Fault(status=500, scope="all"))
        assert (await t.send(lab.openai.port, t.request("GET", "/v1/models", auth))).status == 500

    run(body)


def test_token_buckets_refuse_with_a_true_hint(run: Callable[..., None], t: Any) -> None:
    """D10: above rpm 429 with the Retry-After after which the next request passes."""
    at = [5.0]
    settings = LabSettings(
        providers={"openai": ProviderSettings(rpm=60, burst=0.05), "slow": ProviderSettings(tpm=600)}
    )

    async def body(lab: Lab) -> None:
        found = [await t.send(lab.openai.port, t.ask("openai")) for _ in range(4)]
        assert [each.status for each in found] == [200, 200, 200, 429]
        assert b"x-ratelimit-remaining-requests: 2\r\n" in found[0].head
        assert b"retry-after: 1" in found[3].head
        assert found[3].json["error"]["code"] == "rate_limit_exceeded"
        at[0] += 1.0
        assert (await t.send(lab.openai.port, t.ask("openai"))).status == 200
        slow = [(await t.send(lab["slow"].port, t.ask("anthropic", text="x" * 900))).status for _ in range(2)]
        assert slow == [200, 429]

    run(body, settings, now=lambda: at[0])


@pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini"])
def test_every_canned_body_comes_in_the_shape_of_its_wire(run: Callable[..., None], t: Any, wire: str) -> None:
    """B3-B17: each canned name answers on each wire, errors with the wire's own error object."""

    async def body(lab: Lab) -> None:
        for name in names():
            heard = await t.send(lab[wire].port, t.ask(wire, headers={"x-lab-fault": f"body={name}"}))
            assert f"content-length: {len(heard.rest)}".encode() in heard.head
            if name not in ERRORS:
                continue
            assert heard.status == ERRORS[name][wire][0]
            error = heard.json["error"]
            shape = {"openai": {"message", "type", "param", "code"}, "anthropic": {"type", "message"}}
            assert shape.get(wire, {"code", "message", "status"}) <= set(error)
        empty = await t.send(lab[wire].port, t.ask(wire, stream=True, headers={"x-lab-fault": "body=empty"}))
        assert (empty.status, empty.body()) == (200, b"")

    run(body)


def test_canned_bodies_are_named_and_one_request_cannot_refuse(run: Callable[..., None], t: Any) -> None:
    """An unknown canned body is an error where it is armed; a request cannot close the port."""

    async def body(lab: Lab) -> None:
        with pytest.raises(ValueError, match=r"no canned body 'nope'; known: .*overloaded"):
            lab.openai.fail("body=nope")
        assert (await t.send(lab.openai.port, t.ask("openai", model="m!refuse"))).status == 400
        assert (await t.send(lab.openai.port, t.ask("openai", model="m!statsu=3"))).status == 400
        with pytest.raises(ValueError, match="refuse closes the port"):
            Fault(refuse=True, times=3)
        with pytest.raises(ValueError, match="is not a header"):
            Fault(headers={"x": "a\r\nb: c"})

    run(body)


def test_a_lab_starts_once_and_leaves_nothing_behind() -> None:
    """A taken port leaves none open; a stopped lab has no connection and no task."""

    async def body() -> None:
        async with Lab() as lab:
            with pytest.raises(OSError, match="in use"):
                await Lab(ports={"openai": 0, "gemini": lab.openai.port}).start()
            with pytest.raises(RuntimeError):
                await lab.start()
            lab.openai.fail(Fault(hang=True))
            _reader, writer = await asyncio.open_connection("127.0.0.1", lab.openai.port)
            writer.write(b"GET /health HTTP/1.1\r\n\r\n")
            await _reader.read(1)
        assert lab.openai.counters.open_connections == 0
        writer.close()
        assert len(asyncio.all_tasks()) == 1
        with pytest.raises(LookupError, match="no provider 'opena'"):
            Lab(ports={"opena": 1})

    asyncio.run(body())


def test_the_lab_runs_on_uvloop_too(run: Callable[..., None], t: Any) -> None:
    """The gateway's event loop serves the lab in the same process: streams, resets and a closed port."""

    async def body(lab: Lab) -> None:
        assert (await t.send(lab.openai.port, t.ask("openai", stream=True))).complete
        assert (await t.send(lab.openai.port, t.ask("openai", model="m!reset"))).reset
        cut = await t.send(lab.openai.port, t.ask("openai", stream=True, model="m!cut_after_chunks=1,how=reset"))
        assert (cut.reset, cut.complete) == (True, False)
        lab.openai.fail("refuse")
        with pytest.raises(ConnectionRefusedError):
            await t.send(lab.openai.port, t.ask("openai"))
        lab.heal()
        assert (await t.send(lab.openai.port, t.ask("openai"))).status == 200

    run(body, loop=uvloop.new_event_loop)
