"""The time-outs of the waits on a daemon that runs, which one task keeps for all of them.

A cancel scope around each wait does the same. But to leave one is two dozen calls, between the event that a
task waited for and its next step: that was a tenth of the latency.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Final

import attrs
import trio

SPARE: Final = 64
"""Deadlines of waits that have ended may stay, as many as those that have not, and so many more."""


@attrs.define(eq=False, repr=False)
class Timekeeper:
    """Ends waits whose time is over; `stop` lets it go when the last of them has ended.

    Its task begins with the first wait. It is none of the daemon's nursery, which waits for its tasks, while
    waits may last until all is closed behind the daemon.
    """

    _ends: dict[int, Callable[[], None]] = attrs.field(factory=dict, init=False)
    """What ends each wait."""
    _order: list[tuple[float, int]] = attrs.field(factory=list, init=False)
    """A heap of deadlines, also of waits that have ended."""
    _numbers: Iterator[int] = attrs.field(factory=itertools.count, init=False)
    _alarm: trio.CancelScope | None = attrs.field(default=None, init=False)
    """Its deadline is never after the earliest one of a wait; None before the first wait."""
    _exact: bool = attrs.field(default=False, init=False)
    """Whether the clock may jump to the next deadline, and so must not see one of a wait that has ended."""
    _stopping: bool = attrs.field(default=False, init=False)

    def add(self, deadline: float, end: Callable[[], None]) -> int:
        """Call ``end`` at the deadline, by trio's clock; return the number for `remove`."""
        if self._alarm is None:
            self._exact = hasattr(trio.lowlevel.current_clock(), "autojump_threshold")
            self._alarm = trio.CancelScope(shield=True)
            trio.lowlevel.spawn_system_task(self._run, name="accuser: ends waits in time")
        number = next(self._numbers)
        self._ends[number] = end
        if len(self._order) > 2 * len(self._ends) + SPARE:
            self._order = [one for one in self._order if one[1] in self._ends]
            heapq.heapify(self._order)
        heapq.heappush(self._order, (deadline, number))
        if deadline < self._alarm.deadline:
            self._alarm.deadline = deadline
        return number

    def remove(self, number: int) -> None:
        """Forget a wait that has ended."""
        del self._ends[number]
        if self._exact or self._stopping:
            self._set_alarm()

    def stop(self) -> None:
        """End the task as soon as no wait is left; none is to be added any more."""
        self._stopping = True
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is None:
            return
        if self._stopping and not self._ends:
            self._alarm.cancel()
            return
        while self._order and self._order[0][1] not in self._ends:
            heapq.heappop(self._order)
        deadline = self._order[0][0] if self._order else math.inf
        if deadline != self._alarm.deadline:
            self._alarm.deadline = deadline

    async def _run(self) -> None:
        # Shielded: only `stop` ends it, which comes with the daemon's end.
        while self._ends or not self._stopping:
            assert self._alarm is not None
            with self._alarm:
                await trio.lowlevel.wait_task_rescheduled(self._ring)
            self._alarm = trio.CancelScope(shield=True)
            self._set_alarm()

    def _ring(self, _: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        # Here, and not in the task: trio calls this as soon as the deadline has come, before any task goes
        # on, so that what happens in the same turn is as late for a wait as with a scope of its own.
        now = trio.current_time()
        while self._order and self._order[0][0] <= now:
            if end := self._ends.get(heapq.heappop(self._order)[1]):
                end()
        return trio.lowlevel.Abort.SUCCEEDED
