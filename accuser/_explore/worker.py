"""A process that examines seeds for another one: `workers` starts it, and has the other end.

From standard input come lines: first whose accuser it is, then lists of seeds. To standard output go
lines: `FOUND` and a result, or `FAILED` and an error. The end of standard input says that nobody wants
results any more, also where whoever wanted them was killed: the worker stops its daemons and ends.
"""

from __future__ import annotations

import base64
import os
import pickle
import signal
import threading
import time
import traceback
from queue import SimpleQueue
from typing import BinaryIO, Final

import attrs
import msgspec

from .. import AccuserError
from .._engine.interrupt import like_ctrl_c
from .examining import Judged, examine

FOUND: Final = b"+"
FAILED: Final = b"!"

_GRACE: Final = 40.0
"""Seconds in which a worker that is to end has ended, or is ended the hard way: a play may hang."""


@attrs.define(eq=False, repr=False)
class _Orders:
    """The lists of seeds that come, read by a thread of their own, which notices at once that no more do."""

    stream: BinaryIO
    lists: SimpleQueue[list[int] | None] = attrs.field(factory=SimpleQueue, init=False)
    """None is the end."""
    is_busy: bool = attrs.field(default=False, init=False)
    has_ended: bool = attrs.field(default=False, init=False)

    def read(self) -> None:
        for line in self.stream:
            self.lists.put(msgspec.json.decode(line, type=list[int]))
        self.has_ended = True
        self.lists.put(None)
        if self.is_busy:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_GRACE)
            os._exit(1)


def main() -> None:
    """Examine what is ordered, to the end of the orders."""
    # What anybody prints here must not come among the results.
    given, told = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    try:
        with like_ctrl_c(signal.SIGTERM, signal.SIGHUP):
            _serve(given, told)
    except (KeyboardInterrupt, BrokenPipeError):
        pass


def _serve(given: BinaryIO, told: int) -> None:
    if not (first := given.readline()):
        return
    judged = msgspec.json.decode(first, type=Judged)
    orders = _Orders(given)
    threading.Thread(target=orders.read, daemon=True).start()
    while (seeds := orders.lists.get()) is not None:
        orders.is_busy = True
        for seed in seeds:
            if orders.has_ended:
                return
            _write(told, _answer(seed, judged))
        orders.is_busy = False


def _answer(seed: int, judged: Judged) -> bytes:
    try:
        return FOUND + msgspec.json.encode(examine(seed, judged)) + b"\n"
    except Exception as error:
        if not isinstance(error, AccuserError):
            error.add_note(f"in a worker, with the seed {seed}:\n{traceback.format_exc()}")
        return FAILED + base64.b64encode(_pickled(error)) + b"\n"


def _pickled(error: Exception) -> bytes:
    try:
        text = pickle.dumps(error)
        pickle.loads(text)
    except Exception:
        return pickle.dumps(RuntimeError("".join(traceback.format_exception(error))))
    return text


def failure(line: bytes) -> Exception:
    """The error of a line, without its mark."""
    error = pickle.loads(base64.b64decode(line))
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
