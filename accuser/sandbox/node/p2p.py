"""Connections with other nodes: who may connect, and with whom the node is connected.

Nobody reconnects by himself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from ..chain.trace import (
    PERMANENT,
    TEMPORARY,
    Error,
    NodeError,
    shell_error,
)
from ..sink.sink import Level
from ..surroundings.hosts import normal_host
from ..surroundings.memory import Connection as InMemory
from .node import Node
from .peer_connection import Connection, Lines
from .peer_messages import Hello, PeerMessageError, Refusal, Welcome, write
from .points import Point, PointInfo

HANDSHAKE_TIMEOUT: Final = 10.0

_MOTIVES: Final = {"no motive": 0, "unknown chain": 2, "already connected": 5, "private mode": 0, "banned": 0}
"""Numbers of upstream's motives (``src/lib_base/p2p_rejection.ml``)."""

Open = Callable[[Point], Awaitable[trio.abc.Stream]]


async def open_tcp(point: Point) -> trio.abc.Stream:
    """Connect by TCP. Raises ``OSError``."""
    return await trio.open_tcp_stream(point.host, point.port)


@attrs.define(eq=False, repr=False)
class PeerNetwork:
    """All that a node has to do with peers.

    Args:
        node: the node.
        nursery: where connections live.
        port: what peers are told to connect to; 0 for nothing.
        private: accept and open connections with trusted points only.
        open_stream: opens connections.
    """

    node: Node
    nursery: trio.Nursery
    port: int = 0
    private: bool = False
    open_stream: Open = open_tcp
    points: dict[Point, PointInfo] = attrs.field(init=False, factory=dict)
    connections: dict[str, Connection] = attrs.field(init=False, factory=dict)
    trusted_peers: set[str] = attrs.field(init=False, factory=set)
    banned_peers: set[str] = attrs.field(init=False, factory=set)
    sent_before: int = attrs.field(init=False, default=0)
    """Bytes of connections that are over."""
    received_before: int = attrs.field(init=False, default=0)

    def point(self, point: Point) -> PointInfo:
        """What is known of a point, which is known from now on."""
        return self.points.setdefault(point, PointInfo())

    def set_acl(self, point: Point, acl: str) -> PointInfo:
        """``trust``, ``ban`` or ``open`` a point; a ban ends its connection."""
        info = self.point(point)
        info.trusted, info.banned = acl == "trust", acl == "ban"
        if info.banned and info.running in self.connections:
            self.connections[info.running].scope.cancel()
        return info

    def set_peer_acl(self, peer_id: str, acl: str) -> None:
        """``trust``, ``ban`` or ``open`` a peer, wherever it is; a ban ends its connection."""
        for names, word in ((self.trusted_peers, "trust"), (self.banned_peers, "ban")):
            (names.add if acl == word else names.discard)(peer_id)
        if acl == "ban":
            self.kick(peer_id)

    def kick(self, peer_id: str) -> bool:
        """End the connection with a peer; whether there was one."""
        connection = self.connections.get(peer_id)
        if connection is not None:
            connection.scope.cancel()
        return connection is not None

    async def connect(self, point: Point, timeout: float = HANDSHAKE_TIMEOUT) -> None:
        """Connect to a node; return when the connection is established.

        Raises:
            NodeError: it cannot be, or either side does not want it.
        """
        info = self.point(point)
        if info.banned:
            raise _error("node.p2p_pool.point_banned", point=str(point))
        if self.private and not info.trusted:
            raise _error("node.p2p_pool.private_mode")
        if info.running is not None:
            raise _error("node.p2p_pool.connected")
        try:
            with trio.fail_after(timeout):
                connection, lines = await self._open(point)
        except trio.TooSlowError:
            info.last_failed = self.node.clock()
            raise shell_error(TEMPORARY, "utils.Timeout") from None
        except NodeError:
            info.last_failed = self.node.clock()
            raise
        await self.nursery.start(self._run, connection, lines, info)

    async def _open(self, point: Point) -> tuple[Connection, Lines]:
        try:
            stream = await self.open_stream(point)
        except OSError as error:
            raise _error("node.p2p_pool.connection_failed") from error
        try:
            lines = Lines(stream)
            return await self._shake_hands(stream, lines, point, point.port), lines
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    @trio.lowlevel.enable_ki_protection
    async def accept(self, stream: trio.abc.Stream) -> None:
        """Serve an incoming connection until it ends."""
        try:
            with trio.fail_after(HANDSHAKE_TIMEOUT):
                lines = Lines(stream)
                connection = await self._shake_hands(stream, lines, None, _remote_port(stream))
        except (NodeError, trio.TooSlowError, OSError):
            await trio.aclose_forcefully(stream)
            return
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        await self._run(connection, lines, self.point(connection.point))

    async def _shake_hands(
        self, stream: trio.abc.Stream, lines: Lines, point: Point | None, socket_port: int
    ) -> Connection:
        """Agree with the peer on a connection. Raises ``NodeError`` if either side refuses."""
        network = self.node.chain.network
        ours = Hello(
            peer_id=self.node.peer_id,
            chain=network.chain_name,
            genesis=network.genesis_block,
            port=self.port,
            private=self.private,
            disable_mempool=not self.node.use_mempool,
        )
        try:
            await stream.send_all(write(ours))
            theirs = await lines.message()
            if not isinstance(theirs, Hello):
                raise _error("node.p2p_socket.invalid_auth")
            incoming = point is None
            point = point or Point(_remote_host(stream), theirs.port)
            refusal = self._refusal(theirs, point)
            if refusal is not None:
                await stream.send_all(write(Refusal(refusal)))
                raise await self._refused(theirs, refusal)
            await stream.send_all(write(Welcome()))
            answer = await lines.message()
        except (PeerMessageError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise _error("node.p2p_socket.invalid_auth") from error
        if isinstance(answer, Refusal):
            raise _rejected_by_peer(answer.motive)
        if not isinstance(answer, Welcome):
            raise _error("node.p2p_io_scheduler.connection_closed")
        return Connection(self.node, stream, theirs, incoming, point, socket_port)

    def _refusal(self, theirs: Hello, point: Point) -> str | None:
        network = self.node.chain.network
        if theirs.peer_id == self.node.peer_id:
            return "no motive"
        if (theirs.chain, theirs.genesis) != (network.chain_name, network.genesis_block):
            return "unknown chain"
        if self.point(point).banned or theirs.peer_id in self.banned_peers:
            return "banned"
        trusted = self.point(point).trusted or theirs.peer_id in self.trusted_peers
        if self.private and not trusted:
            return "private mode"
        if theirs.peer_id in self.connections:
            return "already connected"
        return None

    async def _refused(self, theirs: Hello, motive: str) -> NodeError:
        if motive == "private mode":
            text = "[private node] incoming connection from untrusted peer rejected"
            section = ("p2p", "connect_handler")
            await self.node.emitter.emit(section, "peer_rejected", Level.NOTICE, {}, text)
            return _error("node.p2p_pool.private_mode")
        if motive == "already connected":
            return _error("node.p2p_pool.connected")
        return _error("node.p2p_pool.rejected", peer_id=theirs.peer_id, motive=_MOTIVES[motive])

    @trio.lowlevel.enable_ki_protection
    async def _run(
        self,
        connection: Connection,
        lines: Lines,
        info: PointInfo,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        peer_id = connection.peer_id
        if peer_id in self.connections:
            # Both sides connected at once: the first of the two stays.
            await trio.aclose_forcefully(connection.stream)
            task_status.started()
            return
        self.connections[peer_id] = connection
        info.running = peer_id
        info.last_established = (peer_id, self.node.clock())
        try:
            await self.node.peer_connected(connection)
            task_status.started()
            await connection.run(lines)
        finally:
            del self.connections[peer_id]
            self.sent_before += connection.sent
            self.received_before += connection.received
            info.running = None
            info.last_disconnection = (peer_id, self.node.clock())
            await trio.aclose_forcefully(connection.stream)
        await self.node.peer_left(connection)


def _error(identifier: str, **fields: object) -> NodeError:
    return shell_error(PERMANENT, identifier, **fields)


def _rejected_by_peer(motive: str) -> NodeError:
    error = _error("node.p2p_socket.rejected_by_nack", motive=_MOTIVES.get(motive, 0))
    reason: Error = {"kind": TEMPORARY, "id": "failure", "msg": f"The peer refused the connection: {motive}."}
    return NodeError((*error.trace, reason))


def _remote_host(stream: trio.abc.Stream) -> str:
    if isinstance(stream, trio.SocketStream):
        return normal_host(str(stream.socket.getpeername()[0]))
    return "127.0.0.1"


def _remote_port(stream: trio.abc.Stream) -> int:
    if isinstance(stream, trio.SocketStream):
        return int(stream.socket.getpeername()[1])
    return stream.port if isinstance(stream, InMemory) else 0
