"""Signals that end a command."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from .._groups import plain_errors

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


def until_stopped(work: Callable[[], Awaitable[None]]) -> str | None:
    """Run work that goes on until SIGTERM, SIGHUP or Ctrl-C stops it, which is its good end.

    Returns the signal's name; None if the work ended by itself. What fails, even while it is being
    stopped, is raised. A second Ctrl-C kills the daemons that have not ended by then.
    """
    with plain_errors():
        return trio.run(_until_stopped, work)


async def _until_stopped(work: Callable[[], Awaitable[None]]) -> str | None:
    asked: list[int] = []
    # Ctrl-C too: as a KeyboardInterrupt it would come out wherever Python happens to be, in a handler
    # of events for one.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:

        async def watch() -> None:
            # To the end: a signal that nobody takes from here is sent again, and would end us.
            async for signum in signals:
                asked.append(signum)
                stopping.cancel(reason=signal.Signals(signum).name)

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as stopping:
                nursery.start_soon(watch)
                await work()
            nursery.cancel_scope.cancel(reason="the work is done")
    return signal.Signals(asked[0]).name if asked else None
