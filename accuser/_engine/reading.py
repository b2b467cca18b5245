"""The tasks that read what a daemon writes, into the transcript of its session.

They are shielded from cancellation: what they read is what the daemon had to say until its end, which its
session sees to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import attrs
import trio

from .._hosts.host import Running
from .._hosts.paths import READ_SIZE
from .._stream.decoding import decode_steps
from .._stream.framing import Framer
from .._stream.netstring import NetstringFramer
from .readiness import Stream
from .transcript import Transcript

MAX_LINE: Final = 1024 * 1024


@attrs.define(eq=False, repr=False)
class Reading:
    """Reads a daemon's events and outputs, each in a task of its own."""

    _transcript: Transcript
    _framer: Framer | NetstringFramer
    """Cuts the stream of events."""
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when each of the pipes has been read to its end, or is read no longer."""
    _left: bool = attrs.field(default=False, init=False)
    _scope: trio.CancelScope | None = attrs.field(default=None, init=False)
    """That of the tasks, once they have begun."""

    @trio.lowlevel.enable_ki_protection
    async def run(self, running: Running) -> None:
        """Read to the end of each pipe, or until it is left."""
        try:
            if not self._left:
                async with trio.open_nursery() as outputs:
                    self._scope = outputs.cancel_scope
                    self._scope.shield = True
                    outputs.start_soon(self._read_lines, running.process.stdout, "stdout")
                    outputs.start_soon(self._read_lines, running.process.stderr, "stderr")
                    await self._read_events(running.pipe.reader)
        finally:
            self.ended.set()

    def leave(self, why: str) -> None:
        """Read no longer, or not at all; what was read is taken. Does nothing at the end."""
        self._left = True
        if not self.ended.is_set() and self._scope is not None:
            self._scope.cancel(reason=why)

    async def _read_events(self, stream: trio.abc.ReceiveStream) -> None:
        framer, take, events = self._framer, self._transcript.take_records, self._transcript.events
        try:
            while data := await stream.receive_some(framer.step):
                if block := framer.feed(bytes(data)):
                    steps = decode_steps(block)
                    if type(steps) is tuple:
                        # The one step that nearly always comes; this is felt in the latency of an event.
                        self._guarded(take, *steps[0])
                    else:
                        await self._take_steps(take, steps)
                if events.followed and len(data) > framer.step // 2:
                    # Who follows gets the records while they are in the processor's caches.
                    await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            # Between the steps it is shielded, and each lets others run only once.
            if block := framer.finish():
                await self._take_steps(take, decode_steps(block))  # noqa: ASYNC102 - shielded

    @trio.lowlevel.enable_ki_protection
    async def _read_lines(self, stream: trio.abc.ReceiveStream, name: Stream) -> None:
        transcript, framer = self._transcript, Framer(MAX_LINE)
        take = partial(transcript.take_lines, name)
        try:
            while data := await stream.receive_some(READ_SIZE):
                if block := framer.feed(bytes(data)):
                    await self._take_steps(take, transcript.line_steps(name, block))
                if not transcript.ready.is_set():
                    self._guarded(transcript.peek_line, name, framer.pending)
        finally:
            if block := framer.finish():
                await self._take_steps(take, transcript.line_steps(name, block))  # noqa: ASYNC102 - shielded

    async def _take_steps(self, take: Callable[..., None], steps: Iterable[tuple[object, ...]]) -> None:
        """Take what was read, and let others go on between two steps; cancelled or not, all of it."""
        for number, step in enumerate(steps):
            if number:
                # Not cancellable: what has been read must not get lost.
                await trio.lowlevel.cancel_shielded_checkpoint()
            self._guarded(take, *step)

    def _guarded(self, take: Callable[..., None], *arguments: object) -> None:
        # A fault in what is done with the output must not end its reading.
        try:
            take(*arguments)
        except BaseException as error:  # noqa: ASYNC103 - no checkpoint, no Cancelled
            self._transcript.fail(error)
