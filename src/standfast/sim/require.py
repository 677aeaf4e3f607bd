"""Requirements on a report, written as `figure OPERATOR number`: for machines that decide whether to go on."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from standfast import plugins
from standfast.errors import ConfigError, Problem
from standfast.sim.report import MEANINGS, Figures

_EXPRESSION = re.compile(r"\s*([A-Za-z0-9_]+)\s*(>=|<=|==|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">=": operator.ge, "<=": operator.le, "==": operator.eq, ">": operator.gt, "<": operator.lt}
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that must hold."""

    figure: str
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.figure}{self.sign}{self.bound:g}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of a requirement.

    Attributes:
        requirement: what must hold.
        value: None where the run gave none, which is not enough.
        idle: troubles that hit nobody: the run does not show what the scenario is for, which is not enough either.
    """

    requirement: Requirement
    value: float | None
    idle: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Does it hold?"""
        if self.value is None or self.idle:
            return False
        return _COMPARE[self.requirement.sign](self.value, self.requirement.bound)

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.requirement}: cannot be judged, the run has no {self.requirement.figure}"
        if self.idle:
            troubles = ", ".join(f"'{each}'" for each in self.idle)
            return f"{self.requirement}: cannot be judged, the configuration has no target that is hit by {troubles}"
        return f"{self.requirement}: {'met' if self.met else 'not met'}, it is {self.value:.10g}"


def parse(expressions: tuple[str, ...]) -> list[Requirement]:
    """Read requirements.

    Raises:
        ConfigError: with every one that cannot be understood; an unknown figure gets a suggestion.
    """
    problems: list[Problem] = []
    found: list[Requirement] = []
    for text in expressions:
        match = _EXPRESSION.fullmatch(text)
        if match is None:
            problems.append(Problem(text, "expected FIGURE OPERATOR NUMBER, for instance availability>=99.95"))
        elif match[1] not in MEANINGS:
            message = f"there is no figure {match[1]!r}; there are: {', '.join(MEANINGS)}"
            problems.append(Problem(text, message, plugins.nearest(match[1], MEANINGS)))
        else:
            found.append(Requirement(match[1], match[2], float(match[3])))
    if problems:
        raise ConfigError(problems, "--require")
    return found


def judge(requirements: list[Requirement], figures: Figures, idle: tuple[str, ...] = ()) -> list[Judgement]:
    """Hold a report against requirements; `idle` are troubles that hit nobody."""
    return [Judgement(each, figures.get(each.figure), idle) for each in requirements]
