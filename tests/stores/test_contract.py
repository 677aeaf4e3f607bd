"""What every place for kept answers promises. A new file under `stores/` is found and held to it by itself."""

import asyncio
from collections import OrderedDict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standfast import plugins
from standfast.canon.instants import Monotonic
from standfast.clock import ManualClock
from standfast.stores.base import OVERHEAD, AnswerStore, AnswerStoreSettings, KeptAnswer

NAMES = plugins.names("stores")
NOW = Monotonic(1000.0)

every_store = pytest.mark.parametrize("name", NAMES)


def bounds(name: str, directory: Path, **values: object) -> AnswerStoreSettings:
    """Settings of a store of this kind."""
    path = "" if name == "memory" else str(directory / f"{name}.db")
    return AnswerStoreSettings.model_validate({"store": name, "path": path, **values})


def opened(name: str, directory: Path, **values: object) -> AnswerStore:
    """An empty store of this kind."""
    store: AnswerStore = plugins.load("stores", name).open_answers(bounds(name, directory, **values), ManualClock())
    return store


def answer(body: bytes = b"{}", *, stored: float = NOW, lasts: float = 60.0) -> KeptAnswer:
    """An answer that lasts so many seconds."""
    return KeptAnswer(body, "p", "m", fallback=False, stored=Monotonic(stored), gone=Monotonic(stored + lasts))


def close(store: AnswerStore) -> None:
    """Close a store."""
    asyncio.run(store.close())


def test_there_are_stores() -> None:
    """The embedded ones are there."""
    assert {"memory", "sqlite"} <= set(NAMES)


@every_store
def test_what_is_kept_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    """The very same answer under its key, and nothing under any other."""
    store = opened(name, tmp_path)
    store.put(b"a", answer(b"\x00\xff"), NOW)
    store.put(b"b", answer(b""), NOW)
    assert store.get(b"a", NOW) == answer(b"\x00\xff")
    assert store.get(b"b", NOW) == answer(b"")
    assert store.get(b"c", NOW) is None
    store.put(b"a", answer(b"newer"), NOW)
    assert store.get(b"a", NOW) == answer(b"newer")
    assert len(store) == 2
    close(store)


@every_store
def test_an_answer_whose_time_is_over_is_gone(name: str, tmp_path: Path) -> None:
    """It is not given, and it takes no room once the store is used again, whatever is asked for."""
    store = opened(name, tmp_path)
    store.put(b"short", answer(lasts=1.0), NOW)
    store.put(b"long", answer(lasts=9.0), NOW)
    assert store.get(b"short", Monotonic(NOW + 0.9)) is not None
    assert store.get(b"other", Monotonic(NOW + 1.0)) is None
    assert len(store) == 1
    assert store.get(b"short", Monotonic(NOW + 1.0)) is None
    store.put(b"late", answer(lasts=1.0), Monotonic(NOW + 5.0))
    assert store.get(b"late", Monotonic(NOW + 5.0)) is None
    close(store)


@every_store
def test_a_newer_answer_lasts_as_long_as_it_says(name: str, tmp_path: Path) -> None:
    """The end of the answer that was there before does not end the one that took its place."""
    store = opened(name, tmp_path)
    store.put(b"a", answer(lasts=1.0), NOW)
    store.put(b"a", answer(b"newer", lasts=100.0), NOW)
    assert store.get(b"a", Monotonic(NOW + 50.0)) is not None
    assert store.get(b"a", Monotonic(NOW + 100.0)) is None
    close(store)


@every_store
def test_the_least_recently_used_makes_room(name: str, tmp_path: Path) -> None:
    """Looking at an answer keeps it; the one that nobody looked at goes."""
    store = opened(name, tmp_path, max_entries=2)
    store.put(b"a", answer(), NOW)
    store.put(b"b", answer(), NOW)
    store.get(b"a", NOW)
    store.put(b"c", answer(), NOW)
    assert [store.get(key, NOW) is not None for key in (b"a", b"b", b"c")] == [True, False, True]
    close(store)


@every_store
def test_what_is_too_large_is_not_kept(name: str, tmp_path: Path) -> None:
    """A large answer pushes nothing out; it does not leave an older one under its key either."""
    store = opened(name, tmp_path, max_entry_bytes=100, max_bytes=4096)
    store.put(b"a", answer(b"x" * 100), NOW)
    store.put(b"b", answer(b"x" * 101), NOW)
    assert [store.get(key, NOW) is not None for key in (b"a", b"b")] == [True, False]
    store.put(b"a", answer(b"x" * 101), NOW)
    assert store.get(b"a", NOW) is None
    close(store)


class Model:
    """What a store must hold, written down plainly."""

    def __init__(self, limits: AnswerStoreSettings) -> None:
        self.limits = limits
        self.held: OrderedDict[bytes, KeptAnswer] = OrderedDict()

    def expire(self, now: float) -> None:
        """Forget what is over."""
        for key in [key for key, each in self.held.items() if each.gone <= now]:
            del self.held[key]

    def size(self) -> int:
        """Bytes of everything."""
        return sum(len(each.body) + OVERHEAD for each in self.held.values())

    def put(self, key: bytes, new: KeptAnswer, now: float) -> None:
        """Keep one."""
        self.expire(now)
        self.held.pop(key, None)
        if len(new.body) > self.limits.max_entry_bytes or new.gone <= now:
            return
        self.held[key] = new
        while self.size() > self.limits.max_bytes or len(self.held) > self.limits.max_entries:
            self.held.popitem(last=False)

    def get(self, key: bytes, now: float) -> KeptAnswer | None:
        """Look one up."""
        self.expire(now)
        if key in self.held:
            self.held.move_to_end(key)
        return self.held.get(key)


KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
STEPS = st.lists(
    st.tuples(st.just("put"), KEYS, st.integers(0, 900), st.floats(0, 20))
    | st.tuples(st.just("get"), KEYS, st.just(0), st.floats(0, 5)),
    max_size=60,
)


@every_store
@given(steps=STEPS, most=st.integers(1, 4))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_the_plain_model_and_bounded(
    name: str, tmp_path: Path, steps: list[tuple[str, bytes, int, float]], most: int
) -> None:
    """Whatever is kept and asked for in whatever order: the same answers as a plain list of them, within the bounds."""
    limits: dict[str, object] = {"max_entries": most, "max_bytes": 3000, "max_entry_bytes": 800}
    for old in tmp_path.iterdir():
        old.unlink()
    store, model = opened(name, tmp_path, **limits), Model(bounds(name, tmp_path, **limits))
    now = float(NOW)
    for what, key, size, seconds in steps:
        if what == "put":
            new = answer(b"x" * size, stored=now, lasts=seconds)
            store.put(key, new, Monotonic(now))
            model.put(key, new, now)
        else:
            now += seconds
            assert store.get(key, Monotonic(now)) == model.get(key, now)
        assert len(store) == len(model.held) <= most
        assert model.size() <= 3000
    close(store)


@every_store
def test_bounds_that_let_nothing_in_are_refused(name: str, tmp_path: Path) -> None:
    """An entry may be as large as everything together at most."""
    with pytest.raises(ValueError, match="max_entry_bytes"):
        bounds(name, tmp_path, max_bytes=1024, max_entry_bytes=1024)
