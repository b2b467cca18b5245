"""The streams that clients have open, and what goes into which of them.

Nothing here waits but `Pacing`, which is about clients that open one stream after another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

import attrs
import trio

from ..._http.server import Feed
from ..chain.block import Block
from ..chain.chain import Chain
from ..chain.mempool import Class, Classified
from . import render

T = TypeVar("T")

ShowBlock: TypeAlias = Callable[[Chain, Block], object]

PACING_LIMIT: Final = 5.0
"""Seconds that a client may take from one stream to the next."""


@attrs.frozen
class ProtocolFilter:
    """The blocks that a stream wants, by hashes of protocols; an empty set wants all."""

    protocols: frozenset[str] = frozenset()
    next_protocols: frozenset[str] = frozenset()

    def takes(self, block: Block) -> bool:
        """Whether a block is wanted."""
        wanted = not self.protocols or block.protocol in self.protocols
        return wanted and (not self.next_protocols or block.state.protocol in self.next_protocols)


@attrs.frozen
class OperationFilter:
    """The operations that a stream wants; no validation pass means all of them."""

    classes: frozenset[Class]
    passes: frozenset[int] = frozenset()
    legacy: bool = False

    def takes(self, entry: Classified) -> bool:
        """Whether an operation is wanted."""
        wanted = not self.passes or entry.operation.validation_pass in self.passes
        return wanted and entry.kind in self.classes


@attrs.define(eq=False, repr=False)
class Pacing:
    """Holds back the blocks of peers while clients go from one stream to the next.

    An accuser asks ``/monitor/bootstrapped``, says that it is ready, waits on ``/monitor/heads`` for
    a head of its protocol, and only then subscribes to ``/monitor/applied_blocks``, which tells no
    block of before. A real node takes long enough for the first blocks of a new protocol, so that it
    subscribes in time. This node takes microseconds. So blocks of peers wait:

    - for a client that was told, before any protocol is active, that the node is bootstrapped, until
      it asks for heads;
    - for a client of heads that hears of its protocol after a silence, until it asks for applied
      blocks, or leaves.

    Each client is given `PACING_LIMIT` seconds for its step.
    """

    limit: float = PACING_LIMIT
    _expected: dict[Feed, tuple[float, ProtocolFilter | None]] = attrs.field(init=False, factory=dict)
    """By the stream that a client comes from: until when, and what it will want (None: heads)."""
    _changed: trio.Event = attrs.field(init=False, factory=trio.Event)

    def bootstrapped(self, feed: Feed) -> None:
        """A client was told that the node is bootstrapped."""
        now = trio.current_time()
        late = [each for each, (deadline, _) in self._expected.items() if deadline <= now]
        for each in late:
            self._done(each)
        self._expected[feed] = (now + self.limit, None)

    def heard(self, feed: Feed, wanted: ProtocolFilter) -> None:
        """A client of heads got its first item after a silence."""
        self._expected[feed] = (trio.current_time() + self.limit, wanted)
        feed.on_close.append(lambda: self._done(feed))

    def asked_for_heads(self) -> None:
        """A client has subscribed to heads."""
        self._arrived(None)

    def subscribed(self, wanted: ProtocolFilter) -> None:
        """A client has subscribed to applied blocks."""
        self._arrived(wanted.next_protocols)

    def _arrived(self, protocols: frozenset[str] | None) -> None:
        for feed, (_, wanted) in self._expected.items():
            if protocols == (None if wanted is None else wanted.next_protocols):
                self._done(feed)
                return

    def _done(self, feed: Feed) -> None:
        if self._expected.pop(feed, None) is not None:
            self._changed.set()

    async def wait(self) -> None:
        """Wait for the expected clients."""
        while self._expected:
            feed, (deadline, _) = next(iter(self._expected.items()))
            with trio.move_on_at(deadline):
                while feed in self._expected:
                    self._changed = trio.Event()
                    await self._changed.wait()
            self._expected.pop(feed, None)


@attrs.define(eq=False, repr=False)
class Feeds:
    """All open streams of a node."""

    chain: Chain
    pacing: Pacing = attrs.field(factory=Pacing)
    _heads: dict[Feed, ProtocolFilter] = attrs.field(init=False, factory=dict)
    _silent: set[Feed] = attrs.field(init=False, factory=set)
    _applied: dict[Feed, ProtocolFilter] = attrs.field(init=False, factory=dict)
    _others: dict[Feed, tuple[ProtocolFilter, ShowBlock]] = attrs.field(init=False, factory=dict)
    _operations: dict[Feed, OperationFilter] = attrs.field(init=False, factory=dict)
    _bootstrapping: dict[Feed, None] = attrs.field(init=False, factory=dict)

    def heads(self, wanted: ProtocolFilter) -> Feed:
        """A stream of heads: the present one first, if it is wanted."""
        feed = _register(self._heads, wanted)
        self.pacing.asked_for_heads()
        if wanted.takes(self.chain.head):
            feed.push(render.head_item(self.chain.head))
        else:
            self._silent.add(feed)
            feed.on_close.append(lambda: self._silent.discard(feed))
        return feed

    def applied(self, wanted: ProtocolFilter) -> Feed:
        """A stream of the blocks, on any branch, that are applied from now on."""
        feed = _register(self._applied, wanted)
        self.pacing.subscribed(wanted)
        return feed

    def new_blocks(self, wanted: ProtocolFilter, show: ShowBlock) -> Feed:
        """A stream of the same blocks, each shown in another form."""
        return _register(self._others, (wanted, show))

    def operations(self, wanted: OperationFilter, present: list[Classified]) -> Feed:
        """A stream of operations: those of ``present`` first, in one item; ends with the head."""
        feed = _register(self._operations, wanted)
        feed.push([self._operation(entry, wanted) for entry in present if wanted.takes(entry)])
        return feed

    def bootstrapping(self, *, bootstrapped: bool) -> Feed:
        """A stream of heads that begins with the present one and ends once bootstrapped."""
        feed = _register(self._bootstrapping, None)
        feed.push(_block_time(self.chain.head))
        if bootstrapped:
            self._end_bootstrapping(feed)
        return feed

    def block_applied(self, block: Block) -> None:
        """A block was found valid."""
        for feed, (protocols, show) in tuple(self._others.items()):
            if protocols.takes(block):
                feed.push(show(self.chain, block))
        item = None
        for feed, wanted in tuple(self._applied.items()):
            if wanted.takes(block):
                item = item or render.applied_item(self.chain, block)
                feed.push(item)

    def head_changed(self, block: Block) -> None:
        """A block became the head."""
        for feed in self._bootstrapping:
            feed.push(_block_time(block))
        for feed, wanted in tuple(self._heads.items()):
            if wanted.takes(block):
                feed.push(render.head_item(block))
                if feed in self._silent:
                    self._silent.discard(feed)
                    self.pacing.heard(feed, wanted)

    def mempool_flushed(self) -> None:
        """The mempool begins anew: its streams end."""
        for feed in tuple(self._operations):
            feed.end()
        self._operations.clear()

    def operation_classified(self, entry: Classified) -> None:
        """An operation has come into the mempool."""
        for feed, wanted in tuple(self._operations.items()):
            if wanted.takes(entry):
                feed.push([self._operation(entry, wanted)])

    def bootstrapped(self) -> None:
        """The node is bootstrapped: the streams that wait for it end."""
        for feed in tuple(self._bootstrapping):
            self._end_bootstrapping(feed)

    def _end_bootstrapping(self, feed: Feed) -> None:
        del self._bootstrapping[feed]
        feed.end()
        if self.chain.head.state.calendar is None:
            self.pacing.bootstrapped(feed)

    def _operation(self, entry: Classified, wanted: OperationFilter) -> render.Json:
        return render.monitored(entry, self.chain.head.state.protocol, legacy=wanted.legacy)


def _register(feeds: dict[Feed, T], wanted: T) -> Feed:
    feed = Feed()
    feeds[feed] = wanted

    def forget() -> None:
        feeds.pop(feed, None)

    feed.on_close.append(forget)
    return feed


def _block_time(block: Block) -> render.Json:
    return {"block": block.hash, "timestamp": block.header.shell.to_json()["timestamp"]}
