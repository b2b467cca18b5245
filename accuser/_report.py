"""The facts about a process or a wait, in words."""

from __future__ import annotations

import enum
import signal
from typing import Final

import attrs


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
    """The last of them that the filter did not take, as JSON, cut."""
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

    def lines(self, daemon: str, names: str) -> list[str]:
        """The report as lines of text, for the message of an error."""
        process = "was never started" if self.pid is None else f"is process {self.pid}, {self.state}"
        if self.status is not None:
            process += f", {describe_status(self.status)}"
        said = [f"{daemon} {process}"]
        if self.seen and self.filtered:
            said.append(f"{self.seen} of {names} came since the wait began; the filter answered None to")
            said += [f"  {miss}" for miss in self.misses]
        elif self.seen:
            said.append(f"{self.seen} of {names} came since the wait began")
        elif names:
            said.append(f"no {names} came since the wait began")
        if self.taken_before is not None:
            said.append(f"before the wait began it had happened: {self.taken_before}")
            said.append("  say beforehand what you wait for (expect), or look back (since=)")
        elif self.before:
            said.append(f"{self.before} of {names} had come shortly before the wait began")
        if self.last_events:
            said += ["the last events:", *(f"  {event}" for event in self.last_events)]
        else:
            said.append("it has written no event at all; is its event sink open?")
        if self.last_lines:
            said += ["the last output:", *(f"  {line}" for line in self.last_lines)]
        return said


def describe_status(status: int) -> str:
    """``exit status 1``, or ``killed by SIGKILL`` for a negative number."""
    return f"exit status {status}" if status >= 0 else f"killed by {signal_name(-status)}"


def signal_name(signum: int) -> str:
    """``SIGKILL``; ``signal 40`` for one that has a number only."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


class RunnerFault(enum.Enum):
    """What may be wrong with another machine."""

    NO_CLIENT = "no SSH client"
    UNKNOWN_HOST = "unknown host"
    REFUSED = "connection refused"
    UNREACHABLE = "no route to the host"
    TIMED_OUT = "no answer in time"
    UNKNOWN_KEY = "unknown host key"
    CHANGED_KEY = "changed host key"
    NO_PERMISSION = "no permission"
    LOST = "connection lost"
    UNUSABLE = "no usable shell"

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
    RunnerFault.CHANGED_KEY: "somebody may be in between; if the change is known, "
    "remove the old key with `ssh-keygen -R`",
    RunnerFault.NO_PERMISSION: "check user= and identity=; a password is never asked for",
    RunnerFault.LOST: "the daemon there stops by itself",
    RunnerFault.UNUSABLE: "a POSIX shell, reached as `sh`, and OpenSSH's server are needed there",
}
