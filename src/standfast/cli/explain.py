"""`standfast explain`."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter

from standfast import plugins
from standfast.canon.deployment import Operation
from standfast.canon.instants import Monotonic
from standfast.cli import FAILED, OK, USAGE
from standfast.cli.output import fail, print_json, write
from standfast.cli.settings import ConfigFile, Json, configuration

if TYPE_CHECKING:
    from standfast.config.schema import Config
    from standfast.engine.considering import Decision
    from standfast.formats.base import Format
    from standfast.policy.explain import Row

START = Monotonic(0.0)
Need = Literal["tools", "images", "json_schema"]

_PIXEL = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACw="}}
_PARAMS: dict[str, dict[str, object]] = {
    "tools": {"tools": [{"type": "function", "function": {"name": "f"}}]},
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}},
}


def explain(
    prompt: str | None = None,
    /,
    *,
    model: str = "auto",
    kind: str | None = None,
    priority: int | None = None,
    prefer: Literal["cost", "speed", "quality"] | None = None,
    max_cost_usd: float | None = None,
    max_latency_ms: int | None = None,
    max_tokens: int | None = None,
    session: str | None = None,
    needs: Annotated[tuple[Need, ...], Parameter(consume_multiple=True, negative="")] = (),
    stream: Annotated[bool, Parameter(negative="")] = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Tell where a request would go and why, as after a fresh start. Sends nothing.

    Exit code 0 if somebody could be asked, 1 if nobody, 2 for wrong usage.

    Args:
        prompt: the question; without it, standard input is read
        model: a configured name, provider/model, or auto
        kind: chat, code, analysis ...; without it the text decides
        priority: 1 to 5
        prefer: what counts most
        max_cost_usd: the most that the answer may be expected to cost
        max_latency_ms: the most that the first token should take
        max_tokens: the most that the answer may have
        session: the session it belongs to
        needs: what the model must be able to do
        stream: as a stream
        config: file; without it ./standfast.yaml or .toml, else the provider keys in the environment
        as_json: print JSON
    """
    if prompt is None:
        prompt = "" if sys.stdin.isatty() else sys.stdin.read()
    if not prompt.strip():
        fail('there is nothing to explain; give a prompt, as in: standfast explain "hello"\nTry `standfast --help`.')
        return USAGE
    settings, _ = configuration(config)

    controls: dict[str, object] = {
        "kind": kind,
        "priority": priority,
        "prefer": prefer,
        "max-cost-usd": max_cost_usd,
        "max-latency-ms": max_latency_ms,
        "session": session,
    }
    content: object = [{"type": "text", "text": prompt}, _PIXEL] if "images" in needs else prompt
    body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": content}], "stream": stream}
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    for need in needs:
        body |= _PARAMS.get(need, {})
    decision = _decision(settings, body, {name: value for name, value in controls.items() if value is not None})
    able = any(row.place for row in decision.rows)
    if as_json:
        print_json({"ok": able, **msgspec.to_builtins(decision)})
    elif sys.stdout.isatty():
        _show(decision)
    else:
        write(_headline(decision))
        for row in decision.rows:
            write("\t".join(_cells(row)))
    return OK if able else FAILED


def _decision(settings: "Config", body: dict[str, object], controls: dict[str, object]) -> "Decision":
    """The gateway's own judgement, of everything but a gateway."""
    from standfast.engine.assemble import assemble  # noqa: PLC0415 - a wrong configuration is told without it
    from standfast.engine.considering import explained  # noqa: PLC0415 - the same
    from standfast.engine.inquiry import Inquiry, read_controls  # noqa: PLC0415 - the same

    form: Format = plugins.load("formats", "openai_chat").FORMAT
    envelope = form.read(msgspec.json.encode(body))
    snapshot = assemble(settings, informed=True)
    inquiry = Inquiry(form, Operation.CHAT, envelope, read_controls(controls))
    return explained(inquiry, snapshot.route(envelope.model), snapshot.fleet, START)


def _headline(decision: "Decision") -> str:
    parts = [f"model {decision.model}", f"strategy {decision.strategy} ({decision.measure})"]
    if decision.kind:
        parts.append(f"kind {decision.kind}")
    if decision.needs:
        parts.append(f"needs {', '.join(decision.needs)}")
    parts.append(f"priority {decision.priority}")
    parts.append(f"about {decision.prompt_tokens} tokens in, {decision.answer_tokens} out")
    return "; ".join(parts)


def _cells(row: "Row") -> tuple[str, str, str, str]:
    place = str(row.place) if row.place else "-"
    score = "-" if row.score is None else f"{row.score:.4g}"
    factors = ", ".join(f"{name} {value:.3g}" for name, value in row.factors.items())
    if row.dropped:
        return place, row.target, score, f"cannot be asked: {row.dropped}"
    return place, row.target, score, f"passed over: {row.passed_over}" if row.passed_over else factors


def _show(decision: "Decision") -> None:
    from rich.console import Console  # noqa: PLC0415 - only terminals need it
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same; plain text, a name may look like markup

    table = Table("place", "target", "score", "why")
    for row in decision.rows:
        style = "dim" if row.dropped or row.passed_over else "green" if row.place == 1 else ""
        table.add_row(*(Text(cell, style=style) for cell in _cells(row)))
    console = Console()
    console.print(Text(_headline(decision)))
    console.print(table)
