"""The log of one session: records broadcast to any number of cursors.

Invariants:
1. `publish` and `close` never wait, whatever the consumers do.
2. A consumer reads, and if there is nothing for it, parks; no checkpoint lies between, so on
   trio's one thread no record falls into a gap.
3. Retained bytes never exceed the limit by more than the newest block; what was dropped is
   counted.

The history keeps bytes, and records only of the newest blocks, which the consumers that were
just woken read: a decoded item takes several times its bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

import attrs
import outcome
import trio

HOT_BYTES: Final = 256 * 1024
"""Blocks of about this size altogether keep their decoded records: some four reads of a pipe."""


R = TypeVar("R")


@attrs.define(eq=False)
class _Block(Generic[R]):
    first: int
    raw: bytes
    count: int
    records: Sequence[R] | None


@attrs.define(eq=False)
class History(Generic[R]):
    """Records of one session, bounded in bytes.

    Args:
        decode: gives the records of a block of bytes; called again for old blocks.
        limit: bytes that are kept at most.
        key: the name of a record, by which `more` can wait for it; None where records have none.
    """

    _decode: Callable[[bytes], Sequence[R]]
    limit: int
    _key: Callable[[R], str] | None = None
    next_index: int = attrs.field(default=0, init=False)
    """Index that the next record will have; the number of records published so far."""
    closed: bool = attrs.field(default=False, init=False)
    _blocks: deque[_Block[R]] = attrs.field(factory=deque, init=False)
    _hot: deque[_Block[R]] = attrs.field(factory=deque, init=False)
    _size: int = attrs.field(default=0, init=False)
    _hot_size: int = attrs.field(default=0, init=False)
    _parked: dict[str | None, dict[trio.lowlevel.Task, None]] = attrs.field(factory=dict, init=False)

    @property
    def first_index(self) -> int:
        """Index of the oldest record that is still kept."""
        return self._blocks[0].first if self._blocks else self.next_index

    def publish(self, raw: bytes, count: int, records: Sequence[R] | None) -> None:
        """Append the ``count`` records that ``raw`` decodes to, and wake whoever waits for one.

        ``records`` spares the consumers the decoding; with a key they are needed.
        """
        first = self.next_index
        block = _Block(first, raw, count, records)
        self.next_index = first + count
        self._blocks.append(block)
        self._hot.append(block)
        self._size += len(raw)
        self._hot_size += len(raw)
        while self._hot_size > HOT_BYTES and len(self._hot) > 1:
            cold = self._hot.popleft()
            self._hot_size -= len(cold.raw)
            cold.records = None
        while self._size > self.limit and len(self._blocks) > 1:
            self._size -= len(self._blocks.popleft().raw)
        if self._parked:
            key = self._key
            self._wake(first, set() if key is None else {key(record) for record in records or ()})

    def close(self) -> None:
        """Say that nothing more will come."""
        self.closed = True
        for name in list(self._parked):
            self._wake_name(name, self.next_index)

    def read(self, index: int) -> Iterator[tuple[int, R]]:
        """Give the records from ``index`` on that are there now, with their indexes.

        The caller has checked that ``index`` is not before `first_index`.
        """
        if index >= self.next_index:
            return
        for block in list(self._blocks_from(index)):
            records = self._decode(block.raw) if block.records is None else block.records
            start = max(index - block.first, 0)
            for offset in range(start, block.count):
                yield block.first + offset, records[offset]

    async def more(self, name: str | None, index: int) -> int:
        """Wait for a record called ``name`` (None: any) at or after ``index``, or for the end.

        The caller has read everything before ``index``. Returns the index to read on from: no
        record of that name lies between the two.
        """
        if self.closed or index < self.next_index:
            await trio.lowlevel.checkpoint()
            return index
        task = trio.lowlevel.current_task()
        tasks = self._parked.setdefault(name, {})
        tasks[task] = None

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            del tasks[task]
            if not tasks:
                del self._parked[name]
            return trio.lowlevel.Abort.SUCCEEDED

        resume_at: int = await trio.lowlevel.wait_task_rescheduled(abort)
        return resume_at

    def _blocks_from(self, index: int) -> Iterator[_Block[R]]:
        # Nearly every reader wants the newest blocks: look from that end.
        wanted = []
        for block in reversed(self._blocks):
            if block.first + block.count <= index:
                break
            wanted.append(block)
        return reversed(wanted)

    def _wake(self, first: int, names: set[str]) -> None:
        for name in names & self._parked.keys():
            self._wake_name(name, first)
        if None in self._parked:
            self._wake_name(None, first)

    def _wake_name(self, name: str | None, resume_at: int) -> None:
        for task in self._parked.pop(name):
            trio.lowlevel.reschedule(task, outcome.Value(resume_at))
