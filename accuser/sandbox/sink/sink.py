"""The event sinks of one process: ``MAVRYK_EVENTS_CONFIG``, and the log on standard error.

Each event goes to the sinks one after the other, the last activated first; a sink that fails
hides the event from the rest. A path is opened once, at the start: a FIFO that nobody reads makes
whoever starts wait there. A full pipe makes the emitter wait, not the program.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import trio

from .descriptor import NamedPipe, Outlet, Outlets, opened
from .item import item
from .item import unbreakable as unbreakable
from .uri import Format, SinkUri, SinkUriError, Target, parse, path_of, sanitized, scheme
from .uri import Level as Level

VARIABLE: Final = "MAVRYK_EVENTS_CONFIG"
SHORT_STDOUT: Final = "file-descriptor-stdout:?format=pp-short&level-at-least=notice"
DEFAULT: Final = ("file-descriptor-stderr:///?level-at-least=notice&format=pp-short&colors=true",)


class SinkError(Exception):
    """The sinks could not be set up. ``lines`` is what upstream says after ``Fatal error:``."""

    def __init__(self, reason: str) -> None:
        self.lines: Final = ("ERROR Initializing Internal_event_unix:", "Error:", f"  {reason}", "", "")
        super().__init__("\n".join(self.lines))


class SinkWriteError(Exception):
    """An event could not be written; ``str()`` is upstream's message."""


class Output:
    """One activated sink."""

    def __init__(self, uri: SinkUri, clock: Callable[[], float], outlets: Outlets, pid: int) -> None:
        self.uri: Final = uri
        self._clock = clock
        self._pid = pid
        self._day = ""
        self._fd = -1
        self._pipe: NamedPipe | None = None
        self._shared: Outlet | None = None
        if uri.target is Target.PATH:
            self._shared = self._pipe = outlets.pipe(uri.path)
        else:
            self._shared = outlets.standard(1 if uri.target is Target.STDOUT else 2)

    @property
    def is_path(self) -> bool:
        """Whether this sink owns its descriptor."""
        return self.uri.target is Target.PATH

    @property
    def colored(self) -> bool:
        """Whether escape codes go out: a terminal, and they were asked for."""
        if not self.uri.colors or self.is_path or self._shared is None:
            return False
        return self._shared.isatty() and os.environ.get("TERM") != "dumb"

    async def open(self) -> None:
        """Open its file, if it has one of its own, before anything is written. Raises ``OSError``."""
        if self._shared is not None:
            return
        path = Path(self.uri.path)
        if self.uri.create_dirs:
            path.parent.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - takes microseconds
        name = self.uri.path
        if self.uri.daily_logs is not None:
            # Upstream's quirk: the first file of a rotation has the date and not the process id.
            self._day = _day(self._clock())
            name = _before_extension(name, self._day)
        elif self.uri.with_pid:
            name = _before_extension(name, str(self._pid))
        how = os.O_TRUNC if self.uri.fresh else os.O_APPEND
        self._fd = await opened(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, self.uri.mode)

    async def write(self, data: bytes, at: float) -> None:
        """Write an item. Raises ``OSError``; one for a closed descriptor is swallowed."""
        if self._shared is not None:
            await self._shared.write(data)
            return
        self._rotate(at)
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                try:
                    await trio.lowlevel.wait_writable(self._fd)
                except trio.ClosedResourceError:
                    raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None

    def _rotate(self, at: float) -> None:
        if self.uri.daily_logs is None or (day := _day(at)) == self._day:
            return
        base = self.uri.path
        base = _before_extension(base, str(self._pid)) if self.uri.with_pid else base
        os.close(self._fd)
        self._day = day
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(_before_extension(base, day), flags, self.uri.mode)
        stem, extension = os.path.splitext(os.path.basename(base))
        dated = re.compile(re.escape(stem) + r"-\d{8}" + re.escape(extension))
        files = sorted(
            (entry for entry in Path(base).parent.iterdir() if dated.fullmatch(entry.name)), reverse=True
        )
        for old in files[self.uri.daily_logs :]:
            old.unlink(missing_ok=True)

    def close(self) -> None:
        """Close what was opened here. Safe to repeat."""
        if self._pipe is not None:
            self._pipe.close()
        if self.is_path and self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(RuntimeError):  # no event loop: nobody waits for it
                trio.lowlevel.notify_closing(fd)
            os.close(fd)


class Sink:
    """All sinks of one process. Built by ``from_environment``, or of outputs for other uses."""

    def __init__(
        self,
        outputs: Iterable[Output] = (),
        *,
        clock: Callable[[], float] = time.time,
        hostname: str = "",
        outlets: Outlets | None = None,
        pid: int | None = None,
    ) -> None:
        self._outputs = list(outputs)
        self._pid = os.getpid() if pid is None else pid
        self._clock = clock
        self._hostname = hostname
        self._outlets = Outlets() if outlets is None else outlets
        self._lock = trio.Lock()
        self._stderr = self._outlets.standard(2)

    @classmethod
    async def from_environment(
        cls,
        environ: Mapping[str, str],
        program: str,
        *,
        default: tuple[str, ...] = DEFAULT,
        clock: Callable[[], float] = time.time,
        outlets: Outlets | None = None,
        pid: int | None = None,
    ) -> Sink:
        """Activate the sinks of ``MAVRYK_EVENTS_CONFIG``, then the default ones.

        A FIFO that nobody reads makes this wait, and no other task. The first item,
        ``uri_loaded_from_env.v0``, is written before this returns; it does not go to the default sinks.

        Args:
            environ: the environment of the process.
            program: the executable as it was called; no message of a sink names it.
            default: the URIs of the program's own sinks, or of its configuration file.
            clock: gives the time-stamps, in seconds since the epoch.
            outlets: the ways out of the program; by default those of the process.
            pid: its id, which names of files may have; by default that of the process.

        Raises:
            SinkError: a URI is wrong, or its file cannot be opened.
        """
        hostname = environ.get("MAVRYK_EVENT_HOSTNAME")
        hostname = socket.gethostname() if hostname is None else hostname
        sink = cls(clock=clock, hostname=hostname, outlets=outlets, pid=pid)
        try:
            if (configuration := environ.get(VARIABLE)) is not None:
                for uri in re.split("[ \n\t]+", configuration.strip(" \n\t")):
                    for each in [uri] if scheme(uri) else _uris_of_file(path_of(uri)) if uri else []:
                        await sink.activate(each)
                await sink._announce(configuration)
            for uri in default:
                await sink.activate(uri)
        except SinkUriError as error:
            sink.close()
            raise SinkError(str(error)) from error
        except OSError as error:
            sink.close()
            raise SinkError(f"Unix error in open: {error.strerror}") from error
        except BaseException:
            sink.close()
            raise
        return sink

    async def activate(self, uri: str) -> None:
        """Add a sink. Raises ``SinkUriError`` and ``OSError``."""
        output = Output(parse(uri), self._clock, self._outlets, self._pid)
        await output.open()
        self._outputs.insert(0, output)

    async def replace(self, uris: Sequence[str]) -> None:
        """Close the sinks, all but a log on standard output as `SHORT_STDOUT` has it; activate these.

        A FIFO that nobody reads makes this wait, and no other task. When one cannot be activated,
        those before it are, and the old ones are closed (``Internal_event_config.reapply``).

        Raises:
            SinkUriError: a URI is wrong.
            OSError: a file cannot be opened.
        """
        old, kept = self._outputs, [out for out in self._outputs if out.uri == parse(SHORT_STDOUT)]
        # Without the lock: an emitter may hold it that waits for the reader of a pipe to go.
        self._outputs = kept
        for output in old:
            if output not in kept:
                output.close()
        for uri in uris:
            await self.activate(uri)

    async def _announce(self, configuration: str) -> None:
        section = ("internal_event_unix",)
        value = {"uri_loaded_from_env.v0": {"variable": VARIABLE, "value": configuration}}
        for output in self._outputs:
            if output.uri.takes(section, Level.NOTICE):
                try:
                    at = self._clock()
                    data = item(
                        output.uri.format,
                        hostname=self._hostname,
                        at=at,
                        section=section,
                        event=value,
                        name="uri_loaded_from_env",
                        text="Loaded URIs from environment",
                    )
                    await output.write(data, at)
                except OSError as error:
                    await self._tell(_not_sent("uri_loaded_from_env", error))
                    return

    async def emit(
        self,
        section: tuple[str, ...],
        name: str,
        level: Level,
        value: object,
        text: str | None = None,
        *,
        strict: bool = False,
        versioned: bool = True,
    ) -> None:
        """Write an event to every sink that takes it.

        Args:
            section: where the event belongs; empty for none.
            name: without version; ``.v0`` is added.
            value: the parameter itself, or a dictionary of several.
            text: the message for people: lines break at its spaces, save those of
                ``unbreakable`` parts; the name by default.
            strict: raise ``SinkWriteError`` instead of a line on standard error.
            versioned: without, ``value`` stands for the whole event, and the lines of ``text``
                stay as they are.
        """
        section = sanitized(section)
        message = name if text is None else text
        event = {f"{name}.v0": value} if versioned else value
        for output in tuple(self._outputs):
            if not output.uri.takes(section, level):
                continue
            at = self._clock()
            layout = output.uri.format
            data = item(
                layout,
                hostname=self._hostname,
                at=at,
                section=section,
                event=event,
                name=name,
                text=message,
                color=level if layout is Format.PP_SHORT and output.colored else None,
                verbatim=not versioned,
            )
            try:
                if output.is_path:
                    async with self._lock:
                        await output.write(data, at)
                else:
                    await output.write(data, at)
            except OSError as error:
                if error.errno == errno.EBADF:
                    continue
                if strict:
                    raise SinkWriteError(f"Unix error in write: {error.strerror}") from error
                await self._tell(_not_sent(name, error))
                return

    async def _tell(self, data: bytes) -> None:
        try:
            await self._stderr.write(data)
        except OSError:
            # Nobody reads standard error either: there is nowhere left to say it.
            return

    def close(self) -> None:
        """Close the files. Safe to repeat; what an emitter is waiting to write is dropped."""
        for output in self._outputs:
            output.close()
        self._outputs.clear()


def _not_sent(name: str, error: OSError) -> bytes:
    head = f"Failed to send event '{name}':"
    reason = f"Unix error in write: {error.strerror}"
    # An "hv 2" box of 80 columns: all on a line, or every break taken.
    if len(head) + 1 + len("Error:") + 1 + len(reason) <= 79:
        return f"{head} Error:\n{' ' * (len(head) + 3)}{reason}\n\n".encode()
    return f"{head}\n  Error:\n    {reason}\n\n".encode()


def _uris_of_file(path: str) -> list[str]:
    """The sinks of a configuration file: ``{"active_sinks": [URI, ...]}``."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        value = json.loads(data)
        uris = value.get("active_sinks", value.get("activate", []))
        if set(value) - {"active_sinks", "activate"} or not all(isinstance(uri, str) for uri in uris):
            raise ValueError("expected an object with the field active_sinks")
    except (ValueError, AttributeError, TypeError) as error:
        raise SinkUriError(f"Can't read the sinks of {path}: {error}") from error
    return list(uris)


def _before_extension(path: str, insert: str) -> str:
    stem, extension = os.path.splitext(path)
    return f"{stem}-{insert}{extension}"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%d}"
