"""A word from one serving process to the others that share its port."""

import copy
import logging

import pytest

from standfast.server.siblings import Siblings, Word
from support.chat import run, until


class Family:
    """Several processes, played in one: what is forked is copied, the sockets are the same."""

    def __init__(self, count: int) -> None:
        self.parent = Siblings(count)
        self.members = [copy.copy(self.parent) for _ in range(count)]
        self.heard: list[list[Word]] = [[] for _ in range(count)]
        for number, member in enumerate(self.members):
            member.listen(number, self.heard[number].append)


def test_all_others_hear_it_once() -> None:
    """Each word reaches every other process, in order, and not the one that said it."""

    async def scenario() -> None:
        family = Family(3)
        for number in range(5):
            family.members[1].tell({"say": str(number), "state": None})
        await until(lambda: len(family.heard[0]) == len(family.heard[2]) == 5)
        assert family.heard[1] == []
        assert family.heard[0] == family.heard[2] == [{"say": str(number), "state": None} for number in range(5)]
        assert [member.number for member in family.members] == [1, 2, 3]
        family.parent.close()

    run(scenario)


def test_who_starts_anew_hears_what_was_said_meanwhile() -> None:
    """A process that takes another's place listens to the same socket: what waits there is heard."""

    async def scenario() -> None:
        parent = Siblings(2)
        first, heard = copy.copy(parent), list[Word]()
        first.listen(0, lambda _: None)
        first.tell({"say": "meanwhile"})
        second = copy.copy(parent)
        second.listen(1, heard.append)
        await until(lambda: heard)
        assert heard == [{"say": "meanwhile"}]
        parent.close()

    run(scenario)


def test_a_word_that_cannot_be_obeyed_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """One that raises is logged, and the next one is heard."""

    async def scenario() -> None:
        parent = Siblings(2)
        first, second, heard = copy.copy(parent), copy.copy(parent), list[Word]()

        def hear(word: Word) -> None:
            if word["say"] == "nonsense":
                raise ValueError("nonsense")
            heard.append(word)

        first.listen(0, lambda _: None)
        second.listen(1, hear)
        first.tell({"say": "nonsense"})
        first.tell({"say": "sense"})
        await until(lambda: heard)
        assert heard == [{"say": "sense"}]
        assert "worker 2 could not do what another one said" in caplog.text
        parent.close()

    run(scenario)


def test_a_full_ear_is_said_so_and_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    """A process that does not listen loses words: the speaker says so and goes on."""

    async def scenario() -> None:
        parent = Siblings(2)
        speaker = copy.copy(parent)
        speaker.listen(0, lambda _: None)
        for _ in range(100_000):
            speaker.tell({"say": "x" * 1_000})
            if caplog.records:
                break
        assert "worker 2 was not told" in caplog.text
        parent.close()

    with caplog.at_level(logging.ERROR):
        run(scenario)


def test_one_process_is_alone() -> None:
    """Without others there are no sockets, and a word goes nowhere."""

    async def scenario() -> None:
        alone = Siblings(1)
        alone.listen(0, lambda _: None)
        alone.tell({"say": "hello"})
        assert (len(alone), alone.number) == (1, 1)
        alone.close()

    run(scenario)
