"""What is asked and answered in a drill, such that whoever reads an answer can tell whether it is the whole truth.

A question says what it wants: its number, the tokens of its answer, whether the answer is repeatable. An answer is a
row of numbered words, and the last one says so. From some word on each carries the mark of the attempt that gave it (of
the model, if the answer is repeatable), so that an answer that is cut, doubled, reordered or pasted together from two
is found out, whatever the gateway says of it.
"""

import random
import re
from typing import NamedTuple

from standfast.sim.crowd import Request
from standfast.sim.drive import ALIKE

_QUESTION = re.compile(r"drill (\d+): (\d+) of (\d+) tokens(, repeatable)?\.")
LAST = "over"


class Question(NamedTuple):
    """What a request wants.

    Attributes:
        number: of the request.
        completion: tokens of the answer.
        prompt: tokens of the request.
        repeatable: the same model answers the same.
    """

    number: int
    completion: int
    prompt: int
    repeatable: bool


def question(number: int, request: Request) -> str:
    """The text of a request."""
    same = ", repeatable" if request.repeatable else ""
    return f"drill {number}: {request.completion} of {request.prompt} tokens{same}."


def asked(text: str) -> Question | None:
    """What a text asks for; None if it is no question of a drill."""
    found = _QUESTION.match(text)
    return None if found is None else Question(int(found[1]), int(found[2]), int(found[3]), found[4] is not None)


def answer(wanted: Question, model: str, attempt: int, rng: random.Random) -> list[str]:
    """The words of one attempt's answer, one for each token.

    Two answers that are not the same read alike for `ALIKE` words on average: the shorter of two exponential lengths
    of twice that mean.
    """
    mark = f"{model}" if wanted.repeatable else f"{model}#{attempt}"
    alike = int(rng.expovariate(0.5 / ALIKE))
    words = [f"{at}" if at < alike else f"{at}.{mark}" for at in range(wanted.completion - 1)]
    return [*words, f"{wanted.completion - 1}.{mark}.{LAST}"]


def faithful(text: str, wanted: Question) -> bool:
    """Is this the whole of one answer to the question?"""
    words = text.split()
    if len(words) != wanted.completion:
        return False
    last = words[-1].split(".", 1)
    if len(last) < 2 or last[0] != str(wanted.completion - 1) or not last[1].endswith(f".{LAST}"):  # noqa: PLR2004
        return False
    mark = last[1].removesuffix(f".{LAST}")
    marked = False
    for at, word in enumerate(words[:-1]):
        marked = marked or "." in word
        if word != (f"{at}.{mark}" if marked else f"{at}"):
            return False
    return True
