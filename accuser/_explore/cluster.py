"""The same search on a Dask cluster. Workers may die: what they had is given to others."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from .examining import Result, examine_all
from .searching import Results, chunked

_PATIENCE: Final = 20
"""How many workers may die over the same seeds before they are thought to be the reason."""


class ClusterUnavailable(Exception):
    """There is no such cluster, or the package for it is not installed."""


def search_on(address: str, results: Results, seeds: Sequence[int]) -> Iterator[Result]:
    """Examine the seeds that are not done on the workers of a scheduler; each result is kept first.

    Args:
        address: of the scheduler, as in ``tcp://127.0.0.1:8786``.
        results: where they are kept.
        seeds: which ones.

    Raises:
        ClusterUnavailable: it cannot be reached, or ``distributed`` is not installed.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise ClusterUnavailable(
            "the package distributed is missing; install it with: pip install 'accuser[explore]'"
        ) from error
    judged = msgspec.json.encode(results.judged)
    try:
        client: Any = distributed.Client(address, timeout=10, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterUnavailable(f"the scheduler {address} cannot be reached: {error}") from error
    with client:
        threads = sum(client.nthreads().values()) or 1
        lost: dict[int, int] = {}
        left = results.missing(seeds)

        def submit(chunk: list[int]) -> Any:
            # Not pure: seeds that were lost with a worker are to be done again.
            return client.submit(examine_all, chunk, judged, pure=False, retries=_PATIENCE)

        chunks: dict[str, list[int]] = {}
        running = distributed.as_completed(loop=client.loop)
        for chunk in chunked(left, threads):
            future = submit(chunk)
            chunks[future.key] = chunk
            running.add(future)
        for future in running:
            chunk = chunks.pop(future.key)
            try:
                lines = future.result()
            except (distributed.KilledWorker, distributed.CancelledError):
                lost[chunk[0]] = lost.get(chunk[0], 0) + 1
                if lost[chunk[0]] > _PATIENCE:
                    raise
                again = submit(chunk)
                chunks[again.key] = chunk
                running.add(again)
                continue
            for line in lines:
                yield results.add(line)
