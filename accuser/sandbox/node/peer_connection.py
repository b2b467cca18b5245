"""One connection with another node, once both sides have agreed on it.

A peer that sends what is no message, or a block that is not valid, loses its connection and
nothing else happens. A peer that does not read loses it too: see `Outbox`.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import attrs
import trio

from ..._mavryk.codec.forge import fitness_key
from ..._mavryk.codec.operations import Operation
from ..chain.block import Block
from ..chain.mempool import Class
from ..chain.trace import NodeError
from .node import Node
from .peer_messages import (
    MAX_LINE,
    BlockIs,
    Fetch,
    FetchDone,
    HeadIs,
    Hello,
    Message,
    OperationsAre,
    PeerMessageError,
    block_message,
    head_message,
    read,
    write,
)
from .points import Point

MAX_OUTBOX: Final = 64 * 1024 * 1024
"""Bytes that wait for a peer which does not read; beyond it the connection is dropped."""

NETWORK_VERSION: Final = {"distributed_db_version": 2, "p2p_version": 1}


@attrs.define(eq=False, repr=False)
class Outbox:
    """Lines for one peer. `push` never waits; too many bytes make it `full` for good."""

    full: trio.Event = attrs.field(init=False, factory=trio.Event)
    sent: int = attrs.field(init=False, default=0)
    """Bytes that the peer has taken."""
    _lines: deque[bytes] = attrs.field(init=False, factory=deque)
    _size: int = attrs.field(init=False, default=0)
    _wake: trio.Event = attrs.field(init=False, factory=trio.Event)

    def push(self, message: Message) -> None:
        """Send a message as soon as the peer takes it."""
        line = write(message)
        self._size += len(line)
        if self._size > MAX_OUTBOX:
            self._lines.clear()
            self.full.set()
        else:
            self._lines.append(line)
            self._wake.set()

    async def send(self, stream: trio.abc.Stream) -> None:
        """Write what is pushed, for ever."""
        while True:
            while self._lines:
                line = self._lines.popleft()
                await stream.send_all(line)
                self.sent += len(line)
                self._size -= len(line)
            self._wake = trio.Event()
            await self._wake.wait()


@attrs.define(eq=False, repr=False)
class Lines:
    """The lines that a stream brings."""

    stream: trio.abc.Stream
    received: int = attrs.field(init=False, default=0)
    """Bytes that were read."""
    _buffer: bytearray = attrs.field(init=False, factory=bytearray)

    async def next(self) -> bytes | None:
        """The next line; None at the end. Raises ``PeerMessageError`` for an endless one."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > MAX_LINE:
                raise PeerMessageError(f"a line exceeds {MAX_LINE} bytes")
            data = await self.stream.receive_some(65536)
            if not data:
                return None
            self._buffer += data
            self.received += len(data)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    async def message(self) -> Message | None:
        """The next message; None at the end. Raises ``PeerMessageError``."""
        line = await self.next()
        return None if line is None else read(line)


@attrs.define(eq=False, repr=False)
class Connection:
    """An established connection with a peer."""

    node: Node
    stream: trio.abc.Stream
    hello: Hello
    """The peer's."""
    incoming: bool
    point: Point
    """Where the peer can be reached."""
    socket_port: int
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _outbox: Outbox = attrs.field(init=False, factory=Outbox)
    _lines: Lines | None = attrs.field(init=False, default=None)
    _fetching: bool = attrs.field(init=False, default=False)
    _wanted: HeadIs | None = attrs.field(init=False, default=None)

    @property
    def peer_id(self) -> str:
        """The peer's identity."""
        return self.hello.peer_id

    @property
    def sent(self) -> int:
        """Bytes that were sent since the handshake."""
        return self._outbox.sent

    @property
    def received(self) -> int:
        """Bytes that came, with those of the handshake."""
        return 0 if self._lines is None else self._lines.received

    def head_changed(self, block: Block) -> None:
        """Tell the peer of our head."""
        self._outbox.push(head_message(block))

    def operation_accepted(self, operation: Operation) -> None:
        """Tell the peer of an operation."""
        if not self.hello.disable_mempool:
            self._outbox.push(OperationsAre((operation,)))

    async def run(self, lines: Lines) -> None:
        """Exchange messages until either side has enough."""
        self._lines = lines
        with self.scope:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch_outbox)
                    nursery.start_soon(self._send)
                    self.head_changed(self.node.chain.head)
                    self._push_mempool()
                    while (message := await lines.message()) is not None:
                        await self._handle(message)
                    nursery.cancel_scope.cancel()
            except* (PeerMessageError, NodeError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    @trio.lowlevel.enable_ki_protection
    async def _send(self) -> None:
        await self._outbox.send(self.stream)

    @trio.lowlevel.enable_ki_protection
    async def _watch_outbox(self) -> None:
        await self._outbox.full.wait()
        self.scope.cancel()

    def _push_mempool(self) -> None:
        operations = tuple(entry.operation for entry in self.node.mempool.of(Class.VALIDATED))
        if operations and not self.hello.disable_mempool:
            self._outbox.push(OperationsAre(operations))

    async def _handle(self, message: Message) -> None:
        match message:
            case HeadIs():
                self._wanted = message
                await self._fetch_wanted()
            case Fetch():
                target = self.node.chain.blocks.get(message.target)
                if target is not None:
                    for block in self.node.chain.since(message.locator, target):
                        self._outbox.push(block_message(block))
                self._outbox.push(FetchDone())
                # What we told before may have made no sense to the peer on its old head.
                self._push_mempool()
            case BlockIs():
                await self.node.receive_block(self.peer_id, message.header, message.operations)
            case FetchDone():
                self._fetching = False
                await self._fetch_wanted()
            case OperationsAre():
                await self.node.receive_operations(self.peer_id, list(message.operations))
            case _:
                raise PeerMessageError(f"{type(message).__name__} after the handshake")

    async def _fetch_wanted(self) -> None:
        wanted, chain = self._wanted, self.node.chain
        if wanted is None or self._fetching:
            return
        self._wanted = None
        known = chain.blocks.get(wanted.hash)
        if known is not None:
            await self.node.peer_has(self.peer_id, known)
        elif fitness_key(wanted.fitness) > fitness_key(chain.head.header.shell.fitness):
            self._fetching = True
            self._outbox.push(Fetch(wanted.hash, tuple(chain.locator())))

    def to_json(self, chain_name: str, *, private: bool, disable_mempool: bool) -> dict[str, Any]:
        """As ``/network/connections`` shows it."""
        return {
            "incoming": self.incoming,
            "peer_id": self.peer_id,
            "id_point": {"addr": self.point.host, "port": self.point.port},
            "remote_socket_port": self.socket_port,
            "announced_version": {"chain_name": chain_name, **NETWORK_VERSION},
            "private": self.hello.private,
            "local_metadata": {"disable_mempool": disable_mempool, "private_node": private},
            "remote_metadata": {
                "disable_mempool": self.hello.disable_mempool,
                "private_node": self.hello.private,
            },
        }
