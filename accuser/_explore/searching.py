"""Many seeds: in this process, or in several."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Final

import msgspec

from .examining import Result, examine
from .results import Results
from .workers import Workers

_CHUNK: Final = 8
"""Seeds that a worker gets at once."""


def search(results: Results, seeds: Sequence[int], *, jobs: int = 1) -> Generator[Result]:
    """Examine the seeds that are not done; each result is kept before it is given.

    A Ctrl-C ends it at once; what was given stays done. Whoever leaves it before its end closes it.

    Raises:
        WorkersDie: those of several jobs do, again and again.
        AccuserError: the accuser cannot be run.
    """
    left = results.missing(seeds)
    if jobs == 1:
        for seed in left:
            yield results.add(msgspec.json.encode(examine(seed, results.judged)))
        return
    with Workers(jobs, results.judged) as workers:
        for line in workers.examine(chunked(left, jobs * 2)):
            yield results.add(line)


def chunked(seeds: Sequence[int], at_once: int) -> list[list[int]]:
    """The seeds in portions, which become smaller to the end, so that all workers are done at one time."""
    chunks, at = [], 0
    while at < len(seeds):
        size = max(1, min(_CHUNK, (len(seeds) - at) // (2 * at_once)))
        chunks.append(list(seeds[at : at + size]))
        at += size
    return chunks


def coverage(results: Sequence[Result]) -> dict[str, Any]:
    """How often the rules had to decide what, and in how many schedules."""
    counted: dict[str, list[int]] = {}
    for result in results:
        for decision, times in result.decisions.items():
            entry = counted.setdefault(decision, [0, 0])
            entry[0] += times
            entry[1] += 1
    return {name: {"times": times, "seeds": seeds} for name, (times, seeds) in sorted(counted.items())}
