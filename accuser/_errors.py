"""Every exception of this package but for those of `_http`, which programs need that need no other.

One root, flat children, told apart by who is at fault. Facts are attributes; ``str()`` builds the sentence,
which ends in what to do next. Further facts (exit status, last output) come as notes, which tracebacks show.

Without slots, of which an exception has no use: attrs makes a class of them twice, and the copy by `pickle`
loses its notes.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path

import attrs

from ._report import RunnerFault, WaitReport, describe_status, short_command, words_of_failure
from ._text import AccuserError as AccuserError
from ._text import counted, printable, secrets, shortened

# The caller's mistakes.


@attrs.define(eq=False, str=False, repr=False, slots=False)
class UnknownProtocol(AccuserError):
    """A protocol name that does not exist."""

    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"unknown protocol {self.name!r}: the known ones are {', '.join(self.known)}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class AlreadyRunning(AccuserError):
    """``run`` of a daemon that is running (upstream's message)."""

    daemon: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} {self.daemon} is already running"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class NotRunning(AccuserError):
    """An operation that needs a running daemon."""

    daemon: str
    operation: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"cannot {self.operation} {self.daemon}: it is not running"
        return f"{text}; {self.hint}" if self.hint else text


@attrs.define(eq=False, str=False, repr=False, slots=False)
class BinaryNotFound(AccuserError):
    """An executable of the chosen toolchain is in none of the places that were searched."""

    binary: str
    searched: tuple[str, ...]
    in_sandbox: bool = True
    """Whether the embedded sandbox has an executable of this name."""
    image: str = ""
    """The image of containers that lacks it; empty if it was searched elsewhere."""

    def __str__(self) -> str:
        places = "".join(f"\n  - {place}" for place in self.searched)
        found = f"no executable {self.binary!r} was found; searched:{places}\n"
        where = "bin_dir, or the environment variable MAVKIT_BIN_DIR"
        if self.image:
            return f"{found}Take an image that has it, or give its path there: path="
        if not self.in_sandbox:
            found += f"Give its path (path=), or the folder that it is in ({where}); "
            return f"{found}the embedded sandbox has none"
        found += f"Give the folder of the Mavkit binaries ({where}), or choose the embedded sandbox: "
        return f"{found}toolchain=SANDBOX (on the command line: --toolchain sandbox)"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class EventPipeError(AccuserError):
    """The named pipe for a daemon's events cannot be made or used."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"event pipe {self.path}: {self.reason}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class UnknownEvent(AccuserError):
    """A wait for an event that a daemon of this kind never emits."""

    daemon: str
    name: str
    suggestions: tuple[str, ...]

    def __str__(self) -> str:
        meant = f"; did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        return f"{self.daemon} never emits {self.name!r}{meant} (unknown=True waits for it all the same)"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class RecordingError(AccuserError):
    """A file is no recording, or does not have what was asked for."""

    path: Path
    reason: str
    line: int | None = None
    """Number of the line that is no entry, from 1 on; None if the fault is no line's."""

    def __str__(self) -> str:
        return f"recording {self.path}: {self.reason}"


# The world's faults.


@attrs.define(eq=False, str=False, repr=False, slots=False)
class StatsUnavailable(AccuserError):
    """What a daemon uses cannot be read on this system."""

    daemon: str
    reason: str

    def __str__(self) -> str:
        return f"no statistics of {self.daemon}: {self.reason}; they are read from /proc, which Linux has"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class SigningUnavailable(AccuserError):
    """An operation is to be signed here, and the package that signs is not installed."""

    signer: str

    def __str__(self) -> str:
        return (
            f"cannot sign for {self.signer}: the package 'cryptography' is not installed; "
            "it comes with pip install 'accuser[sandbox]'"
        )


@attrs.define(eq=False, str=False, repr=False, slots=False)
class DirectoryError(AccuserError):
    """A directory or file of ours cannot be made: a full disk, no permission, no such folder."""

    path: Path
    reason: str
    host: str | None = None
    """The machine, if it is another one."""

    def __str__(self) -> str:
        if self.host is not None:
            return f"cannot write {self.path} on {self.host}: {self.reason}; temp_dir= chooses the place"
        # Not gettempdir, which writes files, and fails on a full disk.
        places = (os.environ.get("TMPDIR") or "/tmp", os.fsdecode(tempfile.tempdir or "/tmp"))
        in_tmpdir = any(self.path.is_relative_to(place) for place in places)
        advice = "; the environment variable TMPDIR chooses the place" if in_tmpdir else ""
        return f"cannot write {self.path}: {self.reason}{advice}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class SpawnFailed(AccuserError):
    """The operating system refused to start an executable that is there."""

    command: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return f"cannot start {secrets.hide(shlex.join(self.command))}: {self.reason}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class CommandFailed(AccuserError):
    """A command that runs to its end (of the client, or of the node's set-up) failed."""

    command: tuple[str, ...]
    status: int
    """Exit status; the negative number of the signal if one ended it."""
    stdout: str
    stderr: str

    def __str__(self) -> str:
        said = "".join(f"\n  {line}" for line in words_of_failure(self.stderr, self.stdout))
        return f"{short_command(self.command)}: {describe_status(self.status)}{said}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class DaemonExited(AccuserError):
    """A daemon ended although nobody had asked for it."""

    daemon: str
    status: int
    """Exit status; the negative number of the signal if one ended it."""
    tail: tuple[str, ...]
    """What it gave as the error; or the last lines of standard error, or of standard output."""
    directory: Path | None = None
    """Where the daemon's files are."""
    restarts: int = 0
    """How many restarts in a row it had behind it, if it was supervised."""
    reason: str | None = None
    """Why it ended, where the place it ran in knows more than the status does."""

    @property
    def headline(self) -> str:
        """How it ended, without what it printed."""
        after = f" after {self.restarts} restart{'s'[: self.restarts > 1]}" if self.restarts else ""
        return f"{self.daemon} ended unasked{after}: {self.reason or describe_status(self.status)}"

    def __str__(self) -> str:
        said = "".join(f"\n  {printable(secrets.hide(line))}" for line in self.tail)
        return f"{self.headline}; {f'its last output:{said}' if said else 'it printed nothing'}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class PortTaken(DaemonExited):
    """A node ended because another process has one of its ports.

    Told by what it prints (``src/bin_node/node_run_command.ml``, ``src/lib_p2p/p2p_fd.ml``).
    """

    address: str = ""
    """Address and port, as the node printed them."""

    def __str__(self) -> str:
        return f"{self.daemon} ended: {self.address} is taken; give another port, or none for a free one"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class TerminatedBeforeEvent(AccuserError):
    """A daemon ended before what was waited for (upstream's exception and message)."""

    daemon: str
    event: str
    where: str | None = None
    status: int | None = None
    """Exit status, the negative number of the signal, or None if the daemon never started."""
    report: WaitReport | None = None
    """What did happen."""

    def __str__(self) -> str:
        where = "" if self.where is None else f" where {self.where}"
        return f"{self.daemon} terminated before event occurred: {self.event}{where}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class EventTimeout(AccuserError):
    """What was waited for did not come in time."""

    daemon: str
    event: str
    where: str | None
    seconds: float
    report: WaitReport | None = None
    """What did happen."""

    def __str__(self) -> str:
        where = "" if self.where is None else f" where {self.where}"
        return f"{self.daemon}: no {self.event}{where} within {self.seconds:g} s"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class UnexpectedEvent(AccuserError):
    """What was not to happen has happened."""

    daemon: str
    event: str
    where: str | None
    value: object

    def __str__(self) -> str:
        where = "" if self.where is None else f" where {self.where}"
        return f"{self.daemon}: {self.event}{where} happened, and was expected not to"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class UnexpectedValue(AccuserError):
    """The value of an event does not fit the class that it was to become."""

    event: str
    problems: tuple[str, ...]
    """What is wrong and where; ``$`` is the event's value."""

    def __str__(self) -> str:
        return f"{self.event}: {'; '.join(self.problems)}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class MalformedEvent(AccuserError):
    """A piece of a daemon's event stream is no event, and the daemon was to be strict about it."""

    daemon: str
    reason: str
    raw: bytes

    def __str__(self) -> str:
        return f"{self.daemon}: malformed event: {self.reason}: {self.raw[:200]!r}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class HandlerFailed(AccuserError):
    """A handler that a user registered raised; the cause is its exception."""

    daemon: str
    handler: str
    what: str
    """What it was called with: an event's name, or a line of output."""

    def __str__(self) -> str:
        return f"handler {self.handler} of {self.daemon} failed on {self.what}: {self.__cause__!r}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class Lagged(AccuserError):
    """Records were dropped from the bounded history before this consumer read them."""

    daemon: str
    missed: int
    kind: str = "events"
    """Of the records: events, or lines, of whose outputs the last MiB is kept."""

    def __str__(self) -> str:
        lost = f"{self.daemon}: {counted(self.missed, self.kind[:-1])} left the history before they were read"
        larger = ", or give the daemon a larger history" if self.kind == "events" else ""
        return f"{lost}; read faster{larger}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class RpcError(AccuserError):
    """A node answered a request with an error status."""

    method: str
    url: str
    status: int
    body: str

    def __str__(self) -> str:
        body = shortened(self.body.strip()) or "(empty answer)"
        return f"{self.method} {self.url} returned {self.status}: {body}"


class NoFreePort(AccuserError):
    """No TCP port outside the ephemeral range could be reserved."""


class ScenarioFailed(AccuserError):
    """A scenario ran to the point where what it must show is not so."""


@attrs.define(eq=False, str=False, repr=False, slots=False)
class RunnerError(AccuserError):
    """A place for daemons cannot be reached, or the connection to it was lost."""

    host: str
    reason: RunnerFault
    detail: str
    """What ``ssh``, the engine of containers or the place itself said."""

    def __str__(self) -> str:
        said = "".join(f"\n  {line}" for line in self.detail.splitlines())
        return f"{self.host}: {self.reason.value}; {self.reason.advice}{said}"


@attrs.define(eq=False, str=False, repr=False, slots=False)
class RunnerConfigError(AccuserError):
    """A file that is to tell about another machine does not."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"the runner configuration {self.path}: {self.reason}"


# Tracebacks show the names under which users import them.
for _error in tuple(globals().values()):
    if isinstance(_error, type) and issubclass(_error, AccuserError):
        _error.__module__ = "accuser"
del _error
