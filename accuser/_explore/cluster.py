"""The same search on a Dask cluster. Workers may die: what they had is given to others."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

import attrs
import msgspec

from .examining import Result, examine_all
from .results import Results
from .searching import chunked

_PATIENCE: Final = 20
"""How many workers may die over the same seeds before they are thought to be the reason."""

_CONNECTING: Final = 10
"""Seconds in which a scheduler is reached, and in which one that was lost is reached again."""

_LOOKS: Final = 0.05
_ALONE: Final = 5.0
"""Seconds without any worker, until somebody is told; they may be starting."""

_GO_ON: Final = "the results so far are kept: --resume goes on with them"


class ClusterUnavailable(Exception):
    """There is no such cluster, it is lost, or the package for it is not installed."""


def search_on(
    address: str, results: Results, seeds: Sequence[int], tell: Callable[[str], object] = lambda text: None
) -> Generator[Result]:
    """Examine the seeds that are not done on the workers of a scheduler; each result is kept first.

    Args:
        address: of the scheduler, as in ``tcp://127.0.0.1:8786``.
        results: where they are kept.
        seeds: which ones.
        tell: is told what somebody who waits should know.

    Raises:
        ClusterUnavailable: it cannot be reached, or is lost, or ``distributed`` is not installed.
        AccuserError: the accuser cannot be run there.
    """
    client = _connected(address)
    with client:
        yield from _Cluster(address, client, results, tell).search(results.missing(seeds))


def _connected(address: str) -> Any:
    try:
        distributed: Any = importlib.import_module("distributed")
        comm: Any = importlib.import_module("distributed.comm")
    except ImportError as error:
        raise ClusterUnavailable(
            "the package distributed is missing; install it with: pip install 'accuser[explore]'"
        ) from error
    try:
        # A client that fails over its address complains once more when it is collected.
        comm.get_address_host_port(address)
        return distributed.Client(address, timeout=_CONNECTING, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterUnavailable(f"the scheduler {address} cannot be reached: {error}") from error


@attrs.define(eq=False, repr=False)
class _Cluster:
    address: str
    client: Any
    results: Results
    tell: Callable[[str], object]
    _distributed: Any = attrs.field(init=False)
    _closed: tuple[type[Exception], ...] = attrs.field(init=False)
    _running: Any = attrs.field(init=False)
    """Gives the futures that are done."""
    _chunks: dict[str, list[int]] = attrs.field(factory=dict, init=False)
    """The seeds of each future."""
    _lost: dict[int, int] = attrs.field(factory=dict, init=False)
    """How often seeds were lost, by the first of them."""
    _alone_since: float | None = attrs.field(default=None, init=False)
    _has_told: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._distributed = importlib.import_module("distributed")
        inside: Any = importlib.import_module("distributed.client")
        # What is raised where the scheduler was lost for good.
        self._closed = (inside.ClosedClientError,)
        self._running = self._distributed.as_completed(loop=self.client.loop)

    def search(self, seeds: Sequence[int]) -> Generator[Result]:
        for chunk in chunked(seeds, sum(self.client.nthreads().values()) or 1):
            self._submit(chunk)
        while self._running.count():
            self._wait()
            future = next(self._running)
            chunk = self._chunks.pop(future.key)
            try:
                lines = future.result()
            except (self._distributed.KilledWorker, self._distributed.CancelledError) as error:
                self._again(chunk, error)
                continue
            for line in lines:
                yield self.results.add(line)

    def _submit(self, chunk: list[int]) -> None:
        judged = msgspec.json.encode(self.results.judged)
        try:
            # Not pure: seeds that were lost with a worker are to be done again.
            future = self.client.submit(examine_all, chunk, judged, pure=False, retries=_PATIENCE)
        except self._closed as error:
            raise self._gone() from error
        self._chunks[future.key] = chunk
        self._running.add(future)

    def _again(self, chunk: list[int], reason: Exception) -> None:
        """Have seeds done that were lost with a worker, or with the connection to the scheduler."""
        while self.client.status == "connecting":
            time.sleep(_LOOKS)
        if self.client.status != "running":
            raise self._gone() from reason
        first = chunk[0]
        self._lost[first] = self._lost.get(first, 0) + 1
        if self._lost[first] > _PATIENCE:
            seeds = ", ".join(map(str, chunk))
            raise ClusterUnavailable(
                f"more than {_PATIENCE} workers of {self.address} died over the seeds {seeds}; {_GO_ON}"
            ) from reason
        self._submit(chunk)

    def _gone(self) -> ClusterUnavailable:
        return ClusterUnavailable(f"the scheduler {self.address} is gone; {_GO_ON}")

    def _wait(self) -> None:
        """Wait until something is done; tell of it where nobody does anything."""
        looked = time.monotonic()
        while not self._running.has_ready():
            time.sleep(_LOOKS)
            if time.monotonic() - looked > 1:
                looked = time.monotonic()
                self._look_for_workers(looked)

    def _look_for_workers(self, now: float) -> None:
        if self._has_workers():
            self._alone_since, self._has_told = None, False
        elif self._alone_since is None:
            self._alone_since = now
        elif not self._has_told and now - self._alone_since > _ALONE:
            self._has_told = True
            self.tell(f"the scheduler {self.address} has no workers; waiting for some to come")

    def _has_workers(self) -> bool:
        try:
            return bool(self.client.nthreads())
        except (OSError, RuntimeError):
            # That a scheduler is lost, what was submitted tells.
            return True
