"""What kind of request is it: by words and signs alone, no model is asked.

Rules:

* What the client says (`x-standfast-kind`) is never doubted; this is for requests that say nothing.
* An operation that is no chat names its kind itself.
* Signs that do not depend on the language weigh 3 (a code fence, a stack trace, SQL, an equation), words weigh 1 and
  count once each. The kind with the highest sum wins if it has `ENOUGH`; equal sums go to the one that stands first in
  `WORDS`. Below that it is `chat`: a wrong guess costs more than none.
* Of what the person said last only the beginning and the end are read: the task stands before its material or after
  it.

The words are English, as those of the guides that recommend this method. For other languages, and for kinds of your
own, name the kind.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from standfast.canon.deployment import Operation

CHAT, CODE, ANALYSIS, MATH = "chat", "code", "analysis", "math"
WRITING, TRANSLATION, SUMMARY, EXTRACTION = "writing", "translation", "summary", "extraction"
EMBEDDING = "embedding"

KINDS = (CHAT, CODE, ANALYSIS, MATH, WRITING, TRANSLATION, SUMMARY, EXTRACTION, EMBEDDING)
"""Kinds that are told apart here. Any other word may be named by clients, and be given strengths."""

ENOUGH = 2
"""Sum from which a kind is believed: one word alone is chance."""

SIGN = 3
"""Weight of a sign that does not depend on the language."""

LOOKED_AT = 500
"""Characters that are read at the beginning, and at the end."""


_WORD = re.compile(r"[a-z]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        CODE: _words(
            "code function functions method class bug debug refactor implement compile compiler python javascript java "
            "typescript rust golang kotlin swift sql regex algorithm api endpoint unittest pytest docker kubernetes "
            "bash shell script stacktrace traceback exception git repository json yaml html css react django"
        ),
        TRANSLATION: _words(
            "translate translated translation english german french spanish italian chinese japanese korean portuguese "
            "russian arabic dutch polish"
        ),
        SUMMARY: _words("summarize summarise summary summaries tldr condense shorten recap bullet takeaways gist"),
        EXTRACTION: _words("extract extraction parse classify categorize label fields entities table csv columns"),
        MATH: _words(
            "calculate compute solve equation integral derivative theorem prove proof probability matrix algebra "
            "geometry polynomial logarithm sum"
        ),
        ANALYSIS: _words(
            "analyze analyse analysis evaluate compare comparison assess investigate trend trends correlation risk "
            "risks strategy tradeoff tradeoffs implications insights report pros cons why reasoning"
        ),
        WRITING: _words(
            "write poem story essay blog article headline slogan rewrite rephrase draft email letter speech lyrics "
            "novel character tone creative"
        ),
    }
)
"""In the order in which equal sums are decided: the more particular kind first."""

SIGNS: Mapping[str, "re.Pattern[str]"] = MappingProxyType(
    {
        CODE: re.compile(
            r"```|^\s*(?:def |class \w+[:({]|import \w|from \w[\w.]* import |#include|public class |func \w+\()"
            r"|\bfunction\s*\w*\(|=>\s*\{|Traceback \(most recent|\bat [\w.$]+\([\w.]+:\d+\)"
            r"|\bSELECT\b.{1,200}\bFROM\b|\bCREATE TABLE\b|</\w+>",
            re.MULTILINE,
        ),
        MATH: re.compile(
            r"\\frac|\\int|\\sum|\$\$|\b\d*[xyn]\s*[\^=]\s*-?\d|\d\s*[*/^+]\s*\d+\s*=|[\u222b\u2211\u221a]"
        ),
    }
)
"""What betrays a kind in every language."""


def classify(text: str, operation: Operation = Operation.CHAT) -> str:
    """The kind of a request whose last message is `text`."""
    if operation is Operation.EMBEDDINGS:
        return EMBEDDING
    if len(text) > 2 * LOOKED_AT:
        text = f"{text[:LOOKED_AT]}\n{text[-LOOKED_AT:]}"
    said = set(_WORD.findall(text.lower()))
    best, most = CHAT, ENOUGH - 1
    for kind, words in WORDS.items():
        count = len(said & words)
        sign = SIGNS.get(kind)
        if sign is not None and sign.search(text) is not None:
            count += SIGN
        if count > most:
            best, most = kind, count
    return best
