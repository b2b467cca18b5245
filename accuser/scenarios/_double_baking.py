"""A delegate bakes two blocks of one level, on branches that do not know of each other."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import attrs
import trio

from .._daemons.accuser import open_accuser
from .._daemons.client import Client, open_client
from .._daemons.daemon import Daemon
from .._daemons.node import Node, open_node
from .._errors import ScenarioFailed
from .._hosts.ssh.runner import SSHRunner
from .._hosts.toolchain import Toolchain
from .._mavryk.protocol import Protocol
from .._recording.writer import Recording
from ._common import Denunciation, Report, places, silent

NODE_ARGUMENTS: Final = ("--synchronisation-threshold 0", "--private-mode")
"""Private nodes connect to trusted addresses alone, and so never before they are told to."""

EVIDENCE_PASS: Final = 2
"""Denunciations are in the third list of a block's operations."""


@attrs.frozen
class Inclusion:
    """Where a block has the evidence."""

    level: int
    block: str
    validation_pass: int


@attrs.frozen
class DoubleBaking:
    """What the double-baking scenario found."""

    toolchain: str
    protocol: str
    chain_id: str
    denunciation: Denunciation
    included: Inclusion
    seconds: float

    @property
    def outcome(self) -> str:
        """What was shown, in a few words."""
        return "denounced and included"


async def double_baking(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    *,
    accuser_path: Path | None = None,
    accuser_runner: SSHRunner | None = None,
    node_runner: SSHRunner | None = None,
    other_nodes_runner: SSHRunner | None = None,
    node_path: str | Path | None = None,
    keep: bool = False,
    record: Recording | None = None,
    report: Report = silent,
    twin: bool = False,
) -> DoubleBaking:
    """Make a delegate bake twice, and see an accuser get the evidence into a block.

    Two nodes that do not know of each other bake on branches of their own, where bootstrap1
    bakes the block of level 3 on both. A third node learns both branches, with an accuser
    beside it. Upstream: ``tezt/tests/double_bake.ml``.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with.
        accuser_path: an accuser's executable, in place of the toolchain's.
        accuser_runner: the machine of the accuser; by default this one.
        node_runner: the machine of the third node; by default this one.
        other_nodes_runner: the machine of the other two; by default this one.
        node_path: an executable for the nodes, in place of the toolchain's, wherever they run.
        keep: keep the directories of the daemons and clients, and report where they are.
        record: where the daemons are recorded, all of them in one.
        report: called with a line for each step.
        twin: bake the last block without the operations of the mempool, so that it must fail.

    Raises:
        ScenarioFailed: the mempool refused the evidence, or it is not in the block.
        AccuserError: something did not run, or an event did not come in time.
    """
    start = trio.current_time()
    report(f"toolchain: {toolchain}; protocol: {protocol.long_name}")

    def kept(owner: Daemon | Client) -> None:
        if keep:
            report(f"the files of {owner.name} stay in {owner.keep_directory()}")

    async with contextlib.AsyncExitStack() as stack:

        async def node_and_client(runner: SSHRunner | None = None) -> tuple[Node, Client]:
            opening = open_node(
                toolchain=toolchain, arguments=NODE_ARGUMENTS, runner=runner, path=node_path, record=record
            )
            node = await stack.enter_async_context(opening)
            client = await stack.enter_async_context(open_client(node))
            kept(node)
            kept(client)
            return node, client

        node_1, client_1 = await node_and_client(other_nodes_runner)
        node_2, client_2 = await node_and_client(other_nodes_runner)
        await connect(client_1, node_1, client_2, node_2)
        await client_1.activate_protocol(protocol)
        await node_2.wait_for_level(1)
        report(f"{node_1.name} and {node_2.name} are connected, the protocol is active at level 1")
        await node_2.terminate()

        for level in (2, 3, 4):
            await client_1.bake_for("bootstrap1")
            await node_1.wait_for_level(level)
        report(f"{node_1.name} alone: bootstrap1 baked levels 2, 3 and 4")
        await node_1.terminate()

        await node_2.restart()
        for level, delegate in ((2, "bootstrap2"), (3, "bootstrap1")):
            await client_2.bake_for(delegate)
            await node_2.wait_for_level(level)
        report(f"{node_2.name} alone: bootstrap2 baked level 2, bootstrap1 level 3")

        node_3, client_3 = await node_and_client(node_runner)
        accuser = await stack.enter_async_context(
            open_accuser(
                protocol, node_3, toolchain=toolchain, path=accuser_path, runner=accuser_runner, record=record
            )
        )
        kept(accuser)
        denounced = accuser.expect("double_baking_denounced.v0", where="any evidence")
        injected = node_3.expect_request("inject")
        report(f"{accuser.name} is ready, beside {node_3.name}")

        await connect(client_2, node_2, client_3, node_3)
        await node_3.wait_for_level(3)
        report(f"{node_3.name} has learnt the branch of {node_2.name}, level 3")

        await node_1.restart()
        await connect(client_1, node_1, client_3, node_3)
        await node_3.wait_for_level(4)
        report(f"{node_3.name} has switched to the branch of {node_1.name}, level 4")

        await injected
        evidence = Denunciation(**await denounced)
        report(f"{accuser.name} denounced the double baking: {evidence.hash}")
        pending = await client_3.rpc("get", "/chains/main/mempool/pending_operations?version=2")
        if evidence.hash not in [operation["hash"] for operation in pending["validated"]]:
            raise ScenarioFailed(
                f"the denunciation operation {evidence.hash} was rejected by the mempool of "
                f"{node_3.name}: {places(pending, evidence.hash)}"
            )

        await client_3.bake_for("bootstrap1", options=("--ignore-node-mempool",) if twin else ())
        for node in (node_1, node_2, node_3):
            await node.wait_for_level(5)
        report("bootstrap1 baked level 5, which all three nodes have")
        await accuser.terminate()

        included = await find_evidence(client_1, evidence.hash, "Double baking")
        report(
            f"the evidence is in block {included.block} of level {included.level}, "
            f"validation pass {included.validation_pass}"
        )
        chain_id = await client_1.rpc("get", "/chains/main/chain_id")
    return DoubleBaking(
        toolchain.name,
        protocol.long_name,
        chain_id,
        evidence,
        included,
        round(trio.current_time() - start, 3),
    )


async def connect(client_a: Client, node_a: Node, client_b: Client, node_b: Node) -> None:
    """Connect two private nodes, which must trust each other first."""
    await client_a.trust_address(node_b)
    await client_b.trust_address(node_a)
    await client_a.connect_address(node_b)


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
