"""Take the pictures of the console that docs/console.md shows: the demo, a quarter of an hour of callers, one incident.

`python docs/console.py` writes docs/pictures/console-*.png (sixteen minutes). What is seen happened: real processes,
the lab's stand-in providers, the tests' browser.
"""  # noqa: INP001 - a script, not a package

import contextlib
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.browser import Watch, chromium, started, watched  # noqa: E402 - found by the line above
from support.processes import Process, running, standfast  # noqa: E402 - the same

PICTURES = ROOT / "docs" / "pictures"
PORT, LAB = 8765, (8771, 8772, 8773)
CALLERS = 12
QUIET, ILL, BACK = 660.0, 150.0, 90.0
"""Seconds before the incident, of the incident, and after it."""

MODELS = ("gpt-4.1",) * 5 + ("claude-sonnet-4-5",) * 3 + ("gemini-2.5-flash",) * 2
PACE = {"openai": (0.31, 0.02), "anthropic": (0.47, 0.025), "gemini": (0.22, 0.015)}
"""Provider -> seconds until the first token, and between tokens."""


def main() -> None:
    """Play it, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        command = standfast("demo", "--port", str(PORT), "--lab-ports", *map(str, LAB))
        with running(Process(command, Path(folder), "demo")) as demo:
            demo.wait_for("Stand-in providers")
            for provider, (first, each) in PACE.items():
                fault(provider, first_token_delay=first, chunk_delay=each)
            with called(), started(chromium(), Path(folder)) as browser, watched(browser, Watch()) as page:
                page.set_viewport_size({"width": 1440, "height": 900})
                page.emulate_media(color_scheme="dark")
                page.goto(f"http://127.0.0.1:{PORT}/console/")
                time.sleep(QUIET)
                fault("openai", status=503)
                time.sleep(ILL)
                page.screenshot(path=PICTURES / "console-incident.png")
                page.emulate_media(color_scheme="light")
                fault("openai", first_token_delay=PACE["openai"][0], chunk_delay=PACE["openai"][1])
                time.sleep(BACK)
                page.screenshot(path=PICTURES / "console-recovered.png")


def fault(provider: str, **what: object) -> None:
    """Put a fault in force in place of the provider's others."""
    ask(LAB[0], "DELETE", f"/lab/faults?provider={provider}", None)
    ask(LAB[0], "POST", "/lab/faults", {"provider": provider, "fault": what})


def ask(port: int, method: str, path: str, body: object) -> None:
    """One request; what becomes of it is seen on the page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"content-type": "application/json"})
        connection.getresponse().read()


@contextlib.contextmanager
def called() -> Iterator[None]:
    """Callers at work."""
    over = threading.Event()

    def call(rng: random.Random) -> None:
        while not over.wait(rng.expovariate(3.0)):
            prompt = "tell me about doors " * rng.randint(1, 20)
            body = {"model": rng.choice(MODELS), "stream": True, "messages": [{"role": "user", "content": prompt}]}
            ask(PORT, "POST", "/v1/chat/completions", body)

    chances = [random.Random(seed) for seed in range(CALLERS)]  # noqa: S311 - the same callers each time
    callers = [threading.Thread(target=call, args=(chance,), daemon=True) for chance in chances]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        over.set()


if __name__ == "__main__":
    main()
