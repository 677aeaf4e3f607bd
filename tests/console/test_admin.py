"""The admin API of a whole gateway: deny by default, and everything that the page can do."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI

from console.looking import KEYS, OPERATOR, VIEWER, api, bearer, code, record, window_of
from standfast.canon.attempt import Attempt, Outcome
from standfast.canon.failure import Failure, FailureKind
from standfast.config.load import from_mapping
from standfast.console.access import COOKIE
from standfast.console.admin import admin_router
from standfast.console.pages import POLICY
from standfast.lab import Fault
from support.chat import ask, entries, finished, run
from support.http import call
from support.stack import Stack, stack

MODELS = {"m": ["openai/gpt-4.1", "anthropic/claude-haiku-4-5"]}
ACTIONS: dict[tuple[str, str], object] = {
    ("POST", "/breaker"): {"target": "openai/gpt-4.1", "state": "open"},
    ("POST", "/checks"): {"kind": "ping"},
    ("POST", "/reload"): None,
}
VIEWS: dict[tuple[str, str], object] = {
    ("GET", "/session"): None,
    ("DELETE", "/session"): None,
    ("GET", "/snapshot"): None,
    ("GET", "/history"): None,
    ("GET", "/config"): None,
    ("POST", "/explain"): {"prompt": "hello"},
}


def test_every_route_denies_by_default() -> None:
    """No route below /admin answers somebody without a key but the one where keys are given; none is forgotten here."""

    async def scenario() -> None:
        async with stack(MODELS, console=KEYS, window=True) as s:
            app = FastAPI()
            app.include_router(admin_router(window_of(s)))
            routes = {
                (method, path.removeprefix("/admin/api"))
                for path, methods in app.openapi()["paths"].items()
                for method in (each.upper() for each in methods)
            }
            assert routes == {*ACTIONS, *VIEWS, ("POST", "/session")}
            for (method, path), body in {**ACTIONS, **VIEWS}.items():
                for headers in ({}, bearer("wrong-0123456789abcd"), {"cookie": f"{COOKIE}=x.9999999999.y"}):
                    answer = await api(s, method, path, body, headers=headers)
                    assert code(answer) == (401, "console_key_needed"), (method, path)
            for (method, path), body in ACTIONS.items():
                assert code(await api(s, method, path, body, key=VIEWER)) == (403, "console_not_allowed"), path
            for (method, path), body in VIEWS.items():
                assert (await api(s, method, path, body, key=VIEWER)).status in (200, 204), path
            assert s.gateway.breaker_states()["openai/gpt-4.1"] == "closed"

    run(scenario)


def test_signing_in_and_out() -> None:
    """A key is exchanged for a cookie that scripts cannot read and other sites do not send; signing out removes it."""

    async def scenario() -> None:
        async with stack(MODELS, console=KEYS, window=True) as s:
            assert code(await api(s, "POST", "/session", {"key": "nonsense"})) == (401, "console_key_needed")
            answer = await api(s, "POST", "/session", {"key": VIEWER}, headers={"x-forwarded-proto": "https"})
            told = answer.json()
            assert (told["name"], told["role"], told["open"]) == ("wall", "viewer", False)
            cookie = answer.headers["set-cookie"]
            for wanted in ("HttpOnly", "SameSite=strict", "Path=/admin", "Secure", "Max-Age=43200"):
                assert wanted.lower() in cookie.lower()
            sent = {"cookie": cookie.partition(";")[0]}
            assert (await api(s, "GET", "/session", headers=sent)).json()["name"] == "wall"
            gone = await api(s, "DELETE", "/session", headers=sent)
            assert gone.status == 204
            assert 'standfast_console=""' in gone.headers["set-cookie"]
            assert "Max-Age=0" in gone.headers["set-cookie"]

    run(scenario)


def test_an_operator_forces_a_breaker() -> None:
    """Forced open it is asked nothing, released it serves again; the event names who said so."""

    async def scenario() -> None:
        async with stack(MODELS, console=KEYS, window=True) as s:
            body: dict[str, object] = {"target": "openai/gpt-4.1", "state": "open"}
            assert (await api(s, "POST", "/breaker", body, key=OPERATOR)).status == 204
            answer = await ask(s)
            assert answer.headers["x-standfast-deployment"] == "anthropic/claude-haiku-4-5"
            assert (await api(s, "POST", "/breaker", {**body, "state": None}, key=OPERATOR)).status == 204
            assert (await ask(s)).headers["x-standfast-deployment"] == "openai/gpt-4.1"
            told = [change for change in s.recorder.changes if change.subject == "breaker"]
            assert [(each.after, each.reason) for each in told] == [
                ("forced_open", "word of ann"),
                ("closed", "word of ann"),
            ]
            wrong = await api(s, "POST", "/breaker", {**body, "target": "openai/gpt-4"}, key=OPERATOR)
            assert code(wrong) == (404, "deployment_not_found")
            assert "gpt-4.1" in wrong.body.decode()
            for bad in ({}, {"target": "x"}, {**body, "state": "ajar"}, {**body, "more": 1}, [], "x"):
                assert code(await api(s, "POST", "/breaker", bad, key=OPERATOR)) == (400, "invalid_request")

    run(scenario)


def test_an_operator_orders_checks() -> None:
    """All targets or some are checked at once; what is found is told and counts."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            s.lab.openai.fail(Fault(status=503, key="openai"))
            one = (await api(s, "POST", "/checks", {"targets": ["anthropic/claude-haiku-4-5"]})).json()["reports"]
            assert [(each["target"], each["ok"], each["kind"]) for each in _rows(one)] == [
                ("anthropic/claude-haiku-4-5", True, "ping")
            ]
            every = _rows((await api(s, "POST", "/checks", {"kind": "generate"})).json()["reports"])
            assert {each["target"]: each["ok"] for each in every} == {
                "openai/gpt-4.1": False,
                "anthropic/claude-haiku-4-5": True,
            }
            assert code(await api(s, "POST", "/checks", {"targets": ["no/such"]})) == (404, "deployment_not_found")
            assert code(await api(s, "POST", "/checks", {"kind": "guess"})) == (400, "invalid_request")

    run(scenario)


def test_a_header_that_was_sent_twice_is_neither_of_the_two() -> None:
    """One of two hosts, or of two origins, may have been added by somebody else: together they are nobody's."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            for name, ours in (("host", f"127.0.0.1:{s.port}"), ("origin", f"http://127.0.0.1:{s.port}")):
                reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
                other = f"{name}: {ours.replace('127.0.0.1', 'rebound.example')}\r\n"
                host = "" if name == "host" else f"host: 127.0.0.1:{s.port}\r\n"
                head = f"POST /admin/api/reload HTTP/1.1\r\n{host}{name}: {ours}\r\n{other}connection: close\r\n\r\n"
                writer.write(head.encode())
                assert b" 403 " in (await reader.read()).split(b"\r\n")[0]
                writer.close()

    run(scenario)


def test_what_is_logged_of_checks_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """Names that nobody has configured are not written into the log, however many; and no target is not all of them."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            unknown = await api(s, "POST", "/checks", {"targets": ["nobody's"] * 10_000})
            assert code(unknown) == (404, "deployment_not_found")
            assert "nobody's" not in caplog.text
            assert (await api(s, "POST", "/checks", {"targets": []})).json() == {"reports": []}
            assert "a ping check of no target" in caplog.text

    run(scenario)


def test_a_body_that_is_not_said_to_be_json_is_told_so() -> None:
    """What curl sends by itself is no JSON, by its header; the error says which one to add."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            reader, writer = await asyncio.open_connection("127.0.0.1", s.port)
            head = f"POST /admin/api/checks HTTP/1.1\r\nhost: 127.0.0.1:{s.port}\r\nconnection: close\r\n"
            writer.write(f"{head}content-type: text/plain\r\ncontent-length: 2\r\n\r\n{{}}".encode())
            answer = (await reader.read()).decode()
            writer.close()
            assert " 400 " in answer.split("\r\n")[0]
            assert "with the header 'content-type: application/json'" in answer

    run(scenario)


def test_docs_ask_for_a_key() -> None:
    """Whoever reads `/docs` can give a key there, for every call that needs one; signing in needs none."""

    async def scenario() -> None:
        async with stack(MODELS, console=KEYS, window=True) as s:
            described = (await call(s.port, "/openapi.json", None, {}, "GET")).json()
            schemes = described["components"]["securitySchemes"]
            assert {name: scheme["scheme"] for name, scheme in schemes.items()} == {
                "console key": "bearer",
                "client key": "bearer",
            }
            for (method, path), _ in (*VIEWS.items(), *ACTIONS.items()):
                asked = described["paths"][f"/admin/api{path}"][method.lower()]["security"]
                assert asked == [{"console key": []}], path
            for path in ("/v1/models", "/v1/chat/completions", "/chat"):
                (found,) = described["paths"][path].values()
                assert found["security"] == [{"client key": []}]
            assert "security" not in described["paths"]["/admin/api/session"]["post"]

    run(scenario)


def test_the_configuration_hides_secrets() -> None:
    """Nothing that opens anything is shown: client keys, console keys, upstream keys."""

    async def scenario() -> None:
        client = "client-0123456789abc"
        async with stack(MODELS, console=KEYS, keys=(("app", client),), window=True) as s:
            shown = (await api(s, "GET", "/config", key=VIEWER)).body.decode()
            assert "openai/gpt-4.1" in shown
            assert "ann" in shown
            for secret in (client, OPERATOR, VIEWER, "sk-lab-openai"):
                assert secret not in shown

    run(scenario)


def test_it_explains_without_sending() -> None:
    """Where a request would go, under the request's wishes; a wish that cannot be is refused in words."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            body = {"model": "m", "prompt": "hello", "priority": 5, "session": "s", "max_tokens": 9, "kind": "code"}
            told = (await api(s, "POST", "/explain", body)).json()
            assert [row["target"] for row in _rows(told["rows"])] == MODELS["m"]
            assert (told["priority"], told["answer_tokens"]) == (5, 9)
            assert not s.recorder.records
            assert not entries(s)
            assert code(await api(s, "POST", "/explain", {**body, "model": "n"})) == (404, "model_not_found")
            assert (await api(s, "POST", "/explain", {**body, "priority": 6})).status == 400
            assert (await api(s, "POST", "/explain", {**body, "prompt": ""})).status == 400

    run(scenario)


def test_a_reload_without_a_file_is_refused_in_words() -> None:
    """What cannot be done says why, with a conflict's status; the old configuration serves on."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            assert code(await api(s, "POST", "/reload")) == (409, "reload_refused")
            assert finished(await ask(s))

    run(scenario)


def test_keys_that_a_reload_brings_hold_at_once() -> None:
    """Who was let in because nobody needed a key is shut out by the reload that adds some."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            assert (await api(s, "GET", "/session")).status == 200
            config = s.gateway.snapshot.config
            data: dict[str, Any] = config.model_dump(mode="json", exclude_unset=True)
            data["providers"] = {
                name: {**entry, "keys": [key.get_secret_value() for key in config.providers[name].keys]}
                for name, entry in data["providers"].items()
            }
            s.gateway.reload(from_mapping({**data, "console": KEYS}, {}))
            assert (await api(s, "GET", "/session")).status == 401
            assert (await api(s, "GET", "/session", key=VIEWER)).status == 200

    run(scenario)


def test_nothing_that_is_told_holds_a_secret() -> None:
    """An upstream that quotes a key in its error does not bring it onto the page, nor one that quotes a prompt."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            said = "bad key sk-lab-openai or sk-proj-abcdefghijkl"
            for kind in (FailureKind.SERVER_ERROR, FailureKind.INVALID_REQUEST):
                failure = Failure(kind, said if kind is FailureKind.SERVER_ERROR else "your prompt was: ...")
                attempt = Attempt("openai/gpt-4.1", 0, Outcome.FAILURE, failure, 0.0, None, 0.1)
                s.gateway.services.bus.request_ended(record(attempts=(attempt,), status=502, code=kind.value))
            shown = (await api(s, "GET", "/snapshot")).body.decode()
            assert "[redacted] or [redacted]" in shown
            for secret in ("sk-lab-openai", "sk-proj", "your prompt"):
                assert secret not in shown
            kinds = [row["attempts"][0]["kind"] for row in json.loads(shown)["troubled"]]
            assert kinds == ["server_error", "invalid_request"]

    run(scenario)


@pytest.mark.parametrize("path", ["/console/", "/console/index.html"])
def test_the_page_comes_under_its_policy(path: str) -> None:
    """The page may load nothing from elsewhere, and nobody may frame it."""

    async def scenario() -> None:
        async with stack(MODELS, console=KEYS, window=True) as s:
            answer = await call(s.port, path, method="GET")
            assert answer.status == 200
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-type"].startswith("text/html")

    run(scenario)


def test_paths_of_the_page() -> None:
    """`/console` leads to the page, and nothing below it leads out of its folder."""

    async def scenario() -> None:
        async with stack(MODELS, window=True) as s:
            bare = await call(s.port, "/console", method="GET")
            assert (bare.status, bare.headers["location"]) == (308, "/console/")
            for path in (
                "/console/none.js",
                "/console/../pages.py",
                "/console/%2e%2e/pages.py",
                "/console//etc/passwd",
            ):
                assert code(await call(s.port, path, method="GET")) == (404, "unknown_path")

    run(scenario)


def _rows(value: object) -> list[dict[str, Any]]:
    assert isinstance(value, list)
    return value


def test_the_door_does_not_need_the_window() -> None:
    """Without a console the paths do not exist."""

    async def scenario() -> None:
        async with stack(MODELS) as s:
            assert isinstance(s, Stack)
            for path in ("/console/", "/admin/api/session"):
                assert (await call(s.port, path, method="GET")).status == 404

    run(scenario)
