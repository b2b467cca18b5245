"""Signals that interrupt: a second Ctrl-C, and others that are to end a block as a Ctrl-C does.

The first Ctrl-C cancels, and daemons get their grace; the next one means at once. trio gives a
KeyboardInterrupt to its main task alone, which by then waits for its nurseries and only notes it. So while
daemons are being stopped, SIGINT is listened to in front of the handler that is there, trio's as a rule,
which gets it all the same.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

import trio

_listeners: dict[object, Callable[[], None]] = {}
_inner: Callable[[int, FrameType | None], Any] | None = None


@contextlib.contextmanager
def on_interrupt(act: Callable[[], None]) -> Generator[None]:
    """Call ``act`` in trio's loop at every SIGINT during the block.

    Does nothing beside the main thread, or where SIGINT is ignored or has its default action.
    """
    global _inner
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    token, key = trio.lowlevel.current_trio_token(), object()

    def soon() -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(act)

    _listeners[key] = soon
    if handler is not _heard:
        _inner = handler
        signal.signal(signal.SIGINT, _heard)
    try:
        yield
    finally:
        del _listeners[key]
        # Somebody may have put a handler in front of ours, who will put it back.
        if not _listeners and signal.getsignal(signal.SIGINT) is _heard:
            signal.signal(signal.SIGINT, _inner)


def _heard(signum: int, frame: FrameType | None) -> None:
    for soon in list(_listeners.values()):
        soon()
    if _inner is not None:
        _inner(signum, frame)


@contextlib.contextmanager
def like_ctrl_c(*signums: int) -> Generator[list[int]]:
    """Let signals raise ``KeyboardInterrupt`` in the block, where a Ctrl-C would; give those that came.

    In trio that is the main task's next checkpoint, so that all daemons are stopped. Only the first signal
    counts. Signals that are ignored stay so: whoever started us wanted that, as ``nohup`` does.
    """
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def hear(signum: int, frame: FrameType | None) -> None:
        if not heard:
            heard.append(signum)
            interrupt = signal.getsignal(signal.SIGINT)
            assert callable(interrupt)
            interrupt(signal.SIGINT, frame)

    taken = [each for each in signums if signal.getsignal(each) is not signal.SIG_IGN]
    with _interruptible():
        before = {each: signal.signal(each, hear) for each in taken}
        try:
            yield heard
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


@contextlib.contextmanager
def _interruptible() -> Generator[None]:
    """Have a handler of Ctrl-C, which trio replaces by its own; where it was ignored, it does not come."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
