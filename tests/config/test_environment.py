"""Configurations without a file, and configurations as text."""

import json
from pathlib import Path

import pytest

from standfast.config.environment import from_environment, init_text, key_variables, redacted
from standfast.config.load import from_mapping, load
from standfast.config.yaml_text import read_yaml
from standfast.errors import ConfigError


def test_no_key_no_configuration() -> None:
    """Without a provider key there is nothing to serve, and that is no error yet."""
    assert from_environment({}) is None
    assert from_environment({"STANDFAST_KEY": "x", "OPENAI_API_KEY": "  "}) is None


@pytest.mark.parametrize("name", sorted(key_variables()))
def test_each_provider_s_key_alone_is_enough(name: str) -> None:
    """Every provider file with a key variable and an address has default models that can be served."""
    config = from_environment({key_variables()[name]: "sk-one"})
    assert config is not None
    assert list(config.providers) == [name]
    assert config.models["default"].targets[0].provider == name


def test_all_providers_together() -> None:
    """One entry per key; `default` has each provider once, and a model that several serve falls over between them."""
    environ = dict.fromkeys(key_variables().values(), "sk-each")
    config = from_environment(environ)
    assert config is not None
    assert sorted(line.provider for line in config.models["default"].targets) == sorted(key_variables())
    assert [line.provider for line in config.models["gpt-4.1"].targets] == ["openai", "holysheep"]
    assert all(not entry.keys[0].get_secret_value().startswith("$") for entry in config.providers.values())


def test_a_key_is_taken_literally() -> None:
    """A key that holds `${` is no reference."""
    config = from_environment({"OPENAI_API_KEY": " sk-${HOME} "})
    assert config is not None
    assert config.providers["openai"].keys[0].get_secret_value() == "sk-${HOME}"


def test_the_client_key_comes_along() -> None:
    """STANDFAST_KEY opens the door, and makes another address than loopback possible."""
    environ = {"OPENAI_API_KEY": "sk", "STANDFAST_KEY": "sf-0123456789abcdef"}
    config = from_environment(environ, server={"host": "10.0.0.1"})
    assert config is not None
    assert config.keys[0].key.get_secret_value() == "sf-0123456789abcdef"
    with pytest.raises(ConfigError, match=r"server\.host"):
        from_environment({"OPENAI_API_KEY": "sk"}, server={"host": "10.0.0.1"})


def test_the_example_loads_as_written(tmp_path: Path) -> None:
    """What `config init` writes is right as soon as its one variable is set, and says what holds anyway."""
    path = tmp_path / "standfast.yaml"
    path.write_text(init_text())
    config = load(path, {"OPENAI_API_KEY": "sk-one"})
    assert config == from_mapping(
        {
            "providers": {"openai": {"keys": ["sk-one"]}},
            "models": {"gpt-4.1": {"targets": ["openai/gpt-4.1"], "strategy": "priority"}},
        },
        {},
    )


def test_the_example_loads_with_everything_uncommented(tmp_path: Path) -> None:
    """Every commented setting of the example is right too."""
    lines = []
    for line in init_text().splitlines():
        bare = line.lstrip()
        indent = line[: len(line) - len(bare)]
        is_setting = bare.startswith("# ") and (": " in bare or bare.rstrip().endswith(":") or bare.startswith("# - "))
        prose = bare[2:3].isupper() or bare.startswith("# several")
        lines.append(indent + bare[2:] if is_setting and not prose else line)
    path = tmp_path / "all.yaml"
    path.write_text("\n".join(lines))
    names = "STANDFAST_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY"
    config = load(path, dict.fromkeys((*names, "HOLYSHEEP_API_KEY"), "sk-0123456789abcdef"))
    assert sorted(config.models) == ["fast", "gpt-4.1"]
    assert len(config.models["gpt-4.1"].targets) == 3
    assert config.providers["local"].limits.rpm == 500
    assert config.keys[0].name == "dev"


def test_shown_without_secrets() -> None:
    """The effective configuration is plain data; keys and header values are masked, `none` is none."""
    canary = "sk-canary-0123456789"
    config = from_mapping(
        {
            "keys": [{"name": "dev", "key": canary}],
            "providers": {
                "openai": {"keys": [canary], "headers": {"X-Org": canary}},
                "local": {"type": "openai_like", "base_url": "http://127.0.0.1:9/v1", "keys": ["none"]},
            },
            "models": {"m": ["openai/m", "local/m"]},
        },
        {},
    )
    shown = redacted(config)
    text = json.dumps(shown)
    assert canary not in text
    data = read_yaml(text).data
    assert isinstance(data, dict)
    assert data["keys"] == [{"name": "dev", "key": "***"}]
    assert data["providers"]["openai"]["headers"] == {"X-Org": "***"}
    assert data["providers"]["local"]["keys"] == ["none"]
    assert data["defaults"]["timeouts"]["total"] == 900.0
    assert data["server"]["port"] == 8000
