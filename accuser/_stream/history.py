"""The log of one session: records broadcast to any number of consumers.

Invariants:
1. `publish` and `close` never wait, whatever the consumers do.
2. A consumer reads, and if there is nothing for it, parks or watches; no checkpoint lies between,
   so on trio's one thread no record falls into a gap.
3. Retained bytes never exceed the limit by more than the newest block; what was dropped is
   counted.

The history keeps bytes, and records only of the newest block, or while somebody follows, of the newest
blocks, which the consumers that were just woken read: a decoded item takes several times its bytes, and
what lives long is what the garbage collector looks at again and again.

Watches are offered the records as they are published, in the publisher's task: a thousand waits
that go on waiting cost a thousand calls of their filters and not one switch of tasks. What a
filter raises is delivered to its waiter; the publisher goes on.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs
import msgspec
import outcome
import trio

from .watch import Watch, converted

FOLLOWED: Final = 2
"""Newest blocks that keep their decoded records while somebody follows, who is given a turn after each large
read. More of them would not fit into the processor's caches."""

HOT_BYTES: Final = 256 * 1024
"""Blocks of about this size altogether keep the records that were asked for: some four reads of a pipe."""

R = TypeVar("R")


def _no_names(records: Sequence[object]) -> set[str | None]:
    return {""}


# Out of the garbage collector's sight, since nothing in it leads back to it: of single events there are
# forty thousand, and a collection that looks at each of them holds up whoever waits.
class _Block(msgspec.Struct, Generic[R], eq=False, gc=False):
    first: int
    raw: bytes
    count: int
    records: Sequence[R] | None


class Keeper(Protocol):
    """Ends waits whose time is over."""

    def add(self, deadline: float, end: Callable[[], None]) -> int:
        """Call ``end`` at the deadline; return the number for `remove`."""

    def remove(self, number: int) -> None:
        """Forget a wait that has ended."""


class Late(Exception):
    """The time of a wait is over."""


@attrs.define(eq=False, repr=False)
class _Shared:
    """A watch of several waiters whose own are equal: the first one's speaks for all."""

    watch: Watch[Any]
    key: Hashable
    waiters: dict[trio.lowlevel.Task, tuple[Watch[Any], int]] = attrs.field(factory=dict)
    """The watch of each, and how many items more the shared one has seen."""
    offered: int = -1
    """Index of the first record of those that it was offered last."""
    seen_before: int = -1
    """While it is asked for several waiters, what it had seen before that; else -1."""


@attrs.define(eq=False, repr=False)
class History(Generic[R]):
    """Records of one session, bounded in bytes.

    Args:
        decode: gives the records of a block of bytes; called again for old blocks.
        limit: bytes that are kept at most.
        name_of: the name of a record, by which watches find it, or None for one that nobody can watch for;
            itself None if all have the name ``""``.
        names_of: all their names but ``""``, or more than those, as fast as can be.
    """

    _decode: Callable[[bytes], Sequence[R]]
    limit: int
    name_of: Callable[[R], str | None] | None = None
    _names_of: Callable[[Sequence[R]], set[str | None]] = _no_names
    next_index: int = attrs.field(default=0, init=False)
    """Index that the next record will have; the number of records published so far."""
    closed: bool = attrs.field(default=False, init=False)
    _blocks: deque[_Block[R]] = attrs.field(factory=deque, init=False)
    _hot: deque[_Block[R]] = attrs.field(factory=deque, init=False)
    _size: int = attrs.field(default=0, init=False)
    _hot_size: int = attrs.field(default=0, init=False)
    _followers: int = attrs.field(default=0, init=False)
    _parked: dict[trio.lowlevel.Task, None] = attrs.field(factory=dict, init=False)
    _watches: dict[str | None, dict[Hashable, _Shared]] = attrs.field(factory=dict, init=False)
    _offering: int = attrs.field(default=-1, init=False)
    """Index of the first record of those that are being offered; -1 if none are."""

    @property
    def first_index(self) -> int:
        """Index of the oldest record that is still kept."""
        return self._blocks[0].first if self._blocks else self.next_index

    @property
    def hot_index(self) -> int:
        """Index of the oldest record that counts among the newest."""
        return self._hot[0].first if self._hot else self.next_index

    @property
    def followed(self) -> bool:
        """Whether anybody follows."""
        return self._followers > 0

    @property
    def watched(self) -> bool:
        """Whether anybody watches, who needs the records at `publish`."""
        return bool(self._watches)

    @property
    def watchers(self) -> int:
        """How many different watches there are, for the name that has most."""
        return max(map(len, self._watches.values()), default=0)

    def publish(self, raw: bytes, count: int, records: Sequence[R] | None) -> None:
        """Append the ``count`` records that ``raw`` decodes to, and tell whoever waits.

        ``records`` spares the consumers the decoding; None where nobody watches.
        """
        first = self.next_index
        block = _Block(first, raw, count, records)
        self.next_index = first + count
        warm = FOLLOWED if self._followers else 1
        if len(self._hot) >= warm:
            self._hot[-warm].records = None
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
        if self._watches and records:
            self._offering = first
            try:
                self._offer(first, records)
            finally:
                self._offering = -1
        if self._parked:
            self._wake()

    def close(self) -> None:
        """Say that nothing more will come."""
        self.closed = True
        while self._watches:
            shared = next(iter(next(iter(self._watches.values())).values()))
            self._resolve(shared, shared.watch)
        self._wake()

    def read(self, index: int) -> Iterator[tuple[int, R]]:
        """Give the records from ``index`` on that are there now, with their indexes.

        The caller has checked that ``index`` is not before `first_index`.
        """
        for block in list(self._blocks_from(index)):
            records = self._records(block)
            for offset in range(max(index - block.first, 0), block.count):
                yield block.first + offset, records[offset]

    def read_blocks(self, index: int) -> Iterator[tuple[Sequence[R], int]]:
        """Give the records from ``index`` on that are there now, as they came together.

        With those that did are others before them, and with all how many these are. The next ones may have
        left the history by the time that they are asked for.
        """
        for block in list(self._blocks_from(index)):
            yield self._records(block), max(index - block.first, 0)

    @contextlib.contextmanager
    def follow(self) -> Iterator[None]:
        """While somebody follows, who reads all that is published soon after it is."""
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1

    async def park(self) -> None:
        """Wait until something is published, or the history is closed."""
        task = trio.lowlevel.current_task()
        self._parked[task] = None

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            del self._parked[task]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    # Protected: a Ctrl-C before the wait would leave behind a task that is woken although it does not wait.
    @trio.lowlevel.enable_ki_protection
    async def watch(
        self, watch: Watch[Any], keeper: Keeper | None = None, deadline: float = math.inf
    ) -> bool:
        """Wait until what is published from now on completes ``watch``.

        Returns False if it is closed. Raises what the filter raises; `Late` at the deadline, by ``keeper``.
        """
        task = trio.lowlevel.current_task()
        key = watch.key()
        # Of equal watches all names are equal.
        shared = self._watches.get(next(iter(watch.names)), {}).get(key)
        if shared is None:
            shared = _Shared(watch, key)
            for name in watch.names:
                self._watches.setdefault(name, {})[key] = shared
        ahead = shared.watch.seen - watch.seen
        shared.waiters[task] = watch, ahead
        watch.left = self.next_index

        def leave() -> bool:
            if shared.waiters.pop(task, None) is None:
                return False
            # A filter may cancel a wait whose turn has not come.
            passed_over = self._offering not in (-1, shared.offered)
            watch.left = self._offering if passed_over else self.next_index
            watch.seen = shared.watch.seen - ahead
            if shared.seen_before >= 0 and shared.watch is not watch:
                # By the filter itself, before it was asked about all: it is not known what would have been.
                watch.left, watch.seen = self._offering, shared.seen_before - ahead
            if not shared.waiters:
                self._forget(shared)
            elif shared.watch is watch:
                # Its own goes on as its own, where it is awaited again.
                shared.watch = watch.successor()
            return True

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            leave()
            return trio.lowlevel.Abort.SUCCEEDED

        def end() -> None:
            if leave():
                trio.lowlevel.reschedule(task, outcome.Error(Late()))

        if keeper is None:
            await trio.lowlevel.wait_task_rescheduled(abort)
            return watch.complete
        number = keeper.add(deadline, end)
        try:
            await trio.lowlevel.wait_task_rescheduled(abort)
        finally:
            keeper.remove(number)
        return watch.complete

    def _offer(self, first: int, records: Sequence[R]) -> None:
        if self.name_of is None:
            offered = list(self._watches[""].values())
        elif len(records) == 1:  # as nearly always, unless the daemon writes very fast
            offered = list(self._watches.get(self.name_of(records[0]), {}).values())
        else:
            there = self._names_of(records)
            there.add("")
            wanted = self._watches.keys() & there
            found = {id(shared): shared for name in wanted for shared in self._watches[name].values()}
            offered = list(found.values())
        known: dict[Hashable, tuple[Sequence[int], Sequence[Any]]] = {}
        names = convert = None
        indexes: Sequence[int] = ()
        items: Sequence[Any] = ()
        for shared in offered:
            if not shared.waiters:
                continue  # a filter cancelled them
            watch = shared.watch
            shared.offered = first
            # Of a thousand watches for one event, most follow one that looks at the same.
            if watch.names is not names or watch.convert is not convert:
                look = (names, convert) = (watch.names, watch.convert)
                if look not in known:
                    # One alone was found by its name.
                    chosen = ((first,), records) if len(records) == 1 else self._of(names, first, records)
                    known[look] = (chosen[0], converted(convert, chosen[1]))
                indexes, items = known[look]
            shared.seen_before = watch.seen if len(shared.waiters) > 1 else -1
            try:
                completed = watch.offer(indexes, items)
            except BaseException as error:  # noqa: ASYNC103 - no checkpoint, no Cancelled
                self._resolve(shared, watch, error)
            else:
                if completed:
                    self._resolve(shared, watch)
            shared.seen_before = -1

    def _of(
        self, names: frozenset[str], first: int, records: Sequence[R]
    ) -> tuple[Sequence[int], Sequence[R]]:
        name_of = self.name_of
        if name_of is None:
            return range(first, first + len(records)), records
        found = [(i, record) for i, record in enumerate(records, first) if name_of(record) in names]
        return [i for i, _ in found], [record for _, record in found]

    @trio.lowlevel.enable_ki_protection
    def _resolve(self, shared: _Shared, spoke: Watch[Any], error: BaseException | None = None) -> None:
        """Wake all waiters of a shared watch, for each of whom ``spoke`` has spoken."""
        self._forget(shared)
        waiters, shared.waiters = shared.waiters, {}
        left, seen = self.next_index if error is None else spoke.left, spoke.seen
        for task, (watch, ahead) in waiters.items():
            watch.left, watch.index, watch.seen = left, spoke.index, seen - ahead
            watch.taken = spoke.taken.copy()  # who is told of an error may go on alone
            if error is None:
                trio.lowlevel.reschedule(task)
            else:
                trio.lowlevel.reschedule(task, outcome.Error(error))

    def _forget(self, shared: _Shared) -> None:
        for name in shared.watch.names:
            # A filter may have cancelled the very wait that it belongs to.
            of_name = self._watches.get(name, {})
            if of_name.get(shared.key) is shared:
                del of_name[shared.key]
                if not of_name:
                    del self._watches[name]

    @trio.lowlevel.enable_ki_protection
    def _wake(self) -> None:
        parked, self._parked = self._parked, {}
        for task in parked:
            trio.lowlevel.reschedule(task)

    def _records(self, block: _Block[R]) -> Sequence[R]:
        if block.records is not None:
            return block.records
        records = self._decode(block.raw)
        if block.first >= self.hot_index:
            # A thousand waits that fail at once each look at the newest records.
            block.records = records
        return records

    def _blocks_from(self, index: int) -> Iterator[_Block[R]]:
        # Nearly every reader wants the newest blocks: look from that end.
        wanted = []
        for block in reversed(self._blocks):
            if block.first + block.count <= index:
                break
            wanted.append(block)
        return reversed(wanted)
