"""The log that broadcasts to cursors."""

from __future__ import annotations

import gc

import pytest
import trio
import trio.testing

from accuser._stream.history import HOT_BYTES, History
from accuser._stream.watch import Watch


def split(block: bytes) -> list[bytes]:
    return block.split()


def make(limit: int = 1_000_000) -> History[bytes]:
    return History(split, limit, bytes.decode, lambda words: {word.decode() for word in words})


def publish(history: History[bytes], *words: bytes) -> None:
    history.publish(b" ".join(words) + b" ", len(words), list(words))


def test_reading_from_anywhere() -> None:
    history = make()
    publish(history, b"a", b"b")
    publish(history, b"c")
    for index in range(5):
        assert [record for _, record in history.read(index)] == [b"a", b"b", b"c"][index:]
    assert [position for position, _ in history.read(1)] == [1, 2]


def test_old_blocks_are_decoded_again_and_the_oldest_dropped() -> None:
    history = make(limit=3 * HOT_BYTES)
    filler = b"x" * (HOT_BYTES // 2)
    for number in range(8):
        publish(history, str(number).encode() + filler)
    assert history.next_index == 8
    assert history.first_index == 3
    assert [record[:1] for _, record in history.read(history.first_index)] == [b"3", b"4", b"5", b"6", b"7"]


def look_for(*names: str, filter: object = None, count: int = 1) -> Watch[bytes]:
    return Watch(frozenset(names), bytes.upper, filter, count, "in a filter")  # type: ignore[arg-type]  # records are bytes here


async def test_a_watch_takes_what_is_published_later() -> None:
    history = make()
    publish(history, b"b")
    watch = look_for("b", "c", count=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(history.watch, watch)
        await trio.testing.wait_all_tasks_blocked()
        publish(history, b"a", b"b")
        publish(history, b"a")
        await trio.testing.wait_all_tasks_blocked()
        assert history.watched
        publish(history, b"c", b"a", b"b", b"b")
    assert watch.taken == [b"B", b"C", b"B"]
    assert watch.index == 6
    assert not history.watched


@pytest.mark.parametrize("words", [(b"a",), (b"a", b"a"), (b"b", b"a")])
async def test_a_filter_that_raises_stop_iteration_is_a_failure_too(words: tuple[bytes, ...]) -> None:
    history = make()

    def broken(word: bytes) -> object:
        return next(iter(()), word) if word == b"B" else next(iter(()))

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="StopIteration")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(history.watch, look_for("a", "b", filter=broken, count=2))
            await trio.testing.wait_all_tasks_blocked()
            publish(history, *words)


async def test_what_a_filter_raises_reaches_its_waiter_alone() -> None:
    history = make()

    def broken(word: bytes) -> None:
        raise KeyError(word)

    other = look_for("a")
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(KeyError) as caught:
                await history.watch(look_for("a", filter=broken))
            assert caught.value.__notes__ == ["in a filter"]

        nursery.start_soon(wait)
        nursery.start_soon(history.watch, other)
        await trio.testing.wait_all_tasks_blocked()
        publish(history, b"a")
    assert other.taken == [b"A"]


async def test_plain_functions_are_asked_once_for_all_waits_that_share_them() -> None:
    history = make()
    asked = []

    def make_filter() -> object:
        def choose(word: bytes) -> bytes | None:
            asked.append(word)
            return word if word == b"YES" else None

        return choose

    closures = [look_for("yes", "no", filter=make_filter()) for _ in range(3)]
    plain = [look_for("yes", "no", filter=lambda word: _note(word)) for _ in range(3)]
    _noted.clear()
    async with trio.open_nursery() as nursery:
        for watch in (*closures, *plain):
            nursery.start_soon(history.watch, watch)
        await trio.testing.wait_all_tasks_blocked()
        publish(history, b"no")
        publish(history, b"yes")
    assert asked == [b"NO"] * 3 + [b"YES"] * 3
    assert _noted == [b"NO", b"YES"]
    assert all(watch.taken == [b"YES"] for watch in (*closures, *plain))


_noted: list[bytes] = []


def _note(word: bytes) -> bytes | None:
    _noted.append(word)
    return word if word == b"YES" else None


@pytest.mark.parametrize("words", [(b"a", b"b", b"a"), (b"b",), (b"a", b"b")])
async def test_behind_what_a_filter_failed_with_the_next_look_begins(words: tuple[bytes, ...]) -> None:
    history = make()

    def broken(word: bytes) -> None:
        if word == b"B":
            raise KeyError(word)

    watch = look_for("a", "b", filter=broken)
    with pytest.RaisesGroup(KeyError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(history.watch, watch)
            await trio.testing.wait_all_tasks_blocked()
            publish(history, *words)
            publish(history, b"a")
    assert watch.left == words.index(b"b") + 1


async def test_a_filter_that_cancels_a_wait_before_its_turn() -> None:
    history = make()
    asked = look_for("a")
    passed_over = look_for("a", filter=lambda word: word)
    cancelled = trio.CancelScope()

    def cancel(word: bytes) -> None:
        cancelled.cancel()

    async def wait() -> None:
        with cancelled:
            await history.watch(passed_over)

    async with trio.open_nursery() as nursery:
        publish(history, b"b")
        for watch in (look_for("a", filter=cancel, count=1), asked):
            nursery.start_soon(history.watch, watch)
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        publish(history, b"a")
        assert asked.complete
        assert passed_over.left == 1  # the index of what it was not asked about
        nursery.cancel_scope.cancel()


async def test_a_filter_may_wait_for_the_same_name() -> None:
    history = make()
    inner = look_for("a")
    async with trio.open_nursery() as nursery:

        def choose(word: bytes) -> bytes:
            nursery.start_soon(history.watch, inner)
            return word

        nursery.start_soon(history.watch, look_for("a", filter=choose))
        await trio.testing.wait_all_tasks_blocked()
        publish(history, b"a")
        await trio.testing.wait_all_tasks_blocked()
        publish(history, b"a")
    assert inner.index == 1


async def test_closing_wakes_everybody_and_cancelling_forgets() -> None:
    history = make()
    ends: list[object] = []

    async def wait() -> None:
        ends.append(await history.watch(look_for("a", "b")))

    async def park() -> None:
        await history.park()
        ends.append("parked")

    with trio.move_on_after(0):
        await history.watch(look_for("a", "b"))
    with trio.move_on_after(0):
        await history.park()
    assert not history.watched
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        nursery.start_soon(park)
        await trio.testing.wait_all_tasks_blocked()
        history.close()
    assert sorted(map(str, ends)) == ["False", "False", "parked"]
    assert not history.watched


async def test_a_filter_may_cancel_its_own_wait_and_others() -> None:
    history = make()
    other = look_for("a", filter=lambda word: None)
    async with trio.open_nursery() as nursery:

        def choose(word: bytes) -> bytes:
            nursery.cancel_scope.cancel()
            return word

        nursery.start_soon(history.watch, look_for("a", filter=choose))
        nursery.start_soon(history.watch, other)
        nursery.start_soon(history.watch, look_for("a", filter=choose))
        await trio.testing.wait_all_tasks_blocked()
        publish(history, b"a")
    assert not history.watched
    publish(history, b"a")


def test_what_is_kept_is_out_of_the_collectors_sight() -> None:
    history = History[str](lambda raw: [raw.decode()], 1024 * 1024)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(500):
        history.publish(b"x\n", 1, ["x"])
    assert history.next_index == 500
    assert len(gc.get_objects()) - before < 50
