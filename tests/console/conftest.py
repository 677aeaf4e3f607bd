"""A browser for the tests of the console's page."""

import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from support.browser import Watch, chromium, started, watched


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium for the tests of one module; between them `asyncio.run` refuses, see `support.browser`."""
    with started(chromium(), tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def watch() -> Watch:
    """What `page` did that a page may not do; `watch.allow(pattern)` says what a test means to happen."""
    return Watch()


@pytest.fixture
def page(browser: Browser, watch: Watch) -> Iterator[Page]:
    """A page in a fresh context; its test fails at the end if the watch has complaints, see `support.browser.Watch`."""
    with watched(browser, watch) as page:
        yield page
    sys.stderr.write("".join(f"{line}\n" for line in watch.log))
    watch.check()
