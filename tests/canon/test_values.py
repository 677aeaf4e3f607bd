"""The small values of the language."""

import pytest

from standfast.canon.deployment import Deployment
from standfast.canon.instants import NEVER
from standfast.canon.usage import Usage


def test_a_deployment_is_named_as_it_is_written() -> None:
    """`provider/model` everywhere: configuration, logs, metrics, headers; a model's own slashes stay."""
    assert Deployment("local", "meta/llama-3", "http://127.0.0.1:1/v1").name == "local/meta/llama-3"


def test_deployments_differ_by_where_they_are() -> None:
    """Provider, model and base URL are the unit of health: two regions are two deployments, two equal ones are one."""
    one = Deployment("p", "m", "http://a/v1")
    assert one == Deployment("p", "m", "http://a/v1")
    assert len({one, Deployment("p", "m", "http://a/v1"), Deployment("p", "m", "http://b/v1")}) == 2


def test_values_are_frozen() -> None:
    """What rooms hand to each other cannot change under them."""
    with pytest.raises(AttributeError):
        Usage(1, 2).prompt = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Deployment("p", "m", "u").model = "x"  # type: ignore[misc]


def test_cached_and_reasoning_tokens_are_not_counted_twice() -> None:
    """They are inside prompt and completion, so the total is the sum of those two."""
    assert Usage(prompt=100, completion=50, cached=80, cache_written=10, reasoning=40).total == 150


def test_never_does_not_come() -> None:
    """Every instant is before it."""
    assert NEVER > 1e300
