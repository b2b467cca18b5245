"""A second Ctrl-C: the first one cancels, and daemons get their grace; the next one means at once.

trio gives a KeyboardInterrupt to its main task alone, which by then waits for its nurseries and
only notes it. So while daemons are being stopped, SIGINT is listened to in front of the handler
that is there, trio's as a rule, which gets it all the same.
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
