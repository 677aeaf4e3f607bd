"""Finds every problem of a configuration at once.

Three passes over the same data, each of which works whatever the others found:

    later       what this version does not have yet is refused by name, and taken out of the way
    schema      types, ranges, unknown names (`schema`, put into sentences by `words`)
    references  what one part says about another, and rules that could never take effect (`references`, `providers`)
"""

import copy
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from standfast.config.answers import check_answers
from standfast.config.breakers import check_breakers
from standfast.config.facts import check_facts
from standfast.config.health import check_health, with_health
from standfast.config.hedging import check_hedging
from standfast.config.interpolation import join
from standfast.config.later import take_later
from standfast.config.limits import check_limits
from standfast.config.mending import check_mending
from standfast.config.providers import check_providers
from standfast.config.references import check_defaults, check_keys, check_models
from standfast.config.schema import Config
from standfast.config.words import problems_of
from standfast.errors import Problem
from standfast.policy.retry import RetrySettings
from standfast.redact import Redactor


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a check: problems, or a configuration."""

    problems: list[Problem]
    config: Config | None


def check(data: object, *, hidden: Collection[str] = (), known: Sequence[Problem] = ()) -> Verdict:
    """Judge the content of a file.

    Args:
        data: plain values; references to the environment replaced.
        hidden: values that no message may show.
        known: problems found on the way here; what else is found at the same places is their consequence.
    """
    if not isinstance(data, Mapping):
        return Verdict([*known, Problem("(file)", "expected settings (name: value)")], None)
    try:
        content: dict[str, object] = copy.deepcopy(dict(data))
        problems = [*known, *take_later(content)]
        config = _validate(content, problems)
        for found in (check_keys(content), check_providers(content), check_models(content), check_defaults(content)):
            _add(problems, found)
        _add(problems, check_health(content))
        _add(problems, list(check_facts(content)))
    except RecursionError:
        return Verdict([*known, Problem("(file)", "is nested too deeply")], None)
    if config is not None and not problems:
        problems += _infinite(config.model_dump(), "") or [
            *check_answers(config, content),
            *check_hedging(config),
            *check_mending(config),
            *check_limits(config),
            *check_breakers(config),
        ]
    if problems or config is None:
        redactor = Redactor((*hidden, *_secrets(content)))
        return Verdict([_masked(problem, redactor) for problem in problems], None)
    return Verdict([], with_health(_with_retries(config)))


def _validate(content: dict[str, object], problems: list[Problem]) -> Config | None:
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        _add(problems, problems_of(error, Config, content))
        return None


def _add(problems: list[Problem], found: Sequence[Problem]) -> None:
    """One place, one problem: what is found later about a place that has one already is its consequence."""
    places = {problem.path for problem in problems}
    problems += [problem for problem in found if problem.path not in places]


def _infinite(value: object, path: str) -> list[Problem]:
    if isinstance(value, Mapping):
        return [problem for name, inner in value.items() for problem in _infinite(inner, join(path, str(name)))]
    if isinstance(value, list | tuple):
        return [problem for at, inner in enumerate(value) for problem in _infinite(inner, join(path, at))]
    if isinstance(value, float) and not math.isfinite(value):
        return [Problem(path, "must be a finite number")]
    return []


def _with_retries(config: Config) -> Config:
    """Each model's `retry` laid over the default one, `backoff` inside it too."""
    default = config.defaults.retry
    models = {
        name: model if model.retry is None else model.model_copy(update={"retry": _over(model.retry, default)})
        for name, model in config.models.items()
    }
    return config.model_copy(update={"models": models})


def _over(own: RetrySettings, default: RetrySettings) -> RetrySettings:
    written: dict[str, object] = {name: getattr(own, name) for name in own.model_fields_set}
    if "backoff" in written:
        inner = {name: getattr(own.backoff, name) for name in own.backoff.model_fields_set}
        written["backoff"] = default.backoff.model_copy(update=inner)
    return default.model_copy(update=written)


def _secrets(content: Mapping[str, object]) -> set[str]:
    """All texts that stand where keys and headers stand, whether or not the rest is right."""
    found: set[str] = set()
    _collect(content.get("keys"), found, skip="name")
    console = content.get("console")
    _collect(console.get("keys") if isinstance(console, dict) else None, found, skip="name")
    providers = content.get("providers")
    for entry in providers.values() if isinstance(providers, dict) else ():
        if isinstance(entry, dict):
            _collect(entry.get("keys"), found)
            _collect(entry.get("headers"), found)
        else:
            _collect(entry, found)
    return found - {"none"}


def _collect(value: object, found: set[str], skip: str = "") -> None:
    if isinstance(value, str):
        found.add(value)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name != skip:
                _collect(inner, found, skip)
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, found, skip)


def _masked(problem: Problem, redactor: Redactor) -> Problem:
    return replace(problem, message=redactor.text(problem.message), suggestion=redactor.text(problem.suggestion))
