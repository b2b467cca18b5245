"""What the processes of a daemon use.

The text of ``/proc`` comes in as an argument, so that it may be that of another machine.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

PROC: Final = Path("/proc")


@attrs.frozen
class Stats:
    """What a daemon has used and done in its session; see `Daemon.stats`."""

    cpu_seconds: float
    """Processor time, of the user and of the system, of the living processes of its group and of
    their children that have ended."""
    resident_bytes: int
    """Memory in RAM; what several of its processes share counts for each."""
    open_descriptors: int
    processes: int
    """How many its group has."""
    uptime: float
    """Seconds since it was spawned."""
    events: int
    """How many it has written; malformed pieces are not among them."""
    lines: int
    """How many it has written to standard output and standard error."""
    restarts: int
    """How often it was restarted by its `RestartPolicy`, over all sessions."""


@attrs.frozen
class Usage:
    """What a process group uses; the fields are those of `Stats`."""

    cpu_seconds: float = 0.0
    resident_bytes: int = 0
    open_descriptors: int = 0
    processes: int = 0


@attrs.frozen
class Machine:
    """The units of its ``/proc``."""

    ticks: int
    """A second, as ``getconf CLK_TCK`` tells."""
    page: int
    """Bytes, as ``getconf PAGESIZE`` tells."""


def members_of(group: int, stats: str) -> list[int]:
    """The living processes of a group; for ``stats`` see `usage_of`."""
    return [pid for pid, fields in _members(group, stats) if fields[0] not in "ZX"]


def usage_of(group: int, stats: str, descriptors: Mapping[int, int], machine: Machine) -> Usage:
    """Add up the processes of a group.

    Args:
        group: its id.
        stats: lines of ``/proc/PID/stat``, of any processes.
        descriptors: how many each process of the group has, by its id.
        machine: where that is from.
    """
    usage = Usage()
    for pid, fields in _members(group, stats):
        usage = Usage(
            # utime, stime, and those of the children that were waited for; see proc_pid_stat(5).
            usage.cpu_seconds + sum(map(int, fields[11:15])) / machine.ticks,
            usage.resident_bytes + int(fields[21]) * machine.page,
            usage.open_descriptors + descriptors.get(pid, 0),
            usage.processes + (fields[0] not in "ZX"),
        )
    return usage


def _members(group: int, stats: str) -> list[tuple[int, list[str]]]:
    """Ids, and the fields from the state (the third) on."""
    members = []
    for line in stats.splitlines():
        # The name is in parentheses, and may hold blanks and parentheses itself.
        head, _, rest = line.rpartition(")")
        if len(fields := rest.split()) > 21 and int(fields[2]) == group:
            members.append((int(head.split()[0]), fields))
    return members


def read_usage(group: int) -> Usage:
    """What a process group of this machine uses. Looks at every process, which takes its time.

    Raises `OSError` where there is no ``/proc``.
    """
    machine = Machine(os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE"))
    (PROC / "self" / "stat").read_bytes()  # else there is none
    texts = []
    for name in os.listdir(PROC):
        if name.isdigit():
            with contextlib.suppress(OSError):
                texts.append((PROC / name / "stat").read_text("utf-8", "replace"))
    stats = "".join(texts)
    descriptors = {}
    for pid in members_of(group, stats):
        with contextlib.suppress(OSError):
            descriptors[pid] = len(os.listdir(PROC / str(pid) / "fd"))
    return usage_of(group, stats, descriptors, machine)
