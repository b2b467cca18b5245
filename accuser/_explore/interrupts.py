"""Signals that end what goes on in the way that Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
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


@contextmanager
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
