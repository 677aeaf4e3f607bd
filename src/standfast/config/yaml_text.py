"""YAML text into plain values, with the line of every one.

A strict reading of YAML 1.2's core schema on top of PyYAML's parser, because YAML 1.1's surprises are dangerous in a
configuration: here `off` is a word and no truth value, `1:30` and `2026-01-31` are text, a name written twice is a
problem and not the last one's victory. Tags are refused; anchors, aliases and `<<` merges work.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from standfast.config.interpolation import join
from standfast.errors import Problem

MAX_VALUES = 100_000
"""Values in one file, aliases counted as often as they are used: ends what grows out of aliases to aliases."""

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})")
_FLOAT = re.compile(r"(?=.*[.eE])[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), math.inf),
    "-.inf": -math.inf,
    ".nan": math.nan,
    ".NaN": math.nan,
}
_PLAIN_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_MERGE = "<<"


@dataclass(slots=True)
class YamlText:
    """What a text says.

    Attributes:
        data: dicts, lists and scalars.
        lines: line number (from 1) by path.
        problems: names written twice, tags ...
    """

    data: object = None
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """Resolves nothing by itself: a plain scalar is a string until `_scalar` has looked at it."""

    yaml_implicit_resolvers: dict[str, list[object]] = {}  # noqa: RUF012 - PyYAML's own class attribute


def read_yaml(text: str) -> YamlText:
    """Read one document.

    Raises:
        yaml.YAMLError: the text is no YAML.
        RecursionError: it is nested too deeply.
    """
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
    finally:
        loader.dispose()
    result = YamlText()
    if root is not None:
        result.data = _Builder(result).build(root, "", ())
    return result


class _Builder:
    def __init__(self, result: YamlText) -> None:
        self._result = result
        self._count = 0

    def build(self, node: yaml.Node, path: str, above: tuple[yaml.Node, ...]) -> object:
        self._count += 1
        if self._count > MAX_VALUES:
            raise yaml.YAMLError(f"more than {MAX_VALUES} values")
        self._result.lines.setdefault(path, node.start_mark.line + 1)
        if any(node is other for other in above):
            self._problem(path, "an alias refers to what it is inside of")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in _PLAIN_TAGS:
            self._problem(path, "tags (`!...`) are not allowed")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, (*above, node))
        below = (*above, node)
        return [self.build(child, join(path, at), below) for at, child in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: str, above: tuple[yaml.Node, ...]) -> dict[str, object]:
        own: dict[str, object] = {}
        merged: dict[str, object] = {}
        written: dict[str, int] = {}
        for name_node, child in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                self._problem(path, "a name must be plain text")
                continue
            name, line = name_node.value, name_node.start_mark.line + 1
            if name == _MERGE and name_node.style is None:
                self._merge(self.build(child, path, above), path, merged)
                continue
            if name in written:
                self._problem(join(path, name), f"is written twice (lines {written[name]} and {line})")
                continue
            written[name] = line
            self._result.lines[join(path, name)] = line
            own[name] = self.build(child, join(path, name), above)
        return {**merged, **own}

    def _merge(self, value: object, path: str, merged: dict[str, object]) -> None:
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                for name, inner in part.items():
                    merged.setdefault(name, inner)
            else:
                self._problem(path, "`<<` takes a mapping, or a list of them")

    def _scalar(self, node: yaml.ScalarNode, path: str) -> object:
        text: str = node.value
        if node.style is not None or node.tag != _PLAIN_TAGS[0]:
            if node.tag != _PLAIN_TAGS[0]:
                self._problem(path, "tags (`!...`) are not allowed")
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) else text

    def _problem(self, path: str, message: str) -> None:
        self._result.problems.append(Problem(path, message))
