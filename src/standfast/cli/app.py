"""The table of commands, and what happens to their errors.

A command's module is imported when the command is called: `serve` does not pay for what `ask` needs.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

from cyclopts import App, CycloptsError

from standfast.cli import FAILED, OK, USAGE
from standfast.cli.output import fail, print_json
from standfast.errors import ConfigError, InvalidRequest, RequestFailed, StandfastError, UnknownModel


class Command(NamedTuple):
    """One line of the table: where it is, what it does, how it is used."""

    name: str
    function: str
    help: str
    example: str


COMMANDS = (
    Command(
        "serve",
        "standfast.cli.serve:serve",
        "Start the gateway.",
        "standfast serve --config standfast.yaml --port 8080",
    ),
    Command(
        "demo",
        "standfast.cli.demo:demo",
        "Start the gateway with the keys in the environment, else with stand-ins.",
        "standfast demo",
    ),
    Command(
        "lab", "standfast.cli.lab:lab", "Start the stand-in providers alone.", "standfast lab --ports 9101 9102 9103"
    ),
    Command(
        "ask",
        "standfast.cli.ask:ask",
        "Ask a model, without a server.",
        'standfast ask "What is a circuit breaker?" --model gpt-4.1',
    ),
    Command(
        "explain",
        "standfast.cli.explain:explain",
        "Tell where a request would go and why, without sending it.",
        'standfast explain "Write a Python function" --model auto --priority 4 --prefer cost',
    ),
    Command(
        "check",
        "standfast.cli.check:check",
        "Ask every target's provider whether it answers (1 if one does not).",
        "standfast check --config standfast.yaml --json",
    ),
    Command(
        "simulate",
        "standfast.cli.simulate:simulate",
        "Rehearse a configuration in virtual time (1 if a requirement is not met).",
        "standfast simulate standfast.yaml primary-dead-30m --require 'availability>=99.9'",
    ),
    Command(
        "drill",
        "standfast.cli.drill:drill",
        "Perform a scenario for real, beside its rehearsal (1 with --agree if they differ).",
        "standfast drill standfast.yaml primary-dead-30m --minutes 2 --agree",
    ),
)

CONFIG_COMMANDS = (
    Command(
        "check",
        "standfast.cli.config:check",
        "Report every problem of a configuration file (2 if there is one).",
        "standfast config check standfast.yaml",
    ),
    Command(
        "show",
        "standfast.cli.config:show",
        "Show the effective configuration, defaults included, secrets hidden.",
        "standfast config show --config standfast.yaml --json",
    ),
    Command(
        "init",
        "standfast.cli.config:init",
        "Write a commented example.",
        "standfast config init standfast.yaml",
    ),
)


def build() -> App:
    """The application."""
    app = App(
        name="standfast",
        help="The LLM gateway that stays open: one OpenAI-compatible door in front of every model and provider.",
        help_epilogue="Example: standfast demo",
        version=lambda: version("standfast"),
        help_formatter="default" if sys.stdout.isatty() else "plain",
        help_format="plaintext",
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )
    config = App(
        name="config",
        help="Check, show or begin a configuration file.",
        help_epilogue="Example: standfast config check standfast.yaml",
    )
    app.command(config)
    for parent, commands in ((app, COMMANDS), (config, CONFIG_COMMANDS)):
        for command in commands:
            parent.command(
                command.function, name=command.name, help=command.help, help_epilogue=f"Example: {command.example}"
            )
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. Every error of ours becomes a message that says what to do."""
    as_json = "--json" in arguments
    try:
        code = build()(list(arguments))
    except CycloptsError as error:
        fail(f"{error}\nTry `standfast --help`.")
        return USAGE
    except ConfigError as error:
        return report_problems(error, as_json=as_json)
    except StandfastError as error:
        return _report_error(error, as_json=as_json)
    return code if isinstance(code, int) else OK


def report_problems(error: ConfigError, *, as_json: bool) -> int:
    """Every problem of a configuration, for people or machines."""
    if as_json:
        problems = [{"path": p.path, "message": p.message, "suggestion": p.suggestion} for p in error.problems]
        print_json({"ok": False, "source": error.source, "problems": problems})
    else:
        fail(str(error))
    return USAGE


def _report_error(error: StandfastError, *, as_json: bool) -> int:
    attempts = error.attempts if isinstance(error, RequestFailed) else ()
    if as_json:
        tried = [
            {
                "deployment": attempt.deployment,
                "outcome": attempt.outcome,
                "failure": attempt.failure and attempt.failure.kind,
            }
            for attempt in attempts
        ]
        shown = {"code": error.code, "status": error.status, "message": error.message, "attempts": tried}
        print_json({"ok": False, "error": shown})
    else:
        fail(error.message)
        for attempt in attempts:
            reason = f"{attempt.failure.kind}: {attempt.failure.detail}" if attempt.failure else attempt.outcome
            fail(f"  {attempt.deployment}: {reason}")
    return USAGE if isinstance(error, (InvalidRequest, UnknownModel)) else FAILED  # the former were never sent
