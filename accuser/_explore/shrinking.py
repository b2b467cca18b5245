"""Makes a schedule that violates something as small as it can, while it still does.

Steps are left out by delta debugging, and what is left is made plainer, until nothing more goes: every part
of a schedule is a schedule, and playing one takes a fraction of a second. Hypothesis, which would have to
draw everything anew, plays several times as many for the same end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import attrs
import msgspec

from .._mavryk.base58_patterns import BLOCK, OPERATION
from .outcome import Executable, Outcome
from .playing import play
from .schedule import Schedule, Step, Watcher

PLAYS = 400
"""How many schedules are tried at most."""

PLAYS_OF_PROCESSES = 120

_HASH = re.compile(rf"\b(?:{BLOCK}|{OPERATION})\b|\d+")


def kind_of(violation: str) -> str:
    """What a violation is about, whatever the hashes and numbers in it."""
    about = _HASH.sub("", violation).partition(": ")[2] or _HASH.sub("", violation)
    return " ".join(about.split()[:2])


@attrs.define(eq=False)
class _Shrinker:
    kinds: frozenset[str]
    executable: Executable | None
    best: Outcome
    left: int
    tried: set[bytes] = attrs.field(factory=set)

    def accepts(self, candidate: Schedule) -> bool:
        """Whether a schedule still shows it; it is the best then."""
        key = candidate.to_json()
        if key in self.tried or self.left <= 0:
            return False
        self.tried.add(key)
        self.left -= 1
        outcome = play(candidate, self.executable)
        if not self.kinds & {kind_of(each) for each in outcome.violations}:
            return False
        self.best = outcome
        return True

    @property
    def schedule(self) -> Schedule:
        return self.best.schedule

    def run(self) -> None:
        step = self.best.step
        if step is not None and step + 1 < len(self.schedule.steps):
            self._with(self.schedule.steps[: step + 1])
        before = None
        while before != self.schedule and self.left > 0:
            before = self.schedule
            self._fewer_steps()
            self._try(_plainer_networks)
            self._try(_plainer_steps)

    def _with(self, steps: Sequence[Step]) -> bool:
        return self.accepts(msgspec.structs.replace(self.schedule, steps=tuple(steps)))

    def _fewer_steps(self) -> None:
        size = max(1, len(self.schedule.steps) // 2)
        while size >= 1:
            at = 0
            while at < len(self.schedule.steps):
                steps = self.schedule.steps
                if not self._with(steps[:at] + steps[at + size :]):
                    at += size
            size //= 2

    def _try(self, candidates: Callable[[Schedule], Iterator[Schedule]]) -> None:
        """Take the first candidate that will do, again and again."""
        while any(self.accepts(each) for each in candidates(self.schedule)):
            pass


def shrink(outcome: Outcome, executable: Executable | None = None, plays: int | None = None) -> Outcome:
    """The outcome of the smallest schedule found that violates the same.

    Args:
        outcome: one with a violation.
        executable: what it was played with.
        plays: how many schedules are tried at most.
    """
    most = plays if plays is not None else PLAYS if executable is None else PLAYS_OF_PROCESSES
    kinds = frozenset(kind_of(each) for each in outcome.violations)
    shrinker = _Shrinker(kinds, executable, outcome, most)
    shrinker.run()
    return shrinker.best


def _plainer_networks(schedule: Schedule) -> Iterator[Schedule]:
    replace = msgspec.structs.replace
    watchers = schedule.watchers
    if len(watchers) > 1:
        for index in range(len(watchers)):
            yield replace(schedule, watchers=watchers[:index] + watchers[index + 1 :])
    if schedule.nodes > 1:
        yield replace(schedule, nodes=1)
        yield replace(schedule, nodes=schedule.nodes - 1)
    if schedule.upgrades:
        yield replace(schedule, upgrades={})
    if schedule.replaced:
        yield replace(schedule, replaced=False)
    if schedule.seed:
        yield replace(schedule, seed=0)
    for index, watcher in enumerate(watchers):
        for plain in _plainer_watchers(watcher):
            yield replace(schedule, watchers=(*watchers[:index], plain, *watchers[index + 1 :]))


def _plainer_watchers(watcher: Watcher) -> Iterator[Watcher]:
    replace = msgspec.structs.replace
    if watcher.node:
        yield replace(watcher, node=0)
    if watcher.keep_alive:
        yield replace(watcher, keep_alive=False)
    if watcher.preserved_levels is not None:
        yield replace(watcher, preserved_levels=None)


def _plainer_steps(schedule: Schedule) -> Iterator[Schedule]:
    """Each value of each step as it is by default."""
    for index, step in enumerate(schedule.steps):
        for field in msgspec.structs.fields(step):
            if getattr(step, field.name) != field.default:
                plain = msgspec.structs.replace(step, **{field.name: field.default})
                yield msgspec.structs.replace(
                    schedule, steps=(*schedule.steps[:index], plain, *schedule.steps[index + 1 :])
                )
