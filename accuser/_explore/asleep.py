"""Whether a process of this machine waits for others, or has something to do."""

from __future__ import annotations

import os

from .._hosts.proc import PROC, read_stat

_SLEEPS = "SI"
"""States in which a thread waits for what others do. One that waits for a processor is running."""


def sleeps(pid: int) -> bool | None:
    """Whether all threads of a process, and of its children, sleep; None if it cannot be seen."""
    waiting, found = [pid], False
    while waiting:
        process = waiting.pop()
        try:
            threads = os.listdir(f"{PROC}/{process}/task")
        except OSError:
            continue
        for thread in threads:
            stat = read_stat(f"{process}/task/{thread}")
            if stat is not None and stat.living and stat.state not in _SLEEPS:
                return False
            found = found or stat is not None
            waiting += _children(process, thread)
    return True if found else None


def _children(process: int, thread: str) -> list[int]:
    try:
        with open(f"{PROC}/{process}/task/{thread}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except (OSError, ValueError):
        return []
