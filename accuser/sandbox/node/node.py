"""A node at work: a chain, its mempool, the streams and events that tell of them.

Everything that changes the chain or the mempool happens under one lock, with its events, so their
order is that of the changes. No clock or network of its own: time is a callable, peers are
`PeerLink` objects that somebody else connects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import attrs
import trio

from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import BlockHeader, fitness_key
from ..._mavryk.codec.operations import Operation
from ..chain.block import Block, Operations
from ..chain.chain import Chain, HeadChange
from ..chain.mempool import Class, Classified, Mempool
from ..chain.trace import NodeError, failure
from ..sink.sink import Level
from .events import Emitter, NodeEvents
from .feeds import Feeds
from .synchronisation import Synchronisation

MAX_DRIFT: Final = 50
"""Seconds that a block may be ahead of the node's clock (``src/lib_shell/clock_drift.ml``)."""


class PeerLink(Protocol):
    """What the node tells a connected peer. No method waits."""

    @property
    def peer_id(self) -> str:
        """The peer's identity."""

    def head_changed(self, block: Block) -> None:
        """The node has a new head."""

    def operation_accepted(self, operation: Operation) -> None:
        """An operation is valid in the node's mempool."""


class BlockStore(Protocol):
    """Where blocks are kept."""

    def append(self, block: Block) -> None: ...


class NoEvents:
    """An emitter that drops everything."""

    async def emit(
        self, section: tuple[str, ...], name: str, level: Level, value: object, text: str | None = None
    ) -> None: ...


@attrs.define(eq=False, repr=False)
class Node:
    """One node. ``clock`` gives seconds since the epoch."""

    peer_id: str
    chain: Chain = attrs.field(factory=Chain)
    emitter: Emitter = attrs.field(factory=NoEvents)
    clock: Callable[[], float] = time.time
    store: BlockStore | None = None
    synchronisation: Synchronisation = attrs.field(factory=Synchronisation)
    use_mempool: bool = True
    history_mode: object = "full"
    """As the RPCs tell it; nothing is ever pruned here."""
    settings: Mapping[str, object] = attrs.field(factory=dict)
    """The node's configuration, as its file has it."""
    started: float = attrs.field(init=False)
    """When the node was made, in seconds since the epoch."""
    mempool: Mempool = attrs.field(init=False)
    feeds: Feeds = attrs.field(init=False)
    events: NodeEvents = attrs.field(init=False)
    peers: dict[str, PeerLink] = attrs.field(init=False, factory=dict)
    _lock: trio.Lock = attrs.field(init=False, factory=trio.Lock)

    def __attrs_post_init__(self) -> None:
        self.started = self.clock()
        self.mempool = Mempool(self.chain)
        self.feeds = Feeds(self.chain)
        self.events = NodeEvents(self.emitter, self.clock)

    async def inject_block(self, data: bytes, operations: Operations, *, force: bool = False) -> str:
        """Validate a block that a client made; return its hash.

        Raises:
            NodeError: it is refused; without ``force`` also when it would not become the head.
        """
        try:
            header = BlockHeader.from_bytes(data)
        except ForgeError as error:
            raise failure("Cannot parse block header.") from error
        if header.hash not in self.chain.blocks and not force:
            # Against the head of when it came: of two blocks that come together, both are validated,
            # and one becomes the head (``chain_validator.ml``).
            self._check_fitness(header)
        async with self._lock:
            self._check_time(header)
            await self._apply(header, operations)
        return header.hash

    async def receive_block(self, peer: str, header: BlockHeader, operations: Operations) -> None:
        """Validate a block of a peer. Raises ``NodeError`` if it is refused."""
        await self.feeds.pacing.wait()
        async with self._lock:
            self._check_time(header)
            status = self.events.status()
            status.begin()
            refused: NodeError
            try:
                block = await self._apply(header, operations)
            except NodeError as error:
                refused = error
            else:
                await self._synchronised(peer, block)
                return
            await self.events.block_refused(header.hash, status, refused)
            raise refused

    async def settle(self) -> None:
        """Wait until what changes the chain or the mempool now is done, and told."""
        async with self._lock:
            pass

    async def peer_has(self, peer: str, block: Block) -> None:
        """A peer's head is a block that is known here."""
        async with self._lock:
            await self._synchronised(peer, block)

    async def _synchronised(self, peer: str, block: Block) -> None:
        if self.synchronisation.validated(peer, block.header.shell.timestamp, self.clock()):
            self.feeds.bootstrapped()
            await self.events.bootstrapped()

    async def force_bootstrapped(self, *, bootstrapped: bool) -> None:
        """Count as bootstrapped, or no longer, whatever the peers have told."""
        async with self._lock:
            before, self.synchronisation.is_bootstrapped = self.synchronisation.is_bootstrapped, bootstrapped
            if bootstrapped and not before:
                self.feeds.bootstrapped()
                await self.events.bootstrapped()

    def _check_time(self, header: BlockHeader) -> None:
        if header.shell.timestamp > self.clock() + MAX_DRIFT:
            raise failure("Block in the future.")

    def _check_fitness(self, header: BlockHeader) -> None:
        if fitness_key(header.shell.fitness) <= fitness_key(self.chain.head.header.shell.fitness):
            raise failure("Fitness too low")

    async def _apply(self, header: BlockHeader, operations: Operations) -> Block:
        known = self.chain.blocks.get(header.hash)
        if known is not None:
            return known
        block = self.chain.add(header, operations)
        if self.store is not None:
            self.store.append(block)
        self.feeds.block_applied(block)
        old = self.chain.head
        change = self.chain.advance(block)
        if change is not HeadChange.IGNORED:
            await self.events.set_head(block)
            await self._flush(change, old)
            self.feeds.head_changed(block)
            for link in tuple(self.peers.values()):
                link.head_changed(block)
        await self.events.block_done(block, change, bootstrapped=self.synchronisation.is_bootstrapped)
        return block

    async def _flush(self, change: HeadChange, old: Block) -> None:
        if self.chain.head.header.shell.proto > old.header.shell.proto:
            # It is another mempool, with no request completed yet.
            self.mempool.restart()
            self.feeds.mempool_flushed()
            return
        status = self.events.status()
        status.begin()
        self.mempool.flush(change, self._left(old) if change is HeadChange.SWITCH else [])
        self.feeds.mempool_flushed()
        view = {"request": "flush", "block": self.chain.head.hash, "event": change.value}
        await self.events.completed(view, status)

    def _left(self, old: Block) -> list[Operation]:
        """The operations of the blocks below ``old`` that are not on the head's branch."""
        ours, theirs, operations = self.chain.head, old, []
        while ours is not theirs:
            if ours.level > theirs.level:
                ours = self.chain.predecessor(ours)
            else:
                operations += [operation for passed in theirs.operations for operation in passed]
                theirs = self.chain.predecessor(theirs)
        return operations

    async def inject_operation(self, data: bytes, *, force: bool = False) -> str:
        """Take an operation of a client; return its hash.

        Args:
            data: the signed operation.
            force: take it whatever the mempool thinks of it.

        Raises:
            NodeError: why the mempool does not take it.
        """
        operation = parse_operation(data)
        status = self.events.status()
        raw = {"branch": operation.branch, "data": operation.raw_json()["data"]}
        view = {"request": "inject", "operation": raw, "force": force}
        async with self._lock:
            status.begin()
            refused: NodeError
            try:
                await self._inject(operation, force=force)
            except NodeError as error:
                refused = error
            else:
                await self.events.completed(view, status)
                return operation.hash
            await self.events.failed(view, status, refused)
            raise refused

    async def _inject(self, operation: Operation, *, force: bool) -> None:
        if not self.use_mempool:
            raise failure("Prevalidator is not running, cannot inject the operation.")
        if self.mempool.known(operation.hash):
            return
        if not force and not self.mempool.is_live(operation):
            raise failure(self.mempool.not_live(operation))
        entry = self.mempool.classify(operation)
        if entry.error is not None and not force:
            raise entry.error
        self._keep(entry)
        await self.events.injected(operation.hash)

    def _keep(self, entry: Classified, origin: str | None = None) -> None:
        replaced = self.mempool.add(entry)
        if replaced is not None:
            self.feeds.operation_classified(replaced)
        self.feeds.operation_classified(entry)
        if entry.kind is Class.VALIDATED:
            for peer, link in tuple(self.peers.items()):
                if peer != origin:
                    link.operation_accepted(entry.operation)

    async def receive_operations(self, peer: str, operations: list[Operation]) -> None:
        """Take operations that a peer knows."""
        if not self.use_mempool:
            return
        status = self.events.status()
        async with self._lock:
            status.begin()
            known_valid = [operation.hash for operation in operations]
            view: dict[str, Any] = {
                "request": "notify",
                "peer": peer,
                "mempool": {"known_valid": known_valid, "pending": []},
            }
            await self.events.completed(view, status, debug=True)
            for operation in operations:
                arrived = self.events.status()
                arrived.begin()
                if not self.mempool.known(operation.hash) and self.mempool.is_live(operation):
                    self._keep(self.mempool.classify(operation), origin=peer)
                view = {
                    "request": "arrived",
                    "operation_hash": operation.hash,
                    "operation": {"branch": operation.branch, "data": operation.raw_json()["data"]},
                }
                await self.events.completed(view, arrived, debug=True)

    async def peer_connected(self, link: PeerLink) -> None:
        """A peer is there."""
        self.peers[link.peer_id] = link
        await self.events.connection(link.peer_id)

    async def peer_left(self, link: PeerLink) -> None:
        """A peer is gone."""
        if self.peers.get(link.peer_id) is link:
            del self.peers[link.peer_id]
        await self.events.connection(link.peer_id, lost=True)


def parse_operation(data: bytes) -> Operation:
    """Read a signed operation. Raises ``NodeError``."""
    try:
        return Operation.from_bytes(data)
    except ForgeError as error:
        raise failure(f"Can't parse the operation: {error}") from error
