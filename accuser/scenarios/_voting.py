"""Delegates adopt a protocol, users override it, and its accuser takes over.

Upstream: ``tezt/tests/voting.ml``, "user-activated protocol override after vote with bakers"; here the
client bakes.
"""

from __future__ import annotations

from typing import Final, Literal, Unpack

import attrs

from .. import BOOTSTRAP, Accuser, Client, Node, Protocol, ScenarioFailed, Toolchain
from ._common import Denunciation, Inclusion, Report, ScenarioOptions
from ._migration import PROCESSED, block_at, check_first, check_protocols, denounce, running
from ._stage import DELEGATE, Setting, Stage

DEMO_PROTOCOL: Final = "ProtoDemoCounterDemoCounterDemoCounterDemoCou4LSpdT"
"""Hash of ``demo_counter``, which every node knows, and which no user wants."""

Ballot = Literal["yay", "nay"]

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
    **options: Unpack[ScenarioOptions],
) -> VotingOverride:
    """Adopt a protocol by votes where users want another one in its place; see the accuser take over.

    Under Atlas, bootstrap1 proposes a demonstration protocol, and all vote for it twice. The node
    is configured to activate ``protocol`` instead, whose accuser has been waiting since the start.

    Args:
        toolchain: what runs.
        protocol: what is activated in the end: Boreas or alpha, since only Atlas has successors.
        options: those of `ScenarioOptions`. ``accuser_path`` is that of the accuser which waits. In the
            twin the delegates vote nay.

    Raises:
        ValueError: no protocol migrates to ``protocol``.
        ScenarioFailed: the votes went otherwise, the accuser processed another block first, or
            the evidence is not in the block.
        SigningUnavailable: the package ``cryptography`` is not installed.
        AccuserError: something did not run, or an event did not come in time.
    """
    setting = Setting(toolchain=toolchain, protocol=protocol, **options)
    before = setting.begin_after_another()
    async with setting.node_and_client(overrides={DEMO_PROTOCOL: protocol}) as (node, client):
        await _activate(client, before)
        accuser = setting.accuser(node)
        setting.keep_files(node, client, accuser)
        first = accuser.expect(PROCESSED)
        async with running(accuser):
            setting.report(f"{accuser.name} waits for its protocol")
            periods = await _vote(setting, node, client)
            await check_protocols(node, LAST_LEVEL - 1, before, before)
            await check_protocols(node, LAST_LEVEL, before, protocol)
            setting.report(f"level {LAST_LEVEL} is followed by {protocol.long_name}")

            await _take_over(accuser, client)
            await _period(node, "proposal")
            await check_first(node, LAST_LEVEL + 1, await first)
            setting.report(f"{accuser.name} began with the first block of the next proposal period")
            evidence, included = await denounce(Stage(node, client, accuser, setting.report))
            chain_id = await node.rpc("get", "/chains/main/chain_id")
            above = await block_at(node, LAST_LEVEL + 1)
    return VotingOverride(
        toolchain.name,
        before.long_name,
        protocol.long_name,
        chain_id,
        DEMO_PROTOCOL,
        periods,
        LAST_LEVEL,
        above,
        evidence,
        included,
        setting.seconds,
    )


async def _vote(setting: Setting, node: Node, client: Client) -> tuple[str, ...]:
    """Go through all periods, up to the migration block; return their kinds.

    Raises:
        ScenarioFailed: a period is of another kind than the votes should have made it.
    """
    periods = [await _period(node, "proposal")]
    await client.submit_proposals(DEMO_PROTOCOL)
    await _bake_period(client, setting.report, f"{DELEGATE.alias} proposed {DEMO_PROTOCOL}")
    ballot: Ballot = "nay" if setting.twin else "yay"
    for kind in PERIODS[1:]:
        periods.append(await _period(node, kind))
        said = "nobody had to vote"
        if kind in ("exploration", "promotion"):
            for account in BOOTSTRAP:
                await client.submit_ballot(DEMO_PROTOCOL, ballot, delegate=account.alias)
            said = "all voted"
        await _bake_period(client, setting.report, f"{kind}: {said}")
    return tuple(periods)


async def _take_over(accuser: Accuser, client: Client) -> None:
    """Bake the first block of the new protocol, when the accuser is there."""
    # What is baked before it has opened its streams, an accuser never sees.
    await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
    await client.bake_for_and_wait(DELEGATE.alias)


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
