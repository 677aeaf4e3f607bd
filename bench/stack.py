"""What must run for which measurement: the mocks, nginx, the gateway."""

import contextlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep
from types import TracebackType
from typing import Self

from bench import client, mock, plan
from bench.figures import GATEWAY, MOCK, NGINX
from bench.processes import BenchError, Process

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 30.0
POLL_SECONDS = 0.002


@dataclass(slots=True)
class Stack:
    """Starts processes in `folder`, knows their ports, and stops every one of them at the end, on errors too.

    Attributes:
        ports: the plan's.
        profile: sizes of the mock's streams.
        folder: configuration files and logs.
        nginx: nginx' path.
        command: the gateway's command; `--config FILE --port PORT` is appended.
    """

    ports: plan.Ports
    profile: plan.Profile
    folder: Path
    nginx: str
    command: Sequence[str]
    mocks: list[Process] = field(default_factory=list)
    parties: dict[str, Process] = field(default_factory=dict)
    _exit: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        """Start the mocks and nginx."""
        try:
            self._start_mocks()
            self._start_proxy()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything, last started first."""
        self._exit.close()

    def _start(self, name: str, command: Sequence[str]) -> Process:
        process = Process(name, command, self.folder / f"{name}.log", ROOT)
        self._exit.callback(process.stop)
        return process

    def _nginx(self, name: str, text: str) -> Process:
        path = self.folder / f"{name}.conf"
        path.write_text(text)
        errors = self.folder / f"{name}.error.log"
        return self._start(f"nginx-{name}", [self.nginx, "-p", str(self.folder), "-e", str(errors), "-c", str(path)])

    def _start_proxy(self) -> None:
        self.parties[NGINX] = self._nginx("proxy", plan.proxy_nginx(self.ports, str(self.folder)))
        self.parties[NGINX].wait_port(self.ports.nginx[plan.CHAT])

    def _start_mocks(self) -> None:
        chat, models = mock.chat_answer().decode(), mock.MODELS.decode()
        answers, profile = self.ports.answers, self.profile
        fixed = self._nginx("mock", plan.mock_nginx(self.ports, str(self.folder), chat, models))
        streams = self._start(
            "mock-streams",
            [
                *(sys.executable, "-m", "bench.mock"),
                *("--whole", str(answers[plan.WHOLE]), "--whole", str(self.ports.spare)),
                *("--drip", f"{answers[plan.DRIP]}:{profile.drip_chunks}:{profile.drip_ms}"),
                *("--drip", f"{answers[plan.FLOW]}:{profile.flow_chunks}:{profile.drip_ms}"),
                *("--drip", f"{answers[plan.LONG]}:{profile.long_chunks}:{profile.long_ms}"),
            ],
        )
        fixed.wait_port(answers[plan.CHAT])
        streams.wait_port(answers[plan.LONG])
        self.mocks = [fixed, streams]

    def start_gateway(self, *, patient: bool = False) -> tuple[Process, float]:
        """Start a gateway and time it.

        Returns:
            The process, and the seconds from its start to the end of the first answer with status 200.

        Raises:
            BenchError: it ended or did not answer in time.
        """
        port = self.ports.patient if patient else self.ports.gateway
        path = self.folder / ("patient.yaml" if patient else "standfast.yaml")
        path.write_text(plan.gateway_yaml(self.ports, port, str(self.folder), patient=patient))
        started = perf_counter()
        process = self._start(GATEWAY, [*self.command, "--config", str(path), "--port", str(port)])
        last = "no connection"
        while perf_counter() - started < START_SECONDS:
            process.require_alive()
            try:
                status = first_answer(port)
            except (OSError, ValueError) as error:
                last = str(error)
            else:
                if status == 200:
                    return process, perf_counter() - started
                last = f"status {status}"
            sleep(POLL_SECONDS)
        words = shlex.join(self.command)
        raise BenchError(f"{words}: no answer 200 within {START_SECONDS:g} s ({last}); see {process.log}")

    def ready(self, *parties: str) -> None:
        """See to it that the gateway runs if it is among the parties."""
        if GATEWAY in parties and GATEWAY not in self.parties:
            self.parties[GATEWAY], _ = self.start_gateway()

    def fresh(self, party: str) -> None:
        """End nginx or the gateway and start it anew; it has served one request."""
        if party in self.parties:
            self.parties.pop(party).stop()
        if party == GATEWAY:
            self.ready(GATEWAY)
        else:
            self._start_proxy()
            first_answer(self.ports.nginx[plan.CHAT])

    def port(self, party: str, model: str) -> int:
        """Where to ask a party for a model."""
        if party == GATEWAY:
            return self.ports.gateway
        return self.ports.nginx[model] if party == NGINX else self.ports.answers[model]

    def pids(self, party: str) -> list[int]:
        """The processes whose time is a party's."""
        return [process.pid for process in self.mocks] if party == MOCK else [self.parties[party].pid]


def first_answer(port: int) -> int:
    """The status of one chat completion.

    Raises:
        OSError: no connection, or it broke.
        ValueError: what came is no HTTP.
    """
    asking = client.Client(port, plan.CHAT, plan.KEY, timeout=5.0)
    try:
        return asking.ask().status
    finally:
        asking.close()
