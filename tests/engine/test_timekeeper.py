"""The time-outs that one task keeps for all waits on a daemon."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from accuser._engine.timekeeper import SPARE, Timekeeper
from accuser._stream.history import History, Late
from tests.stream.test_history import look_for, make, publish

Ends = dict[float, tuple[str, float]]
"""For the seconds of a wait, how it ended, and after how many."""


@contextmanager
def keeping() -> Generator[Timekeeper]:
    keeper = Timekeeper()
    yield keeper
    keeper.stop()


async def wait(history: History[bytes], keeper: Timekeeper, seconds: float, ends: Ends) -> None:
    begun = trio.current_time()
    try:
        end = "found" if await history.watch(look_for("a"), keeper, begun + seconds) else "closed"
    except Late:
        end = "late"
    ends[seconds] = (end, trio.current_time() - begun)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
async def test_each_wait_ends_when_its_own_time_is_over(
    autojump_clock: MockClock, order: tuple[float, ...]
) -> None:
    history = make()
    ends: Ends = {}
    with keeping() as keeper:
        async with trio.open_nursery() as nursery:
            for seconds in order:
                nursery.start_soon(wait, history, keeper, seconds, ends)
                await trio.testing.wait_all_tasks_blocked()
    assert ends == {seconds: ("late", seconds) for seconds in order}
    assert not history.watched


async def test_some_are_in_time(autojump_clock: MockClock) -> None:
    history = make()
    ends: Ends = {}
    with keeping() as keeper:
        async with trio.open_nursery() as nursery:
            for seconds in (0, 1, 3, 3.5, math.inf):
                nursery.start_soon(wait, history, keeper, seconds, ends)
            await trio.sleep(2)
            publish(history, b"a")
    in_time: Ends = dict.fromkeys((3, 3.5, math.inf), ("found", 2.0))
    assert ends == {0: ("late", 0.0), 1: ("late", 1.0), **in_time}


@pytest.mark.parametrize("others", [(), (math.inf,), (70, 80)])
async def test_no_jump_to_the_deadline_of_a_wait_that_has_ended(
    autojump_clock: MockClock, others: tuple[float, ...]
) -> None:
    """Whatever else goes on: the clock of a test stands still for what nobody waits for."""
    history, elsewhere = make(), make()
    ends: Ends = {}
    left = min(others, default=math.inf)
    with keeping() as keeper, trio.CancelScope() as all_of_it:
        async with trio.open_nursery() as nursery:
            for seconds in others:
                nursery.start_soon(wait, elsewhere, keeper, seconds, ends)
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as found:
                found.start_soon(wait, history, keeper, 60, ends)
                await trio.testing.wait_all_tasks_blocked()
                assert trio.lowlevel.current_statistics().seconds_to_next_deadline == 60
                publish(history, b"a")
            assert trio.lowlevel.current_statistics().seconds_to_next_deadline == left
            async with trio.open_nursery() as cancelled:
                cancelled.start_soon(wait, history, keeper, 50, ends)
                await trio.testing.wait_all_tasks_blocked()
                cancelled.cancel_scope.cancel()
            assert trio.lowlevel.current_statistics().seconds_to_next_deadline == left
            all_of_it.cancel()
    assert ends == {60: ("found", 0.0)}
    assert not history.watched


@pytest.mark.parametrize("act", [History.close, lambda history: publish(history, b"a")])
async def test_at_its_deadline_a_wait_is_late(
    autojump_clock: MockClock, act: Callable[[History[bytes]], None]
) -> None:
    """Not now this and now that: as with a scope of its own, the deadline comes before all tasks."""
    for _ in range(20):
        history = make()
        ends: Ends = {}
        with keeping() as keeper:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait, history, keeper, 3, ends)
                await trio.sleep(3)
                act(history)
        assert ends == {3: ("late", 3.0)}


@attrs.define(eq=False)
class ByHand(Timekeeper):
    """Its waits end when the test says so."""

    ends: list[Callable[[], None]] = attrs.field(factory=list, init=False)

    def add(self, deadline: float, end: Callable[[], None]) -> int:
        self.ends.append(end)
        return 0

    def remove(self, number: int) -> None:
        pass


@pytest.mark.parametrize("late_first", [False, True])
@pytest.mark.parametrize("then_cancel", [False, True])
async def test_what_comes_first_counts_and_nobody_is_woken_twice(late_first: bool, then_cancel: bool) -> None:
    history = make()
    ends: Ends = {}
    async with trio.open_nursery() as nursery:
        keeper = ByHand()
        nursery.start_soon(wait, history, keeper, 1, ends)
        await trio.testing.wait_all_tasks_blocked()
        (end,) = keeper.ends
        both: list[Callable[[], object]] = [end, partial(publish, history, b"a")]
        for act in both if late_first else reversed(both):
            act()
        if then_cancel:
            nursery.cancel_scope.cancel()
            end()
    assert [end for end, _ in ends.values()] == ["late" if late_first else "found"]


async def test_what_was_published_since_it_left_is_told() -> None:
    """From there the next wait for the same looks on."""
    history = make()
    watch = look_for("a")
    keeper = ByHand()
    publish(history, b"b", b"a")
    with pytest.RaisesGroup(Late):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(history.watch, watch, keeper, 1)
            await trio.testing.wait_all_tasks_blocked()
            publish(history, b"b")
            keeper.ends[0]()
            publish(history, b"a")
    assert watch.left == 3


async def test_stopped_it_goes_when_the_last_wait_has_ended(autojump_clock: MockClock) -> None:
    """As when a daemon has ended, and what is behind it takes long to be closed."""
    living = trio.lowlevel.current_statistics().tasks_living
    history = make()
    ends: Ends = {}
    keeper = Timekeeper()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, history, keeper, 5, ends)
        nursery.start_soon(wait, history, keeper, 500, ends)
        await trio.testing.wait_all_tasks_blocked()
        keeper.stop()
        await trio.sleep(20)
        assert ends == {5: ("late", 5.0)}
        history.close()
    assert ends == {5: ("late", 5.0), 500: ("closed", 20.0)}
    await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == living


@pytest.mark.parametrize("waits", [0, 1])
async def test_stopped_at_once(waits: int) -> None:
    living = trio.lowlevel.current_statistics().tasks_living
    keeper = Timekeeper()
    numbers = [keeper.add(trio.current_time() + 5, pytest.fail) for _ in range(waits)]
    for number in numbers:
        keeper.remove(number)
    keeper.stop()
    await trio.testing.wait_all_tasks_blocked()
    assert trio.lowlevel.current_statistics().tasks_living == living


async def test_waits_that_have_ended_are_not_kept() -> None:
    """A wait lasts a millisecond, and its deadline is a minute away."""
    await trio.lowlevel.checkpoint()
    with keeping() as keeper:
        lasting = [keeper.add(trio.current_time() + 60, pytest.fail) for _ in range(10)]
        for _ in range(10_000):
            keeper.remove(keeper.add(trio.current_time() + 60, pytest.fail))
        assert len(keeper._order) <= 2 * (len(lasting) + 1) + SPARE + 1
        for number in lasting:
            keeper.remove(number)
