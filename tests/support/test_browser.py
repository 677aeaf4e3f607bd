"""The browser comes with all that it needs, and goes with all that it started."""

import asyncio
import contextlib
import os
import re
import time
from pathlib import Path

from support.browser import chromium, started
from support.processes import TICK

FROM_THE_SYSTEM = {"ld-linux-x86-64.so", "libc.so", "libdl.so", "libgcc_s.so", "libm.so", "libpthread.so"}
"""The C library and libgcc; Node needs libstdc++ too."""


def session(home: Path) -> int:
    """The session of the browser that runs with this home directory; Playwright gives it one of its own."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended, or is somebody else's
            if f"HOME={home}\0".encode() in (folder / "environ").read_bytes():
                return os.getsid(int(folder.name))
    raise AssertionError("no browser runs")


def members(session: int) -> list[Path]:
    """The processes of a session, as folders of /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(folder.name)) == session:
                found.append(folder)
    return found


def drivers() -> list[Path]:
    """The Nodes that run for this process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (
                f"\nPPid:\t{os.getpid()}\n" in (folder / "status").read_text()
                and b"cli.js" in (folder / "cmdline").read_bytes()
            ):
                found.append(folder)
    return found


def libraries(processes: list[Path]) -> dict[str, Path]:
    """What these processes have loaded, by the name without the version."""
    texts = [(process / "maps").read_text() for process in processes]
    return {Path(name).name: Path(name) for text in texts for name in re.findall(r"\s(/\S+\.so)\b", text)}


def test_nothing_needs_to_be_installed(tmp_path: Path) -> None:
    """With a page that is drawn, no library of the system but C's is in any process of the browser or its driver."""
    folder = chromium()
    with started(folder, tmp_path) as browser:
        page = browser.new_page()
        page.set_content("<h1>Drawn</h1>")
        page.screenshot()
        processes = members(session(tmp_path))
        kinds = {kind for each in processes for kind in re.findall(r"--type=([a-z]+)", (each / "cmdline").read_text())}
        loaded, of_the_driver = libraries(processes), libraries(drivers())
    assert kinds >= {"renderer", "utility"}
    foreign = {name for name, path in loaded.items() if not path.is_relative_to(folder)}
    assert {"libc.so"} <= foreign <= FROM_THE_SYSTEM
    assert {"libc.so"} <= of_the_driver.keys() <= FROM_THE_SYSTEM | {"libstdc++.so"}


def test_nothing_stays(tmp_path: Path) -> None:
    """When a browser has ended, none of its processes is left, and asyncio can be used again."""
    with started(chromium(), tmp_path) as browser:
        browser.new_page()
        its_own = session(tmp_path)
        assert len(members(its_own)) > 1
    asyncio.run(asyncio.sleep(0))
    for _ in range(1000):
        if not members(its_own):
            break
        time.sleep(TICK)
    assert members(its_own) == []
