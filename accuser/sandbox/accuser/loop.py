"""The loop of an accuser: subscribe, take blocks and operations, denounce, over RPC alone.

The order of its requests, events and lines is that of ``lib_delegate/client_daemon.ml`` and
``client_baking_denunciation.ml``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import attrs
import trio
import trio.lowlevel

from ..._mavryk.codec.operations import InlinedConsensus
from ..._mavryk.protocol import Protocol
from ..rpc.client import ConnectionFailed, Rpc
from ..rpc.request import Request, RpcFailed
from ..sink.sink import Level, Sink, SinkWriteError, unbreakable
from . import answers
from .client_daemon import COMMIT, VERSION, ClientDaemon, Console, Life, NodeLost, subscribe
from .denunciation import (
    DEFAULT_PRESERVED_LEVELS,
    Denunciator,
    Emit,
    SeenBlock,
    Steps,
)

_MEMPOOL: Final = (
    "/chains/main/mempool/monitor_operations?version=1&validated=yes&refused=no&outdated=no"
    "&branch_refused=no&branch_delayed=yes"
)


T = TypeVar("T")


_Batch = tuple[InlinedConsensus, ...]


@attrs.frozen
class _NextBlock:
    block: SeenBlock | None


@attrs.frozen
class _NextBatch:
    batch: _Batch | None


@attrs.define(eq=False, repr=False)
class Accuser:
    """The daemon without its process.

    ``wall`` gives seconds since the epoch, for messages only; delays follow trio's clock.
    """

    protocol: Protocol
    rpc: Rpc
    sink: Sink
    console: Console
    wall: Callable[[], float]
    life: Life = attrs.Factory(Life)
    preserved_levels: int = DEFAULT_PRESERVED_LEVELS
    keep_alive: bool = False

    async def run(self) -> None:
        """Accuse until the node is lost.

        Raises:
            RpcFailed: the end, with its reason.
            Unexpected: the same with ``keep_alive``, which only a lost node survives.
        """
        daemon = ClientDaemon(self.protocol, self.rpc, self.console, self.wall, self.keep_alive)
        await daemon.run(self._accuse)

    # One life

    async def _accuse(self, streams: trio.Nursery) -> None:
        short = self.protocol.hash[:12]
        await self.console.message(f"Accuser {VERSION} ({COMMIT}) for {short} started.")
        path = f"/monitor/applied_blocks?next_protocol={self.protocol.hash}&chain=main"
        blocks = await subscribe(self.rpc, streams, path, answers.applied_block)
        self.life.starts += 1
        name = self.protocol.long_name
        await self._schedule("daemon_setup", Level.INFO, name, f"setting up before the {name} can start")
        operations = await subscribe(self.rpc, streams, _MEMPOOL, answers.mempool)
        denunciator = Denunciator(
            self.protocol.hash,
            name,
            dal=self.protocol is not Protocol.ATLAS,
            preserved_levels=self.preserved_levels,
        )
        chain = await self.rpc.call(Request("GET", "/chains/main/chain_id", answers.chain_id))
        await self._schedule("daemon_start", Level.INFO, name, f"starting {name} daemon")
        failure = await self._watch(streams, blocks, operations, denunciator, chain)
        raise failure

    async def _watch(
        self,
        streams: trio.Nursery,
        blocks: trio.MemoryReceiveChannel[answers.AppliedBlock],
        operations: trio.MemoryReceiveChannel[_Batch],
        denunciator: Denunciator,
        chain: str,
    ) -> RpcFailed:
        """The main loop; gives the reason of its end.

        One block or one batch at a time. The next block is taken, and shown as seen, only after
        the one before is done with.
        """
        async with trio.open_nursery() as nursery:
            send, happenings = trio.open_memory_channel[_NextBlock | _NextBatch](2)

            @trio.lowlevel.enable_ki_protection
            async def next_block() -> None:
                await send.send(_NextBlock(await self._seen(blocks)))

            @trio.lowlevel.enable_ki_protection
            async def next_batch(of: trio.MemoryReceiveChannel[_Batch]) -> None:
                await send.send(_NextBatch(await _next(of)))

            nursery.start_soon(next_block)
            nursery.start_soon(next_batch, operations)
            failure: RpcFailed
            async for happening in happenings:
                match happening:
                    case _NextBlock(None):
                        failure = await self._lose()
                        break
                    case _NextBlock(SeenBlock() as block):
                        await self._drive(denunciator.block(block))
                        nursery.start_soon(next_block)
                    case _NextBatch(None):
                        try:
                            operations = await subscribe(self.rpc, streams, _MEMPOOL, answers.mempool)
                        except RpcFailed as error:
                            lost = isinstance(error, ConnectionFailed) and await _lost(happenings)
                            failure = await self._lose() if lost else error
                            break
                        nursery.start_soon(next_batch, operations)
                    case _NextBatch(batch):
                        assert batch is not None
                        await self._process(denunciator.operations(batch, chain))
                        nursery.start_soon(next_batch, operations)
            nursery.cancel_scope.cancel()
        return failure

    async def _seen(self, blocks: trio.MemoryReceiveChannel[answers.AppliedBlock]) -> SeenBlock | None:
        """The next block with its protocols; None when the node is lost."""
        block = await _next(blocks)
        if block is None:
            return None
        value = {
            "hash": block.hash,
            "occurrence": {"occurrence-kind": "valid-blocks", "chain-id": block.chain_id},
            "header": block.header,
        }
        name = f"block-seen-{self.protocol.long_name}"
        try:
            await self.sink.emit((), name, Level.INFO, value, f"Saw block {block.hash[:12]}", strict=True)
            path = f"/chains/{block.chain_id}/blocks/{block.hash}/protocols"
            protocol, following = await self.rpc.call(Request("GET", path, answers.protocols))
        except (SinkWriteError, RpcFailed):
            return None
        return SeenBlock(block.hash, block.chain_id, block.level, protocol, following)

    async def _process(self, steps: Steps) -> None:
        name = self.protocol.long_name
        try:
            await self._drive(steps)
        except RpcFailed as error:
            value = {"worker": name, "errors": error.trace}
            text = f"{name}: error while baking: {unbreakable(error.text)}"
            await self._schedule("daemon_error", Level.ERROR, value, text)

    async def _drive(self, steps: Steps) -> None:
        """Do what the steps ask for, to their end. Raises what comes out of them."""
        answer: object = None
        failure: RpcFailed | None = None
        while True:
            try:
                step = steps.send(answer) if failure is None else steps.throw(failure)
            except StopIteration:
                return
            answer = failure = None
            match step:
                case Emit():
                    await self.sink.emit(step.section, step.name, step.level, step.value, step.text)
                case Request():
                    try:
                        answer = await self.rpc.call(step)
                    except RpcFailed as error:
                        failure = error

    async def _lose(self) -> NodeLost:
        name = self.protocol.long_name
        text = f"connection to node lost, {name} exiting"
        await self._schedule("daemon_connection_lost", Level.ERROR, name, text)
        identifier = f"baker.{name}.Baking_scheduling.node_connection_lost"
        return NodeLost([{"kind": "temporary", "id": identifier}], "Lost connection with the node")

    async def _schedule(self, name: str, level: Level, value: object, text: str) -> None:
        section = (self.protocol.long_name, "delegate", "baking-scheduling")
        await self.sink.emit(section, name, level, value, text)


async def _next(channel: trio.MemoryReceiveChannel[T]) -> T | None:
    try:
        return await channel.receive()
    except trio.EndOfChannel:
        return None


async def _lost(happenings: trio.MemoryReceiveChannel[_NextBlock | _NextBatch]) -> bool:
    """Whether the stream of blocks has ended too.

    Both streams of a node that is gone end at one time. Upstream's program takes either first, by
    chance; here the end of blocks comes first, so that ``--keep-alive`` outlives such a node.
    """
    await trio.lowlevel.checkpoint()
    try:
        return happenings.receive_nowait() == _NextBlock(None)
    except trio.WouldBlock:
        return False
