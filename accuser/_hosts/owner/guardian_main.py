"""The guardian: a process that clears up after its owner, however that ended.

Started by path, isolated: ``python -I -S PATH DESCRIPTOR GRACE``. Beside the standard library it knows
`_hosts.proc` alone, which imports nothing else either.
The descriptor is the read end of the lifeline, a pipe whose write end nobody but the owner has; its
end of file means that the owner is gone. What to do then was told as records, first on standard
input, then on the lifeline. Each ends with a NUL, since a path may hold every other byte:

    spawn KEY              a process with KEY in its environment is about to be started
    group KEY ID TIME      it was started, before this time, and leads the group ID
    path KEY INODE PATH    a FIFO or directory to be removed; the inode is 0 if it was told before it was made
    forget KEY             none of the above any more

Invariant: nothing is signalled that is not known to be the owner's. An id alone says nothing, for it
may have been used again: the leader of a group was started before the time that was told, when it was not
reaped yet, and if the leader is gone, a member has the group's key in its environment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import time

if __package__:
    from ..proc import HAS_PROC, read_stat, read_stats
else:
    # Run by its path, isolated: the package is not known, and its folder is not searched.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from proc import HAS_PROC, read_stat, read_stats  # type: ignore[import-not-found, no-redef]  # for a run by its path

VARIABLE = "ACCUSER_GUARD"
"""Environment variable of what is guarded; its value is the key."""

SETTLE = 1.0
"""Seconds in which a process that was about to be started must show. The lifeline ends only when such
a process, which begins as a copy of the owner, has closed the copied descriptors, just before it
becomes the program with the key in its environment."""

KILLED = 5.0
"""Seconds that what was killed may take to vanish: a process in a system call that cannot be
interrupted is left to its fate."""

PATIENCE = 120.0
"""Seconds that a group gets which clears up by itself when its owner is gone, as what removes a container."""

STEP = 0.02
"""Seconds between two looks at the processes, once the owner is gone."""

GATHER = 0.005
"""Seconds between two reads of what the owner tells, who pays for every time that this wakes up by it."""

_TICKS = os.sysconf("SC_CLK_TCK")

BY_TIME = HAS_PROC and hasattr(time, "CLOCK_BOOTTIME")
"""Whether start times are of a clock that can be read; if not, the guardian looks the start time up."""

Row = tuple[int, str, str]
"""Group, state and start time of a process."""


def processes() -> dict[int, Row]:
    if not HAS_PROC:
        return parse_ps(_output("ps", "-A", "-o", "pid=,pgid=,stat=,lstart="))
    return {stat.pid: (stat.group, stat.state, stat.start) for stat in read_stats()}


def parse_ps(text: str) -> dict[int, Row]:
    """Read what ``ps`` says where there is no ``/proc``."""
    rows: dict[int, Row] = {}
    for line in text.splitlines():
        pid, group, state, *start = line.split()
        rows[int(pid)] = (int(group), state[0], "_".join(start))
    return rows


def _output(*command: str) -> str:
    import subprocess  # seldom needed, and slow to import

    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment).stdout


def process(pid: int) -> Row | None:
    """One process; None if it is gone."""
    if not HAS_PROC:
        return parse_ps(_output("ps", "-o", "pid=,pgid=,stat=,lstart=", "-p", str(pid))).get(pid)
    found = read_stat(pid)
    return None if found is None else (found.group, found.state, found.start)


def now() -> str:
    """The time, as processes have their start time; "-" where that is looked up later."""
    # To read a start time takes twenty times as long, while the process is being executed.
    return str(int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS)) if BY_TIME else "-"


def has_key(pid: int, key: str) -> bool:
    """Whether a process was started with ``key`` in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{VARIABLE}={key}".encode() in file.read().split(b"\0")
    except OSError:
        return False


class Charge:
    """What is to be cleared up."""

    def __init__(self) -> None:
        self.spawning: set[str] = set()
        self.groups: dict[str, tuple[int, str]] = {}
        self.patient: set[str] = set()
        self.paths: dict[str, tuple[int, bytes]] = {}

    def take(self, descriptor: int) -> None:
        """Read records until the end of the file."""
        data = b""
        while more := os.read(descriptor, 65536):
            *records, data = (data + more).split(b"\0")
            for record in records:
                self.note(record)
            time.sleep(GATHER)

    def note(self, record: bytes) -> None:
        verb, key, *rest = record.split(b" ", 2)
        name = key.decode()
        self.spawning.discard(name)
        if verb == b"spawn":
            self.spawning.add(name)
        elif verb in (b"group", b"patient"):
            number, start = rest[0].decode().split(" ")
            if start == "-":
                # To look may cost a process, which the owner has no time for.
                row = process(int(number))
                start = "" if row is None else row[2]
            self.groups[name] = (int(number), start)
            if verb == b"patient":
                self.patient.add(name)
        elif verb == b"path":
            inode, path = rest[0].split(b" ", 1)
            self.paths[name] = (int(inode), path)
        else:
            self.groups.pop(name, None)
            self.patient.discard(name)
            self.paths.pop(name, None)

    def clear_up(self, grace: float) -> None:
        """End every group, all with one grace but for the patient ones, then remove the paths."""
        begun = time.monotonic()
        rows = processes()
        found = {key for key, (group, start) in self.groups.items() if is_ours(key, group, start, rows)}
        ours = {self.groups[key][0] for key in found}
        slow = {self.groups[key][0] for key in found & self.patient}
        warned: set[int] = set()
        while True:
            ours |= self._appeared(rows)
            living = {row[0] for row in rows.values() if row[1] not in "ZX"} & ours
            elapsed = time.monotonic() - begun
            settling = bool(self.spawning) and elapsed < SETTLE
            waited = max(grace, PATIENCE) if living & slow else grace
            if not (living or settling) or elapsed > waited + KILLED:
                break
            if elapsed >= grace:
                send(living if elapsed >= waited else living - slow, signal.SIGKILL)
            else:
                # A patient group hears of the end by itself, and a signal could end what it does about it:
                # podman ends by SIGTERM even where it was started with that ignored.
                send(living - warned - slow, signal.SIGTERM)
                # A stopped process would keep the signal for later.
                send(living - warned, signal.SIGCONT)
                warned |= living
            time.sleep(STEP)
            rows = processes()
        for inode, path in self.paths.values():
            remove(inode, path)

    def _appeared(self, rows: dict[int, Row]) -> set[int]:
        leaders = [pid for pid, row in rows.items() if row[0] == pid] if self.spawning else []
        return {pid for pid in leaders for key in self.spawning if has_key(pid, key)}


def is_ours(key: str, group: int, start: str, rows: dict[int, Row]) -> bool:
    """Whether a group is the one that was told of."""
    leader = rows.get(group)
    if leader is not None:
        return int(leader[2]) <= int(start) if BY_TIME else leader[2] == start
    return any(row[0] == group and has_key(pid, key) for pid, row in rows.items())


def send(groups: set[int], signum: int) -> None:
    """Signal groups; those that are gone are passed over."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signum)


def remove(inode: int, path: bytes) -> None:
    """Remove a FIFO or directory, if it is still the one that was told of."""
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if (inode and found.st_ino != inode) or (not inode and found.st_uid != os.getuid()):
            return
        if stat.S_ISFIFO(found.st_mode):
            os.unlink(path)
        elif stat.S_ISDIR(found.st_mode):
            import shutil  # imports all the compressions

            shutil.rmtree(path, ignore_errors=True)


def main(descriptor: int, grace: float) -> None:
    """Guard until the owner is gone, clear up, and return."""
    # Whoever ends the owner's service or terminal ends the owner; this one has work to do then.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    charge = Charge()
    charge.take(sys.stdin.fileno())
    charge.take(descriptor)
    charge.clear_up(grace)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
