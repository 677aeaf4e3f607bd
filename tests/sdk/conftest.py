"""One gateway and one set of stand-in providers for all tests here, each a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from sdk.asking import CONTINUED, KEY
from support.processes import GatewayProcess, LabProcess, dead_port, gateway_process, lab_process, told

QUICK = {"backoff": {"base": "2ms", "cap": "2ms"}}
CALM = {"consecutive": 10_000, "min_calls": 10_000}
"""A breaker that stays closed: what one test does to a target is nothing to the next one."""

Configure = Callable[..., dict[str, object]]
Serve = Callable[..., GatewayProcess]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory of the processes that live as long as the session."""
    return tmp_path_factory.mktemp("sdk")


@pytest.fixture(scope="session")
def lab_server(folder: Path) -> Iterator[LabProcess]:
    """The stand-in providers."""
    with lab_process(folder) as lab:
        yield lab


@pytest.fixture(scope="session")
def closed_port() -> Iterator[int]:
    """A port where nobody listens."""
    with dead_port() as port:
        yield port


@pytest.fixture(scope="session")
def configure(lab_server: LabProcess, closed_port: int) -> Configure:
    """A configuration in front of the stand-ins; keywords replace its sections."""

    def build(**changes: object) -> dict[str, object]:
        urls = lab_server.urls
        return {
            "server": {"drain": "5s"},
            "keys": [{"name": "sdk", "key": KEY}],
            "providers": {
                "openai": {"base_url": f"{urls['openai']}/v1", "keys": ["sk-lab-openai"]},
                "anthropic": {"base_url": urls["anthropic"], "keys": ["sk-lab-anthropic"]},
                "gemini": {"base_url": f"{urls['gemini']}/v1beta", "keys": ["lab-gemini-key"]},
                "able": {
                    "type": "openai_like",
                    "base_url": f"{urls['openai']}/v1",
                    "keys": ["sk-lab-able"],
                    "prefill": "final_message",
                },
                "dead": {"type": "openai_like", "base_url": f"http://127.0.0.1:{closed_port}/v1", "keys": ["none"]},
            },
            "models": {
                "gpt-4.1": ["openai/gpt-4.1", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"],
                "alias": ["openai/gpt-4.1-mini"],
                "claude": ["anthropic/claude-haiku-4-5"],
                "gemini": ["gemini/gemini-2.5-pro"],
                "mended": ["dead/gpt-4.1", "openai/gpt-4.1"],
                "text-embedding-3-small": ["openai/text-embedding-3-small"],
            },
            "defaults": {"retry": QUICK, "breaker": CALM},
            **changes,
        }

    return build


@pytest.fixture(scope="session")
def gateway_server(folder: Path, configure: Configure) -> Iterator[GatewayProcess]:
    """The gateway in front of the stand-ins; some of its models go on with answers that break off."""
    config: dict[str, Any] = configure()
    for wire, target in CONTINUED.items():
        config["models"][f"rest-{wire}"] = {"targets": [target], "on_break": "resume"}
    config["facts"] = {target: {"abilities": ["continuation"]} for target in CONTINUED.values()}
    with gateway_process(folder, config, key=KEY) as gateway:
        yield gateway


@pytest.fixture
def lab(lab_server: LabProcess) -> Iterator[LabProcess]:
    """The stand-ins, well and with an empty journal."""
    lab_server.reset()
    with told(lab_server.process):
        yield lab_server
    lab_server.reset()


@pytest.fixture
def gateway(gateway_server: GatewayProcess, lab: LabProcess) -> Iterator[GatewayProcess]:
    """The gateway; the stand-ins behind it are well when the test begins."""
    del lab
    with told(gateway_server.process):
        yield gateway_server


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    """The official SDK as anybody would use it, with its own retries."""
    with openai.OpenAI(base_url=gateway.api, api_key=KEY, timeout=20) as sdk:
        yield sdk


@pytest.fixture
def serve(tmp_path: Path, lab: LabProcess, configure: Configure) -> Iterator[Serve]:
    """Starts a gateway of the test's own; what still runs afterwards is stopped by its own pid."""
    del lab
    with ExitStack() as stack:

        def start(*arguments: str, environ: dict[str, str] | None = None, **changes: object) -> GatewayProcess:
            config = configure(**{"log": {"format": "off"}, **changes})
            return stack.enter_context(gateway_process(tmp_path, config, key=KEY, arguments=arguments, environ=environ))

        yield start
