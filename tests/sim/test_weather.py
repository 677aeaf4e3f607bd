"""How an upstream is at an instant."""

import math

import pytest

from standfast.canon.failure import FailureKind
from standfast.sim.settings import Error, Trouble
from standfast.sim.weather import Weather

START = 1_000.0


def trouble(**fields: object) -> Trouble:
    """From 10 s to 30 s at the primary."""
    return Trouble.model_validate({"at": 10, "lasts": 20, "where": "primary", **fields})


def at(weather: Weather, second: float) -> Weather:
    """The weather at that second of the scenario."""
    weather.look(START + second)
    return weather


def share(weather: Weather, kind: FailureKind, steps: int = 1_000) -> float:
    """Which share of the attempts fails in that way."""
    found = [weather.error((step + 0.5) / steps) for step in range(steps)]
    return sum(each is not None and each.kind is kind for each in found) / steps


def test_a_trouble_begins_and_ends() -> None:
    """Before it, an ordinary day; during it, its errors; after it, an ordinary day."""
    ordinary = (Error(kind=FailureKind.OVERLOADED, share=0.1),)
    weather = Weather(ordinary, (trouble(errors="server_error", slow=5, capacity=0.5),), START)
    assert share(at(weather, 9.99), FailureKind.OVERLOADED) == pytest.approx(0.1)
    assert (weather.slow, weather.capacity) == (1.0, 1.0)
    assert share(at(weather, 10), FailureKind.SERVER_ERROR) == 1.0
    assert (weather.slow, weather.capacity) == (5.0, 0.5)
    assert share(at(weather, 30), FailureKind.SERVER_ERROR) == 0.0
    assert share(weather, FailureKind.OVERLOADED) == pytest.approx(0.1)


def test_what_a_trouble_leaves_fails_as_on_an_ordinary_day() -> None:
    """Shares are of what is left: 40 % of the trouble, then 10 % of the other 60 %."""
    ordinary = (Error(kind=FailureKind.OVERLOADED, share=0.1),)
    weather = Weather(ordinary, (trouble(errors={"kind": "server_error", "share": 0.4}),), START)
    assert share(at(weather, 15), FailureKind.SERVER_ERROR) == pytest.approx(0.4)
    assert share(weather, FailureKind.OVERLOADED) == pytest.approx(0.06)


def test_troubles_add_up() -> None:
    """Two at a time: both slow it down, the second hits what the first one left."""
    one = trouble(errors={"kind": "server_error", "share": 0.5}, slow=2)
    two = trouble(errors={"kind": "connect_failed", "share": 0.5}, slow=3)
    weather = at(Weather((), (one, two), START), 12)
    assert weather.slow == 6.0
    assert share(weather, FailureKind.SERVER_ERROR) == pytest.approx(0.5)
    assert share(weather, FailureKind.CONNECT_FAILED) == pytest.approx(0.25)


def test_flapping_is_a_square_wave_that_begins_ill() -> None:
    """Two seconds down, three up, from its beginning to its end."""
    weather = Weather((), (trouble(errors="server_error", down=2, up=3),), START)
    ill = [second / 10 for second in range(400) if at(weather, second / 10 + 0.01).error(0.5) is not None]
    expected = [second / 10 for second in range(100, 300) if ((second - 100) % 50) < 20]
    assert ill == expected


def test_the_next_cut_is_known_before_it_comes() -> None:
    """An answer that begins now can be told that it will be cut; after the last beginning there is none."""
    weather = Weather((), (trouble(cuts=0.7),), START)
    assert (at(weather, 0).cut_at, weather.cut_share) == (START + 10, 0.7)
    assert at(weather, 10).cut_at == math.inf
    flapping = Weather((), (trouble(cuts=1, down=2, up=6),), START)
    assert at(flapping, 11).cut_at == START + 18
    assert at(flapping, 27).cut_at == math.inf


def test_asking_again_within_a_spell_costs_a_comparison() -> None:
    """What holds until later is not computed anew for each attempt."""
    weather = Weather((), (trouble(errors="server_error"),), START)
    assert at(weather, 5).until == START + 10
    assert at(weather, 15).until == START + 30
    assert at(weather, 31).until == math.inf
