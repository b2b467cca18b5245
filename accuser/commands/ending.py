"""Signals that end a command."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")


class Terminated(Exception):
    """SIGTERM or SIGHUP has come."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


async def unless_terminated(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work``; SIGTERM and SIGHUP end it as Ctrl-C does, so that every daemon is stopped."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:

        async def watch() -> None:
            async for signum in signals:
                raise Terminated(signum)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            result = await work()
            nursery.cancel_scope.cancel(reason="the work is done")
    return result
