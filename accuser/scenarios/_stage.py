"""What the scenarios about consensus operations play on: a node, a client, an accuser."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from .._daemons.accuser import Accuser, open_accuser
from .._daemons.client import Client, open_client
from .._daemons.node import Node, open_node
from .._daemons.operations import ConsensusKind, ConsensusOperation
from .._errors import ScenarioFailed
from .._hosts.toolchain import Toolchain
from .._mavryk.accounts import BOOTSTRAP
from .._mavryk.protocol import Protocol
from .._recording.writer import Recording
from ._common import Report, places

NODE_ARGUMENTS: Final = ("--connections 0", "--synchronisation-threshold 0")
"""A node that is alone, and bootstrapped all the same."""

DELEGATE: Final = BOOTSTRAP[0]
"""Who bakes, attests, and misbehaves."""


@attrs.frozen
class Stage:
    """The daemons of a scenario, and what is done with them again and again."""

    node: Node
    client: Client
    accuser: Accuser
    report: Report

    async def bake(self, count: int) -> int:
        """Bake ``count`` blocks, and wait until the accuser has processed the last; return its level.

        An accuser judges an operation by the highest level that it has processed, so that what
        comes next must not overtake the block.
        """
        mark, level = self.accuser.mark(), 0
        for _ in range(count):
            level = await self.client.bake_for_and_wait(DELEGATE.alias)
        head = await self.node.rpc("get", "/chains/main/blocks/head/hash")
        await self.accuser.wait_for(
            "accuser_processed_block.v0",
            lambda block: block if block == head else None,
            where=f"the block is {head}",
            since=mark,
        )
        self.report(f"{DELEGATE.alias} baked up to level {level}, which {self.accuser.name} has processed")
        return level

    async def sign_honestly(self, kind: ConsensusKind) -> tuple[str, ConsensusOperation]:
        """Let the client inject an operation about the head; return its hash, and what it says."""
        signs = self.client.attest_for if kind == "attestation" else self.client.preattest_for
        async with self.node.expect_request("inject"):
            await signs(DELEGATE.alias, force=True)
        validated = (await self.pending())["validated"]
        if not validated:
            raise ScenarioFailed(f"the mempool of {self.node.name} does not hold the valid {kind}")
        operation = ConsensusOperation.from_json(validated[0], kind)
        self.report(
            f"{DELEGATE.alias} injected a valid {kind} of level {operation.level}, slot {operation.slot}"
        )
        return validated[0]["hash"], operation

    async def slots(self, level: int) -> list[int]:
        """The slots of the delegate at a level."""
        path = "/chains/main/blocks/head/helpers/validators"
        (rights,) = await self.node.rpc("get", f"{path}?level={level}&delegate={DELEGATE.pkh}")
        slots: list[int] = rights["slots"]
        return slots

    async def block(self, back: int, what: str) -> Any:
        """Something about the block so many levels below the head."""
        return await self.node.rpc("get", f"/chains/main/blocks/head~{back}/{what}")

    async def pending(self) -> dict[str, Any]:
        """The operations of the mempool."""
        path = "/chains/main/mempool/pending_operations?version=2"
        pending: dict[str, Any] = await self.node.rpc("get", path)
        return pending

    async def check_pending(self, evidence: str, kind: str) -> None:
        """See that the mempool holds that evidence, of that kind, and finds it valid.

        Raises:
            ScenarioFailed: it does not.
        """
        pending = await self.pending()
        found = [entry["hash"] for entry in pending["validated"] if entry["contents"][0]["kind"] == kind]
        if evidence not in found:
            raise ScenarioFailed(
                f"Denunciation not found in the mempool: {self.node.name} has not validated {evidence} "
                f"as {kind}; {places(pending, evidence)}"
            )


@asynccontextmanager
async def open_stage(
    toolchain: Toolchain,
    protocol: Protocol,
    *,
    preserved_levels: int | None = None,
    accuser_path: Path | None = None,
    keep: bool = False,
    record: Recording | None = None,
    report: Report,
) -> AsyncGenerator[Stage]:
    """Give a stage where the protocol is active at level 1 and the accuser watches the node."""
    report(f"toolchain: {toolchain}; protocol: {protocol.long_name}")
    node_opening = open_node(toolchain=toolchain, arguments=NODE_ARGUMENTS, record=record)
    async with node_opening as node, open_client(node) as client:
        await client.activate_protocol(protocol)
        accuser_opening = open_accuser(
            protocol,
            node,
            event_level="debug",
            preserved_levels=preserved_levels,
            path=accuser_path,
            record=record,
        )
        async with accuser_opening as accuser:
            for owner in (node, client, accuser) if keep else ():
                report(f"the files of {owner.name} stay in {owner.keep_directory()}")
            # What is baked before it has opened its streams, an accuser never sees.
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            report(f"{accuser.name} watches {node.name}, the protocol is active at level 1")
            yield Stage(node, client, accuser, report)
