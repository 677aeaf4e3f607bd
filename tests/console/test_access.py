"""Who may look and who may act: every case of `console.access`, by headers alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.looking import KEYS, OPERATOR, VIEWER, bearer
from standfast.config.load import from_mapping
from standfast.config.schema import Config
from standfast.console.access import COOKIE, Access, Closed, KeyNeeded, NotAllowed, SwitchedOff

HERE = {"host": "127.0.0.1:8000"}
MODELS = {"providers": {"p": {"type": "openai_like", "base_url": "http://127.0.0.1:9/v1", "keys": ["none"]}}}
CLIENTS = [{"name": "app", "key": "client-0123456789abc"}]


class House:
    """An access with a configuration that can change and a clock that can be moved."""

    def __init__(self, **config: object) -> None:
        self.config: Config = self.made(**config)
        self.wall = 1_000_000.0
        self.access = Access(lambda: self.config, lambda: self.wall)

    @staticmethod
    def made(**config: object) -> Config:
        """A configuration with one model."""
        return from_mapping({**MODELS, "models": {"m": ["p/x"]}, **config}, {})


def test_open_to_this_machine() -> None:
    """Without keys of either kind and on loopback whoever is on this machine is the operator."""
    for host in ("127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.8.9.10"):
        viewer = House().access.act({"host": host})
        assert (viewer.name, viewer.role, viewer.open) == ("", "operator", True)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example"},
        {"host": "127.0.0.1.example:8000"},
        {"host": "10.0.0.1:8000"},
        {"host": "[::1"},
        {"host": "rebound.example@127.0.0.1"},
        {"host": "rebound.example\\@127.0.0.1:8000"},
        {"host": "127.0.0.1:8000, rebound.example"},
        {"host": "127.0.0.1:80x"},
        {"host": ""},
        {},
        {**HERE, "x-forwarded-for": "10.0.0.1"},
        {**HERE, "forwarded": "for=10.0.0.1"},
        {**HERE, "x-real-ip": "10.0.0.1"},
        {**HERE, "x-forwarded-host": "ops.example"},
        {**HERE, "x-forwarded-proto": "https"},
        {**HERE, "via": "1.1 proxy"},
    ],
)
def test_open_to_nobody_else(headers: dict[str, str]) -> None:
    """A rebound name, a name that only looks like ours, and what was forwarded are not this machine."""
    with pytest.raises(NotAllowed):
        House().access.look(headers)


@pytest.mark.parametrize(
    "config",
    [
        {"keys": CLIENTS},
        {"server": {"host": "0.0.0.0", "open_door": True}},  # noqa: S104 - that it is reachable is the point
        {"server": {"host": "0.0.0.0"}, "keys": CLIENTS},  # noqa: S104 - the same
    ],
)
def test_shut_unless_something_opens_it(config: dict[str, object]) -> None:
    """Client keys, or an address that others reach, shut a console without keys; the message says what to add."""
    with pytest.raises(Closed, match=r"console: \{keys:"):
        House(**config).access.look(HERE)


def test_switched_off() -> None:
    """`enabled: false` shuts it for everybody, whatever they bring."""
    house = House(console={**KEYS, "enabled": False})
    with pytest.raises(SwitchedOff):
        house.access.look(bearer(OPERATOR))
    with pytest.raises(SwitchedOff):
        house.access.sign_in(OPERATOR, {})


def test_keys_have_roles() -> None:
    """A viewer's key looks and listens, an operator's acts as well; any other is refused."""
    access = House(console=KEYS).access
    assert access.act(bearer(OPERATOR)).name == "ann"
    assert access.listen(bearer(VIEWER)).role == "viewer"
    with pytest.raises(NotAllowed, match="viewer"):
        access.act(bearer(VIEWER))
    for wrong in ({}, bearer("wrong-0123456789abcd"), bearer(""), {"authorization": OPERATOR}, {"cookie": OPERATOR}):
        with pytest.raises(KeyNeeded):
            access.look(wrong)


def test_a_client_key_is_no_console_key() -> None:
    """Who may ask may not thereby look."""
    house = House(keys=CLIENTS, console=KEYS)
    with pytest.raises(KeyNeeded):
        house.access.look(bearer(CLIENTS[0]["key"]))


def test_a_key_becomes_a_cookie_that_ends() -> None:
    """Signing in gives a word that stands for the key until its time is over, and not a second longer."""
    house = House(console={**KEYS, "session": "1h"})
    viewer, word, seconds = house.access.sign_in(f" {VIEWER}\n", {})
    assert (viewer.name, viewer.role, seconds) == ("wall", "viewer", 3600)
    cookie = {"cookie": f"other=1; {COOKIE}={word}"}
    assert house.access.look(cookie).name == "wall"
    house.wall += 3599
    assert house.access.look(cookie).name == "wall"
    house.wall += 1
    with pytest.raises(KeyNeeded):
        house.access.look(cookie)


def test_a_cookie_ends_with_its_key() -> None:
    """A key that was changed or removed takes its cookies with it; another process with the same key accepts them."""
    house = House(console=KEYS)
    _, word, _ = house.access.sign_in(OPERATOR, {})
    cookie = {"cookie": f"{COOKIE}={word}"}
    other = House(console=KEYS)
    assert other.access.act(cookie).name == "ann"
    other.config = House.made(console={"keys": [{"name": "ann", "key": "another-0123456789"}]})
    with pytest.raises(KeyNeeded):
        other.access.look(cookie)
    other.config = House.made(console={"keys": [{"name": "bob", "key": OPERATOR}]})
    with pytest.raises(KeyNeeded):
        other.access.look(cookie)


def test_a_role_is_that_of_now() -> None:
    """An operator who is made a viewer by a reload is one at once, whatever cookie there is."""
    house = House(console=KEYS)
    _, word, _ = house.access.sign_in(OPERATOR, {})
    house.config = House.made(console={"keys": [{"name": "ann", "key": OPERATOR, "role": "viewer"}]})
    with pytest.raises(NotAllowed):
        house.access.act({"cookie": f"{COOKIE}={word}"})


@given(st.text(st.characters(max_codepoint=255), max_size=60), st.integers(0, 60))
def test_no_forged_cookie_opens(noise: str, at: int) -> None:
    """A word that was changed anywhere, or made up, is no word; nothing in it raises anything else."""
    house = House(console=KEYS)
    _, word, _ = house.access.sign_in(OPERATOR, {})
    forged = word[:at] + noise + word[at + len(noise) :]
    if forged == word:
        return
    with pytest.raises(KeyNeeded):
        house.access.look({"cookie": f"{COOKIE}={forged}"})


def test_a_wrong_key_is_told_so() -> None:
    """Signing in with anything but a console key is refused, and says where keys come from."""
    access = House(console=KEYS).access
    for wrong in ("", "x", OPERATOR[:-1], "schlüssel", "\udcff"):
        with pytest.raises(KeyNeeded, match=r"console\.keys"):
            access.sign_in(wrong, {})


@pytest.mark.parametrize("config", [{}, {"console": KEYS}])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1:8000.evil.example", "x://127.0.0.1:8000"]
)
def test_pages_from_elsewhere_can_do_nothing(config: dict[str, object], origin: str) -> None:
    """A browser names the page that asks: another one may neither act nor listen, with whatever cookie."""
    access = House(**config).access
    headers = {**HERE, **bearer(OPERATOR), "origin": origin}
    for forbidden in (access.act, access.listen):
        with pytest.raises(NotAllowed, match=r"console\.origins"):
            forbidden(headers)
    with pytest.raises(NotAllowed, match=r"console\.origins"):
        access.sign_in(OPERATOR, headers)


def test_our_own_pages_and_listed_ones_may() -> None:
    """The page's own address may, whatever the scheme a proxy took off, and what `console.origins` lists."""
    access = House(console={**KEYS, "origins": ["https://ops.example"]}).access
    for origin in ("http://127.0.0.1:8000", "https://127.0.0.1:8000", "https://ops.example"):
        assert access.act({**HERE, **bearer(OPERATOR), "origin": origin}).name == "ann"
