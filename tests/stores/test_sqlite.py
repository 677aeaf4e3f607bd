"""The file behind the memory: a restart forgets nothing, and nothing that happens to the file is felt in front."""

import asyncio
import logging
import sqlite3
import stat
from pathlib import Path

import pytest

from standfast.canon.instants import Monotonic
from standfast.clock import ManualClock
from standfast.stores.base import AnswerStoreSettings, KeptAnswer
from standfast.stores.sqlite import VERSION, SqliteAnswers, path_problem

LIMIT = 10.0


def settings(path: Path, **values: object) -> AnswerStoreSettings:
    """Settings of a store in this file."""
    return AnswerStoreSettings.model_validate({"store": "sqlite", "path": str(path), **values})


def opened(path: Path, clock: ManualClock, **values: object) -> SqliteAnswers:
    """A store whose file has been read; what it read comes into memory with the next look-ups."""
    store = SqliteAnswers(settings(path, **values), clock)
    store.get(b"-", clock.now())
    assert store.loaded.wait(LIMIT)
    return store


def close(store: SqliteAnswers) -> None:
    """Close a store, everything written."""
    asyncio.run(store.close())


def answer(clock: ManualClock, body: bytes = b"{}", *, lasts: float = 60.0) -> KeptAnswer:
    """An answer that is whole now."""
    return KeptAnswer(body, "p", "m", fallback=True, stored=clock.now(), gone=Monotonic(clock.now() + lasts))


def rows(path: Path) -> dict[bytes, bytes]:
    """Keys and bodies in the file."""
    file = sqlite3.connect(path)
    try:
        return dict(file.execute("select key, body from answers"))
    finally:
        file.close()


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    """What was kept before a restart is kept after it, with the age that it has by then."""
    path, clock = tmp_path / "a.db", ManualClock(now=1000.0)
    before = opened(path, clock)
    before.put(b"a", answer(clock, b"one"), clock.now())
    before.put(b"b", answer(clock, b"two", lasts=10.0), clock.now())
    close(before)
    later = ManualClock(now=5.0, wall=clock.wall() + 20.0)  # monotonic time has begun anew
    after = opened(path, later)
    found = after.get(b"a", later.now())
    assert found == KeptAnswer(b"one", "p", "m", fallback=True, stored=Monotonic(-15.0), gone=Monotonic(45.0))
    assert after.get(b"b", later.now()) is None
    assert after.get(b"a", Monotonic(45.0)) is None
    close(after)
    assert rows(path) == {}


def test_a_wall_clock_that_jumps_lengthens_nothing(tmp_path: Path) -> None:
    """An answer lasts no longer after a restart than it would have without, even if the clock was set back."""
    path, clock = tmp_path / "a.db", ManualClock()
    before = opened(path, clock)
    before.put(b"a", answer(clock, lasts=60.0), clock.now())
    close(before)
    back = ManualClock(wall=clock.wall() - 1_000_000.0)
    after = opened(path, back)
    found = after.get(b"a", back.now())
    assert found is not None
    assert found.gone - back.now() == pytest.approx(60.0)
    close(after)


def test_the_file_follows_the_memory(tmp_path: Path) -> None:
    """What memory forgets (over, replaced, no room) leaves the file too."""
    path, clock = tmp_path / "a.db", ManualClock()
    store = opened(path, clock, max_entries=2)
    store.put(b"old", answer(clock, b"1"), clock.now())
    store.put(b"short", answer(clock, b"2", lasts=1.0), clock.now())
    store.put(b"new", answer(clock, b"3"), clock.now())
    store.put(b"new", answer(clock, b"4"), clock.now())
    clock.advance(2.0)
    store.get(b"new", clock.now())
    close(store)
    assert rows(path) == {b"new": b"4"}


def test_only_what_fits_is_read(tmp_path: Path) -> None:
    """A file that holds more than memory may is read newest first, and what does not fit leaves it."""
    path, clock = tmp_path / "a.db", ManualClock()
    before = opened(path, clock)
    for n in range(300):
        before.put(b"%03d" % n, answer(clock, b"x", lasts=600.0), clock.now())
        clock.advance(1.0)
    close(before)
    after = opened(path, clock, max_entries=100)
    for _ in range(10):
        after.get(b"-", clock.now())
    assert len(after) == 100
    close(after)
    assert sorted(rows(path)) == [b"%03d" % n for n in range(200, 300)]


def test_a_new_answer_is_not_replaced_by_what_was_read(tmp_path: Path) -> None:
    """Reading happens behind the first requests; what they kept meanwhile stands, in memory and in the file."""
    path, clock = tmp_path / "a.db", ManualClock()
    before = opened(path, clock)
    before.put(b"a", answer(clock, b"old"), clock.now())
    close(before)
    after = SqliteAnswers(settings(path), clock)
    after.put(b"a", answer(clock, b"new"), clock.now())
    assert after.loaded.wait(LIMIT)
    for _ in range(3):
        found = after.get(b"a", clock.now())
        assert found is not None
        assert found.body == b"new"
    close(after)
    assert rows(path) == {b"a": b"new"}


def test_two_processes_may_share_the_file(tmp_path: Path) -> None:
    """Workers write to one file; the next start finds what all of them kept."""
    path, clock = tmp_path / "a.db", ManualClock()
    one, two = opened(path, clock), opened(path, clock)
    one.put(b"a", answer(clock, b"1"), clock.now())
    two.put(b"b", answer(clock, b"2"), clock.now())
    close(one)
    close(two)
    assert rows(path) == {b"a": b"1", b"b": b"2"}


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Kept answers may tell what was asked: nobody else can read them."""
    path, clock = tmp_path / "a.db", ManualClock()
    store = opened(path, clock)
    store.put(b"a", answer(clock), clock.now())
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
    close(store)


@pytest.mark.parametrize("content", [b"this is no database, but long enough to look like one" * 40, None])
def test_a_file_that_cannot_be_used_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    """F8: with no usable file the store is one of memory alone; requests do not notice, the log does, once."""
    path, clock = tmp_path / "a.db", ManualClock()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with caplog.at_level(logging.WARNING, logger="standfast"):
        store = opened(path, clock)
        for n in range(5):
            store.put(b"%d" % n, answer(clock), clock.now())
            assert store.get(b"%d" % n, clock.now()) is not None
        close(store)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.text


def test_a_write_that_fails_is_said_once_and_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """F8: a disk that stops taking writes costs the file its rows, never a request."""
    path, clock = tmp_path / "a.db", ManualClock()
    store = opened(path, clock)
    file = sqlite3.connect(path)
    file.execute("drop table answers")
    file.close()
    with caplog.at_level(logging.WARNING, logger="standfast"):
        store.put(b"a", answer(clock), clock.now())
        store.put(b"b", answer(clock), clock.now())
        assert store.get(b"a", clock.now()) is not None
        close(store)
    assert store.lost == 2
    assert len(caplog.records) == 1


def test_a_file_of_another_version_is_emptied(tmp_path: Path) -> None:
    """What another version wrote cannot be trusted to mean the same; it is a cache, so it begins anew."""
    path, clock = tmp_path / "a.db", ManualClock()
    file = sqlite3.connect(path)
    file.execute("create table answers (key text)")
    file.execute(f"pragma user_version = {VERSION + 1}")
    file.close()
    store = opened(path, clock)
    store.put(b"a", answer(clock, b"1"), clock.now())
    close(store)
    assert rows(path) == {b"a": b"1"}


def test_a_store_that_was_never_used_touches_nothing(tmp_path: Path) -> None:
    """No thread and no file until the first use, so that a process may fork before it serves."""
    store = SqliteAnswers(settings(tmp_path / "a.db"), ManualClock())
    close(store)
    assert list(tmp_path.iterdir()) == []


def test_where_the_file_may_be(tmp_path: Path) -> None:
    """The path must be given, in a directory that exists, and be no directory itself."""
    assert path_problem(settings(tmp_path / "a.db")) == ""
    assert path_problem(AnswerStoreSettings(store="sqlite")) != ""
    assert path_problem(settings(tmp_path)) != ""
    assert path_problem(settings(tmp_path / "none" / "a.db")) != ""
