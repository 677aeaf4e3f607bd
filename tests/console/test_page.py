"""The console's page in a real browser, in front of a real gateway and its stand-in providers.

Every test also fails if the page logs an error, violates its content security policy or asks any address but this
machine's (fixture `page`).
"""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from console.looking import KEYS, OPERATOR, VIEWER, bearer
from support.browser import Watch
from support.node import Package, installed
from support.processes import GatewayProcess, LabProcess, fetch, gateway_process, lab_process, told

AXE = Package(
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)
OPENAI, CLAUDE = "openai/gpt-4.1", "anthropic/claude-sonnet-4-5"
SECTIONS = ("overview", "targets", "requests", "events", "explain", "configuration")
CHAT = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello console"}]}

Serve = Callable[..., AbstractContextManager[GatewayProcess]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes work."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def lab_server(folder: Path) -> Iterator[LabProcess]:
    """The stand-in providers."""
    with lab_process(folder) as lab:
        yield lab


@pytest.fixture
def lab(lab_server: LabProcess) -> LabProcess:
    """The same, with no fault in force."""
    lab_server.reset()
    return lab_server


@pytest.fixture(scope="module")
def serve(folder: Path, lab_server: LabProcess) -> Serve:
    """Starts a gateway with one model that two targets serve; keywords replace sections of its configuration."""

    def start(name: str, port: int = 0, **changes: object) -> AbstractContextManager[GatewayProcess]:
        config = {
            "server": {"drain": "2s"},
            "providers": {
                "openai": {"base_url": f"{lab_server.urls['openai']}/v1", "keys": ["sk-lab-openai"]},
                "anthropic": {"base_url": lab_server.urls["anthropic"], "keys": ["sk-lab-anthropic"]},
            },
            "models": {"gpt-4.1": [OPENAI, CLAUDE]},
            "defaults": {"breaker": {"consecutive": 1, "open": "60s"}},
            "log": {"format": "off"},
            **changes,
        }
        return gateway_process(folder, config, name=name, port=port)

    return start


@pytest.fixture(scope="module")
def gateway_server(serve: Serve) -> Iterator[GatewayProcess]:
    """A gateway whose console is open to this machine."""
    with serve("open") as gateway:
        yield gateway


@pytest.fixture
def gateway(gateway_server: GatewayProcess, lab: LabProcess) -> Iterator[GatewayProcess]:
    """The same, with its breakers as new."""
    del lab  # it is well again
    for target in (OPENAI, CLAUDE):
        for state in ("closed", None):
            answer = gateway_server.call("POST", "/admin/api/breaker", {"target": target, "state": state})
            assert answer.status == 204
    with told(gateway_server.process):
        yield gateway_server


@pytest.fixture(scope="module")
def guarded(serve: Serve) -> Iterator[GatewayProcess]:
    """A gateway whose console needs a key."""
    with serve("guarded", console=KEYS) as gateway:
        yield gateway


def look(page: Page, gateway: GatewayProcess, section: str = "") -> None:
    """Open the page, and wait until it is live."""
    page.goto(f"{gateway.url}/console/")
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    if section:
        page.get_by_test_id(f"nav-{section}").click()


def ask(gateway: GatewayProcess, times: int = 1) -> None:
    """Ask the model."""
    for _ in range(times):
        assert gateway.call("POST", "/v1/chat/completions", CHAT).status == 200


def target_row(page: Page, target: str) -> Any:
    """The row of a target."""
    return page.locator(f"[data-testid=target-row][data-target='{target}']").first


def pill(page: Page, target: str) -> Any:
    """The state of a target, as it is shown."""
    return target_row(page, target).get_by_test_id("state-pill")


def test_a_failover_is_seen(page: Page, gateway: GatewayProcess, lab: LabProcess) -> None:
    """What answers, what is out, why, and that nobody noticed: on the page within moments, without a reload of it."""
    look(page, gateway)
    ask(gateway, 3)
    expect(page.get_by_test_id("hero-success")).to_contain_text("100")
    lab.fail("openai", status=500)
    ask(gateway, 3)
    page.get_by_test_id("nav-targets").click()
    expect(pill(page, OPENAI)).to_have_text(re.compile("open"))
    expect(target_row(page, OPENAI)).to_contain_text("server_error")
    page.get_by_test_id("nav-events").click()
    event = page.get_by_test_id("event-row").filter(has_text=OPENAI).filter(has_text="breaker")
    expect(event.first).to_contain_text("server_error")
    page.get_by_test_id("nav-requests").click()
    expect(page.get_by_test_id("request-row").first).to_contain_text(CLAUDE)
    page.get_by_test_id("nav-overview").click()
    expect(page.get_by_test_id("hero-success")).to_contain_text("100")
    expect(page.get_by_test_id("flow-map")).to_be_visible()


def test_whole_replies_have_no_first_token(page: Page, serve: Serve, lab: LabProcess) -> None:
    """The chart of first tokens says why it is empty while others are not, and is drawn once a stream has come."""
    lab.reset()
    with serve("whole") as gateway:
        look(page, gateway)
        chart, answers = page.get_by_test_id("chart-first-token"), page.get_by_test_id("chart-answers")
        expect(chart).to_contain_text("No request in this time.")
        ask(gateway, 3)
        expect(chart).to_contain_text("No stream in this time; whole replies have no first token.", timeout=20_000)
        expect(answers).not_to_contain_text("in this time")
        assert gateway.call("POST", "/v1/chat/completions", {**CHAT, "stream": True}).status == 200
        expect(chart).not_to_contain_text("in this time", timeout=20_000)


def test_a_request_tells_its_attempts(page: Page, gateway: GatewayProcess, lab: LabProcess) -> None:
    """A row opens into every attempt with its kind and the id that the client got."""
    look(page, gateway, "requests")
    lab.fail("openai", status=503)
    answer = gateway.call("POST", "/v1/chat/completions", CHAT)
    identity = answer.headers["x-standfast-request-id"]
    row = page.locator(f"[data-testid=request-row][data-request='{identity}']")
    expect(row).to_contain_text(CLAUDE)
    row.get_by_role("button").first.click()
    detail = page.get_by_test_id("request-detail").first
    for told_there in (OPENAI, "overloaded", CLAUDE, identity):
        expect(detail).to_contain_text(told_there)


def test_an_operator_forces_a_breaker(page: Page, gateway: GatewayProcess) -> None:
    """Open, closed, and left to itself again, from the target's panel; requests follow at once."""
    look(page, gateway, "targets")
    target_row(page, OPENAI).click()
    page.get_by_test_id("force-open").click()
    expect(pill(page, OPENAI)).to_have_text(re.compile("open"))
    answer = gateway.call("POST", "/v1/chat/completions", CHAT)
    assert answer.headers["x-standfast-deployment"] == CLAUDE
    page.get_by_test_id("force-closed").click()
    expect(target_row(page, OPENAI)).to_contain_text("forced closed")
    page.get_by_test_id("force-auto").click()
    expect(target_row(page, OPENAI)).not_to_contain_text("forced")
    answer = gateway.call("POST", "/v1/chat/completions", CHAT)
    assert answer.headers["x-standfast-deployment"] == OPENAI


def test_an_operator_orders_checks(page: Page, gateway: GatewayProcess, lab: LabProcess) -> None:
    """A ping is made at once; what costs money asks first, and is not made if the answer is no."""
    look(page, gateway, "targets")
    target_row(page, CLAUDE).click()
    page.get_by_test_id("check-ping").click()
    expect(page.get_by_test_id("action-result")).to_contain_text("ping")
    before = len([entry for entry in lab.journal("anthropic") if entry["method"] == "POST"])
    page.get_by_test_id("check-generate").click()
    expect(page.get_by_test_id("confirm-generate")).to_be_visible()
    assert len([entry for entry in lab.journal("anthropic") if entry["method"] == "POST"]) == before
    page.get_by_test_id("confirm-generate").click()
    expect(page.get_by_test_id("action-result")).to_contain_text("generate")
    assert len([entry for entry in lab.journal("anthropic") if entry["method"] == "POST"]) == before + 1


def test_it_explains(page: Page, gateway: GatewayProcess, lab: LabProcess) -> None:
    """The order and its reasons, without a request to anybody."""
    look(page, gateway, "explain")
    page.get_by_test_id("explain-prompt").fill("write a function")
    page.get_by_test_id("explain-submit").click()
    expect(page.get_by_test_id("explain-row")).to_have_count(2)
    assert [entry for entry in lab.journal() if entry["method"] == "POST"] == []


def test_the_configuration_is_shown_and_reloaded(page: Page, watch: Watch, serve: Serve, lab: LabProcess) -> None:
    """What is in force, without secrets; a reload changes the page under its reader, a refused one says why."""
    del lab
    with serve("reloaded", console=KEYS) as gateway:
        watch.allow(r"status of (401|409)")
        sign_in(page, gateway, OPERATOR)
        page.get_by_test_id("nav-configuration").click()
        text = page.get_by_test_id("configuration-text")
        expect(text).to_contain_text(OPENAI)
        for secret in ("sk-lab-openai", OPERATOR, VIEWER):
            expect(text).not_to_contain_text(secret)
        good = gateway.config.read_text()
        gateway.config.write_text("models: [}")
        page.get_by_test_id("reload").click()
        expect(page.get_by_test_id("reload-result")).to_contain_text("line 1")
        gateway.config.write_text(good.replace(f'"{OPENAI}", ', ""))
        page.get_by_test_id("reload").click()
        page.get_by_test_id("nav-targets").click()
        expect(page.get_by_test_id("target-row")).to_have_count(1)


def sign_in(page: Page, gateway: GatewayProcess, key: str) -> None:
    """Open a guarded page and sign in."""
    page.goto(f"{gateway.url}/console/")
    page.get_by_test_id("signin-key").fill(key)
    page.get_by_test_id("signin-submit").click()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")


def test_signing_in(page: Page, watch: Watch, guarded: GatewayProcess) -> None:
    """A wrong key is told so, the right one opens, a reload of the page asks again for nothing, signing out shuts."""
    watch.allow(r"status of 401")
    page.goto(f"{guarded.url}/console/")
    page.get_by_test_id("signin-key").fill("not a key of anybody")
    page.get_by_test_id("signin-submit").click()
    expect(page.get_by_test_id("signin-error")).to_contain_text("not a console key")
    page.get_by_test_id("signin-key").fill(OPERATOR)
    page.get_by_test_id("signin-submit").click()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    page.reload()
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    assert page.evaluate("document.cookie") == ""
    assert OPERATOR not in page.evaluate("JSON.stringify([localStorage, sessionStorage])")
    page.get_by_test_id("signout").click()
    expect(page.get_by_test_id("signin-key")).to_be_visible()
    page.reload()
    expect(page.get_by_test_id("signin-key")).to_be_visible()


def test_a_viewer_cannot_act(page: Page, watch: Watch, guarded: GatewayProcess) -> None:
    """Whoever may only look sees everything and no button that would be refused."""
    watch.allow(r"status of 401")
    sign_in(page, guarded, VIEWER)
    page.get_by_test_id("nav-targets").click()
    target_row(page, OPENAI).click()
    expect(page.get_by_test_id("target-panel")).to_be_visible()
    for name in ("force-open", "force-closed", "force-auto", "check-ping", "check-generate"):
        button = page.get_by_test_id(name)
        assert button.count() == 0 or button.is_disabled()


def test_a_shut_console_says_what_to_do(page: Page, watch: Watch, serve: Serve) -> None:
    """With client keys and no console keys nobody gets in, and the page tells the operator what to write."""
    watch.allow(r"status of 403")
    with serve("shut", keys=[{"name": "app", "key": "client-0123456789abc"}]) as gateway:
        page.goto(f"{gateway.url}/console/")
        expect(page.get_by_test_id("closed")).to_contain_text("console: {keys:")


def test_a_console_that_is_switched_off_says_so(page: Page, watch: Watch, serve: Serve) -> None:
    """A page that is open when a reload switches the console off tells that, and does not ask for a key."""
    watch.allow(r"status of 404")
    with serve("off") as gateway:
        look(page, gateway)
        config = json.loads(gateway.config.read_text())
        gateway.config.write_text(json.dumps({**config, "console": {"enabled": False}}))
        gateway.process.signal(signal.SIGHUP)
        expect(page.get_by_test_id("closed")).to_contain_text("console.enabled is false")


def test_words_of_clients_turn_nothing_around(page: Page, gateway: GatewayProcess) -> None:
    """A mark of direction in a session or a tag holds for that alone: what stands beside it is read as it is."""
    look(page, gateway, "requests")
    marked = {"session": "\u202esession", "tags": ["\u202eone", "<b>two</b>"]}
    answer = gateway.call("POST", "/v1/chat/completions", {**CHAT, "standfast": marked})
    row = page.locator(f"[data-testid=request-row][data-request='{answer.headers['x-standfast-request-id']}']")
    row.get_by_role("button").first.click()
    words = page.get_by_test_id("request-detail").locator("p bdi")
    expect(words).to_have_text(["\u202esession", "\u202eone", "<b>two</b>"])


def test_it_comes_back_after_a_restart(page: Page, watch: Watch, serve: Serve) -> None:
    """A gateway that goes leaves the last picture, marked as old; when it is back the page is live by itself."""
    watch.allow(r"ERR_CONNECTION|WebSocket connection|Failed to load resource")
    with serve("restarted") as gateway:
        port = gateway.port
        look(page, gateway, "targets")
        expect(page.get_by_test_id("target-row")).to_have_count(2)
    expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "reconnecting")
    expect(page.get_by_test_id("target-row")).to_have_count(2)
    with serve("restarted", port):
        expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live", timeout=15_000)


def test_keys_move_between_sections(page: Page, gateway: GatewayProcess) -> None:
    """1 to 6 switch sections, / goes to the filter, ? tells so."""
    look(page, gateway)
    for number, section in enumerate(SECTIONS, 1):
        page.keyboard.press(str(number))
        expect(page.get_by_test_id(f"nav-{section}")).to_have_attribute("aria-current", "page")
    page.keyboard.press("2")
    expect(page.get_by_test_id("nav-targets")).to_have_attribute("aria-current", "page")
    page.keyboard.press("/")
    expect(page.get_by_test_id("filter")).to_be_focused()
    page.keyboard.type("anthropic")
    expect(page.get_by_test_id("target-row")).to_have_count(1)
    page.keyboard.press("Escape")
    page.get_by_test_id("help").click()
    expect(page.get_by_test_id("help-dialog")).to_be_visible()


@pytest.mark.parametrize("width", [360, 768, 2560])
def test_nothing_sticks_out(page: Page, gateway: GatewayProcess, width: int) -> None:
    """From a phone to a wall: no section scrolls sideways."""
    page.set_viewport_size({"width": width, "height": 800})
    look(page, gateway)
    ask(gateway)
    for number, section in enumerate(SECTIONS, 1):
        page.keyboard.press(str(number))
        expect(page.get_by_test_id(f"nav-{section}")).to_have_attribute("aria-current", "page")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, section


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(page: Page, gateway: GatewayProcess, lab: LabProcess, scheme: Any) -> None:
    """No section breaks a rule of WCAG 2.2 A or AA that axe-core can check, in either theme, amid trouble."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    look(page, gateway)
    lab.fail("openai", status=500)
    ask(gateway, 2)
    axe = (installed(AXE) / "node_modules" / AXE.name / "axe.min.js").read_text()
    page.evaluate(axe)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    for number, section in enumerate(SECTIONS, 1):
        page.keyboard.press(str(number))
        expect(page.get_by_test_id(f"nav-{section}")).to_have_attribute("aria-current", "page")
        found = page.evaluate("tags => axe.run({runOnly: tags})", tags)
        wrong = [(rule["id"], [node["html"][:200] for node in rule["nodes"][:3]]) for rule in found["violations"]]
        assert wrong == [], section


def test_the_session_ends_with_its_key(page: Page, watch: Watch, serve: Serve) -> None:
    """A reload that takes the key away ends the look of whoever signed in with it."""
    watch.allow(r"status of 401")
    with serve("taken", console=KEYS) as gateway:
        sign_in(page, gateway, VIEWER)
        gateway.config.write_text(gateway.config.read_text().replace(VIEWER, "another-0123456789"))
        assert fetch(gateway.url, "POST", "/admin/api/reload", None, bearer(OPERATOR)).status == 200
        expect(page.get_by_test_id("signin-key")).to_be_visible()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in Linux' /proc")
def test_several_processes_are_one_page(page: Page, serve: Serve, lab: LabProcess) -> None:
    """The foot says how many processes are told together; while one is missing a note says so, and it comes back."""
    del lab
    frames: list[str | bytes] = []
    page.on("websocket", lambda feed: feed.on("framereceived", lambda text: frames.append(text)))  # noqa: PLW0108 - it marks its listeners
    with serve("together", server={"drain": "2s", "workers": 2}) as gateway:
        look(page, gateway)
        foot = page.locator(".foot").get_by_test_id("workers")
        expect(foot).to_have_text("2 processes together")
        gateway.call("POST", "/admin/api/breaker", {"target": OPENAI, "state": "open"})
        page.get_by_test_id("nav-events").click()
        for number in (1, 2):
            said = page.get_by_test_id("event-row").filter(has_text=f"in process {number}")
            expect(said.first).to_be_visible()
        parent = gateway.process.pid
        team = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()  # in the order of their numbers
        mine: int = json.loads(frames[0])["session"]["worker"]
        os.kill(int(team[2 - mine]), signal.SIGKILL)
        expect(page.locator(".banner[data-testid=workers]")).to_contain_text("1 of 2 processes.")
        expect(foot).to_have_text("2 processes together")
        page.goto("about:blank")  # before the gateway ends
