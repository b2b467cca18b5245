"""Children that are executed, and the pipes that their standard streams are."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

import attrs
import trio

from ..runs import once_a_run
from .reader import Reader


@attrs.define(eq=False, repr=False)
class Pipes:
    """The standard streams of a program: our ends, and the program's."""

    ours: list[int]
    theirs: list[int]

    @classmethod
    def make(cls) -> Pipes:
        """Open them; a failure leaves none. Raises `OSError`."""
        pipes = cls([], [])
        try:
            for number in range(3):
                ends = os.pipe()  # which no program inherits
                pipes.ours.append(ends[number == 0])
                pipes.theirs.append(ends[number != 0])
        except OSError:
            pipes.close()
            raise
        return pipes

    def given(self) -> None:
        """Close the program's ends here."""
        while self.theirs:
            os.close(self.theirs.pop())

    def taken(self) -> tuple[trio.lowlevel.FdStream, Reader, Reader]:
        """Our ends as streams, which close them from now on: standard input, output and error."""
        stdin, stdout, stderr = self.ours
        for each in (stdout, stderr):
            os.set_blocking(each, False)
        self.ours.clear()
        return trio.lowlevel.FdStream(stdin), Reader(stdout), Reader(stderr)

    def close(self) -> None:
        """Close what is open."""
        self.given()
        while self.ours:
            os.close(self.ours.pop())


@attrs.define(eq=False, repr=False)
class Executed:
    """A child that was executed, with the parts of `trio.Process` that are needed."""

    _popen: subprocess.Popen[bytes]
    stdin: trio.lowlevel.FdStream
    stdout: Reader
    stderr: Reader

    @property
    def pid(self) -> int:
        """Process id, which is the id of its group too."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, or the negative number of a signal; None as long as it runs. Reaps it."""
        return self._popen.poll()


@once_a_run
def _turn() -> trio.Lock:
    return trio.Lock()


async def execute(command: tuple[str, ...], environment: Mapping[str, str]) -> Executed:
    """Start a program in a process group of its own. Raises what `subprocess.Popen` raises.

    Not in another thread, as trio does it: Python holds its lock from the fork until the program is
    executed, so that nobody goes on meanwhile anyway, and two switches of threads cost more than a start.
    One at a time, and others have a turn in between: a hundred starts in a row take long.
    """
    async with _turn():
        return _execute(command, environment)


def _execute(command: tuple[str, ...], environment: Mapping[str, str]) -> Executed:
    pipes = Pipes.make()
    try:
        stdin, stdout, stderr = pipes.theirs
        popen = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment, process_group=0
        )
    except BaseException:
        pipes.close()
        raise
    pipes.given()
    return Executed(popen, *pipes.taken())
