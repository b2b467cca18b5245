"""The processes of a Linux system, as its ``/proc`` lists them: the one parser of ``/proc/PID/stat``.

Knows the standard library alone: the guardian, which runs isolated by its path, imports it too.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterator

PROC = "/proc"

HAS_PROC = os.path.exists("/proc/self/stat")
"""Whether this system has one."""

GONE = "ZX"
"""States of processes that have ended: zombies, and those that are being reaped."""


_LINE = 65536
"""Bytes that such a line never has: its name is short, the rest some fifty numbers."""


# Not typing.NamedTuple: what imports typing starts late.
class Stat(namedtuple("Stat", "pid parent group state start ticks pages")):
    """A process: its ids as numbers, its state as a letter, ``start`` as text, in ticks since the boot.

    ``ticks`` is the processor time of it and of the children that it has waited for; ``pages`` is its
    memory in RAM.
    """

    __slots__ = ()

    pid: int
    parent: int
    group: int
    state: str
    start: str
    ticks: int
    pages: int

    @property
    def living(self) -> bool:
        """Whether it has not ended."""
        return self.state not in GONE


def parse_stat(line: str) -> Stat | None:
    """Read one line of ``/proc/PID/stat``, see proc_pid_stat(5); None if it is no such line."""
    # The name is in parentheses, and may hold blanks and parentheses itself.
    head, _, rest = line.rpartition(")")
    fields = rest.split()
    if len(fields) < 22:
        return None
    return Stat(
        pid=int(head.split()[0]),
        parent=int(fields[1]),
        group=int(fields[2]),
        state=fields[0],
        start=fields[19],
        ticks=sum(map(int, fields[11:15])),
        pages=int(fields[21]),
    )


def read_stat(pid: int | str) -> Stat | None:
    """One process of this system; None if it is gone."""
    try:
        # Every start of a daemon pays for this, and a file object costs as much again.
        descriptor = os.open(f"{PROC}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return parse_stat(os.read(descriptor, _LINE).decode("utf-8", "replace"))
        finally:
            os.close(descriptor)
    except OSError:
        return None


def read_stats() -> Iterator[Stat]:
    """Every process of this system. Raises `OSError` where there is no ``/proc``."""
    # Some systems have an empty folder of that name.
    os.stat(f"{PROC}/self/stat")
    for name in os.listdir(PROC):
        if name.isdigit() and (found := read_stat(name)) is not None:
            yield found
