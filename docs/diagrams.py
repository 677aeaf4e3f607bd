"""Write the generated parts of docs/architecture.md from the tables in the code, so that the page cannot go stale.

`python docs/diagrams.py` writes them; `tests/docs/test_architecture_page.py` compares.
"""  # noqa: INP001 - a script, not a package

import re
from pathlib import Path

from standfast.canon.failure import MEANING, Cooldown, Meaning
from standfast.policy import breaker, course

PAGE = Path(__file__).with_name("architecture.md")

_EVENTS = {
    breaker.Event.TRIPPED: "too many failures, or slow calls, in a row or as a share of the window",
    breaker.Event.RESTED: "the open time is over",
    breaker.Event.RECOVERED: "enough successes of the trial",
    breaker.Event.RELAPSED: "a failure of the trial, a slow call, or one that lost late: the open time doubles",
    breaker.Event.PROBED: "what is let through beside the verdict succeeds: a look, a rare probe, or enough soft calls",
    breaker.Event.INTRODUCED: "it is new among others that are known",
    breaker.Event.FORCED_OPEN: "an operator forces it open",
    breaker.Event.FORCED_CLOSED: "an operator forces it closed",
    breaker.Event.RELEASED: "the operator releases it",
}


def breaker_diagram() -> str:
    """The circuit breaker's table as a state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {breaker.State.CLOSED.value}"]
    for (before, event), after in breaker.TRANSITIONS.items():
        lines.append(f"    {before.value} --> {after.value}: {_EVENTS[event]}")
    return "\n".join([*lines, "```"])


def exchange_order() -> str:
    """The order of the exchange's next steps, as its module tells it."""
    doc = course.__doc__ or ""
    start = doc.index("    another key")
    end = doc.index("bounded by `max_attempts`")
    return "\n".join(["```", doc[start:end].rstrip(), "```", "", doc[end:].strip()])


def failure_table() -> str:
    """The failure table for people."""
    heading = (
        "| failure | blames | same target | other key | other deployment | other model | trips the breaker | rest "
        "| may have been billed |"
    )
    lines = [
        heading,
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, meaning in MEANING.items():
        cells = [f"`{kind.value}`", meaning.blame.value, meaning.same_target.value, *_flags(meaning)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _flags(meaning: Meaning) -> list[str]:
    def mark(flag: bool) -> str:
        return "yes" if flag else "-"

    rest = "-" if meaning.cooldown is Cooldown.NONE else meaning.cooldown.value
    return [
        mark(meaning.other_key),
        mark(meaning.other_deployment),
        mark(meaning.other_model),
        mark(meaning.trips_breaker),
        rest,
        mark(meaning.ambiguous),
    ]


PARTS = {"breaker": breaker_diagram, "exchange": exchange_order, "failures": failure_table}


def render(page: str) -> str:
    """The page with its generated parts made anew."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: written by docs/diagrams.py -->", f"<!-- /{name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(page):
            raise LookupError(f"docs/architecture.md has lost its markers for {name!r}")
        text = f"{begin}\n{make()}\n{end}"
        page = pattern.sub(lambda _, text=text: text, page)
    return page


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text("utf-8")), "utf-8")
