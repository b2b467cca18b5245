"""A command that is run when a double signing was denounced, so that somebody is woken up.

Invariant: it is bounded in number and in time, and what becomes of it decides over nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Final

import attrs
import trio

from .._stream.event import Event
from .._text import counted
from .tally import DENOUNCED

AT_A_TIME: Final = 4
WAITING: Final = 100
"""Denunciations that wait for one of them to end; more are dropped."""

PATIENCE: Final = 30.0
"""Seconds that a command may take."""

LAST: Final = 5.0
"""Seconds that those which run or wait may take once everything else has ended."""


@attrs.define(eq=False, repr=False)
class Alarm:
    """Runs a command for each denunciation, with a JSON object on its standard input.

    Args:
        words: the command.
        accuser: the accuser's name, for the object.
        say: takes a line, and its style.
    """

    words: tuple[str, ...]
    accuser: str
    say: Callable[[str, str], None]
    patience: float = PATIENCE
    dropped: int = attrs.field(default=0, init=False)
    """Denunciations that no command was run for, since too many came, or at the end."""
    failed: int = attrs.field(default=0, init=False)
    """Commands that could not be run, took too long or ended with another status than 0."""
    _send: trio.MemorySendChannel[bytes] = attrs.field(init=False)
    _receive: trio.MemoryReceiveChannel[bytes] = attrs.field(init=False)
    _running: trio.CancelScope = attrs.field(factory=lambda: trio.CancelScope(shield=True), init=False)

    def __attrs_post_init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel(WAITING)

    def take(self, event: Event) -> None:
        if kind := DENOUNCED.get(event.name):
            told = {"accuser": self.accuser, "kind": kind, "event": event.name, "value": event.value}
            told["time_stamp"] = event.timestamp
            try:
                self._send.send_nowait(json.dumps(told).encode() + b"\n")
            except (trio.WouldBlock, trio.ClosedResourceError):
                self.dropped += 1

    async def run(self) -> None:
        """Run the commands until `finish`, and for `LAST` seconds more; cancelling does not end it."""
        with self._running:
            async with trio.open_nursery() as nursery:
                for _ in range(AT_A_TIME):
                    nursery.start_soon(self._work)
        left = self._receive.statistics().current_buffer_used
        self.dropped += left
        if left or self._running.cancelled_caught:
            waiting = counted(left, "denunciation")
            self.say(f"at the end: {waiting} without the command for them, or it was killed", "red")

    def finish(self) -> None:
        """Take no more, and let what is under way end, for a short time."""
        self._send.close()
        self._running.deadline = trio.current_time() + LAST

    async def _work(self) -> None:
        async for told in self._receive:
            reason = await self._run_one(told)
            if reason:
                self.failed += 1
                self.say(f"the command for denunciations {reason}", "red")

    async def _run_one(self, told: bytes) -> str:
        try:
            with trio.move_on_after(self.patience) as scope:
                done = await trio.run_process(
                    list(self.words),
                    stdin=told,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    check=False,
                    process_group=0,
                    deliver_cancel=_kill_group,
                )
        except OSError as error:
            # One that does not read what it is told may end all the same.
            return f"could not be run: {error.strerror or error}"
        if scope.cancelled_caught:
            return f"took longer than {self.patience:g} s, and was killed"
        return f"ended with status {done.returncode}" if done.returncode else ""


async def _kill_group(process: trio.Process) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    await trio.lowlevel.checkpoint()
