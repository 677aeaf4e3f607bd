"""The `console` section: its keys, what is wrong with them, and that none is shown."""

import json

import pytest

from standfast.config.check import check
from standfast.config.environment import from_environment, redacted
from standfast.config.load import from_mapping
from standfast.engine.assemble import secrets_in

BASE: dict[str, object] = {
    "providers": {"p": {"type": "openai_like", "base_url": "http://127.0.0.1:9/v1", "keys": ["none"]}},
    "models": {"m": ["p/x"]},
}
LONG = "console-0123456789"


def problems(console: object, **more: object) -> dict[str, str]:
    """What is wrong with a console section, by path."""
    return {each.path: each.message for each in check({**BASE, "console": console, **more}).problems}


@pytest.mark.parametrize(
    ("console", "path", "words"),
    [
        ({"keys": [{"name": "a", "key": "short"}]}, "console.keys[0].key", "shorter than 16 characters"),
        ({"keys": [{"name": "a", "key": ""}]}, "console.keys[0].key", "is its environment variable set"),
        ({"keys": [{"name": "a", "key": f"{LONG} "}]}, "console.keys[0].key", "without blanks"),
        (
            {"keys": [{"name": "a", "key": LONG}, {"name": "a", "key": LONG + "x"}]},
            "console.keys[1].name",
            "the name of console.keys[0]",
        ),
        (
            {"keys": [{"name": "a", "key": LONG}, {"name": "b", "key": LONG}]},
            "console.keys[1].key",
            "the key of console.keys[0]",
        ),
        ({"keys": [{"name": "a", "key": LONG, "role": "boss"}]}, "console.keys[0].role", "operator"),
        ({"keys": [{"key": LONG}]}, "console.keys[0].name", ""),
        ({"session": "5s"}, "console.session", "60"),
        ({"origins": ["ops.example"]}, "console.origins[0]", ""),
        ({"origins": ["https://ops.example/path"]}, "console.origins[0]", ""),
        ({"enabeld": False}, "console.enabeld", ""),
    ],
)
def test_what_is_wrong_is_named(console: object, path: str, words: str) -> None:
    """Every mistake has its path and says what would be right; a key is short on loopback too if it is short."""
    found = problems(console)
    assert list(found) == [path]
    assert words in found[path]
    assert LONG not in json.dumps(found)


def test_a_client_key_is_no_console_key() -> None:
    """Who may ask may not thereby look: the same key in both places is a mistake."""
    found = problems({"keys": [{"name": "a", "key": LONG}]}, keys=[{"name": "app", "key": LONG}])
    assert found == {"console.keys[0].key": "is the key of keys[0] already"}


def test_keys_are_secrets() -> None:
    """No key is shown with the configuration, and the redactor knows them all."""
    config = from_mapping({**BASE, "console": {"keys": [{"name": "ann", "key": LONG, "role": "viewer"}]}}, {})
    assert redacted(config)["console"] == {
        "enabled": True,
        "keys": [{"name": "ann", "key": "***", "role": "viewer"}],
        "session": 43_200.0,
        "origins": [],
    }
    assert LONG not in repr(config)
    assert LONG in secrets_in(config)


def test_a_key_from_the_environment() -> None:
    """Without a file STANDFAST_CONSOLE_KEY is the console's key, an operator's."""
    config = from_environment({"OPENAI_API_KEY": "sk-one", "STANDFAST_CONSOLE_KEY": LONG})
    assert config is not None
    (entry,) = config.console.keys
    assert (entry.key.get_secret_value(), entry.role) == (LONG, "operator")
