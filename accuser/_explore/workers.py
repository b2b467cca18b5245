"""Processes of this machine that examine seeds, one for each job.

Invariants:
1. A worker ends when this process does, however that ends: it holds the reading end of a pipe whose
   writing end only this process has.
2. The seeds of a worker that dies are given to others.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Final

import attrs
import msgspec

from .._report import describe_status
from .._text import counted
from .examining import Judged
from .worker import FAILED, FOUND, failure

# The modules are found where this process finds them.
_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; from accuser._explore.worker import main; sys.exit(main())"
)

_PATIENCE: Final = 3
"""So many workers may die one after the other, with no result of any of them in between."""

_GRACE: Final = 45.0
"""Seconds in which workers have stopped their daemons, and ended."""

_READ: Final = 65536


class WorkersDie(Exception):
    """Workers die again and again, so that the search comes to nothing."""


@attrs.define(eq=False, repr=False)
class _Worker:
    process: subprocess.Popen[bytes]
    left: list[int] = attrs.field(factory=list, init=False)
    """The seeds that it has, and has not told of."""
    _part: bytes = attrs.field(default=b"", init=False)

    @classmethod
    def started(cls, judged: Judged) -> _Worker:
        # In a group of its own, so that a Ctrl-C comes to us alone.
        process = subprocess.Popen(
            (sys.executable, "-c", _PROGRAM, *sys.path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        worker = cls(process)
        worker._write(msgspec.json.encode(judged))
        return worker

    def give(self, seeds: list[int]) -> None:
        self.left = list(seeds)
        self._write(msgspec.json.encode(seeds))

    def _write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        # That it is dead, the end of its output tells.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def fileno(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def read(self) -> list[bytes] | None:
        """The lines that have come; None at the end."""
        data = os.read(self.fileno(), _READ)
        if not data:
            return None
        *lines, self._part = (self._part + data).split(b"\n")
        return lines

    def let_end(self) -> None:
        """Tell it that no more will come."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def close(self) -> None:
        self.let_end()
        assert self.process.stdout is not None
        self.process.stdout.close()


@attrs.define(eq=False, repr=False)
class Workers:
    """So many processes at most. They are stopped, and their daemons before them, when the block is left."""

    jobs: int
    judged: Judged
    _workers: set[_Worker] = attrs.field(factory=set, init=False)
    _selector: selectors.BaseSelector = attrs.field(factory=selectors.DefaultSelector, init=False)
    _deaths: int = attrs.field(default=0, init=False)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self._workers:
            each.let_end()
        end = time.monotonic() + _GRACE
        try:
            for each in self._workers:
                each.process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            # All of them at once, where somebody does not want to wait.
            for each in self._workers:
                each.process.kill()
                each.process.wait()
                each.close()
            self._selector.close()

    def examine(self, chunks: list[list[int]]) -> Iterator[bytes]:
        """Give the result of each seed, as a line, as they come.

        Raises:
            WorkersDie: they do, again and again.
            Exception: whatever a seed raised in a worker.
        """
        waiting = deque(chunks)
        while True:
            self._give(waiting)
            if not any(each.left for each in self._workers):
                return
            for key, _ in self._selector.select():
                worker: _Worker = key.data
                lines = worker.read()
                if lines is None:
                    self._lost(worker, waiting)
                    continue
                for line in lines:
                    yield self._taken(worker, line)

    def _give(self, waiting: deque[list[int]]) -> None:
        idle = [each for each in self._workers if not each.left]
        while waiting:
            if idle:
                worker = idle.pop()
            elif len(self._workers) < self.jobs:
                worker = _Worker.started(self.judged)
                self._workers.add(worker)
                self._selector.register(worker, selectors.EVENT_READ, worker)
            else:
                return
            worker.give(waiting.popleft())

    def _taken(self, worker: _Worker, line: bytes) -> bytes:
        mark, content = line[:1], line[1:]
        if mark == FAILED:
            raise failure(content)
        assert mark == FOUND
        worker.left.pop(0)
        self._deaths = 0
        return content

    def _lost(self, worker: _Worker, waiting: deque[list[int]]) -> None:
        """A worker has died: its seeds are done by others, one by one, so that a deadly one is alone."""
        self._selector.unregister(worker)
        self._workers.discard(worker)
        worker.close()
        status = worker.process.wait()
        waiting.extendleft([seed] for seed in reversed(worker.left))
        self._deaths += 1
        if self._deaths >= _PATIENCE:
            seeds = ", ".join(map(str, worker.left)) or "none"
            raise WorkersDie(
                f"{counted(self._deaths, 'worker')} died one after the other, and none had a result; "
                f"the last one, with the seeds {seeds}: {describe_status(status)}. Is there enough "
                f"memory for --jobs {self.jobs}? The results so far are kept: --resume goes on with them"
            )
