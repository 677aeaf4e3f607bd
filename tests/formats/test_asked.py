"""What a request asks for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast import plugins
from standfast.formats._asked import Asked, asked

CHAT = plugins.load("formats", "openai_chat").FORMAT
HELLO = {"role": "user", "content": "hello"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}


def look(messages: object = (HELLO,), **fields: object) -> Asked:
    """At a chat request."""
    return asked(CHAT, json.dumps({"model": "m", "messages": messages, **fields}).encode())


def test_the_text_is_what_the_person_said_last() -> None:
    """Not the system's instructions, not the model's own words."""
    said = look(
        [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "text", "text": "part"}]},
            {"role": "assistant", "content": "the begin"},
        ]
    )
    assert said == Asked("second\npart")


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({}, set()),
        ({"tools": [{"type": "function"}]}, {"tools"}),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"tools": None}, set()),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "what?"}, PICTURE]}]}, {"images"}),
        ({"messages": [{"role": "user", "content": [PICTURE]}, HELLO]}, {"images"}),
        ({"messages": [{"role": "user", "content": 'say "image_url" aloud'}]}, set()),
        ({"metadata": {"image_url": "x"}}, set()),
    ],
)
def test_needs(fields: dict[str, object], needs: set[str]) -> None:
    """Tools, schemas and pictures, wherever in the conversation; a word about a picture is none."""
    assert look(fields.pop("messages", [HELLO]), **fields).needs == needs


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "type"]), inner)
        ),
        max_leaves=10,
    )
)
def test_what_cannot_be_read_is_not_known(messages: object) -> None:
    """Nothing here refuses a request: that is for those who serve it."""
    assert isinstance(look(messages), Asked)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages": {}}', b"\xff", b'{"messages": [[]]}'])
def test_no_request_at_all(body: bytes) -> None:
    """The same for bodies that are none."""
    assert asked(CHAT, body) == Asked()


def test_other_formats_by_way_of_the_canonical_form() -> None:
    """Text and pictures of a request in another format."""
    form = plugins.load("formats", "anthropic_messages").FORMAT
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    content = [{"type": "text", "text": "what is it?"}, {"type": "image", "source": source}]
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": content}]}
    assert asked(form, json.dumps(body).encode()) == Asked("what is it?", frozenset({"images"}))


def test_embeddings_ask_for_nothing() -> None:
    """Their kind is their operation."""
    form = plugins.load("formats", "openai_embeddings").FORMAT
    assert asked(form, b'{"model": "e", "input": "write python code"}') == Asked()
