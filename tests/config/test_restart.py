"""What a reload cannot put to work is known by name."""

import pytest

from standfast.config.load import from_mapping
from standfast.config.restart import ALWAYS, ONCE, awaiting_restart
from standfast.config.schema import Config

RETRIES = {"retry": {"budget": 0}, "cache": {"ttl": "5m"}}
BASE: dict[str, object] = {
    "providers": {"openai": {"keys": ["k"], "base_url": "http://127.0.0.1:1"}},
    "models": {"m": ["openai/a"]},
    "defaults": {"cache": {"ttl": "5m"}},
}


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"server": {"port": 1, "host": "localhost"}}, ("server.host", "server.port")),
        ({"server": {"heartbeat": "1s", "open_door": True}}, ()),
        ({"server": {"upstream": {"event_bytes": 100_000}}}, ("server.upstream.event_bytes",)),
        ({"log": {"path": "a.log"}, "cache": {"max_entries": 5}}, ("log.path", "cache.max_entries")),
        (
            {"models": {"n": ["openai/b"]}, "defaults": RETRIES, "keys": [{"name": "a", "key": "b"}]},
            (),
        ),
    ],
)
def test_only_what_is_read_once_waits(changed: dict[str, object], names: tuple[str, ...]) -> None:
    """Models, keys and defaults hold at once; doors, connections, logs and stores do not."""
    before = from_mapping(BASE, {})
    assert awaiting_restart(before, from_mapping({**BASE, **changed}, {})) == names


def test_the_names_are_settings() -> None:
    """A section or an exception that is renamed is renamed here, too."""
    assert set(ONCE) <= set(Config.model_fields)
    server = type(from_mapping(BASE, {}).server)
    assert {path.partition(".")[2] for path in ALWAYS} <= set(server.model_fields)
