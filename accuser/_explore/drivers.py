"""How the accusers of an exploration run: as tasks of this process, or as processes of an executable."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import trio

from .. import Accuser, DaemonExited, Endpoint, Toolchain
from .. import Protocol as ChainProtocol
from ..sandbox.surroundings.memory import Pipe, Reader
from ..sandbox.surroundings.network import Network
from ..sandbox.surroundings.task import ProgramTask
from .asleep import sleeps
from .schedule import Watcher
from .words import Said

_PIPE: Final = "/exploration/events"
_BASE_DIR: Final = Path(__file__).parent
"""An accuser must have some folder; one in memory reads its file ``config``, if there is one, and no more."""

_SETTLED: Final = 0.001
"""Seconds of a clock that only goes on when nobody has anything to do."""

Heard = Callable[[Said, bytes], object]
"""Told of an event, and of the bytes of its item."""


class Driver(Protocol):
    """One accuser, which runs or does not."""

    @property
    def is_alive(self) -> bool: ...

    @property
    def status(self) -> int | None:
        """Exit status of its last life; the negative number of a signal; None before its first end."""

    async def start(self) -> None:
        """Begin a life; what it does first need not be done when this returns."""

    async def stop(self, how: str) -> None:
        """End its life by SIGKILL if ``how`` is ``kill``, else by SIGTERM, and wait for the end."""

    async def settle(self, until: Callable[[], bool], *, begins: bool = False) -> None:
        """Wait until it has nothing to do any more.

        Args:
            until: whether it has come as far as it must.
            begins: whether it begins a life, before which it may have to look for its node.
        """


def said(item: Mapping[str, Any]) -> Said | None:
    """An item of an event sink; None for one that is not about what an accuser does."""
    content = item.get("fd-sink-item.v0", {})
    event = content.get("event")
    if not isinstance(event, dict) or len(event) != 1:
        return None
    ((name, value),) = event.items()
    plain, dot, _ = name.rpartition(".")
    section = tuple(content["section"])
    if section and section[0] == "internal_event_unix":
        return None
    return Said(section, plain if dot else name, value)


def arguments(watcher: Watcher) -> tuple[str, ...]:
    """What an accuser is run with besides its node."""
    kept = watcher.preserved_levels
    levels = () if kept is None else ("--preserved-levels", str(kept))
    return (*levels, *(("--keep-alive",) if watcher.keep_alive else ()))


@attrs.define(eq=False, repr=False)
class InMemory:
    """An accuser of the sandbox as a task. Its clock is trio's, which jumps ahead when all wait."""

    name: str
    watcher: Watcher
    port: int
    network: Network
    nursery: trio.Nursery
    clock: Callable[[], float]
    heard: Heard
    _task: ProgramTask | None = attrs.field(default=None, init=False)
    _pipe: Pipe | None = attrs.field(default=None, init=False)

    @property
    def is_alive(self) -> bool:
        return self._task is not None and not self._task.has_exited()

    @property
    def status(self) -> int | None:
        return None if self._task is None else self._task.status

    async def start(self) -> None:
        protocol = ChainProtocol.parse(self.watcher.protocol)
        self._pipe = pipe = Pipe()
        endpoint = f"http://127.0.0.1:{self.port}"
        words = ("-E", endpoint, "--base-dir", str(_BASE_DIR), "run", *arguments(self.watcher))
        environ = {
            "MAVRYK_EVENTS_CONFIG": f"file-descriptor-path://{_PIPE}?section-prefix=:debug",
            "MAVRYK_EVENT_HOSTNAME": "exploration",
        }
        self._task = task = ProgramTask(
            protocol.accuser_binary, words, environ, self.clock, self.network, {_PIPE: pipe}.get, 1
        )
        self.nursery.start_soon(self._read, Reader(pipe))
        for stream in (task.stdout, task.stderr):
            self.nursery.start_soon(_drain, stream)
        self.nursery.start_soon(task.run, name=self.name)
        await trio.lowlevel.checkpoint()

    async def _read(self, reader: Reader) -> None:
        buffer = b""
        while data := await reader.receive_some():
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                event = said(json.loads(line))
                if event is not None:
                    self.heard(event, line)

    async def stop(self, how: str) -> None:
        if self._task is not None:
            self._task.send(signal.SIGKILL if how == "kill" else signal.SIGTERM)
            await self._task.wait_exited()
        if self._pipe is not None:
            self._pipe.close_writing()

    async def settle(self, until: Callable[[], bool], *, begins: bool = False) -> None:
        """Wait until nobody has anything to do."""
        await trio.sleep(_SETTLED)


async def _drain(stream: trio.abc.ReceiveStream) -> None:
    while await stream.receive_some(65536):
        pass


_LOOKS: Final = 0.01
_QUIET: Final = 0.02
"""Seconds of silence after which a process that has done what it had to do is thought to be done."""

_BLIND_QUIET: Final = 0.1
"""The same where it cannot be seen whether the process sleeps."""

_START: Final = 20.0
"""Seconds for which an accuser may sleep before it is ready: it looks for its node now and then."""


@attrs.define(eq=False, repr=False)
class AsProcess:
    """An accuser as a process, in real time, by the public interface."""

    name: str
    watcher: Watcher
    port: int
    nursery: trio.Nursery
    toolchain: Toolchain
    path: Path | None
    heard: Heard
    activity: Callable[[], int]
    """Counts what the accuser has asked."""
    patience: float
    """Seconds for which it may sleep, and still do what it has to do."""
    _accuser: Accuser | None = attrs.field(default=None, init=False)
    _events: int = attrs.field(default=0, init=False)

    @property
    def is_alive(self) -> bool:
        return self._accuser is not None and self._accuser.running

    @property
    def status(self) -> int | None:
        return None if self._accuser is None else self._accuser.exit_status

    async def start(self) -> None:
        watcher = self.watcher
        self._accuser = accuser = Accuser(
            ChainProtocol.parse(watcher.protocol),
            Endpoint(f"http://127.0.0.1:{self.port}"),
            preserved_levels=watcher.preserved_levels,
            arguments=("--keep-alive",) if watcher.keep_alive else (),
            toolchain=self.toolchain,
            path=self.path,
            name=self.name,
        )

        def note(event: Any) -> None:
            self._events += 1
            told = said({"fd-sink-item.v0": {"section": event.section, "event": {event.name: event.value}}})
            if told is not None:
                self.heard(told, b"")

        accuser.on_event(note)
        await self.nursery.start(self._run, accuser)

    @staticmethod
    async def _run(accuser: Accuser, *, task_status: trio.TaskStatus[None]) -> None:
        # How it ends is judged. That it cannot be run at all, or loses its place, is no fault of its own, and
        # ends the play.
        with contextlib.suppress(DaemonExited):
            await accuser.run(event_level="debug", may_exit=True, task_status=task_status)

    def _sleeps(self) -> bool | None:
        """Whether it waits for others; None where it cannot be seen, as in a container."""
        pid = None if self._accuser is None else self._accuser.pid
        return None if pid is None or self.toolchain.host is not None else sleeps(pid)

    async def stop(self, how: str) -> None:
        if self._accuser is not None:
            await (self._accuser.kill() if how == "kill" else self._accuser.terminate())

    async def settle(self, until: Callable[[], bool], *, begins: bool = False) -> None:
        """Wait until it has come so far, and then until it is quiet; or until it has slept too long.

        How long it works, or waits for a processor, does not matter: only while it sleeps, and neither
        writes nor asks for anything, does time pass for it.
        """
        patience = max(self.patience, _START) if begins else self.patience
        seen, quiet_since = -1, trio.current_time()
        while self.is_alive:  # noqa: ASYNC110 - it is silence that is waited for
            asleep = self._sleeps()
            now = self._events + self.activity()
            if now != seen or asleep is False:
                seen, quiet_since = now, trio.current_time()
            quiet = trio.current_time() - quiet_since
            if quiet >= (_QUIET if asleep else _BLIND_QUIET) and (quiet >= patience or until()):
                return
            await trio.sleep(_LOOKS)
