"""The node's events: sections, levels, values and texts of upstream's.

Sources: ``src/bin_node/node_run_command.ml``, ``src/lib_shell/chain_validator_events.ml``,
``src/lib_shell/prevalidator_events.ml``, ``src/lib_store/shared/store_events.ml``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import attrs

from ..chain.block import Block
from ..chain.chain import HeadChange
from ..chain.trace import NodeError, describe
from ..sink.sink import Level, unbreakable


class Emitter(Protocol):
    """Where events go: a ``Sink``, or a list in tests."""

    async def emit(
        self, section: tuple[str, ...], name: str, level: Level, value: object, text: str | None = None
    ) -> None: ...


NODE = ("node", "main")
CHAIN = ("validator", "chain")
PREVALIDATOR = ("prevalidator",)


@attrs.define
class WorkerStatus:
    """When a request was pushed, begun and completed, in seconds since the epoch."""

    clock: Callable[[], float]
    pushed: float
    treated: float = 0.0

    def begin(self) -> None:
        """The work on the request begins."""
        self.treated = self.clock()

    def to_json(self) -> dict[str, str]:
        """The three times; the request is completed now."""
        completed = self.clock()
        times = (self.pushed, self.treated or completed, completed)
        return dict(zip(("pushed", "treated", "completed"), map(system_time, times), strict=True))


def system_time(seconds: float) -> str:
    """A time with milliseconds, as the node writes the times of its own clock."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}-00:00"


@attrs.frozen
class NodeEvents:
    """Writes the node's events. Waits when a pipe is full, as the node does."""

    emitter: Emitter
    clock: Callable[[], float]

    def status(self) -> WorkerStatus:
        """The status of a request that is pushed now."""
        return WorkerStatus(self.clock, self.clock())

    async def starting(self, chain: str, version: dict[str, object], commit: str, text: str) -> None:
        """The node begins to start."""
        value = {"chain": chain, "version": version, "git_info": commit}
        await self.emitter.emit(NODE, "starting_node", Level.NOTICE, value, text)

    async def main(self, name: str, value: object, text: str, level: Level = Level.NOTICE) -> None:
        """An event of the main program."""
        await self.emitter.emit(NODE, name, level, value, text)

    async def identity(self, name: str, value: object, text: str) -> None:
        """An event about the node's identity."""
        await self.emitter.emit(("node", "identity"), name, Level.NOTICE, value, text)

    async def set_head(self, block: Block) -> None:
        """The store has a new head."""
        text = f"{block.hash} (level: {block.level}) set as new head"
        await self.emitter.emit(("node", "store"), "set_head", Level.INFO, [block.hash, block.level], text)

    async def block_done(self, block: Block, change: HeadChange, *, bootstrapped: bool) -> None:
        """A block was validated and the head is what it is now."""
        value = {"view": {"hash": block.hash}, "level": block.level}
        if change is HeadChange.IGNORED:
            text = f"current head is better than {block.hash} (level {block.level}), we do not switch"
            await self.emitter.emit(CHAIN, "ignore_head", Level.NOTICE, value, text)
        elif change is HeadChange.SWITCH:
            text = f"switch branch to {block.hash} ({block.level})"
            await self.emitter.emit(CHAIN, "branch_switch", Level.NOTICE, value, text)
        elif bootstrapped:
            text = f"head is now {block.hash} ({block.level})"
            await self.emitter.emit(CHAIN, "head_increment", Level.NOTICE, value, text)
        elif block.level % 50 == 0:
            late = self.clock() - block.header.shell.timestamp
            text = f"synchronizing: current head is {late:.3f}s old (level: {block.level})"
            behind = {"level": block.level, "timediff": late}
            await self.emitter.emit(CHAIN, "bootstrap_time_remaining", Level.NOTICE, behind, text)
        shell = block.header.shell.to_json()
        info = {"timestamp": shell["timestamp"], "fitness": shell["fitness"]}
        fitness = "::".join(shell["fitness"])
        text = f"treated block has timestamp {shell['timestamp']} with fitness {fitness}"
        await self.emitter.emit(CHAIN, "block_info", Level.INFO, info, text)

    async def bootstrapped(self) -> None:
        """The node has as many synchronised peers as it needs."""
        await self.emitter.emit(
            CHAIN, "synchronisation_status", Level.NOTICE, "synced", "synchronisation status: synced"
        )
        await self.emitter.emit(CHAIN, "bootstrapped", Level.NOTICE, {}, "chain is bootstrapped")

    async def connection(self, peer: str, *, lost: bool = False) -> None:
        """A peer has come or gone."""
        name = "disconnection" if lost else "connection"
        await self.emitter.emit(CHAIN, name, Level.INFO, peer, f"{name} of {peer}")

    async def block_refused(self, block: str, status: WorkerStatus, error: NodeError) -> None:
        """A block is not valid."""
        value = {"block": block, "worker_status": status.to_json(), "errors": list(error.trace)}
        text = f"validation of block {block} failed: {describe(error.trace[0])}"
        await self.emitter.emit(("validator", "block"), "validation_failed", Level.NOTICE, value, text)

    async def completed(self, view: dict[str, Any], status: WorkerStatus, *, debug: bool = False) -> None:
        """A request to the mempool was treated."""
        value = {"view": view, "worker_status": status.to_json()}
        times = value["worker_status"]
        text = f"{_request_text(view)}: pushed on {times['pushed']}, completed on {times['completed']}"
        level = Level.DEBUG if debug else Level.INFO
        name = f"request_completed_{level.name.lower()}"
        await self.emitter.emit(PREVALIDATOR, name, level, value, text)

    async def failed(self, view: dict[str, Any], status: WorkerStatus, error: NodeError) -> None:
        """A request to the mempool failed."""
        value = {"view": view, "worker_status": status.to_json(), "errors": list(error.trace)}
        text = f"request {_request_text(view)} failed: {unbreakable(str(error))}"
        await self.emitter.emit(PREVALIDATOR, "request_failed", Level.NOTICE, value, text)

    async def injected(self, operation: str) -> None:
        """An operation was injected here."""
        text = f"operation {operation} injected "
        await self.emitter.emit(PREVALIDATOR, "operation_injected", Level.NOTICE, operation, text)


def _request_text(view: dict[str, Any]) -> str:
    what = view["request"]
    if what == "flush":
        return f"switching to new head {view['block']}"
    if what == "inject":
        return "injecting operation"
    if what == "notify":
        return f"notified by {view['peer']} of operations"
    return f"operation {view['operation_hash']} arrived" if what == "arrived" else str(what)
