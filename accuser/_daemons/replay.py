"""A recording played back: the same waits and handlers, without daemons."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from .._engine.readiness import ReadyEvent
from .._engine.transcript import EVENTS_LIMIT, State, Transcript
from .._errors import RecordingError, UnknownProtocol
from .._mavryk.protocol import Protocol
from .._recording.entries import Exit, Happened, Head, Line, OfDaemon, OfTest, Piece, Ready, Start
from .._recording.reader import read_entries
from .._recording.writer import Recorder
from .._unwrap import plain_errors
from .observed import Observed


@attrs.define(eq=False, repr=False)
class _Lull(trio.abc.Instrument):
    """Waits until no other task can go on.

    As trio's `wait_all_tasks_blocked` does, but `trio.testing` loads pytest where that is there.
    """

    _reached: trio.Event | None = None

    async def wait(self) -> None:
        reached = self._reached = trio.Event()
        await reached.wait()

    def before_io_wait(self, timeout: float) -> None:
        reached = self._reached
        if reached is not None and trio.lowlevel.current_statistics().tasks_runnable == 0:
            self._reached = None
            # It also ends the wait for I/O, of which the duration is settled already.
            trio.lowlevel.current_trio_token().run_sync_soon(reached.set)


@attrs.define(eq=False)
class Replay(Observed):
    """A daemon of a recording; see `open_replay`.

    It has the waits and handlers of a daemon, and ends as the recorded one did. Restarts play on
    in a new session, as they did.
    """

    _entries: list[OfDaemon]
    _session: Transcript = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._session = self._new_session()
        self._waits = self._waits_on(lambda: self._session)

    @property
    def exit_status(self) -> int | None:
        """Exit status of the recorded process, as far as it has been played."""
        return self._session.status

    def _new_session(self) -> Transcript:
        recorder = Recorder(self.name, 0, None)
        # Readiness is an entry of its own.
        return Transcript(
            self.name,
            self.color,
            ReadyEvent(""),
            self._handlers,
            recorder=recorder,
            events_limit=EVENTS_LIMIT,
        )

    async def play(self) -> None:
        """Play to the end. Before each entry everybody else goes on as far as they can.

        So a task that waits for one event after the other sees what it would have seen, whatever
        the order in which tasks run.
        """
        lull = _Lull()
        trio.lowlevel.add_instrument(lull)
        try:
            for entry in self._entries:
                await lull.wait()
                self._take(entry)
                if self._session.failure is not None:
                    raise self._session.failure
            await lull.wait()
        finally:
            trio.lowlevel.remove_instrument(lull)
            self._session.end()

    def _take(self, entry: OfDaemon) -> None:
        session = self._session
        match entry:
            case Start(pid=pid):
                if session.state is State.ENDED:
                    session = self._session = self._new_session()
                session.state = State.RUNNING
                session.pid = pid
            case Happened(item=item):
                session.take_events(item + b"\n")
            case Piece(data=data):
                session.take_events(data + b"\n")
            case Line(stream=stream, text=text):
                session.take_lines(stream, text.encode() + b"\n")
            case Ready():
                session.become_ready()
            case Exit(status=status):
                session.status = status
                session.end()


def replay(path: str | Path, daemon: str | None = None) -> Replay:
    """Read a recording, to play one daemon of it.

    Args:
        path: the file that ``record=`` named.
        daemon: which one, by its name, if the recording has several.

    Raises:
        RecordingError: it is no recording, or has no such daemon, or several to choose from.
    """
    path = Path(path)
    starts: dict[str, Start] = {}
    entries: dict[str, list[OfDaemon]] = {}
    for entry in read_entries(path):
        if isinstance(entry, Head | OfTest):
            continue
        if isinstance(entry, Start):
            starts.setdefault(entry.daemon, entry)
        if daemon is None or daemon == entry.daemon:
            entries.setdefault(entry.daemon, []).append(entry)
    if daemon is None and len(starts) == 1:
        (daemon,) = starts
    if daemon is None or daemon not in starts:
        raise RecordingError(path, f"it has the daemons {', '.join(sorted(starts)) or '(none)'}; name one")
    start = starts[daemon]
    try:
        protocol = None if start.protocol is None else Protocol.parse(start.protocol)
    except UnknownProtocol as error:
        raise RecordingError(path, f"{daemon}: {error}") from error
    return Replay(
        name=daemon,
        color="",
        kind=start.kind,
        protocol=protocol,
        wait_timeout=None,
        unknown_events=True,
        entries=entries[daemon],
    )


@asynccontextmanager
async def open_replay(path: str | Path, daemon: str | None = None) -> AsyncGenerator[Replay]:
    """Play a recording for the length of a block, from the block's first wait on.

    Arguments and errors are those of `replay`. Handlers that the block registers before it waits
    hear of everything.
    """
    player = replay(path, daemon)
    with plain_errors():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(player.play)
            yield player
            nursery.cancel_scope.cancel(reason="the block ended")
