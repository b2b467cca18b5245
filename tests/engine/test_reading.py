"""What reads the outputs of a daemon."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from accuser._engine.readiness import ReadySpawned
from accuser._engine.reading import Reading
from accuser._engine.transcript import Handlers, Transcript
from accuser._hosts.host import Running
from accuser._hosts.paths import READ_SIZE
from accuser._recording.writer import Recorder
from accuser._stream.framing import Framer


@attrs.define(eq=False)
class Silent(trio.abc.ReceiveStream):
    """A stream on which nothing comes, or nothing but an error."""

    error: Exception | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Streams:
    """A process and a pipe, as far as they are read."""

    path = Path("pipe")

    def __init__(self, error: Exception | None = None) -> None:
        self.stdout, self.stderr, self.reader = Silent(), Silent(), Silent(error)


def reading() -> Reading:
    recorder = Recorder("x", 1, None)
    return Reading(Transcript("x", "", ReadySpawned(), Handlers(), recorder=recorder), Framer(READ_SIZE))


def running(error: Exception | None = None) -> Running:
    streams = Streams(error)
    return Running(streams, streams)  # type: ignore[arg-type]  # nothing else of them is used


async def test_what_is_left_ends() -> None:
    one, scope = reading(), trio.CancelScope()

    async def run() -> None:
        with scope:
            await one.run(running())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        went_on = not one.ended.is_set()
        one.leave("the test has seen enough")
    assert went_on
    assert one.ended.is_set()


async def test_what_is_left_before_it_begins_does_not_begin() -> None:
    # As where a Ctrl-C comes during the start.
    one = reading()
    one.leave("there was a Ctrl-C")
    with trio.fail_after(60):
        await one.run(running())
    assert one.ended.is_set()


async def test_who_waits_for_the_end_hears_of_a_fault() -> None:
    one, fault = reading(), OSError(5, "Input/output error")
    with pytest.RaisesGroup(OSError):
        await one.run(running(fault))
    assert one.ended.is_set()
