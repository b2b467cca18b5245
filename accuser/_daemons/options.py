"""The options of daemons, and the checking of options that pass through functions as ``**options``."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypedDict

from .._engine.supervise import RestartPolicy
from .._hosts.remote.runner import Runner
from .._hosts.toolchain import Toolchain
from .._recording.writer import Recording

EventLevel = Literal["debug", "info", "notice"]
EventFormat = Literal["one-per-line", "netstring"]

AT_START: Final = ("event_level", "may_exit")
"""What `Daemon.run` and functions such as `open_node` take besides."""


class DaemonOptions(TypedDict, total=False):
    """The options that all daemons have."""

    name: str | None
    """By default the kind and a number: ``accuser1``, ``accuser2``, ..."""
    color: str | None
    """SGR sequence of its log lines; by default the next of the kind's cycle."""
    event_pipe: str | Path | None
    """Absolute path of the FIFO; by default a temporary one."""
    path: str | Path | None
    """The executable, in place of the toolchain's."""
    toolchain: Toolchain | str | None
    """Where the executable comes from; also by name: ``sandbox``, ``memory``, ``installed`` or a folder."""
    runner: Runner | None
    """The machine that it runs on; by default this one."""
    wait_timeout: float | None
    """Seconds that waits last by default: 60; None for no limit."""
    history: int
    """Bytes of events that a session keeps to look back at: 16 MiB."""
    format: EventFormat
    """How the sink frames events: ``one-per-line``, or ``netstring``, which survives several
    writers in one pipe better."""
    strict: bool
    """End the session with `MalformedEvent` when the event stream is malformed."""
    record: Recording | str | Path | None
    """Write down events, output, waits and signals in this file."""
    restart: RestartPolicy | None
    """Run it again when it exits unasked, in this way; by default that ends it."""
    unknown_events: bool
    """Wait for any name of event, for executables of other versions."""
    stop_grace: float
    """Seconds between SIGTERM and SIGKILL: 30; at the end of a block, when cancelled, and by default
    in `Daemon.terminate` and `Daemon.restart`."""
