"""`standfast ask`."""

import asyncio
import sys

from standfast.cli import OK, USAGE
from standfast.cli.output import fail, print_json, say, write, write_part
from standfast.cli.settings import ConfigFile, Json, configuration
from standfast.config.environment import FALLBACK_MODEL
from standfast.config.schema import Config


def ask(
    prompt: str | None = None, /, *, model: str | None = None, config: ConfigFile = None, as_json: Json = False
) -> int:
    """Ask a model; the answer goes to standard output.

    Args:
        prompt: the question; without it, standard input is read
        model: a configured name or provider/model; without it `default`, else the first model
        config: file; without it ./standfast.yaml or .toml, else the provider keys in the environment
        as_json: print text, model, deployment and attempts as JSON
    """
    if prompt is None:
        prompt = "" if sys.stdin.isatty() else sys.stdin.read()
    if not prompt.strip():
        fail('there is nothing to ask; give a prompt, as in: standfast ask "hello"\nTry `standfast --help`.')
        return USAGE
    settings, _ = configuration(config)
    name = model or _usual_model(settings)
    return asyncio.run(_whole(settings, name, prompt) if as_json else _streamed(settings, name, prompt))


def _usual_model(config: Config) -> str:
    return FALLBACK_MODEL if FALLBACK_MODEL in config.models else next(iter(config.models))


async def _whole(config: Config, model: str, prompt: str) -> int:
    from standfast.engine.gateway import Gateway  # noqa: PLC0415 - a wrong configuration is told without it

    async with Gateway(config) as gateway:
        reply = await gateway.chat(model, [{"role": "user", "content": prompt}])
    attempts = [
        {
            "deployment": attempt.deployment,
            "outcome": attempt.outcome,
            "purpose": attempt.purpose,
            "failure": attempt.failure.kind if attempt.failure else None,
            "milliseconds": round((attempt.ended - attempt.started) * 1000, 1),
        }
        for attempt in reply.attempts
    ]
    print_json(
        {"ok": True, "text": reply.text, "model": reply.model, "deployment": reply.deployment, "attempts": attempts}
    )
    return OK


async def _streamed(config: Config, model: str, prompt: str) -> int:
    """As it comes; on a terminal the reader watches it grow."""
    from standfast.engine.gateway import Gateway  # noqa: PLC0415 - a wrong configuration is told without it

    if sys.stderr.isatty():
        say(f"[{model}]")
    begun = False
    async with Gateway(config) as gateway:
        try:
            async for piece in gateway.stream(model, [{"role": "user", "content": prompt}]):
                begun = True
                write_part(piece)
        finally:
            if begun:
                write("")
    return OK
