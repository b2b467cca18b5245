"""The facts about a process or a wait, in words."""

from __future__ import annotations

import enum
import re
import signal
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Final

import attrs

from ._text import counted, printable, secrets


@attrs.frozen
class WaitReport:
    """The facts about a wait that failed. Its text is what errors show as notes."""

    state: str
    """Of the daemon: running, stopping, ended, ..."""
    pid: int | None
    status: int | None
    """Exit status; the negative number of a signal; None while there is none."""
    seen: int
    """How many events of the names that were waited for have come since the wait began."""
    misses: tuple[str, ...]
    """The last of them, as JSON, cut."""
    before: int
    """How many had come in the same session before the wait began."""
    taken_before: str | None
    """One of those that the filter would have taken, as JSON, cut."""
    last_events: tuple[str, ...]
    """The last events of any name: name and value, cut."""
    last_lines: tuple[str, ...]
    """The last lines of standard error, or of standard output if there are none."""
    filtered: bool = True
    """Whether the wait had a filter."""
    met: tuple[str, ...] = ()
    """In a sequence: what met the steps before, as JSON, cut."""
    taken: int = 0
    """How many of those that came the filter took, where the wait was for more."""
    malformed: int = 0
    """How many pieces of what the session wrote as events were none."""

    def lines(self, daemon: str, names: str) -> list[str]:
        """The report as lines of text, for the message of an error."""
        process = f"is process {self.pid}, {self.state}" if self.pid is not None else self._without_process()
        if self.status is not None:
            process += f", {describe_status(self.status)}"
        said = [f"{daemon} {process}"]
        if self.seen and self.filtered:
            end = ":" if len(self.misses) == self.seen else "; the last:" if self.misses else ""
            came = f"{_came(self.seen, names)} came since the wait began"
            said += [f"{came}; {self._filtered(names)}{end}", *(f"  {miss}" for miss in self.misses)]
        elif self.seen:
            said.append(f"{_came(self.seen, names)} came since the wait began")
        elif names:
            said.append(f"no {names} came since the wait began")
        if self.taken_before is not None:
            said += [f"it happened before the wait began: {self.taken_before}", TOO_LATE]
        elif self.before:
            said.append(f"{_came(self.before, names)} came shortly before the wait began")
        if self.last_events:
            said += ["the last events:", *(f"  {event}" for event in self.last_events)]
        elif self.pid is not None and not self.malformed:
            said.append("it has written no event at all; is its event sink open?")
        if self.malformed:
            said.append(self._malformed())
        if self.last_lines:
            said += ["the last output:", *(f"  {line}" for line in self.last_lines)]
        return said

    def decisive(self, names: str) -> list[str]:
        """The facts that most often tell why, in three lines at the most."""
        met = [_cut(line, FACT_LENGTH) for line in self.met[-1:]]
        return [*self._why(names), *met]

    def _why(self, names: str) -> list[str]:
        if self.taken_before is not None:
            return [f"it happened before the wait began: {_cut(self.taken_before, FACT_LENGTH)}", TOO_LATE]
        if self.seen and self.filtered:
            last = _cut(self.misses[-1], FACT_LENGTH) if self.misses else "(not kept)"
            which = "it was" if self.seen == 1 else "the last was"
            return [f"{self.seen} came, but {self._filtered(names)}; {which} {last}"]
        if self.seen:
            return [f"{self.seen} came, and more were waited for"]
        if self.before:
            return [f"{self.before} came shortly before the wait began, and none since"]
        if self.last_events:
            return [f"none came; the last event was {_cut(self.last_events[-1], FACT_LENGTH)}"]
        if self.malformed:
            return [f"no event came at all; {self._malformed()}"]
        if self.last_lines:
            return [f"no event came at all; the last line was: {_cut(self.last_lines[-1], FACT_LENGTH)}"]
        return ["no event came at all, and no line of output"]

    def _malformed(self) -> str:
        were = "was no event" if self.malformed == 1 else "were no events"
        return f"{counted(self.malformed, 'piece')} of its event stream {were}; `on_malformed` has each"

    def _without_process(self) -> str:
        if self.state == "ended":
            return "ended before it had a process"
        return "was never started" if self.state == "not started" else f"is {self.state}"

    def _filtered(self, names: str) -> str:
        if names.startswith(LINES) and not self.taken:  # whose pattern is a filter, too
            return "it was not taken" if self.seen == 1 else "none of them was taken"
        if self.taken:
            return f"the filter took {self.taken} of them"
        return f"the filter returned None for {'it' if self.seen == 1 else 'each'}"


FACT_LENGTH: Final = 160
LINES: Final = "lines of "
TOO_LATE: Final = "  call expect() before the step that causes the event, or pass since= to look back"


def _came(number: int, names: str) -> str:
    """``1 a.v0 event``, ``2 lines of stdout``."""
    if names.startswith(LINES):
        return counted(number, names.replace("lines", "line", 1), names)
    return counted(number, f"{names} event")


def describe_status(status: int) -> str:
    """``exit status 1``, or ``killed by SIGKILL`` for a negative number."""
    return f"exit status {status}" if status >= 0 else f"killed by {signal_name(-status)}"


def signal_name(signum: int) -> str:
    """``SIGKILL``; ``signal 40`` for one that has a number only."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


COMMAND_LENGTH: Final = 100
SAID_LINES: Final = 12
LINE_LENGTH: Final = 300

_PROGRAM: Final = re.compile(r"mavkit-[\w-]+")
# Options that stand before a command and take no value (``src/lib_client_base_unix/client_config.ml``).
_FLAGS: Final = frozenset(
    {
        "-n",
        "--no-base-dir-warnings",
        "-t",
        "--timings",
        "-l",
        "--log-requests",
        "--better-errors",
        "-S",
        "--tls",
    }
)
# A client that was told no protocol knows few commands: its warning is the reason of the error.
_ERROR: Final = re.compile(
    r"\s*(?:(?:fatal error|unregistered error|error)\s*:|this operation failed\.|"
    r"(?=failed to acquire the protocol))\s*(.*)",
    re.IGNORECASE,
)
# What follows them is no further in than they are.
_LEVEL: Final = ("This operation", "Failed to acquire")
_ELSE: Final = re.compile(
    r"\s*(?:usage|to browse the documentation|global options.*|warning)\s*:", re.IGNORECASE
)

_USAGE: Final = re.compile(r"\s*usage\s*:", re.IGNORECASE)


def short_command(command: Sequence[str]) -> str:
    """Program and words of a command, without options: ``mavkit-client bake for bootstrap1``."""
    # A program of the sandbox, or of a wrapper, stands behind what executes it.
    start = next((n for n, word in enumerate(command) if _PROGRAM.fullmatch(PurePath(word).name)), 0)
    words = list(command[start + 1 :])
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option not in _FLAGS and "=" not in option and words and not words[0].startswith("-"):
            words.pop(0)
    end = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    said = " ".join([PurePath(word).name for word in command[start : start + 1]] + words[:end])
    return _cut(printable(secrets.hide(said)), COMMAND_LENGTH)


def words_of_failure(stderr: str, stdout: str) -> list[str]:
    """What a program that failed gave as the error: its ``Error:`` blocks, wherever they are in the output.

    In front of it stands why a client was told no protocol. Without any of these, what it said outside of its
    usage; at the most the last twelve lines, cut.
    """
    texts = [text.splitlines() for text in (stderr, stdout)]
    # What fails in a simulation is told on standard output, and on standard error only that it did.
    said = [line for lines in texts for line in _blocks(lines)]
    if not said:
        said = next(filter(None, (list(_outside(lines)) for lines in texts)), ["(it printed nothing)"])
        said = said[-SAID_LINES:]
    return [_cut(printable(secrets.hide(line.rstrip())), LINE_LENGTH) for line in said[:SAID_LINES]]


def error_before_usage(lines: Sequence[str]) -> list[str]:
    """The ``Error:`` blocks that a usage follows, which is so long that the last lines are of it alone."""
    usage = next((n for n, line in enumerate(lines) if _USAGE.match(line) is not None), 0)
    return list(_blocks(lines[:usage]))


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    """The text of each block that an ``Error:`` begins: the lines that are further in than it."""
    block: list[str] = []
    inside, depth = False, 0
    for line in lines:
        found, blank = _ERROR.fullmatch(line), not line.strip()
        indent = len(line) - len(line.lstrip())
        if found is not None and not (inside and indent > depth and not found[1]):
            inside, depth = True, indent - line.lstrip().startswith(_LEVEL)
            yield from _dedented(block)
            block = [found[1]] if found[1] else []
        elif inside and (blank or indent > depth) and _ELSE.match(line) is None:
            block.append(line)
        else:
            inside = False
    yield from _dedented(block)


def _dedented(lines: Sequence[str]) -> Iterator[str]:
    yield from (line for line in textwrap.dedent("\n".join(lines)).splitlines() if line.strip())


def _outside(lines: Sequence[str]) -> Iterator[str]:
    """Lines that are not of a usage: it goes on from its title, as long as lines are blank or further in."""
    inside = False
    for line in lines:
        if _ELSE.match(line) is not None and not line.lower().lstrip().startswith("warning"):
            inside = True
        elif inside and (not line.strip() or line.startswith(" ")):
            continue
        elif line.strip():
            inside = False
            yield line


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


class RunnerFault(enum.Enum):
    """What may be wrong with a place for daemons."""

    NO_CLIENT = "no SSH client"
    UNKNOWN_HOST = "unknown host"
    REFUSED = "connection refused"
    UNREACHABLE = "no route to the host"
    TIMED_OUT = "no answer in time"
    UNKNOWN_KEY = "unknown host key"
    CHANGED_KEY = "changed host key"
    NO_PERMISSION = "no permission"
    NOT_CONNECTED = "no connection"
    UNKNOWN = "no connection, for an unknown reason"
    LOST = "connection lost"
    UNUSABLE = "no usable shell"
    NO_ENGINE = "no engine for containers"
    NO_ENGINE_ANSWER = "the engine does not answer"
    ENGINE_REFUSED = "the engine refuses"
    NO_IMAGE = "no such image"
    NO_SHELL = "no shell in the image"
    OTHER_ARCHITECTURE = "an image for another architecture"
    CONTAINER_ENDED = "the container has ended"
    OUT_OF_MEMORY = "the container was killed by its memory limit"
    CONTAINER_PAUSED = "the container is paused"
    FOLDER_REMOVED = "the folder that it shares with this machine was removed"
    NO_FAULTS = "no faults can be put into its network"

    @property
    def advice(self) -> str:
        """What to do about it."""
        return _ADVICE[self]


_ADVICE: Final = {
    RunnerFault.NO_CLIENT: "install OpenSSH, whose `ssh` must be in the PATH",
    RunnerFault.UNKNOWN_HOST: "check address and alias, and ~/.ssh/config",
    RunnerFault.REFUSED: "check that sshd runs there, on this port",
    RunnerFault.UNREACHABLE: "check the address and the network",
    RunnerFault.TIMED_OUT: "check the address and firewalls; connect_timeout= sets how long is waited",
    RunnerFault.UNKNOWN_KEY: "connect once by hand with `ssh`, and compare the key before you accept it",
    RunnerFault.CHANGED_KEY: "someone may be intercepting the connection; if you know why "
    "the key changed, remove the old one with `ssh-keygen -R`",
    RunnerFault.NO_PERMISSION: "check user= and identity=; a password is never asked for",
    RunnerFault.NOT_CONNECTED: "`ssh` says why; try the same by hand, with `-v`",
    RunnerFault.UNKNOWN: "`ssh` does not say why; try the same by hand, with `-v`",
    RunnerFault.LOST: "the daemon there stops by itself",
    RunnerFault.UNUSABLE: "a POSIX shell, reached as `sh`, and OpenSSH's server are needed there",
    RunnerFault.NO_ENGINE: "install podman or docker, which must be in the PATH",
    RunnerFault.NO_ENGINE_ANSWER: "start it, and see that you may use it: `podman info`, `docker info`",
    RunnerFault.ENGINE_REFUSED: "it says why; try the same by hand",
    RunnerFault.NO_IMAGE: "check name and tag, and try by hand whether the engine can `pull` it, "
    "which may need a `login`; with pull='never' it must be here already",
    RunnerFault.NO_SHELL: "take an image with a POSIX shell at /bin/sh; that of busybox does",
    RunnerFault.OTHER_ARCHITECTURE: "take an image for this machine, see `uname -m`",
    RunnerFault.CONTAINER_ENDED: "it was removed or stopped, or its engine was",
    RunnerFault.OUT_OF_MEMORY: "give it more: memory=",
    RunnerFault.CONTAINER_PAUSED: "it is given up, and removed by force; the next daemon gets a new one",
    RunnerFault.FOLDER_REMOVED: "keep accuser-container-* out of what clears up there, or choose another "
    "place with TMPDIR; the next daemon gets a new container",
    RunnerFault.NO_FAULTS: "they need root on Linux: partitions and losses nft, "
    "delays tc and a kernel with netem or tap devices",
}
