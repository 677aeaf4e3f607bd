"""What is measured how long, on which ports, and the configuration texts of everything that runs. Pure."""

from dataclasses import dataclass

KEY = "sk-bench"
CHAT, WHOLE, DRIP, LONG, FLOW, FAILOVER = "chat", "whole", "drip", "long", "flow", "failover"
"""The models. For nginx, which knows no models, each is a port; `FAILOVER`'s first target is a dead port."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port that is used, counted from `base`."""

    base: int

    @property
    def answers(self) -> dict[str, int]:
        """Where the mock serves each model."""
        return {CHAT: self.base, WHOLE: self.base + 1, DRIP: self.base + 2, LONG: self.base + 3, FLOW: self.base + 6}

    @property
    def spare(self) -> int:
        """The target in tier 2."""
        return self.base + 4

    @property
    def dead(self) -> int:
        """Nobody listens here."""
        return self.base + 5

    @property
    def nginx(self) -> dict[str, int]:
        """Where nginx proxies each model."""
        return {model: port + 10 for model, port in self.answers.items()}

    @property
    def gateway(self) -> int:
        """The gateway."""
        return self.base + 20

    @property
    def patient(self) -> int:
        """A gateway whose breaker never opens."""
        return self.base + 21

    @property
    def all(self) -> tuple[int, ...]:
        """Every one of them; each must be free at the start."""
        return (
            *self.answers.values(),
            self.spare,
            self.dead,
            *self.nginx.values(),
            self.gateway,
            self.patient,
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """How long and how much. Times in seconds unless they say otherwise.

    Attributes:
        rounds: how often nginx and the gateway take turns.
        turns: how often they do so within a round where CPU per request or chunk is measured; many short runs cancel
            out more of what the machine's neighbours do than few long ones.
        warmup: load before a counted run.
        loaded: a counted wrk run with 32 connections.
        single: a counted wrk run with one connection.
        drip: a counted run of dripping streams; `drip_streams` at a time, `drip_chunks` each, one every `drip_ms`.
        flow: a counted run of such streams of which none begins or ends meanwhile.
        begin: of those, until the last of them has begun.
        rate: streams started a second in the open load; each has `long_chunks`, one every `long_ms`.
        settle: of the open load, until as many end as begin.
        opened: of the open load, counted.
        starts: how often the start is timed.
        failover: of each kind of failover, counted.
    """

    rounds: int = 5
    turns: int = 3
    warmup: float = 1.0
    loaded: int = 2
    single: int = 3
    drip: float = 8.0
    flow: float = 3.0
    drip_streams: int = 100
    drip_chunks: int = 200
    drip_ms: int = 20
    begin: float = 2.0
    rate: float = 200.0
    long_chunks: int = 50
    long_ms: int = 100
    settle: float = 6.0
    opened: float = 6.0
    starts: int = 5
    failover: float = 2.0

    @property
    def flow_chunks(self) -> int:
        """Chunks of a dripping stream that does not end while it is measured."""
        return round((self.begin + 2 * self.flow) * 1000 / self.drip_ms)

    @property
    def long_streams(self) -> int:
        """Streams that are open at a time in the open load (Little's law): rate times length."""
        return round(self.rate * self.long_chunks * self.long_ms / 1000)


FULL = Profile()
QUICK = Profile(
    rounds=1,
    turns=1,
    warmup=0.3,
    loaded=1,
    single=1,
    drip=2.0,
    flow=2.0,
    drip_streams=50,
    drip_chunks=50,
    rate=100.0,
    long_chunks=20,
    settle=2.5,
    opened=1.0,
    starts=1,
    failover=0.3,
)

_NGINX_HEAD = """worker_processes 1;
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.error.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/{name}-body;
    proxy_temp_path {folder}/{name}-proxy;
    fastcgi_temp_path {folder}/{name}-fastcgi;
    uwsgi_temp_path {folder}/{name}-uwsgi;
    scgi_temp_path {folder}/{name}-scgi;
    server_tokens off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
"""


def mock_nginx(ports: Ports, folder: str, chat: str, models: str) -> str:
    """Make nginx the mock of answers that are not streamed: fixed JSON, on two addresses."""
    port = ports.answers[CHAT]
    return (
        _NGINX_HEAD.format(folder=folder, name="mock")
        + f"""    default_type application/json;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.2:{port} backlog=4096;
        location = /v1/chat/completions {{ return 200 '{chat}'; }}
        location / {{ return 200 '{models}'; }}
    }}
}}
"""
    )


def proxy_nginx(ports: Ports, folder: str) -> str:
    """Make nginx a plain reverse proxy: the practical floor."""
    servers = "".join(
        f"""    upstream {model} {{
        server 127.0.0.1:{ports.answers[model]};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://{model};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer sk-upstream";
            proxy_buffering off;
        }}
    }}
"""
        for model, port in ports.nginx.items()
    )
    return _NGINX_HEAD.format(folder=folder, name="proxy") + servers + "}\n"


def gateway_yaml(ports: Ports, port: int, folder: str, *, patient: bool = False) -> str:
    """The gateway's configuration: key check, access log to a file, two weighted deployments, one more in tier 2.

    With `patient` the breaker never opens, so that every request meets the dead port anew.
    """
    lines = [
        f"server: {{host: 127.0.0.1, port: {port}}}",
        f'log: {{format: json, path: "{folder}/access-{port}.log"}}',
        f"keys: [{{name: bench, key: {KEY}}}]",
        "providers:",
    ]
    places = {
        f"{model}-{number}": (f"127.0.0.{number}", at) for model, at in ports.answers.items() for number in (1, 2)
    }
    places["spare"] = ("127.0.0.1", ports.spare)
    places["dead"] = ("127.0.0.1", ports.dead)
    lines += [
        f'  {name}: {{type: openai_like, base_url: "http://{host}:{at}/v1", keys: [sk-upstream]}}'
        for name, (host, at) in places.items()
    ]
    lines.append("models:")
    for model in ports.answers:
        lines += [
            f"  {model}:",
            "    strategy: weighted",
            "    targets:",
            f"      - {{target: {model}-1/{model}, tier: 1}}",
            f"      - {{target: {model}-2/{model}, tier: 1}}",
            f"      - {{target: spare/{model}, tier: 2}}",
        ]
    lines += [
        f"  {FAILOVER}:",
        "    strategy: priority",
        f"    targets: [dead/{CHAT}, {CHAT}-1/{CHAT}]",
    ]
    if patient:
        lines += ["defaults:", "  breaker: {consecutive: 1000000000, min_calls: 1000000000}"]
    return "\n".join(lines) + "\n"
