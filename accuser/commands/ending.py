"""Signals that end a command."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import trio

from .._engine.interrupt import like_ctrl_c
from .._unwrap import leaves_of, plain_errors

T = TypeVar("T")


class Terminated(Exception):
    """SIGTERM or SIGHUP has come."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


async def unless_terminated(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work``; SIGTERM and SIGHUP end it as Ctrl-C does, so that every daemon is stopped.

    Raises `Terminated` then, unless the work fails while it is being stopped.
    """
    results: list[T] = []

    async def run() -> None:
        results.append(await work())

    signum = await _unless_signalled(run, signal.SIGTERM, signal.SIGHUP)
    if results:
        return results[0]
    assert signum is not None
    raise Terminated(signum)


@contextmanager
def ended_by_signals() -> Generator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, whatever it waits for.

    Raises `Terminated` then.
    """
    with like_ctrl_c(signal.SIGTERM, signal.SIGHUP) as heard:
        try:
            yield
        except BaseException as error:
            if heard and any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves_of(error)):
                raise Terminated(heard[0]) from None  # noqa: ASYNC104 - trio has ended
            raise


def until_stopped(work: Callable[[], Awaitable[None]]) -> str | None:
    """Run work that goes on until SIGTERM, SIGHUP or Ctrl-C stops it, which is its good end.

    Returns the signal's name; None if the work ended by itself. What fails, even while it is being
    stopped, is raised. A second Ctrl-C kills the daemons that have not ended by then.
    """
    # Ctrl-C too: as a KeyboardInterrupt it would come out wherever Python happens to be, in a handler
    # of events for one.
    with plain_errors():
        signum = trio.run(_unless_signalled, work, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return None if signum is None else signal.Signals(signum).name


async def _unless_signalled(work: Callable[[], Awaitable[None]], *signums: int) -> int | None:
    """Run ``work`` until its end, or until the first of the signals, which is returned, cancels it.

    Signals that are ignored stay so: whoever started us wanted that, as ``nohup`` does.
    """
    signums = tuple(signum for signum in signums if signal.getsignal(signum) is not signal.SIG_IGN)
    if not signums:
        await work()
        return None
    heard: list[int] = []
    with trio.open_signal_receiver(*signums) as signals:

        async def watch() -> None:
            # To the end: a signal that nobody takes from here is sent again, and would end us.
            async for signum in signals:
                heard.append(signum)
                stopping.cancel(reason=signal.Signals(signum).name)

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as stopping:
                nursery.start_soon(watch)
                await work()
            nursery.cancel_scope.cancel(reason="the work is done")
    return heard[0] if heard else None
