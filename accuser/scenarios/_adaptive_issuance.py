"""A delegate bakes twice, is forbidden for it, and loses a part of its deposits.

Upstream: ``tezt/tests/adaptive_issuance.ml``, steps 13 to 20.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from .._daemons.accuser import open_accuser
from .._daemons.client import Client, open_client
from .._daemons.daemon import Daemon
from .._daemons.node import Node, open_node
from .._errors import ScenarioFailed
from .._hosts.toolchain import Toolchain
from .._mavryk.accounts import BOOTSTRAP
from .._mavryk.protocol import Protocol
from .._recording.writer import Recording
from ._common import Denunciation, Report, places, silent
from ._double_baking import NODE_ARGUMENTS, Inclusion, connect, find_evidence

PROTOCOLS: Final = (Protocol.BOREAS, Protocol.ALPHA)
"""Atlas forbids nobody for one double baking, and has no RPC to ask it by."""

BLOCKS_PER_CYCLE: Final = 4

PARAMETERS: Final[dict[str, object]] = {
    "blocks_per_cycle": BLOCKS_PER_CYCLE,
    "nonce_revelation_threshold": 2,
    "adaptive_issuance_activation_vote_enable": True,
    "adaptive_issuance_launch_ema_threshold": 1,
    "adaptive_issuance_force_activation": True,
}
"""Upstream's: short cycles, and adaptive issuance from the first one on."""

REWARDED, CULPRIT = BOOTSTRAP[:2]
"""Who has the evidence in its block, and whom it is about."""

BURNED_FOR_EACH_REWARDED: Final = 6
"""Of seven parts that are lost, one is the reward (``lib_protocol/delegate_slashed_deposits_storage.ml``)."""


@attrs.frozen
class Slashing:
    """What an evidence cost. Amounts are in mumav."""

    level: int
    """Of the last block of its cycle, whose balance updates tell it."""
    block: str
    burned: int
    rewarded: int


@attrs.frozen
class AdaptiveIssuance:
    """What the scenario about a forbidden delegate found."""

    toolchain: str
    protocol: str
    chain_id: str
    denunciation: Denunciation
    included: Inclusion
    forbidden: str
    """Public key hash of the delegate."""
    slashing: Slashing
    seconds: float

    @property
    def outcome(self) -> str:
        """What was shown, in a few words."""
        return "denounced, forbidden and slashed"


async def adaptive_issuance(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    *,
    accuser_path: Path | None = None,
    keep: bool = False,
    record: Recording | None = None,
    report: Report = silent,
    twin: bool = False,
) -> AdaptiveIssuance:
    """Make a delegate bake twice, and see it forbidden, and slashed one cycle later.

    As `double_baking`, from the end of a cycle on and with the roles swapped: on two branches
    bootstrap2 bakes the second block of the new cycle. The last block of that cycle has the
    evidence, the last one of the next cycle tells what it cost.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with: Boreas or alpha.
        accuser_path: an accuser's executable, in place of the toolchain's.
        keep: keep the directories of the daemons and clients, and report where they are.
        record: where the daemons are recorded, all of them in one.
        report: called with a line for each step.
        twin: bake the last block of the cycle without the operations of the mempool, so that it
            must fail.

    Raises:
        ValueError: the protocol cannot show this.
        ScenarioFailed: the mempool refused the evidence, the delegate is forbidden too early or
            not at all, the evidence is not in the block, or the balance updates are wrong.
        AccuserError: something did not run, or an event did not come in time.
    """
    if protocol not in PROTOCOLS:
        names = " and ".join(one.long_name for one in PROTOCOLS)
        raise ValueError(f"the scenario is for {names}: {protocol.long_name} does not forbid at once")
    start = trio.current_time()
    report(f"toolchain: {toolchain}; protocol: {protocol.long_name}")

    def kept(owner: Daemon | Client) -> None:
        if keep:
            report(f"the files of {owner.name} stay in {owner.keep_directory()}")

    async with contextlib.AsyncExitStack() as stack:

        async def node_and_client() -> tuple[Node, Client]:
            opening = open_node(toolchain=toolchain, arguments=NODE_ARGUMENTS, record=record)
            node = await stack.enter_async_context(opening)
            client = await stack.enter_async_context(open_client(node))
            kept(node)
            kept(client)
            return node, client

        node_1, client_1 = await node_and_client()
        node_2, client_2 = await node_and_client()
        await connect(client_1, node_1, client_2, node_2)
        await client_1.activate_protocol(protocol, parameters=PARAMETERS)
        ancestor = await _bake(client_1, node_1, 1, *[REWARDED.alias] * (BLOCKS_PER_CYCLE - 1))
        await node_2.wait_for_level(ancestor)
        report(
            f"{node_1.name} and {node_2.name} are connected, and at level {ancestor}, the last of its cycle"
        )
        await node_2.terminate()

        await _bake(client_1, node_1, ancestor, *[CULPRIT.alias] * 3)
        report(f"{node_1.name} alone: {CULPRIT.alias} baked levels {ancestor + 1} to {ancestor + 3}")
        await node_1.terminate()

        await node_2.restart()
        await _bake(client_2, node_2, ancestor, REWARDED.alias, CULPRIT.alias)
        report(
            f"{node_2.name} alone: {REWARDED.alias} baked level {ancestor + 1}, "
            f"{CULPRIT.alias} level {ancestor + 2}"
        )
        await _check_forbidden(client_2, wanted=False)

        node_3, client_3 = await node_and_client()
        accuser = await stack.enter_async_context(
            open_accuser(protocol, node_3, path=accuser_path, record=record)
        )
        kept(accuser)
        denounced = accuser.expect("double_baking_denounced.v0", where="any evidence")
        injected = node_3.expect_request("inject")
        report(f"{accuser.name} is ready, beside {node_3.name}")

        await connect(client_2, node_2, client_3, node_3)
        await node_3.wait_for_level(ancestor + 2)
        await node_1.restart()
        await connect(client_1, node_1, client_3, node_3)
        await node_3.wait_for_level(ancestor + 3)
        report(f"{node_3.name} has learnt both branches, and is at level {ancestor + 3}")

        await injected
        evidence = Denunciation(**await denounced)
        report(f"{accuser.name} denounced the double baking: {evidence.hash}")
        pending = await client_3.rpc("get", "/chains/main/mempool/pending_operations?version=2")
        if evidence.hash not in [operation["hash"] for operation in pending["validated"]]:
            raise ScenarioFailed(
                f"the denunciation operation {evidence.hash} was rejected by the mempool of "
                f"{node_3.name}: {places(pending, evidence.hash)}"
            )

        options = ("--ignore-node-mempool",) if twin else ()
        await client_3.bake_for(REWARDED.alias, options=options)
        for node in (node_1, node_2, node_3):
            await node.wait_for_level(ancestor + 4)
        report(f"{REWARDED.alias} baked level {ancestor + 4}, which all three nodes have")
        await accuser.terminate()
        await _check_forbidden(client_1, wanted=True)
        included = await find_evidence(client_1, evidence.hash, "Double baking")
        report(f"the evidence is in block {included.block}, and {CULPRIT.alias} is forbidden")

        await _bake(client_1, node_1, ancestor + 4, *[REWARDED.alias] * BLOCKS_PER_CYCLE)
        slashing = await _slashing(client_1, evidence.hash)
        report(
            f"at level {slashing.level} {CULPRIT.alias} lost {slashing.burned} mumav, which are burned, "
            f"and {slashing.rewarded}, which {REWARDED.alias} got"
        )
        chain_id = await client_1.rpc("get", "/chains/main/chain_id")
    return AdaptiveIssuance(
        toolchain.name,
        protocol.long_name,
        chain_id,
        evidence,
        included,
        CULPRIT.pkh,
        slashing,
        round(trio.current_time() - start, 3),
    )


async def _bake(client: Client, node: Node, head: int, *delegates: str) -> int:
    """Let these delegates bake, one after the other, on a head of that level; return the new level."""
    for level, delegate in enumerate(delegates, head + 1):
        await client.bake_for(delegate)
        head = await node.wait_for_level(level)
    return head


async def _check_forbidden(client: Client, *, wanted: bool) -> None:
    path = f"/chains/main/blocks/head/context/delegates/{CULPRIT.pkh}/is_forbidden"
    if await client.rpc("get", path) is not wanted:
        header = await client.rpc("get", "/chains/main/blocks/head/header")
        raise ScenarioFailed(
            f"{CULPRIT.alias} ({CULPRIT.pkh}) is {'not forbidden' if wanted else 'forbidden'} after block "
            f"{header['hash']} of level {header['level']}, "
            + ("which was to have evidence against it" if wanted else "though nobody denounced it yet")
        )


async def _slashing(client: Client, evidence: str) -> Slashing:
    header = await client.rpc("get", "/chains/main/blocks/head/header")
    metadata = await client.rpc("get", f"/chains/main/blocks/{header['hash']}/metadata")
    burned, rewarded = slashed_by(evidence, metadata["balance_updates"])
    return Slashing(header["level"], header["hash"], burned, rewarded)


def slashed_by(evidence: str, updates: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Say how many mumav an evidence burned and how many it gave, by the balance updates of a block.

    Raises:
        ScenarioFailed: the updates of that evidence are not those of a slashing.
    """
    ours = [update for update in updates if update.get("delayed_operation_hash") == evidence]
    taken = [update for update in ours if update["kind"] == "freezer" and CULPRIT.pkh in _staker(update)]
    burned = _sum(ours, kind="burned", category="punishments")
    rewarded = _sum(ours, kind="contract", contract=REWARDED.pkh)
    lost = -sum(int(update["change"]) for update in taken)
    # Each of the deposits that lose something is rounded by itself.
    rounding = BURNED_FOR_EACH_REWARDED * len(taken)
    fair = abs(burned - BURNED_FOR_EACH_REWARDED * rewarded) <= rounding
    if not (burned > 0 and rewarded > 0 and fair and lost == burned + rewarded):
        raise ScenarioFailed(
            f"{evidence} made {CULPRIT.alias} lose {lost} mumav, of which {burned} are burned and {rewarded} "
            f"given to {REWARDED.alias}, in the balance updates {ours or updates}; expected is a loss of "
            f"which {BURNED_FOR_EACH_REWARDED} parts of {BURNED_FOR_EACH_REWARDED + 1} are burned"
        )
    return burned, rewarded


def _staker(update: dict[str, Any]) -> list[str]:
    """Whose deposits an update is about: a baker's own, or those that stakers have with a delegate."""
    return list(update.get("staker", {}).values())


def _sum(updates: Sequence[dict[str, Any]], **fields: str) -> int:
    return sum(
        int(update["change"])
        for update in updates
        if all(update.get(name) == value for name, value in fields.items())
    )
