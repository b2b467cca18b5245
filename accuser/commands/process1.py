"""What process 1 of a container has to do beside its work: to reap what others have left to it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from typing import Final

import trio

from .._hosts.proc import HAS_PROC, read_stats

LOOK: Final = 2.0
"""Seconds between two looks. Whoever has started a process here reaps it sooner."""


async def reap_orphans(ours: Callable[[], Collection[int | None]]) -> None:
    """Reap children that have been zombies for two looks, until cancelled; return at once elsewhere.

    They are the children of daemons, and of the commands for denunciations, that ended before them.

    Args:
        ours: tells the daemons, whose status somebody still wants when their output has come to its end.
    """
    if os.getpid() != 1 or not HAS_PROC:
        return
    seen = set[int]()
    while True:
        zombies = {stat.pid for stat in read_stats() if stat.state == "Z" and stat.parent == 1}
        for pid in (zombies & seen).difference(ours()):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - it does not wait
        seen = zombies - seen
        await trio.sleep(LOOK)
