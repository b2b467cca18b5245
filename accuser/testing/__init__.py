"""Daemons that misbehave on purpose: real processes that play a list of steps.

For test suites: of this package, and of whoever builds on it. A `FaultyDaemon` takes an accuser's
command line and environment, and needs no node. What it does is made of steps::

    from accuser.testing import FaultyDaemon, event, exit_with, ready

    async with FaultyDaemon(ready(), event("a.v0", 1), exit_with(3)).open(may_exit=True) as accuser:
        ...

After its last step it waits for SIGTERM and exits with 127, as an accuser does. SIGTERM and SIGUSR1
reach it where a step waits; a step that writes is always finished first.

What steps cannot say, a `ScriptedDaemon` does: it runs a script in Python.

May import the public names of ``accuser``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
import tempfile
import textwrap
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, Unpack

import attrs

from .. import Accuser, AccuserOptions, Endpoint, NotRunning, Protocol, open_accuser
from . import player as _player

EventLevel = Literal["debug", "info", "notice"]
Stream = Literal["stdout", "stderr"]

READY_LINE: Final = "Waiting for protocol {protocol} to start..."
"""What an accuser prints when it is ready, as in recorded runs."""


@attrs.frozen
class Step:
    """One thing that a `FaultyDaemon` does. Made by the functions of this module."""

    verb: str
    arguments: Mapping[str, Any]


def _step(verb: str, **arguments: Any) -> Step:
    return Step(verb, arguments)


# The event pipe.


def open_pipe() -> Step:
    """Open the event pipe, which `ready` does too. A daemon without either never opens it."""
    return _step("open_pipe")


def close_pipe() -> Step:
    """Close the event pipe and go on."""
    return _step("close_pipe")


def event(name: str, value: object = None) -> Step:
    """Write an event; ``value`` is anything that JSON can express."""
    return _step("event", name=name, value={} if value is None else value)


def big_event(name: str, size: int = 10_000_000) -> Step:
    """Write an event whose value is a string of ``size`` characters."""
    return _step("big_event", name=name, size=size)


def truncated_event(name: str, value: object = None, size: int = 40) -> Step:
    """Write the first ``size`` bytes of an event, without a line end.

    What is written next is glued to it; with `exit_with` or `die_by` it stays half an item.
    """
    return _step("event", name=name, value={} if value is None else value, cut=size)


def raw(data: bytes) -> Step:
    r"""Write bytes to the event pipe: garbage such as ``b"\0\xff\n"``, JSON that is broken."""
    return _step("raw", data=data.decode("latin-1"))


# Its output.


def ready(end: str = "\n", *, protocol: Protocol = Protocol.BOREAS) -> Step:
    r"""Open the event pipe, unless that was done, and print the line that says ready.

    Args:
        end: what ends the line; with ``""`` it stays without an end.
        protocol: whose accuser it seems to be.
    """
    return _step("ready", text=READY_LINE.format(protocol=protocol.long_name), end=end)


def line(text: str, stream: Stream = "stdout", end: str = "\n") -> Step:
    """Print a line on ``stdout`` or ``stderr``."""
    return _step("line", text=text, stream=stream, end=end)


def flood(what: Literal["events", "stdout", "stderr"], count: int | None = None) -> Step:
    """Write ``count`` events ``flood.v0`` or lines as fast as they are read.

    Without ``count`` it goes on until SIGTERM comes, which the next step that waits will take; after
    `ignore_sigterm` it never ends. After `await_sigterm` it floods while it is being terminated.
    """
    return _step("flood", what=what, count=count)


def port_taken(address: str = "127.0.0.1:8732") -> Step:
    """Write what a node writes when another one has its RPC port, and exit with 1."""
    return _step("port_taken", address=address)


# Waiting, signals, ends.


def await_go() -> Step:
    """Wait until the test calls `go`. SIGTERM ends the daemon with 127 meanwhile."""
    return _step("await_go")


def delay(seconds: float) -> Step:
    """Wait for a while. SIGTERM ends the daemon with 127 meanwhile."""
    return _step("delay", seconds=seconds)


def await_sigterm() -> Step:
    """Wait for SIGTERM, then go on with the next step; for ever after `ignore_sigterm`."""
    return _step("await_sigterm")


def ignore_sigterm() -> Step:
    """Ignore SIGTERM from now on: only SIGKILL ends the daemon."""
    return _step("ignore_sigterm")


def stop_itself() -> Step:
    """Stop the daemon with SIGSTOP, until somebody sends SIGCONT."""
    return _step("stop_itself")


def fork(*holds: Literal["stdout", "stderr", "pipe"], daemonise: bool = False) -> Step:
    """Leave a child behind, which does nothing; print ``forked PID``.

    It outlives the daemon, and ends with the session: as soon as the other end of its standard
    input, which is the daemon's, is closed.

    Args:
        holds: what it keeps open.
        daemonise: whether it leaves the process group (``setsid``); else it ignores SIGTERM in it.
    """
    return _step("fork", holds=holds, daemonise=daemonise)


def exit_with(status: int) -> Step:
    """Exit with ``status``, without any event or line of a shutdown."""
    return _step("exit_with", status=status)


def die_by(signum: signal.Signals = signal.SIGKILL) -> Step:
    """Send ``signum`` to itself; SIGKILL ends it with nothing flushed."""
    return _step("die_by", signum=int(signum))


# The daemon.


class _Nowhere(Endpoint):
    async def wait_for_ready(self, *, timeout: object = None) -> None:
        pass


NO_NODE: Final = _Nowhere("http://127.0.0.1:9")
"""Takes the place of a node that nobody asks anything: it counts as ready."""


class _Written:
    """A daemon that an executable is written for."""

    __slots__ = ()

    def _words(self) -> tuple[str, str]:
        """How the player does it: the kind, and what."""
        raise NotImplementedError

    def write(
        self,
        folder: str | os.PathLike[str],
        *,
        protocol: Protocol = Protocol.BOREAS,
        name: str | None = None,
    ) -> Path:
        """Write an executable into ``folder``; return its path. What is there is replaced.

        Args:
            folder: where.
            protocol: whose accuser it is, which names it.
            name: another name.
        """
        path = Path(folder, name or protocol.accuser_binary).absolute()
        kind, what = self._words()
        ready_line = READY_LINE.format(protocol=protocol.long_name)
        # By the shell, since a path in a #! line is limited in length and has no blanks.
        command = (sys.executable, "-IS", _player.__file__, kind, what, ready_line)
        path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$0" "$@"\n')
        path.chmod(0o755)
        return path

    @asynccontextmanager
    async def open(
        self,
        *,
        folder: str | os.PathLike[str] | None = None,
        event_level: EventLevel | None = None,
        may_exit: bool = False,
        **options: Unpack[AccuserOptions],
    ) -> AsyncGenerator[Accuser]:
        """Run it for the length of a block, as `open_accuser` does: with its errors and options.

        Any name of event can be waited for unless ``unknown_events`` is given. The executable is written
        into ``folder``, by default into a temporary one.
        """
        with contextlib.ExitStack() as stack:
            if folder is None:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="accuser-faulty-"))
            options["path"] = self.write(folder)
            options.setdefault("unknown_events", True)
            async with open_accuser(
                Protocol.BOREAS, NO_NODE, event_level=event_level, may_exit=may_exit, **options
            ) as accuser:
                yield accuser


@attrs.frozen(init=False)
class FaultyDaemon(_Written):
    """A daemon that plays ``steps`` each time that it is run.

    `open` runs it. `write` makes an executable of it, for ``path=`` of `open_accuser` or for
    ``toolchain=installed(folder)``.
    """

    steps: tuple[Step, ...]

    def __init__(self, *steps: Step) -> None:
        self.__attrs_init__(steps)

    def _words(self) -> tuple[str, str]:
        return "steps", json.dumps([(step.verb, dict(step.arguments)) for step in self.steps])


@attrs.frozen
class ScriptedDaemon(_Written):
    """A daemon that runs a script in Python each time that it is run, with the standard library alone.

    `open` and `write` are as those of `FaultyDaemon`. The script has ``sys.argv``, the modules ``json``,
    ``os``, ``signal``, ``sys`` and ``time``, and these functions, which `FaultyDaemon` has as steps:

    - ``open_pipe()`` opens the event pipe; its descriptor is ``PIPE`` then.
    - ``ready()`` does that, and prints the line that says ready, which is ``READY``.
    - ``event(name, value="{}")`` writes an event, framed as the sink is asked to; the value is a text in
      JSON, or meant to be. ``item`` returns the line of the same.
    - ``raw(data)`` writes bytes to the event pipe.
    - ``line(text, stream=1)`` prints a line, with 2 on standard error.
    - ``until_term(status=127)`` waits for SIGTERM, which is blocked elsewhere, and returns ``status``, for
      ``sys.exit``.

    A script that is at its end exits with 0.
    """

    script: str = attrs.field(converter=textwrap.dedent)

    def _words(self) -> tuple[str, str]:
        return "script", self.script


def go(accuser: Accuser) -> None:
    """Let a daemon that awaits it go on (SIGUSR1). Two calls before it waits again count as one.

    Call it when the daemon has shown that it runs, by being ready or by any event or line.

    Raises:
        NotRunning: it has no process.
    """
    if not accuser.running or accuser.pid is None:
        raise NotRunning(accuser.name, "go", "open it first")
    os.kill(accuser.pid, signal.SIGUSR1)
