"""What the gateway says of itself: attempts and changes of state, from its Prometheus metrics before and after.

Not tokens: a provider that speaks OpenAI's format counts those of a stream only for clients that ask for it, and these
callers do not. Callers know what they have asked for and what they got.
"""

import re
from collections import Counter
from collections.abc import Mapping

from standfast.canon.failure import FailureKind
from standfast.sim.tally import Tally

ATTEMPTS, CHANGES = "standfast_attempts_total", "standfast_state_changes_total"

_LINE = re.compile(r"^(\w+)\{(.*)\} ([0-9.e+]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_KINDS = {kind.value: kind for kind in FailureKind}

Key = tuple[str, str, str]
"""Metric and two of its labels."""

_LABELS: Mapping[str, tuple[str, str]] = {
    ATTEMPTS: ("deployment", "outcome"),
    CHANGES: ("subject", "state"),
}


def read(text: str) -> Counter[Key]:
    """The counters that a drill needs."""
    found: Counter[Key] = Counter()
    for name, labels, value in _LINE.findall(text):
        if name in _LABELS:
            named = dict(_LABEL.findall(labels))
            one, other = _LABELS[name]
            found[name, named.get(one, ""), named.get(other, "")] += round(float(value))
    return found


def enter(tally: Tally, before: Counter[Key], after: Counter[Key]) -> None:
    """Put what has happened in between into the books; targets that they do not know are left out."""
    for (name, one, other), value in (after - before).items():
        if name == CHANGES:
            tally.changed[f"{one} {other}"] = tally.changed.get(f"{one} {other}", 0) + value
        elif one not in tally.targets:
            continue
        else:
            target = tally.targets[one]
            target.attempts += value
            if other == "success":
                target.successes += value
            elif other in _KINDS:
                kind = _KINDS[other]
                target.failures[kind] = target.failures.get(kind, 0) + value
            else:
                target.cancelled += value
