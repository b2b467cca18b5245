"""Many seeds: in this process, in several, or on a cluster. What is done is on the disk at once.

Invariant: a line of the file is one seed that is done with, whole; a file that was cut off anywhere is
one that can be gone on with.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs
import msgspec

from .examining import Judged, Result, examine_all

RESULTS: Final = "results.jsonl"
_CHUNK: Final = 8
"""Seeds that a worker gets at once."""

Submit = Callable[[Sequence[int], bytes], "Future[list[bytes]]"]


class OtherSearch(ValueError):
    """The results in a folder are of another search."""


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    judged: Judged
    version: int = 1


@attrs.define(eq=False)
class Results:
    """The results of a search, in a folder, in the order in which they came."""

    folder: Path
    judged: Judged
    done: dict[int, Result] = attrs.field(factory=dict, init=False)
    _file: BinaryIO | None = attrs.field(default=None, init=False)

    @contextmanager
    def open(self, *, resume: bool) -> Iterator[None]:
        """Keep the file open; go on with what is there, or begin anew.

        Raises:
            OtherSearch: what is there is of another accuser.
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / RESULTS
        kept = self._read(path) if resume and path.exists() else []
        with path.open("wb") as self._file:
            self._write(msgspec.json.encode(_Head(judged=self.judged)))
            for line in kept:
                self._write(line)
            yield
        self._file = None

    def _read(self, path: Path) -> list[bytes]:
        lines = path.read_bytes().split(b"\n")
        # What has no line end was cut off.
        head, kept = lines[0], [line for line in lines[1:-1] if line]
        try:
            found = msgspec.json.decode(head, type=_Head)
        except msgspec.DecodeError:
            return []
        if found.judged != self.judged:
            raise OtherSearch(f"the results in {self.folder} are of another accuser: take another --out")
        for line in kept:
            result = msgspec.json.decode(line, type=Result)
            self.done[result.seed] = result
        return kept

    def add(self, line: bytes) -> Result:
        """Keep a result, on the disk too."""
        result = msgspec.json.decode(line, type=Result)
        self.done[result.seed] = result
        self._write(line)
        return result

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        self._file.write(line + b"\n")
        self._file.flush()

    def missing(self, seeds: Sequence[int]) -> list[int]:
        """The seeds that are not done."""
        return [seed for seed in seeds if seed not in self.done]


def search(results: Results, seeds: Sequence[int], *, jobs: int = 1) -> Iterator[Result]:
    """Examine the seeds that are not done; each result is kept before it is given.

    A Ctrl-C ends it at once; what was given stays done.
    """
    left = results.missing(seeds)
    judged = msgspec.json.encode(results.judged)
    if jobs == 1:
        for seed in left:
            for line in examine_all([seed], judged):
                yield results.add(line)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_ignore_interrupts)
    try:
        yield from _gather(results, left, lambda chunk: pool.submit(examine_all, chunk, judged), jobs * 2)
    except BaseException:
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _gather(
    results: Results,
    seeds: Sequence[int],
    submit: Callable[[list[int]], Future[list[bytes]]],
    at_once: int,
) -> Iterator[Result]:
    chunks = chunked(seeds, at_once)
    running: set[Future[list[bytes]]] = set()
    more = iter(chunks)
    while True:
        while len(running) < at_once and (chunk := next(more, None)) is not None:
            running.add(submit(chunk))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            for line in future.result():
                yield results.add(line)


def chunked(seeds: Sequence[int], at_once: int) -> list[list[int]]:
    """The seeds in portions, which become smaller to the end, so that all workers are done at one time."""
    chunks, at = [], 0
    while at < len(seeds):
        size = max(1, min(_CHUNK, (len(seeds) - at) // (2 * at_once)))
        chunks.append(list(seeds[at : at + size]))
        at += size
    return chunks


def _ignore_interrupts() -> None:
    """A worker leaves Ctrl-C to who started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def coverage(results: Sequence[Result]) -> dict[str, Any]:
    """How often the rules had to decide what, and in how many schedules."""
    counted: dict[str, list[int]] = {}
    for result in results:
        for decision, times in result.decisions.items():
            entry = counted.setdefault(decision, [0, 0])
            entry[0] += times
            entry[1] += 1
    return {name: {"times": times, "seeds": seeds} for name, (times, seeds) in sorted(counted.items())}
