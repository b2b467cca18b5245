"""The log that broadcasts to cursors."""

from __future__ import annotations

import trio
import trio.testing

from accuser._history import HOT_BYTES, History


def split(block: bytes) -> list[bytes]:
    return block.split()


def make(limit: int = 1_000_000) -> History[bytes]:
    return History(split, limit, bytes.decode)


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


async def test_a_wait_for_a_name_skips_what_has_other_names() -> None:
    history = make()
    publish(history, b"a")
    resumed: list[int] = []

    async def wait() -> None:
        resumed.append(await history.more("b", 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        publish(history, b"a", b"a")
        await trio.testing.wait_all_tasks_blocked()
        assert resumed == []
        publish(history, b"b")
    assert resumed == [3]


async def test_closing_wakes_everybody_and_cancelling_forgets() -> None:
    history = make()
    resumed: list[int] = []

    async def wait(name: str | None) -> None:
        resumed.append(await history.more(name, 0))

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0):
            await history.more("gone", 0)
        assert not history._parked
        nursery.start_soon(wait, "b")
        nursery.start_soon(wait, None)
        await trio.testing.wait_all_tasks_blocked()
        history.close()
    assert resumed == [0, 0]
    assert await history.more("b", 0) == 0
