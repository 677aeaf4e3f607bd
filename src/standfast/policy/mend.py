"""Mending an answer that broke off after its first content, without lying about it.

    replay   (default) the request is sent again, and while the new text equals what the client has, it is swallowed;
             then the new attempt goes on. The answer is wholly that attempt's. At the first difference it is stopped
             and the break is reported: two answers are never spliced.
    resume   (opt-in) another attempt continues from the text that the client has. The answer has two sources and is
             marked so. What cannot be continued is replayed, if it can be: a replay tells no lies either.
    error    the break is reported.

Rules:

* Whether the client's side allows a repetition (text only, not inside a tool call ...) is the driver's word.
* Only a model that is known to continue an answer (`canon.facts`) is asked to. Others would begin anew or refuse, and
  the one must not be spliced, the other costs an attempt.
* Only what was the upstream's fault is mended; not the client's leave, its deadline, or a policy's refusal.
* The break may have been billed and counts as one ambiguous failure, so `max_ambiguous: 1` allows this one repetition
  and no other after it, and 0 allows none. It is an attempt like any other, and never goes without the retry budget.
* A repetition that fails before its first content has not begun, and the next target is asked, as long as the limits
  allow. One that breaks after it was the last: an answer that has broken twice is reported.
* Who is asked: the same model elsewhere, with another key if the key was to blame, at the same deployment if the kind
  of failure allows that. Last of all another model, although its text will hardly be the same: models that are one have
  many names (a router's, a cloud's), a wrong guess costs one prompt, and the other choice is an error for certain.
"""

from collections.abc import Iterator
from typing import Literal, TypeAlias

from standfast.canon.failure import Blame, Failure, SameTarget
from standfast.canon.instants import Monotonic
from standfast.policy.effort import Effort, Run
from standfast.policy.preference import SOFT
from standfast.policy.route import Target
from standfast.policy.steps import Purpose

OnBreak: TypeAlias = Literal["replay", "resume", "error"]
"""What becomes of an answer that breaks off after its first content."""


class Mending:
    """One broken answer, and the attempts to give it again.

    Args:
        effort: what the request may still do.
        run: the attempt that broke.
        failure: how.
        replayable: the driver can compare and swallow what the client has.
        resumable: the driver can have it continued.

    Attributes:
        failure: how the answer broke.
    """

    __slots__ = ("_effort", "_purposes", "_run", "_unable", "failure")

    def __init__(self, effort: Effort, run: Run, failure: Failure, *, replayable: bool, resumable: bool) -> None:
        self.failure = failure
        self._effort = effort
        self._run = run
        self._unable: set[tuple[Purpose, Target]] = set()
        self._purposes: tuple[Purpose, ...] = ()
        on_break = effort.route.on_break
        if on_break != "error" and failure.meaning.blame is not Blame.NOBODY:
            resume = (Purpose.RESUME,) if resumable and on_break == "resume" else ()
            replay = (Purpose.REPLAY,) if replayable else ()
            self._purposes = resume + replay
        effort.ambiguous += 1
        effort.broke = False

    def unable(self, run: Run) -> None:
        """This target's wire format cannot express the repetition."""
        self._unable.add((run.purpose, run.target))

    def next(self, now: Monotonic) -> Run | None:
        """The next repetition, or None: report the break."""
        effort = self._effort
        if not self._purposes or now >= effort.ask.deadline or effort.exhausted():
            return None
        effort.wishes.look(now)
        return self._ask(now, soft=False) or (None if effort.broke else self._ask(now, soft=True))

    def _ask(self, now: Monotonic, *, soft: bool) -> Run | None:
        """The first that may be asked; if `soft`, among those that were passed over for a soft reason."""
        effort, denied = self._effort, self._effort.wishes.denied
        for purpose in self._purposes:
            for target, tried in self._candidates():
                if (purpose, target) in self._unable or (purpose is Purpose.RESUME and not _continues(target)):
                    continue
                if soft and (target not in denied or denied[target].why not in SOFT):
                    continue
                run = effort.admit(target, now, purpose, charged=True, tried=tried, soft=soft)
                if run is not None or effort.broke:
                    return run
        return None

    def _candidates(self) -> Iterator[tuple[Target, set[int]]]:
        """Whom to ask, best first, and the keys not to use there."""
        wishes, broken, meaning = self._effort.wishes, self._run.target, self.failure.meaning
        none: set[int] = set()
        others: list[Target] = []
        for target in wishes.untried():
            if target.deployment.model == broken.deployment.model:
                yield target, none
            else:
                others.append(target)
        if wishes.past[broken].tries == 1:
            if meaning.other_key:
                yield broken, wishes.past[broken].keys
            if meaning.same_target is SameTarget.QUICK:
                yield broken, none
        yield from ((target, none) for target in others)


def _continues(target: Target) -> bool:
    return target.facts is not None and target.facts.continuation
