"""The entries of a recording, one class for each type. Their schema is in ``docs/recording.md``.

Only `writer` and `reader` know how they stand in a file.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

import attrs
import msgspec

from .._stream.event import Event

VERSION: Final = 1
"""Raised when a reader would have to change."""

Seconds = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
"""Times and durations; beyond the bounds they could not be counted in microseconds."""
Number = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Head(msgspec.Struct, gc=False, tag_field="type", tag="recording", kw_only=True):
    """The first entry."""

    version: int
    started: Seconds = 0.0
    """Seconds since the Unix epoch."""
    t: Seconds = 0.0


class _OfDaemon(msgspec.Struct, gc=False, tag_field="type", kw_only=True):
    """What an entry says of where and when."""

    t: Seconds
    """Seconds since the recording began."""
    daemon: str
    session: Count
    """Counts the daemon's starts from 1."""


class Start(_OfDaemon, gc=False, tag="start", omit_defaults=True):
    """The process was spawned."""

    kind: str
    protocol: str | None
    """Its long name."""
    command: tuple[str, ...]
    pid: Number
    place: str | None = None
    """Where it runs: another machine, or an image with its digest and version; None for this machine."""


class Ready(_OfDaemon, gc=False, tag="ready"):
    """The daemon is ready."""


class Piece(_OfDaemon, gc=False, tag="malformed"):
    """A piece of the event stream that is no event was read."""

    reason: str
    raw: Annotated[str, msgspec.Meta(pattern=r"^(?:[0-9a-fA-F]{2})*\Z")]
    """Its bytes, in hexadecimal digits."""

    @property
    def data(self) -> bytes:
        return bytes.fromhex(self.raw)


class Line(_OfDaemon, gc=False, tag="line"):
    """A line of output was read."""

    stream: Literal["stdout", "stderr"]
    text: str


class Signal(_OfDaemon, gc=False, tag="signal"):
    """A signal was sent to the process group."""

    signal: str
    """As in ``SIGTERM``."""


class Wait(_OfDaemon, gc=False, tag="wait"):
    """A wait has ended."""

    what: str
    where: str | None
    begun: Seconds
    """When it began, as ``t``."""
    outcome: str
    """``satisfied``, ``timed out``, ``terminated``, ``cancelled`` or ``failed``."""


class Restart(_OfDaemon, gc=False, tag="restart", omit_defaults=True):
    """The session before has ended unasked, and this one is to come."""

    status: Number | None
    """Of the session before; None if a connection was lost, or nothing could be started."""
    attempt: Count
    delay: Seconds
    reason: str | None = None
    """Why, in one line; None where the status says all that is known."""


class Exit(_OfDaemon, gc=False, tag="exit"):
    """The process was reaped."""

    status: Number
    """Its exit status, or the negative number of a signal."""


class OfTest(msgspec.Struct, gc=False, tag_field="type", kw_only=True):
    """What belongs to no daemon: something that the test, or whoever uses the library, did."""

    t: Seconds
    """When it ended, in seconds since the recording began."""
    begun: Seconds
    """When it began, likewise."""


class Command(OfTest, gc=False, tag="command"):
    """A command that runs to its end has ended."""

    name: str
    """Whose: a client or a node."""
    command: tuple[str, ...]
    status: Number | None
    """None if it was cancelled, or could not be run."""
    stdout: str
    stderr: str
    """Both cut."""


class Rpc(OfTest, gc=False, tag="rpc"):
    """A request of the library was answered, or was not."""

    method: str
    url: str
    body: str | None
    """What was sent, cut."""
    status: Number | None
    """None if there was no answer."""
    answer: str
    """Cut; the error, if there was none."""


class Step(OfTest, gc=False, tag="step"):
    """A step of the test's own."""

    what: str
    outcome: str
    """``noted`` where it begins; at the end of its block ``done``, ``failed`` or ``cancelled``."""


class Phase(OfTest, gc=False, tag="phase"):
    """A part of a test is over."""

    what: str
    """``setup``, ``call`` or ``teardown``."""
    outcome: str
    """``passed``, ``failed`` or ``skipped``."""


class Failure(OfTest, gc=False, tag="failure"):
    """What the test failed with."""

    error: str
    """The name of its class."""
    message: str
    place: tuple[str, ...]
    """The calls that led there, as ``FILE:LINE in FUNCTION``; the last one raised it."""


class EventLine(_OfDaemon, gc=False, tag="event"):
    """An event, as it stands in the file: the item has the bytes that the sink wrote."""

    item: msgspec.Raw


@attrs.frozen
class Happened:
    """An event was read."""

    t: float
    daemon: str
    session: int
    event: Event
    item: bytes
    """What the sink wrote."""


OfDaemon = Start | Ready | Happened | Piece | Line | Signal | Wait | Restart | Exit
Done = Command | Rpc | Step | Phase | Failure
"""The classes of `OfTest`."""
Entry = Head | OfDaemon | Done
OnFile = Head | Start | Ready | EventLine | Piece | Line | Signal | Wait | Restart | Exit | Done
TYPES: Final = (
    *("recording", "start", "ready", "event", "malformed"),
    *("line", "signal", "wait", "restart", "exit"),
    *("command", "rpc", "step", "phase", "failure"),
)


def type_of(entry: Entry) -> str:
    """The type of an entry, as the file says it."""
    cls = EventLine if isinstance(entry, Happened) else type(entry)
    return str(cls.__struct_config__.tag)


def own_fields(entry: Entry) -> dict[str, Any]:
    """What an entry says beyond those of every other, by the names in the file; of an event nothing."""
    if isinstance(entry, Happened):
        return {}
    return {name: getattr(entry, name) for name in entry.__struct_fields__ if name not in _COMMON}


_COMMON: Final = frozenset(_OfDaemon.__struct_fields__)

STRUCTURE: Final = frozenset(
    {
        *TYPES,
        *(name for entry in get_args(OnFile) for name in entry.__struct_fields__),
        *("type", "fd-sink-item.v0", "section", "time_stamp", "hostname", "event"),
        *("noted", "done", "passed", "skipped", "setup", "call", "teardown"),
        *("stdout", "stderr", "satisfied", "timed out", "terminated", "cancelled", "failed"),
    }
)
"""Texts that mean something to readers of a recording."""
