"""The owner's side of its guardian, a process that clears up when this one is gone.

Whatever ends this process, SIGKILL included, the guardian reads the end of the lifeline, stops the
groups that it was told of and removes the FIFOs and directories; `guardian_main` is its program.

Invariants:
1. Only this process has the write end: programs that it starts do not inherit it, and what it forks
   closes its copy at once.
2. A process is announced before it is started, and named when it is there; it is forgotten only when
   it has been reaped. So there is no moment at which nobody would stop it.
3. Telling never waits for the guardian. One that does not read is replaced, and the new one is told
   everything; it is killed first, since it would take the end of the old lifeline for ours.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import itertools
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import attrs

from ..proc import HAS_PROC
from .guardian_main import VARIABLE, now

GRACE: Final = 10.0
"""Seconds between SIGTERM and SIGKILL when the owner is gone: less than the owner would give, since
nobody is left who wants the daemons' last words."""

GRACE_VARIABLE: Final = "ACCUSER_GUARDIAN_GRACE"

BATCH: Final = 64
"""Words in one write, of some 30 bytes each: a pipe takes 4096 bytes as a whole."""

_PROGRAM: Final = Path(__file__).resolve().with_name("guardian_main.py")


@contextmanager
def passable(descriptor: int) -> Generator[int]:
    """A copy for `subprocess` to pass, with no number of a standard stream.

    A process that has closed its own is given such numbers, which are those of the child's streams.
    """
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    try:
        yield copy
    finally:
        os.close(copy)


class Guardian:
    """The guardian of this process, started when there is something to guard."""

    def __init__(self) -> None:
        self._disowned()

    def _disowned(self) -> None:
        self._lock = threading.RLock()
        self._keys = itertools.count(1)
        # Of the process, so that the keys of two owners differ.
        self._prefix = secrets.token_hex(8)
        self._facts: dict[str, bytes] = {}
        self._dropped: deque[str] = deque()
        self._lifeline: int | None = None
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the guardian, a child of this process; None while there is none."""
        return self._pid

    @property
    def lifeline(self) -> int | None:
        """Descriptor of the pipe to it; None while there is none."""
        return self._lifeline

    @contextmanager
    def announced(self, patient: bool = False) -> Generator[Guard]:
        """Say that the block starts a process; if it fails, there is none.

        Args:
            patient: it clears up by itself when we are gone, and is to have the time for that.

        Raises `OSError` if there can be no guardian, `ValueError` if its grace is no number.
        """
        key = self._new_key()
        guard = Guard(self, key, patient)
        try:
            self._tell(key, f"spawn {key}".encode())
            yield guard
        except BaseException:
            guard.forget()
            raise

    def add_path(self, path: Path) -> str:
        """Have a FIFO or directory removed; return the key to `forget` it by.

        If it cannot be told now, it will be with the next thing to guard.
        """
        key = self._new_key()
        fact = b"path %s %d %s" % (key.encode(), os.lstat(path).st_ino, os.fsencode(path))
        with contextlib.suppress(OSError, ValueError):
            self._tell(key, fact)
        return key

    def announce_path(self, path: Path) -> str:
        """Say that a directory is about to be made, with a name that nobody else uses; return its key.

        As `add_path`, but it cannot be told from another one at the path, so that only one of this user is
        removed.
        """
        key = self._new_key()
        with contextlib.suppress(OSError, ValueError):
            self._tell(key, b"path %s 0 %s" % (key.encode(), os.fsencode(path)))
        return key

    def look_after(self) -> None:
        """Replace the guardian if it is gone or was stopped. Cheap: it is asked for every second."""
        with self._lock:
            if not self._facts or self._is_well():
                return
            self._end()
            # If it cannot be started now, the next look tries again.
            with contextlib.suppress(OSError, ValueError):
                self._start()

    def _is_well(self) -> bool:
        if self._pid is None:
            return False
        try:
            wanted = os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self._pid, wanted) is None
        except ChildProcessError:
            return False  # somebody else has reaped it
        except AttributeError:  # there is no waitid: who writes notices
            return True

    def forget(self, key: str) -> None:
        """Say that there is nothing to clear up any more. Does nothing the second time."""
        with self._lock:
            self._dropped.append(key)
            if not self._flush():
                self._end()
                if self._facts:
                    # If it cannot be started now, the next thing to guard tries again.
                    with contextlib.suppress(OSError, ValueError):
                        self._start()

    def drop(self, key: str) -> None:
        """As `forget`, but told with what is told next: for what is there no more, and would not be found.

        For finalizers, which may run in the midst of anything, and for the ends of many daemons at once.
        """
        self._dropped.append(key)

    def _new_key(self) -> str:
        return f"{self._prefix}-{next(self._keys)}"

    def _tell(self, key: str, fact: bytes) -> None:
        with self._lock:
            told = self._flush()
            self._facts[key] = fact
            if not (told and self._write(fact)):
                self._end()
                self._start()

    def _flush(self) -> bool:
        """Tell what was dropped; whether all of that could be told."""
        records = []
        while self._dropped:
            key = self._dropped.popleft()
            if self._facts.pop(key, None) is not None:
                records.append(f"forget {key}".encode())
        batches = [records[start : start + BATCH] for start in range(0, len(records), BATCH)]
        return all(self._write(b"\0".join(batch)) for batch in batches)

    def _write(self, record: bytes) -> bool:
        if self._lifeline is None:
            return False
        try:
            return os.write(self._lifeline, record + b"\0") == len(record) + 1
        except OSError:
            return False  # it is gone, or does not read

    def _start(self) -> None:
        grace = _grace()
        # Else the guardian of our owner, if we have one, would end ours together with us.
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        reader, writer = os.pipe()
        try:
            os.set_blocking(writer, False)
            # A file, since the pipe may be too small for all that there is to tell.
            with tempfile.TemporaryFile() as known, passable(reader) as passed:
                known.write(b"".join(fact + b"\0" for fact in self._facts.values()))
                known.seek(0)
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_PROGRAM), str(passed), str(grace)],
                    stdin=known,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(passed,),
                    env=environment,
                    cwd="/",
                    start_new_session=True,
                )
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.close(reader)
        self._lifeline, self._pid = writer, process.pid
        # It outlives this object on purpose, which Popen would warn of; `_end` reaps it.
        process.returncode = 0

    def _end(self) -> None:
        pid, self._pid = self._pid, None
        if pid is not None:
            # Not our child any more if somebody else reaped it, and the id may be anybody's.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                except PermissionError:
                    # We are another user now. Its lifeline stays open: it would take the end for ours.
                    if not os.waitpid(pid, os.WNOHANG)[0]:
                        self._lifeline = None
        self._close()

    def _close(self) -> None:
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)

    def leave(self) -> None:
        """End the guardian if there is nothing to guard, so that it does not outlive a normal exit."""
        with self._lock:
            self._flush()
            if not self._facts:
                self._end()

    def forked(self) -> None:
        """Begin anew in a child that was forked: the guardian and what it guards are the parent's."""
        self._close()
        self._disowned()


class Started(Protocol):
    """A child that was started; `trio.Process` and `subprocess.Popen` are such."""

    @property
    def pid(self) -> int: ...


@attrs.define(eq=False, repr=False)
class Guard:
    """What the guardian knows of one child process."""

    _guardian: Guardian
    _key: str
    _patient: bool

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Add what the child is found by to its environment."""
        return {**base, VARIABLE: self._key}

    def started(self, child: Started) -> None:
        """Say that the child is there, and leads a group of its own. It must not be reaped yet."""
        verb = "patient" if self._patient else "group"
        # If the guardian died just now and cannot be replaced, the next one is told.
        with contextlib.suppress(OSError, ValueError):
            self._guardian._tell(self._key, f"{verb} {self._key} {child.pid} {now()}".encode())

    def forget(self) -> None:
        """Say that the child was never started."""
        self._guardian.forget(self._key)

    def reaped(self) -> None:
        """Say that the child has been reaped."""
        if HAS_PROC:
            # Should it be told too late, the start time shows that the id is another process's by now.
            self._guardian.drop(self._key)
        else:
            self._guardian.forget(self._key)


def _grace() -> float:
    text = os.environ.get(GRACE_VARIABLE, str(GRACE))
    try:
        return max(0.0, float(text))
    except ValueError:
        raise ValueError(f"{GRACE_VARIABLE} is a number of seconds, not {text!r}") from None


guardian: Final = Guardian()
"""The one of this process."""

atexit.register(guardian.leave)
os.register_at_fork(after_in_child=guardian.forked)
