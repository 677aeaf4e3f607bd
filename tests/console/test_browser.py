"""The browser of these tests is a real one, and complains of what a page may not do."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from threading import Thread

import pytest
from playwright.sync_api import Browser, Error, Page, expect
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from support.browser import Watch, loopback, watched

LIVE = """<!doctype html><p data-testid="said">nothing yet</p><script>
const socket = new WebSocket(`ws://${location.host}/socket`);
socket.onopen = () => socket.send("Grüße");
socket.onmessage = event => { document.querySelector("p").textContent = event.data; };
</script>"""


class Site:
    """A server of one page, whose WebSocket says everything back."""

    def __init__(self) -> None:
        self.html = ""
        self.policy = ""
        self.status = HTTPStatus.OK
        self._server: Server = serve(self._talk, "127.0.0.1", 0, process_request=self._answer)
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = self._server.socket.getsockname()
        return f"http://{host}:{port}/"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/socket":
            return None
        response = connection.respond(self.status, self.html)
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "text/html; charset=utf-8"
        if self.policy:
            response.headers["Content-Security-Policy"] = self.policy
        return response

    def _talk(self, connection: ServerConnection) -> None:
        for message in connection:
            connection.send(f"heard: {message!s}")


@pytest.fixture
def site() -> Iterator[Site]:
    """A page on loopback."""
    site = Site()
    yield site
    site.close()


def test_a_page_is_alive(page: Page, watch: Watch, site: Site) -> None:
    """A page from loopback runs its script, talks over a WebSocket and shows what came, without a complaint."""
    site.html = LIVE
    page.goto(site.url)
    expect(page.get_by_test_id("said")).to_have_text("heard: Grüße")
    assert page.screenshot().startswith(b"\x89PNG")
    watch.check()


@pytest.mark.parametrize(
    ("html", "complaint"),
    [
        ("<script>console.error('no', 1)</script>", r"^console error: no 1 \(http://127\.0\.0\.1:\d+/:1\)$"),
        ("<script>console.assert(1 > 2, 'sum')</script>", r"^console error: sum "),
        ("<script>undefined.name</script>", r"^uncaught exception: .*Cannot read properties of undefined"),
        ("<script>Promise.reject(new Error('later'))</script>", r"^uncaught exception: .*later"),
        ("<script>setTimeout(() => { throw new Error('soon') })</script>", r"^uncaught exception: .*soon"),
        ("<iframe srcdoc='<script>throw 1</script>'></iframe>", r"^uncaught exception: 1"),
        ("<img src=http://192.0.2.1/a.png>", r"^request to a foreign address: GET http://192\.0\.2\.1/a\.png$"),
        ("<script>fetch('https://a.example/').catch(() => 0)</script>", r"^request .*: GET https://a\.example/$"),
        ("<script>new WebSocket('wss://a.example/s')</script>", r"^request .*: WebSocket wss://a\.example/s$"),
        ("<script>open('http://a.example/pop')</script>", r"^request .*: GET http://a\.example/pop$"),
    ],
)
def test_what_a_page_may_not_do(browser: Browser, site: Site, html: str, complaint: str) -> None:
    """Errors, uncaught exceptions and requests to elsewhere are complained of, wherever in the page they happen."""
    site.html, watch = html, Watch()
    with watched(browser, watch) as page:
        page.goto(site.url)
    assert [text for text in watch.complaints if re.search(complaint, text)], watch.complaints
    with pytest.raises(AssertionError, match="the page did what it may not do"):
        watch.check()


@pytest.mark.parametrize(
    ("html", "directive"),
    [
        ("<script>document.title = 1</script>", "script-src-elem"),
        ("<b style='color: red'>!</b>", "style-src-attr"),
        ("<img src=data:image/png;base64,AA>", "img-src"),
        ("<script nonce=a>fetch('//a.example').catch(() => 0)</script>", "connect-src"),
        ("<script nonce=a>try { eval('1') } catch {}</script>", "script-src"),
    ],
)
def test_the_policy_is_watched(browser: Browser, site: Site, html: str, directive: str) -> None:
    """A violation of the content security policy is complained of, even if the script caught the error."""
    site.html, watch = html, Watch()
    site.policy = "default-src 'self'; script-src 'nonce-a'"
    with watched(browser, watch) as page:
        page.goto(site.url)
    found = [text for text in watch.complaints if text.startswith("violation of the content security policy: ")]
    assert [text.split()[6] for text in found] == [directive]


def test_a_refusal_is_complained_of_unless_it_is_meant(browser: Browser, watch: Watch, site: Site) -> None:
    """Chromium logs an answer of 400 and above as an error; a test that means it says so, before or after."""
    site.html, site.status = "<p>Who are you?</p>", HTTPStatus.UNAUTHORIZED
    with watched(browser, watch) as page:
        page.goto(site.url)
    assert len(watch.complaints) == 1
    watch.allow(r"status of 401 \(Unauthorized\)")
    watch.check()


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "console.example", "127.0.0.1.example"])
def test_nothing_leaves_the_machine(browser: Browser, watch: Watch, host: str) -> None:
    """Addresses elsewhere do not exist for the browser, with and without a network."""
    with watched(browser, watch) as page, pytest.raises(Error, match="net::ERR_NAME_NOT_RESOLVED"):
        page.goto(f"http://{host}/")
    assert f"request to a foreign address: GET http://{host}/" in watch.complaints


def test_a_crash_is_complained_of(browser: Browser, watch: Watch) -> None:
    """A page that is gone did not pass."""
    with watched(browser, watch) as page, pytest.raises(Error, match=r"crashed|ERR_ABORTED"):
        page.goto("chrome://crash")
    assert "the page crashed" in watch.complaints


def test_pages_share_nothing(browser: Browser, watch: Watch, site: Site) -> None:
    """What one test stores is not there for the next one."""
    site.html = (
        "<script>document.title = document.cookie = localStorage.a = `${localStorage.a} ${document.cookie}`</script>"
    )
    titles = []
    for _ in range(2):
        with watched(browser, watch) as page:
            page.goto(site.url)
            titles.append(page.title())
    assert titles == ["undefined", "undefined"]
    watch.check()


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:80/", True),
        ("ws://[::1]/", True),
        ("http://localhost:8000/console", True),
        ("data:text/plain,a", True),
        ("blob:http://127.0.0.1/1", True),
        ("about:blank", True),
        ("http://localhost.example/", False),
        ("https://10.0.0.1/", False),
        ("file:///etc/hosts", False),
        ("//a.example/", False),
    ],
)
def test_what_is_on_this_machine(url: str, here: bool) -> None:
    """Loopback in any spelling, and what a page has in itself."""
    assert loopback(url) is here
