"""What the processes of a daemon use.

The text of ``/proc`` comes in as an argument, so that it may be that of another machine.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping

import attrs

from . import proc
from .proc import Stat, parse_stat


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


def usage_of(group: int, stats: str, descriptors: Mapping[int, int], machine: Machine) -> Usage:
    """Add up the processes of a group.

    Args:
        group: its id.
        stats: lines of ``/proc/PID/stat``, of any processes.
        descriptors: how many each process of the group has, by its id.
        machine: where that is from.
    """
    return _sum((stat for stat in _parsed(stats) if stat.group == group), descriptors, machine)


def _parsed(stats: str) -> Iterator[Stat]:
    return (stat for line in stats.splitlines() if (stat := parse_stat(line)) is not None)


def _sum(members: Iterable[Stat], descriptors: Mapping[int, int], machine: Machine) -> Usage:
    usage = Usage()
    for stat in members:
        usage = Usage(
            usage.cpu_seconds + stat.ticks / machine.ticks,
            usage.resident_bytes + stat.pages * machine.page,
            usage.open_descriptors + descriptors.get(stat.pid, 0),
            usage.processes + stat.living,
        )
    return usage


def read_usage(group: int) -> Usage:
    """What a process group of this machine uses. Looks at every process, which takes its time.

    Raises `OSError` where there is no ``/proc``.
    """
    machine = Machine(os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE"))
    members = [stat for stat in proc.read_stats() if stat.group == group]
    descriptors = {}
    for stat in members:
        with contextlib.suppress(OSError):
            descriptors[stat.pid] = len(os.listdir(f"{proc.PROC}/{stat.pid}/fd"))
    return _sum(members, descriptors, machine)
