"""Questions and answers of a drill: whatever is not the whole of one answer is found out."""

import random

from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.instants import Monotonic
from standfast.config.load import from_mapping
from standfast.config.routes import routes_of
from standfast.drill.words import Question, answer, asked, faithful, question
from standfast.sim.crowd import Request

LENGTHS = st.integers(1, 60)
SEEDS = st.integers(0, 10_000)
CONFIG = {
    "providers": {"a": {"type": "openai_like", "base_url": "http://a.test", "keys": ["none"]}},
    "models": {"m": ["a/x"]},
}
ROUTE = routes_of(from_mapping(CONFIG, {}))["m"]


def wanted(completion: int, *, repeatable: bool = False) -> Question:
    """A question."""
    return Question(7, completion, 100, repeatable)


def said(want: Question, model: str = "x", attempt: int = 1, seed: int = 0) -> str:
    """Its answer."""
    return " ".join(answer(want, model, attempt, random.Random(seed)))


@given(LENGTHS, st.booleans())
def test_a_question_says_what_it_wants(completion: int, repeatable: bool) -> None:
    """What is written is read back, whatever follows it; other texts are no questions."""
    request = Request(Monotonic(0.0), ROUTE, prompt=50, completion=completion, repeatable=repeatable)
    assert asked(question(3, request) + " xxxx") == Question(3, completion, 50, repeatable)
    assert asked("hello") is None


@given(LENGTHS, SEEDS, st.booleans())
def test_a_whole_answer_is_faithful(completion: int, seed: int, repeatable: bool) -> None:
    """Every attempt's own answer counts, and is as long as it should be."""
    want = wanted(completion, repeatable=repeatable)
    text = said(want, seed=seed)
    assert faithful(text, want)
    assert len(text.split()) == completion


@given(LENGTHS, SEEDS, st.data())
def test_a_piece_of_an_answer_is_not(completion: int, seed: int, data: st.DataObject) -> None:
    """Cut anywhere, doubled, or with a word left out, it does not count."""
    want = wanted(completion)
    words = said(want, seed=seed).split()
    cut = data.draw(st.integers(0, completion - 1))
    assert not faithful(" ".join(words[:cut]), want)
    assert not faithful(" ".join(words + words[cut:]), want)
    assert not faithful(" ".join(words[:cut] + words[cut + 1 :]), want)


@given(st.integers(2, 60), SEEDS, SEEDS, st.data())
def test_a_splice_of_two_answers_is_not(completion: int, seed: int, other: int, data: st.DataObject) -> None:
    """Two attempts' answers pasted together count only where they read the same: there the text is one of both."""
    want = wanted(completion)
    one, two = said(want, "x", 1, seed).split(), said(want, "y", 2, other).split()
    cut = data.draw(st.integers(1, completion - 1))
    pasted = one[:cut] + two[cut:]
    assert faithful(" ".join(pasted), want) == (pasted[:cut] == [str(at) for at in range(cut)])


def test_a_repeatable_answer_is_the_models() -> None:
    """The same model says the same again, another one does not, and without the promise nobody does."""
    same = wanted(40, repeatable=True)
    assert said(same, attempt=1) == said(same, attempt=2)
    assert said(same, "x") != said(same, "y")
    assert said(wanted(40), attempt=1) != said(wanted(40), attempt=2)


def test_two_answers_read_alike_for_some_words() -> None:
    """On average for as many as the rehearsal says, so that replays fail as early."""
    rng = random.Random(1)
    want = wanted(200)
    shared = []
    for number in range(2_000):
        one, two = answer(want, "x", number, rng), answer(want, "y", -number, rng)
        shared.append(next(at for at, (a, b) in enumerate(zip(one, two, strict=True)) if a != b))
    assert 7.0 < sum(shared) / len(shared) < 8.5
