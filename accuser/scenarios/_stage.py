"""What scenarios play on: a setting that knows what all of them take, and a stage with three daemons."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, Unpack

import attrs
import trio

from .. import (
    BOOTSTRAP,
    Accuser,
    AccuserOptions,
    Client,
    ConsensusOperation,
    Daemon,
    Mark,
    Node,
    NodeOptions,
    Protocol,
    Recording,
    ScenarioFailed,
    Toolchain,
    open_accuser,
    open_client,
    open_node,
)
from ._common import ConsensusKind, Inclusion, Report, places, silent

NODE_ARGUMENTS: Final = ("--connections 0", "--synchronisation-threshold 0")
"""A node that is alone, and bootstrapped all the same."""

DELEGATE: Final = BOOTSTRAP[0]
"""Who bakes, attests, and misbehaves."""

EVIDENCE_PASS: Final = 2
"""Denunciations are in the third list of a block's operations."""


@attrs.frozen(kw_only=True)
class Setting:
    """What every scenario takes, and how it makes its daemons of that.

    The fields beside ``toolchain`` and ``protocol`` are those of `ScenarioOptions`.
    """

    toolchain: Toolchain
    protocol: Protocol
    accuser_path: Path | None = None
    keep: bool = False
    record: Recording | None = None
    report: Report = silent
    twin: bool = False
    start: float = attrs.field(init=False, factory=trio.current_time)

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return round(trio.current_time() - self.start, 3)

    def begin(self) -> None:
        """Report what is about to run."""
        self.report(f"toolchain: {self.toolchain}; protocol: {self.protocol.long_name}")

    def begin_after_another(self) -> Protocol:
        """Report that the chain begins with the protocol before, and return that.

        Raises:
            ValueError: no protocol is before this one.
        """
        before = self.protocol.previous
        if before is None:
            raise ValueError(f"no protocol migrates to {self.protocol.long_name}")
        self.report(
            f"toolchain: {self.toolchain}; protocols: {before.long_name}, then {self.protocol.long_name}"
        )
        return before

    def keep_files(self, *owners: Daemon | Client) -> None:
        """Keep the directories of these, and report where they are, if that is wanted."""
        for owner in owners if self.keep else ():
            self.report(f"the files of {owner.name} stay in {owner.keep_directory()}")

    @asynccontextmanager
    async def node_and_client(self, **options: Unpack[NodeOptions]) -> AsyncGenerator[tuple[Node, Client]]:
        """Run a node for the length of a block, by default a lonely one, with a client."""
        options.setdefault("arguments", NODE_ARGUMENTS)
        options |= {"toolchain": self.toolchain, "record": self.record}
        opening = open_node(**options)
        async with opening as node, open_client(node) as client:
            yield node, client

    def accuser(self, node: Node) -> Accuser:
        """An accuser of the scenario's protocol, which does not run yet."""
        return Accuser(
            self.protocol, node, toolchain=self.toolchain, path=self.accuser_path, record=self.record
        )

    @asynccontextmanager
    async def open_accuser(
        self, node: Node, *, debug: bool = False, **options: Unpack[AccuserOptions]
    ) -> AsyncGenerator[Accuser]:
        """Run an accuser of the scenario's protocol for the length of a block.

        Args:
            node: what it watches.
            debug: whether it writes its events of the level ``debug`` too.
            options: more of `open_accuser`.
        """
        options |= {"toolchain": self.toolchain, "path": self.accuser_path, "record": self.record}
        level: Literal["debug"] | None = "debug" if debug else None
        opening = open_accuser(self.protocol, node, event_level=level, **options)
        async with opening as accuser:
            yield accuser


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
        await wait_until_processed(self.accuser, self.node, since=mark)
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


async def wait_until_processed(accuser: Accuser, node: Node, *, since: Mark) -> None:
    """Wait until an accuser has processed the head of its node: a defined place to stop it at."""
    head = await node.rpc("get", "/chains/main/blocks/head/hash")
    await accuser.wait_for(
        "accuser_processed_block.v0",
        lambda block: block if block == head else None,
        where=f"the block is {head}",
        since=since,
    )


async def find_evidence(client: Client, evidence: str, what: str) -> Inclusion:
    """See that the head has an evidence, about ``what``. Raises `ScenarioFailed`."""
    header = await client.rpc("get", "/chains/main/blocks/head/header")
    operations = await client.rpc("get", f"/chains/main/blocks/{header['hash']}/operations")
    if evidence not in [operation["hash"] for operation in operations[EVIDENCE_PASS]]:
        found = [operation["hash"] for operations_of_pass in operations for operation in operations_of_pass]
        raise ScenarioFailed(
            f"{what} evidence was not found: {evidence} is not in validation pass "
            f"{EVIDENCE_PASS} of block {header['hash']} of level {header['level']}, "
            f"whose operations are {found or 'none'}"
        )
    return Inclusion(header["level"], header["hash"], EVIDENCE_PASS)


@asynccontextmanager
async def open_stage(setting: Setting, *, preserved_levels: int | None = None) -> AsyncGenerator[Stage]:
    """Give a stage where the protocol is active at level 1 and the accuser watches the node."""
    setting.begin()
    async with setting.node_and_client() as (node, client):
        await client.activate_protocol(setting.protocol)
        opening = setting.open_accuser(node, debug=True, preserved_levels=preserved_levels)
        async with opening as accuser:
            setting.keep_files(node, client, accuser)
            # What is baked before it has opened its streams, an accuser never sees.
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            setting.report(f"{accuser.name} watches {node.name}, the protocol is active at level 1")
            yield Stage(node, client, accuser, setting.report)
