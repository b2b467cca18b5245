"""What ``accuser run`` does while it runs: the accuser, and beside it what watches and tells."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import attrs
import click
import trio

from .._daemons.options import EventLevel
from .._recording.writer import Recording
from .._text import counted
from .alarm import Alarm
from .exposition import PATH, serve
from .health import Health
from .metrics import Measured, Metrics, Number
from .notify import Notifier
from .options import split_address
from .process1 import reap_orphans
from .view import View, refresh

STATUS: Final = 2.0
"""Seconds between two looks at what a service manager is told."""

_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""An address of a name that this machine lacks, as that of IPv6 for localhost."""


@attrs.frozen
class Work:
    views: Sequence[View]
    """One for each accuser."""
    event_level: EventLevel
    address: str | None
    """Where the metrics are served."""
    about: Sequence[Mapping[str, str]]
    """What is told of each accuser."""
    recording: Recording | None
    max_silence: float | None
    restart_when_silent: bool
    alarm_words: tuple[str, ...]
    notifier: Notifier

    @property
    def view(self) -> View:
        """The one that tells of what concerns all of them."""
        return self.views[0]

    def check(self) -> None:
        """Raise `click.ClickException` if a package is missing."""
        if self.address is not None:
            Metrics()

    async def do(self) -> None:
        """Run the accusers until cancelled, or until one of them ends for good."""
        health = [
            Health(view.accuser, view.tally, self.max_silence, self.restart_when_silent)
            for view in self.views
        ]
        alarms = [Alarm(self.alarm_words, view.accuser.name, self.view.say) for view in self.views]
        async with trio.open_nursery() as last:
            if self.alarm_words:
                for view, alarm in zip(self.views, alarms, strict=True):
                    view.accuser.on_event(view.guarded(alarm.take))
                    last.start_soon(alarm.run)
            try:
                await self._do_beside(health, alarms)
            except trio.Cancelled:
                self.notifier.tell("STOPPING=1")
                raise
            finally:
                for alarm in alarms:
                    alarm.finish()

    async def _do_beside(self, health: Sequence[Health], alarms: Sequence[Alarm]) -> None:
        async with trio.open_nursery() as beside:
            if self.address is not None:
                await self._serve(beside, self.address, health, alarms)
            beside.start_soon(refresh, self.views)
            for one in health:
                beside.start_soon(one.watch, self.view.say)
            beside.start_soon(reap_orphans, lambda: [view.accuser.pid for view in self.views])
            beside.start_soon(self.notifier.keep_alive)
            beside.start_soon(self._tell_status, health)
            try:
                await self._run_all()
            finally:
                names = ", ".join(view.accuser.name for view in self.views)
                self.notifier.tell("STOPPING=1", f"STATUS={names} is stopped")
            beside.cancel_scope.cancel(reason="the accuser ended")

    async def _run_all(self) -> None:
        failures: list[Exception] = []
        begun = _Begun(len(self.views), lambda: self.notifier.tell("READY=1"))

        async def run(view: View) -> None:
            try:
                await view.accuser.run(event_level=self.event_level, task_status=begun)
            except Exception as error:
                # The first one is the reason; what it makes of the others says nothing more.
                failures.append(error)
                running.cancel_scope.cancel(reason=f"{view.accuser.name} ended")

        async with trio.open_nursery() as running:
            for view in self.views:
                running.start_soon(run, view)
        if failures:
            raise failures[0]

    async def _serve(
        self, beside: trio.Nursery, address: str, health: Sequence[Health], alarms: Sequence[Alarm]
    ) -> None:
        measured = [
            Measured(view.accuser, view.tally, about, partial(_numbers, one, alarm))
            for view, about, one, alarm in zip(self.views, self.about, health, alarms, strict=True)
        ]
        page = Metrics(*measured, more=self._numbers).page
        listeners = await listen(address)
        beside.start_soon(serve, listeners, page, lambda: trouble(health))
        for listener in listeners:
            host, port = listener.socket.getsockname()[:2]
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            self.view.say(f"metrics: {url}{PATH}")

    def _numbers(self) -> Iterator[Number]:
        lost = 0 if self.recording is None else self.recording.lost
        yield Number("recording_lost_entries", "Entries that the recording lacks, as on a full disk.", lost)
        yield Number("output_dropped_lines", "Lines that nobody read in time.", self.view.output.dropped)
        yield Number("handler_faults", "Events that could not be shown or counted.", self.view.guarded.faults)

    async def _tell_status(self, health: Sequence[Health]) -> None:
        while True:
            tallies = [view.tally for view in self.views]
            level, blocks = max(one.level for one in tallies), sum(one.blocks for one in tallies)
            self.notifier.status(
                trouble(health) or f"watching; level {level}, {counted(blocks, 'block')} processed"
            )
            await trio.sleep(STATUS)


@attrs.define(eq=False, repr=False)
class _Begun(trio.TaskStatus[None]):
    """Tells when all of them have been started: one that cannot be is a service that did not begin."""

    left: int
    tell: Callable[[], object]

    def started(self, value: None = None) -> None:
        self.left -= 1
        if not self.left:
            self.tell()


def trouble(health: Sequence[Health]) -> str | None:
    """What is wrong with any of them; None if nothing is."""
    return "; ".join(said for one in health if (said := one.trouble)) or None


def _numbers(health: Health, alarm: Alarm) -> Iterator[Number]:
    yield Number("deaf", "1 if no block came for --max-silence, else 0.", health.deaf, counts=False)
    yield Number("silences", "How often it went deaf.", health.deaf_times)
    yield Number("alarms_failed", "Commands for denunciations that failed.", alarm.failed)
    yield Number("alarms_dropped", "Denunciations without a command, as too many came.", alarm.dropped)


async def listen(address: str) -> list[trio.SocketListener]:
    """Listen at every address that a name has here.

    Raises:
        click.ClickException: that cannot be.
    """
    host, port = split_address(address)
    listeners: list[trio.SocketListener] = []
    absent: OSError | None = None
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE, proto=socket.IPPROTO_TCP
        )
        for _, _, _, _, where in dict.fromkeys(found):
            try:
                listeners += await trio.open_tcp_listeners(port, host=str(where[0]))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                absent = error
        if not listeners and absent is not None:
            raise absent
    except OSError as error:
        for listener in listeners:
            listener.socket.close()
        raise click.ClickException(
            f"cannot serve metrics at {address}: {error.strerror or error}; "
            "choose another HOST:PORT for --metrics (port 0 takes any free one)"
        ) from error
    return listeners
