"""Makes a schedule that violates something as small as it can, while it still does.

Delta debugging: what takes most away is tried first, then the steps one by one, then each value. Every
part of a schedule is a schedule, and playing one in memory takes a fraction of a second; Hypothesis,
which would have to draw everything anew, plays several times as many for the same end.

An executable in real time takes seconds. So its schedules are made small in memory, where the
sandbox's accuser must come to decide the same in the last step, and what comes of that is confirmed with
the executable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs
import msgspec

from .._mavryk.base58_patterns import BLOCK, OPERATION
from .outcome import Executable, Outcome, Pace
from .plainer import joined, plainer_networks, plainer_steps, without
from .playing import play, play_at
from .schedule import Schedule

PLAYS: Final = 500
"""How many schedules are tried at most in memory."""

PLAYS_OF_PROCESSES: Final = 40

_QUICK: Final = Pace(patience=0.5, ends=False)
"""For trials: what they find is confirmed with more patience."""

_HASH = re.compile(rf"\b(?:{BLOCK}|{OPERATION})\b|\d+")

Shows = Callable[[Schedule], bool]


def kind_of(violation: str) -> str:
    """What a violation is about, whatever the hashes and numbers in it."""
    about = _HASH.sub("", violation).partition(": ")[2] or _HASH.sub("", violation)
    return " ".join(about.split()[:2])


def _kinds(outcome: Outcome) -> frozenset[str]:
    return frozenset(map(kind_of, outcome.violations))


@attrs.define(eq=False, repr=False)
class _Shrinker:
    """Looks for the smallest schedule that still shows something.

    Args:
        shows: plays a schedule, and tells.
        best: one that does.
        left: how many may be played.
    """

    shows: Shows
    best: Schedule
    left: int
    accepted: list[Schedule] = attrs.field(factory=list, init=False)
    """The ones that did, ever smaller."""
    _tried: set[bytes] = attrs.field(factory=set, init=False)

    def run(self) -> Schedule:
        """The smallest one found."""
        before = None
        while before != self.best and self.left > 0:
            before = self.best
            self._try(plainer_networks)
            self._fewer_steps()
            self._try(joined)
            self._try(plainer_steps)
        return self.best

    def accepts(self, candidate: Schedule) -> bool:
        """Whether a schedule still shows it; it is the best then."""
        key = candidate.to_json()
        if key in self._tried or self.left <= 0:
            return False
        self._tried.add(key)
        self.left -= 1
        if not self.shows(candidate):
            return False
        self.best = candidate
        self.accepted.append(candidate)
        return True

    def _fewer_steps(self) -> None:
        size = max(1, len(self.best.steps) // 2)
        while size >= 1:
            at = 0
            while at < len(self.best.steps):
                if not self.accepts(without(self.best, at, size)):
                    at += size
            size //= 2

    def _try(self, candidates: Callable[[Schedule], Iterator[Schedule]]) -> None:
        """Take the first candidate that will do, again and again."""
        while any(self.accepts(each) for each in candidates(self.best)):
            pass


def shrink(outcome: Outcome, executable: Executable | None = None, plays: int | None = None) -> Outcome:
    """The outcome of the smallest schedule found that violates the same.

    Args:
        outcome: one with a violation.
        executable: what it was played with.
        plays: how many schedules are tried at most, with the executable where there is one.
    """
    most = PLAYS_OF_PROCESSES if executable is not None else PLAYS
    search = _Search(outcome, executable, most if plays is None else plays)
    return search.run()


@attrs.define(eq=False, repr=False)
class _Search:
    outcome: Outcome
    executable: Executable | None
    left: int
    _begun: Schedule = attrs.field(init=False)
    """Without what came after the violation."""
    _in_the_end: bool = attrs.field(init=False)
    """Whether it was found in the end only."""
    _known: dict[bytes, bool] = attrs.field(factory=dict, init=False)
    """What came of the schedules that the executable has played."""

    def __attrs_post_init__(self) -> None:
        schedule, step = self.outcome.schedule, self.outcome.step
        self._in_the_end = step is None or step >= len(schedule.steps)
        kept = schedule.steps if step is None else schedule.steps[: step + 1]
        self._begun = msgspec.structs.replace(schedule, steps=kept)

    def run(self) -> Outcome:
        """The best outcome, played with patience and to its end."""
        if self.executable is None or self._violates_in_memory(self._begun):
            found = _Shrinker(self._violates_in_memory, self._begun, self._plays_in_memory()).run()
            if self.executable is None:
                return self._confirmed(found)
            if (outcome := self._confirm(found)) is not None:
                return outcome
        return self._as_process()

    def _plays_in_memory(self) -> int:
        return self.left if self.executable is None else PLAYS

    def _pace(self) -> Pace:
        return attrs.evolve(_QUICK, ends=self._in_the_end)

    def _violates_in_memory(self, schedule: Schedule) -> bool:
        return bool(_kinds(self.outcome) & _kinds(play_at(schedule, None, self._pace())))

    def _as_process(self) -> Outcome:
        smallest = self._begun
        for shows in self._alike_in_memory():
            if shows(smallest):
                shrinker = _Shrinker(shows, smallest, PLAYS)
                shrinker.run()
                smallest = self._last_shown([smallest, *shrinker.accepted])
        # In memory it must look the same at least, which is known soon.
        likely, *_ = self._alike_in_memory()
        is_likely = likely(self._begun)

        def shows_as_process(schedule: Schedule) -> bool:
            return (not is_likely or likely(schedule)) and self._shown(schedule)

        return self._confirmed(_Shrinker(shows_as_process, smallest, PLAYS).run())

    def _last_shown(self, ever_smaller: Sequence[Schedule]) -> Schedule:
        """The smallest schedule that the executable still errs on; on the first one it does."""
        if len(ever_smaller) == 1 or self._shown(ever_smaller[-1]):
            return ever_smaller[-1]
        low, high = 0, len(ever_smaller) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._shown(ever_smaller[middle]) else (low, middle)
        return ever_smaller[low]

    def _alike_in_memory(self) -> Iterator[Shows]:
        """What the sandbox's accuser decides while the executable errs; each asks for more than the last."""
        whole = play_at(self._begun, None, self._pace())
        lives = whole.decisions.get("life begun", 0)

        def last(schedule: Schedule) -> Outcome | None:
            found = play_at(schedule, None, self._pace())
            return found if whole.lately <= found.lately and not found.violations else None

        yield lambda schedule: last(schedule) is not None
        yield (
            lambda schedule: (
                (found := last(schedule)) is not None and found.decisions.get("life begun", 0) >= lives
            )
        )
        yield (
            lambda schedule: (
                (found := last(schedule)) is not None and whole.decisions.keys() <= found.decisions.keys()
            )
        )

    def _shown(self, schedule: Schedule) -> bool:
        """Whether the executable does it, too."""
        key = schedule.to_json()
        if key not in self._known:
            if self.left <= 0:
                return False
            self.left -= 1
            found = play_at(schedule, self.executable, self._pace())
            self._known[key] = bool(_kinds(self.outcome) & _kinds(found))
        return self._known[key]

    def _confirm(self, schedule: Schedule) -> Outcome | None:
        found = play(schedule, self.executable)
        return found if _kinds(self.outcome) & _kinds(found) else None

    def _confirmed(self, schedule: Schedule) -> Outcome:
        return self._confirm(schedule) or self.outcome
