"""What an accuser and a baker do alike: wait for node and protocol, open streams, outlive the node.

The order of requests and lines is that of ``lib_delegate/client_daemon.ml``.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import attrs
import trio

from ..._mavryk.codec.forge import parse_timestamp
from ..._mavryk.protocol import Protocol
from ..rpc.client import ConnectionFailed, Rpc
from ..rpc.request import RpcFailed
from ..sink.descriptor import Outlet
from . import answers

VERSION: Final = "0.0+dev"
COMMIT: Final = "sandbox"
BOOTSTRAP_PATIENCE: Final = 0.3
"""Seconds before it says that it waits for the node."""

T = TypeVar("T")


class NodeLost(RpcFailed):
    """The connection with the node is lost."""


class Unexpected(Exception):
    """What ends a daemon that was told to keep alive."""

    def __init__(self, reason: RpcFailed) -> None:
        self.reason: Final = reason
        super().__init__(str(reason))


@attrs.define(eq=False, repr=False)
class Life:
    """How far the program has come: what there is to say when it is stopped."""

    running: bool = False
    """The event sinks are open."""
    starts: int = 0
    """How often the daemon has started."""
    has_pidfile: bool = False


class Console:
    """Standard output and standard error, line by line; what nobody reads any more is lost."""

    def __init__(self, stdout: Outlet, stderr: Outlet) -> None:
        self._stdout = stdout
        self._stderr = stderr

    async def message(self, text: str) -> None:
        await self._write(self._stdout, text)

    async def warning(self, text: str) -> None:
        await self._write(self._stderr, text)

    async def _write(self, outlet: Outlet, text: str) -> None:
        try:
            await outlet.write(f"{text}\n".encode("utf-8", "surrogateescape"))
        except OSError:
            return


@attrs.frozen
class ClientDaemon:
    """What runs a daemon. ``wall`` gives seconds since the epoch, for messages only."""

    protocol: Protocol
    rpc: Rpc
    console: Console
    wall: Callable[[], float]
    keep_alive: bool

    async def run(self, live: Callable[[trio.Nursery], Awaitable[None]]) -> None:
        """Wait for the node and the protocol, and live until the node is lost.

        Args:
            live: one life, which only a failure ends; streams are opened in the nursery that it is given.

        Raises:
            RpcFailed: the end, with its reason.
            Unexpected: the same with ``keep_alive``, which only a lost node survives.
        """
        failure: RpcFailed | Unexpected | None = None
        async with trio.open_nursery() as streams:
            try:
                await self._run(live, streams)
            except (RpcFailed, Unexpected) as error:
                # Raised outside the nursery, which would make a group of it.
                failure = error
            streams.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _run(self, live: Callable[[trio.Nursery], Awaitable[None]], streams: trio.Nursery) -> None:
        await wait_bootstrapped(self.rpc, self.console, self.wall, tries=5)
        await self.console.message(f"Waiting for protocol {self.protocol.long_name} to start...")
        await wait_protocol(self.rpc, streams, self.protocol)
        while True:
            try:
                await live(streams)
            except NodeLost:
                if not self.keep_alive:
                    raise
            except RpcFailed as error:
                if not self.keep_alive:
                    raise
                raise Unexpected(error) from error
            await self.console.warning("Lost connection with the node. Retrying to establish connection...")
            await wait_bootstrapped(self.rpc, self.console, self.wall, tries=None, max_delay=10.0)


async def wait_bootstrapped(
    rpc: Rpc,
    console: Console,
    wall: Callable[[], float],
    *,
    tries: int | None,
    max_delay: float = math.inf,
) -> None:
    """Wait until the node is bootstrapped. Raises ``RpcFailed``.

    Args:
        rpc: of the node.
        console: where it is told.
        wall: gives seconds since the epoch, for messages.
        tries: how often a connection that failed is tried again; None for ever.
        max_delay: the longest time between two tries, in seconds.
    """
    shown = False

    @trio.lowlevel.enable_ki_protection
    async def tell_if_it_takes_long() -> None:
        nonlocal shown
        await trio.sleep(BOOTSTRAP_PATIENCE)
        shown = True
        await console.message("Waiting for the node to be bootstrapped...")

    failure: RpcFailed | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell_if_it_takes_long)
        delay = 1.0
        while True:
            failure = None
            try:
                async with rpc.stream("/monitor/bootstrapped", answers.bootstrapped) as heads:
                    async for block, timestamp in heads:
                        if shown:
                            await console.message(_current_head(block, timestamp, wall))
            except RpcFailed as error:
                failure = error
            if not isinstance(failure, ConnectionFailed) or tries == 0:
                break
            tries = None if tries is None else tries - 1
            await console.message(f"Connection failed. Retrying in {delay:.2f} seconds...")
            await trio.sleep(delay)
            delay = min(delay * 1.5, max_delay)
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    await console.message("Node is bootstrapped.")


def _current_head(block: str, timestamp: str, wall: Callable[[], float]) -> str:
    made = _moment(parse_timestamp(timestamp))
    return f"Current head: {block[:12]} (timestamp: {made}, validation: {_moment(wall())})"


async def wait_protocol(rpc: Rpc, streams: trio.Nursery, protocol: Protocol) -> None:
    """Wait for a head whose next protocol is ours; the stream stays open, unread, as upstream's."""

    @trio.lowlevel.enable_ki_protection
    async def watch(*, task_status: trio.TaskStatus[RpcFailed | None]) -> None:
        path = f"/monitor/heads/main?next_protocol={protocol.hash}"
        try:
            async with rpc.stream(path, answers.head) as heads:
                async for _ in heads:
                    task_status.started(None)
                    await trio.sleep_forever()
        except RpcFailed as error:
            task_status.started(error)
        else:
            task_status.started(None)

    failure: RpcFailed | None = await streams.start(watch)
    if failure is not None:
        raise failure


async def subscribe(
    rpc: Rpc, streams: trio.Nursery, path: str, decode: Callable[[object], T]
) -> trio.MemoryReceiveChannel[T]:
    """Open a stream that is read at once, whoever takes its items; it ends with the channel."""
    send, receive = trio.open_memory_channel[T](math.inf)

    @trio.lowlevel.enable_ki_protection
    async def pump(*, task_status: trio.TaskStatus[RpcFailed | None]) -> None:
        with send:
            try:
                async with rpc.stream(path, decode) as items:
                    task_status.started(None)
                    async for item in items:
                        send.send_nowait(item)
            except RpcFailed as error:
                task_status.started(error)

    failure: RpcFailed | None = await streams.start(pump)
    if failure is not None:
        raise failure
    return receive


def _moment(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}-00:00"
