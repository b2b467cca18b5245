"""What a wait looks for, and how far it has got. Pure: no I/O, no trio.

A watch is offered items in order, by whoever waits while it looks back, and by the history's
publisher from then on. It takes as many as it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from operator import attrgetter, length_hint
from types import CoroutineType, FunctionType
from typing import Any, Final, Generic, TypeVar

import attrs

from .event import Event

T = TypeVar("T")

Filter = Callable[[Any], T | None]
"""Gets an item; answers None to go on waiting, and anything else to take it."""


@attrs.frozen(eq=False)
class Failed:
    """An item that could not be converted; taking it raises its error."""

    error: Exception


class Checked(list[Any]):
    """Items some of which are `Failed`."""


def full_of(event: Event) -> Any:
    """Convert an event to the whole item."""
    return event.full()


value_of: Final[Callable[[Event], Any]] = attrgetter("value")
"""Converts an event to its value."""


def event_of(event: Event) -> Any:
    """Leave an event as it is."""
    return event


@attrs.define(eq=False, repr=False)
class Watch(Generic[T]):
    """A search for ``count`` items.

    Args:
        names: of the events that are converted and offered; lines of output have the name ``""``.
        convert: gives the item of a record; the same function for watches that can share it.
        filter: chooses among the items; None takes each.
        count: how many are wanted.
        note: in words, where an exception of the filter came from.
    """

    names: frozenset[str]
    convert: Callable[[Any], Any]
    filter: Filter[T] | None
    count: int
    note: str
    taken: list[T] = attrs.field(factory=list, init=False)
    seen: int = attrs.field(default=0, init=False)
    """How many items were offered, up to the one that completed it or whose filter failed."""
    index: int = attrs.field(default=-1, init=False)
    """Index of the record that completed it."""
    left: int = attrs.field(default=0, init=False)
    """Index of the first record that it has not been offered, when it is watched no more."""

    @property
    def complete(self) -> bool:
        """Whether everything that was wanted has been taken."""
        return len(self.taken) >= self.count

    def successor(self) -> Watch[T]:
        """One that goes on for the others that it spoke for; see `key`."""
        other: Watch[T] = Watch(self.names, self.convert, self.filter, self.count, self.note)
        other.seen = self.seen
        return other

    def offer(self, indexes: Sequence[int], items: Sequence[Any]) -> bool:
        """Offer items in order; stop with the one that completes it. Return whether one did.

        What the filter raises goes to the caller.
        """
        self.seen += len(items)
        if type(items) is Checked:
            return self._offer_checked(indexes, items)
        ask = self.filter
        if ask is None:
            wanted = self.count - len(self.taken)
            self.seen -= max(0, len(items) - wanted)
            self.taken += items[:wanted]
            return len(items) >= wanted and self._completed(indexes[wanted - 1])
        left = iter(items)
        try:
            # A thousand waits pay for each step of this, for each event.
            for item in left:
                answer = ask(item)
                if answer is not None and self._take(answer):
                    break
            else:
                return False
        except StopIteration as error:
            # A coroutine would make an error of it that does not say so.
            failure = RuntimeError("a filter raised StopIteration")
            self._failed(failure, indexes, left)
            raise failure from error
        except BaseException as error:
            self._failed(error, indexes, left)
            raise
        return self._completed(indexes[self._asked(indexes, left) - 1])

    def _offer_checked(self, indexes: Sequence[int], items: Sequence[Any]) -> bool:
        """Offer items one by one, up to the first one that could not be converted."""
        self.seen -= len(items)
        for index, item in zip(indexes, items, strict=True):
            if isinstance(item, Failed):
                self.seen += 1
                self._failed(item.error, (index,), iter(()))
                raise item.error
            if self.offer((index,), (item,)):
                return True
        return False

    def _failed(self, error: BaseException, indexes: Sequence[int], left: Iterator[Any]) -> None:
        error.add_note(self.note)
        self.left = indexes[self._asked(indexes, left) - 1] + 1

    def _asked(self, indexes: Sequence[int], left: Iterator[Any]) -> int:
        """How many were offered of so many, of which some are left."""
        rest = length_hint(left)
        self.seen -= rest
        return len(indexes) - rest

    def _completed(self, index: int) -> bool:
        # A filter may have led to another look at the same items.
        if self.index >= 0:
            return False
        self.index = index
        return True

    def _take(self, answer: Any) -> bool:
        if type(answer) is CoroutineType:
            answer.close()
            raise TypeError("a filter is a plain function: this one answered with a coroutine")
        self.taken.append(answer)
        return len(self.taken) >= self.count

    @property
    def memoryless(self) -> bool:
        """Whether the filter is a plain function without a closure, or none."""
        ours = self.filter
        return ours is None or (type(ours) is FunctionType and not ours.__closure__)

    def key(self) -> Hashable:
        """What is equal for watches of which one may speak for all, from the same index on.

        A plain function without a closure has no memory of its own, so that it is asked once for
        all the waits that share it; so are waits without a filter.
        """
        ours = self.filter
        if self.count == 1 and not self.taken:
            if ours is None:
                return (self.names, self.convert, None)
            if type(ours) is FunctionType and not ours.__closure__:
                state = (ours.__code__, id(ours.__globals__))
                defaults = tuple(map(id, ours.__defaults__ or ()))
                return (self.names, self.convert, state, defaults, bool(ours.__kwdefaults__) and id(ours))
        return id(self)


_PLAIN: Final[tuple[Callable[[Any], Any], ...]] = (value_of, full_of)


def converted(convert: Callable[[Any], Any], records: Sequence[Any]) -> Sequence[Any]:
    """Convert records; the result is `Checked` if one could not be."""
    if convert is event_of:
        return records
    if convert in _PLAIN:
        return list(map(convert, records))
    items: list[Any] = []
    failed = False
    for record in records:
        try:
            items.append(convert(record))
        except Exception as error:
            items.append(Failed(error))
            failed = True
    return Checked(items) if failed else items
