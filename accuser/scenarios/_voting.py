"""Delegates adopt a protocol, users override it, and its accuser takes over.

Upstream: ``tezt/tests/voting.ml``, "user-activated protocol override after vote with bakers"; here the
client bakes.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import attrs
import trio

from .._daemons.accuser import Accuser
from .._daemons.client import Client, open_client
from .._daemons.node import Node, open_node
from .._errors import ScenarioFailed
from .._hosts.toolchain import Toolchain
from .._mavryk.accounts import BOOTSTRAP
from .._mavryk.protocol import DEMO_PROTOCOL, Protocol
from .._recording.writer import Recording
from ._common import Denunciation, Report, silent
from ._double_baking import Inclusion
from ._migration import PROCESSED, block_at, check_first, check_protocols, denounce, running
from ._stage import DELEGATE, NODE_ARGUMENTS, Stage

BLOCKS_PER_PERIOD: Final = 4
PERIODS: Final = ("proposal", "exploration", "cooldown", "promotion", "adoption")
LAST_LEVEL: Final = BLOCKS_PER_PERIOD * len(PERIODS)
"""The last block of the adoption period, and so the migration block."""


@attrs.frozen
class VotingOverride:
    """What the scenario of votes and an override found."""

    toolchain: str
    protocol_before: str
    protocol: str
    chain_id: str
    voted_for: str
    """Hash of the protocol that was adopted, and replaced."""
    periods: tuple[str, ...]
    """The kinds of the voting periods that the chain went through."""
    migration_level: int
    first_processed: str
    """By the accuser of the new protocol: the first block of the next proposal period."""
    denunciation: Denunciation
    included: Inclusion
    seconds: float

    @property
    def outcome(self) -> str:
        """What was shown, in a few words."""
        return "adopted, overridden and taken over"


async def voting_override(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    *,
    accuser_path: Path | None = None,
    keep: bool = False,
    record: Recording | None = None,
    report: Report = silent,
    twin: bool = False,
) -> VotingOverride:
    """Adopt a protocol by votes where users want another one in its place; see the accuser take over.

    Under Atlas, bootstrap1 proposes a demonstration protocol, and all vote for it twice. The node
    is configured to activate ``protocol`` instead, whose accuser has been waiting since the start.

    Args:
        toolchain: what runs.
        protocol: what is activated in the end: Boreas or alpha, since only Atlas has successors.
        accuser_path: an executable for the accuser, in place of the toolchain's.
        keep: keep the directories of the daemons and clients, and report where they are.
        record: where the daemons are recorded, all of them in one.
        report: called with a line for each step.
        twin: let the delegates vote nay, so that it must fail.

    Raises:
        ValueError: no protocol migrates to ``protocol``.
        ScenarioFailed: the votes went otherwise, the accuser processed another block first, or
            the evidence is not in the block.
        SigningUnavailable: the package ``cryptography`` is not installed.
        AccuserError: something did not run, or an event did not come in time.
    """
    start, before = trio.current_time(), protocol.previous
    if before is None:
        raise ValueError(f"no protocol migrates to {protocol.long_name}")
    report(f"toolchain: {toolchain}; protocols: {before.long_name}, then {protocol.long_name}")
    opening = open_node(
        toolchain=toolchain,
        arguments=NODE_ARGUMENTS,
        overrides={DEMO_PROTOCOL: protocol},
        record=record,
    )
    async with opening as node, open_client(node) as client, contextlib.AsyncExitStack() as stack:
        await _activate(client, before)
        accuser = Accuser(protocol, node, path=accuser_path, record=record)
        for owner in (node, client, accuser) if keep else ():
            report(f"the files of {owner.name} stay in {owner.keep_directory()}")
        first = accuser.expect(PROCESSED)
        await stack.enter_async_context(running(accuser))
        report(f"{accuser.name} waits for its protocol")

        periods = [await _period(node, "proposal")]
        await client.submit_proposals(DEMO_PROTOCOL)
        await _bake_period(client, report, f"{DELEGATE.alias} proposed {DEMO_PROTOCOL}")
        for kind in PERIODS[1:]:
            periods.append(await _period(node, kind))
            said = "nobody had to vote"
            if kind in ("exploration", "promotion"):
                for account in BOOTSTRAP:
                    await client.submit_ballot(
                        DEMO_PROTOCOL, "nay" if twin else "yay", delegate=account.alias
                    )
                said = "all voted"
            await _bake_period(client, report, f"{kind}: {said}")
        await check_protocols(node, LAST_LEVEL - 1, before, before)
        await check_protocols(node, LAST_LEVEL, before, protocol)
        report(f"level {LAST_LEVEL} is followed by {protocol.long_name}")

        # What is baked before it has opened its streams, an accuser never sees.
        await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
        await client.bake_for_and_wait(DELEGATE.alias)
        await _period(node, "proposal")
        await check_first(node, LAST_LEVEL + 1, await first)
        report(f"{accuser.name} began with the first block of the next proposal period")
        evidence, included = await denounce(Stage(node, client, accuser, report))
        chain_id = await node.rpc("get", "/chains/main/chain_id")
        above = await block_at(node, LAST_LEVEL + 1)
    return VotingOverride(
        toolchain.name,
        before.long_name,
        protocol.long_name,
        chain_id,
        DEMO_PROTOCOL,
        tuple(periods),
        LAST_LEVEL,
        above,
        evidence,
        included,
        round(trio.current_time() - start, 3),
    )


async def _activate(client: Client, protocol: Protocol) -> None:
    changes = {
        "blocks_per_cycle": BLOCKS_PER_PERIOD,
        "cycles_per_voting_period": 1,
        "nonce_revelation_threshold": 2,
    }
    await client.activate_protocol(protocol, parameters=changes)


async def _bake_period(client: Client, report: Report, said: str) -> None:
    """Bake up to the first block of the next period, or the last one of all periods."""
    assert isinstance(client.node, Node)
    past = (client.node.level - 1) // BLOCKS_PER_PERIOD
    following = min(LAST_LEVEL, (past + 1) * BLOCKS_PER_PERIOD + 1)
    while client.node.level < following:
        await client.bake_for_and_wait(DELEGATE.alias)
    report(f"{said}; level {following}")


async def _period(node: Node, expected: str) -> str:
    """The kind of the head's voting period, which has to be the expected one. Raises `ScenarioFailed`."""
    info = await node.rpc("get", "/chains/main/blocks/head/votes/current_period")
    kind: str = info["voting_period"]["kind"]
    if kind != expected:
        raise ScenarioFailed(f"Expected to find period kind {expected} but found {kind}: {info}")
    return kind
