"""What kind of request it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.canon.deployment import Operation
from standfast.policy.kind import KINDS, LOOKED_AT, WORDS, classify


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hello there", "chat"),
        ("What is a circuit breaker?", "chat"),
        ("Why is the sky blue?", "chat"),
        ("Write a Python function that reverses a list", "code"),
        ("Was ist hier falsch?\n```\nx = 1\n```", "code"),
        ("bitte erklären: SELECT a FROM b", "code"),
        ("Traceback (most recent call last):\n  File", "code"),
        ("at com.example.Main.run(Main.java:42)", "code"),
        ("Translate this to German: good morning", "translation"),
        ("Summarize the following article in three bullet points", "summary"),
        ("Extract all names into a table", "extraction"),
        ("Compare the pros and cons of both plans", "analysis"),
        ("Write a poem about the sea", "writing"),
        ("x^2 = 4", "math"),
        ("", "chat"),
    ],
)
def test_words_and_signs(text: str, kind: str) -> None:
    """Two words of a kind, or one sign that needs no language; less than that is a chat."""
    assert classify(text) == kind


def test_one_word_is_chance() -> None:
    """A conversation about a function is no programming task."""
    assert classify("My mother's function in the family was to cook") == "chat"
    assert classify("function function FUNCTION") == "chat"


def test_the_task_stands_at_the_beginning_or_at_the_end() -> None:
    """Long material around it does not hide it, and what stands in the middle is not read."""
    material = "lorem ipsum dolor sit amet " * 400
    task = "Summarize this in a few bullet points, give a recap."
    assert classify(f"{task}\n{material}") == "summary"
    assert classify(f"{material}\n{task}") == "summary"
    assert len(material) > LOOKED_AT
    assert classify(f"{material}\n{task}\n{material}") == "chat"


def test_embeddings_are_a_kind() -> None:
    """An operation that is no chat names its kind itself."""
    assert classify("Write a Python function", Operation.EMBEDDINGS) == "embedding"


@given(st.text(max_size=3000))
def test_every_text_has_a_kind(text: str) -> None:
    """Nothing a client can send breaks it."""
    assert classify(text) in KINDS


def test_words_are_written_as_they_are_compared() -> None:
    """Lower-case letters alone, or a word could never be found."""
    assert [word for words in WORDS.values() for word in words if not (word.isascii() and word.isalpha())] == []
    assert all(word == word.lower() for words in WORDS.values() for word in words)
