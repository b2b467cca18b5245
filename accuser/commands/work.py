"""What ``accuser run`` does while it runs: the accuser, and beside it what watches and tells."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from typing import Final

import attrs
import click
import trio

from .._daemons.options import EventLevel
from .._recording.writer import Recording
from .alarm import Alarm
from .exposition import PATH, serve
from .health import Health
from .metrics import Metrics, Number
from .notify import Notifier
from .options import split_address
from .view import View

STATUS: Final = 2.0
"""Seconds between two looks at what a service manager is told."""

_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""An address of a name that this machine lacks, as that of IPv6 for localhost."""


@attrs.frozen
class Work:
    view: View
    event_level: EventLevel
    address: str | None
    """Where the metrics are served."""
    about: Mapping[str, str]
    recording: Recording | None
    max_silence: float | None
    restart_when_silent: bool
    alarm_words: tuple[str, ...]
    notifier: Notifier

    def check(self) -> None:
        """Raise `click.ClickException` if a package is missing."""
        if self.address is not None:
            Metrics(self.view.accuser, self.view.tally, self.about)

    async def do(self) -> None:
        """Run the accuser until it is cancelled, or ends for good."""
        view = self.view
        health = Health(view.accuser, view.tally, self.max_silence, self.restart_when_silent)
        alarm = Alarm(self.alarm_words, view.accuser.name, view.say)
        try:
            async with trio.open_nursery() as beside:
                if self.address is not None:
                    await self._serve(beside, self.address, health, alarm)
                if self.alarm_words:
                    view.accuser.on_event(view.guarded(alarm.take))
                    beside.start_soon(alarm.run)
                beside.start_soon(view.refresh)
                beside.start_soon(health.watch, view.say)
                beside.start_soon(self.notifier.keep_alive)
                beside.start_soon(self._tell_status, health)
                self.notifier.tell("READY=1")
                try:
                    await view.accuser.run(event_level=self.event_level)
                finally:
                    self.notifier.tell("STOPPING=1", f"STATUS={view.accuser.name} is stopped")
                beside.cancel_scope.cancel(reason="the accuser ended")
        except trio.Cancelled:
            self.notifier.tell("STOPPING=1")
            raise

    async def _serve(self, beside: trio.Nursery, address: str, health: Health, alarm: Alarm) -> None:
        def more() -> Iterator[Number]:
            return self._numbers(health, alarm)

        page = Metrics(self.view.accuser, self.view.tally, self.about, more).page
        listeners = await listen(address)
        beside.start_soon(serve, listeners, page, lambda: health.trouble)
        for listener in listeners:
            host, port = listener.socket.getsockname()[:2]
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            self.view.say(f"metrics: {url}{PATH}")

    def _numbers(self, health: Health, alarm: Alarm) -> Iterator[Number]:
        yield Number("deaf", "1 if no block came for --max-silence, else 0.", health.deaf, counts=False)
        yield Number("silences", "How often it went deaf.", health.deaf_times)
        lost = 0 if self.recording is None else self.recording.lost
        yield Number("recording_lost_entries", "Entries that the recording lacks, as on a full disk.", lost)
        yield Number("output_dropped_lines", "Lines that nobody read in time.", self.view.output.dropped)
        yield Number("handler_faults", "Events that could not be shown or counted.", self.view.guarded.faults)
        yield Number("alarms_failed", "Commands for denunciations that failed.", alarm.failed)
        yield Number("alarms_dropped", "Denunciations without a command, as too many came.", alarm.dropped)

    async def _tell_status(self, health: Health) -> None:
        while True:
            tally = self.view.tally
            trouble = health.trouble
            self.notifier.status(trouble or f"watching; level {tally.level}, {tally.blocks} blocks processed")
            await trio.sleep(STATUS)


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
