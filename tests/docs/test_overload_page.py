"""docs/overload.md tells what the code does."""

import re
from pathlib import Path

import yaml

from standfast.config.load import from_mapping
from standfast.policy.adaptive import BEGINS, GOES_ON, ROW, WITHIN, AdaptiveSettings
from standfast.policy.line import QueueSettings
from standfast.policy.shedding import STANDING

PAGE = (Path(__file__).parents[2] / "docs" / "overload.md").read_text("utf-8")


def test_the_example_is_a_configuration_and_shows_the_defaults() -> None:
    """It is read as it stands; what stands under `defaults` there holds without it too."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    text = text.replace("${OPENAI_API_KEY}", "sk-1").replace("${OPENAI_API_KEY_2}", "sk-2")
    config = from_mapping(yaml.safe_load(text), {})
    assert config.defaults.queue == QueueSettings()
    assert config.defaults.adaptive == AdaptiveSettings()
    assert config.models["gpt-4.1"].targets[0].limits.rpm == 600


def test_the_numbers_are_the_codes() -> None:
    """Whoever changes one of them reads the page again."""
    settings = AdaptiveSettings()
    assert (ROW, WITHIN, BEGINS, GOES_ON, STANDING) == (10, 2.0, 0.1, 0.02, 1.0)
    assert (settings.backoff, settings.recovery, settings.tolerance) == (0.9, 10.0, 1.5)
