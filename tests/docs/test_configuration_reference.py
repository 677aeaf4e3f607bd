"""The configuration reference is generated; here it is compared with what the code says now."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from standfast.config.schema import Config
from standfast.http1.settings import ServerLimits

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says(generate: ModuleType) -> None:
    """docs/configuration.md is exactly what docs/generate.py writes now."""
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert written == generate.reference(), "docs/configuration.md is stale: run .venv/bin/python docs/generate.py"


def test_every_setting_has_a_line(generate: ModuleType) -> None:
    """No field of any section is missing from the page."""
    page = generate.reference()
    models = [model for _, model in generate.sections(Config)]
    lines = [f"| `{field.alias or name}` |" for model in models for name, field in model.model_fields.items()]
    assert len(lines) > 50
    assert [line for line in lines if line not in page] == []


def test_no_meaning_is_left_over(generate: ModuleType) -> None:
    """A meaning in generate.py is for a setting that exists and whose class does not explain it itself."""
    classes = {model.__name__: model for _, model in generate.sections(Config)}
    for owner, name in generate.MEANINGS:
        assert name in classes[owner].model_fields, (owner, name)
        assert name not in generate.attributes(classes[owner]), (owner, name)


def test_a_setting_without_a_meaning_is_refused(generate: ModuleType) -> None:
    """A field that nobody explains cannot reach the page."""
    with pytest.raises(LookupError, match=r"ServerLimits\.colour"):
        generate.meaning(ServerLimits, "colour")


def test_attributes_of_several_names_and_lines(generate: ModuleType) -> None:
    """`a, b: text` explains both names, and a meaning may go on over several lines."""

    class Sample(ServerLimits):
        """A sample.

        Attributes:
            one, two: both of
                these.
            three: that.
        """

    assert generate.attributes(Sample) == {"one": "both of these.", "two": "both of these.", "three": "that."}
    assert generate.prose(Sample) == "A sample."


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250ms"), (3.0, "3s"), (60.0, "1m"), (90.0, "90s"), (900.0, "15m"), (0.0, "0s")]
)
def test_durations_read_as_people_write_them(generate: ModuleType, seconds: float, text: str) -> None:
    """A default duration is shown in the notation that the file accepts."""
    assert generate.duration(seconds) == text


def test_types_are_told_in_words(generate: ModuleType) -> None:
    """Ranges, choices and durations are recognised through annotations and unions."""
    by_name = {
        f"{path}.{name}": generate.kind(field.annotation, field.metadata)
        for path, model in generate.sections(Config)
        for name, field in model.model_fields.items()
    }
    assert by_name["server.port"] == "integer >= 0, <= 65535"
    assert by_name["server.drain"] == "duration >= 0"
    assert by_name["defaults.timeouts.first_token"] == "duration > 0 or `auto`"
    assert by_name["defaults.retry.budget"] == "number >= 0, <= 1"
    assert by_name["providers.NAME.keys"] == "list of secret text"
    assert by_name["models.NAME.targets"] == "list of section"
