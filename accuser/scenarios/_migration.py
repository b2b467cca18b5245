"""The accuser of the next protocol is there before it, and takes over.

Upstream: the accuser's part of ``tezt/tests/voting.ml``, and ``tezt/tests/protocol_migration.ml``.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Final, Unpack

import attrs
import trio

from .. import Accuser, Client, Node, Protocol, ScenarioFailed, Toolchain, open_accuser
from .._unwrap import plain_errors
from ._common import Denunciation, Inclusion, ScenarioOptions
from ._stage import DELEGATE, Setting, Stage, find_evidence

MIGRATION_LEVEL: Final = 4
"""Of the block that the old protocol makes and the new one follows."""

PROCESSED: Final = "accuser_processed_block.v0"


@attrs.frozen
class Handover:
    """Where one accuser ended and the other began."""

    migration_level: int
    migration_block: str
    """The last block that the old protocol made; no accuser processes it."""
    last_processed: str
    """By the accuser of the old protocol: the block below."""
    first_processed: str
    """By the accuser of the new protocol: the block above."""


@attrs.frozen
class Migration:
    """What the migration scenario found."""

    toolchain: str
    protocol_before: str
    protocol: str
    chain_id: str
    handover: Handover
    denunciation: Denunciation
    """Of what happened under the new protocol."""
    included: Inclusion
    seconds: float

    @property
    def outcome(self) -> str:
        """What was shown, in a few words."""
        return "taken over, denounced and included"


async def migration(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    **options: Unpack[ScenarioOptions],
) -> Migration:
    """Start an accuser before its protocol, migrate, and see it begin with the first block of its own.

    The chain begins with the protocol before, whose accuser watches too. The block of level 4 is
    the migration block, by a user-activated upgrade. Then bootstrap1 attests the next block
    twice, and the new accuser gets the evidence into a block.

    Args:
        toolchain: what runs.
        protocol: what the chain migrates to: Boreas or alpha, since only Atlas has successors.
        options: those of `ScenarioOptions`. ``accuser_path`` is the new accuser's. The twin starts that
            one block too late.

    Raises:
        ValueError: no protocol migrates to ``protocol``.
        ScenarioFailed: an accuser processed other blocks, or the evidence is not in the block.
        SigningUnavailable: the package ``cryptography`` is not installed.
        AccuserError: something did not run, or an event did not come in time.
    """
    setting = Setting(toolchain=toolchain, protocol=protocol, **options)
    before = setting.begin_after_another()
    async with setting.node_and_client(upgrades={MIGRATION_LEVEL: protocol}) as (node, client):
        await client.activate_protocol(before)
        async with open_accuser(before, node, toolchain=toolchain, record=setting.record) as old:
            seen = processed(old)
            await old.wait_for("daemon_start.v0", since=old.start_mark())
            below, evidence, included = await _hand_over(setting, node, client, old, before)
            await old.terminate()
            if seen[-1] != below:
                text = f"Expected the accuser of {before.long_name} to end with {below}, found {seen[-1]}"
                raise ScenarioFailed(text)
            setting.report(f"{old.name} had ended with the block below")
        chain_id = await node.rpc("get", "/chains/main/chain_id")
        block, above = [await block_at(node, MIGRATION_LEVEL + up) for up in (0, 1)]
    return Migration(
        toolchain.name,
        before.long_name,
        protocol.long_name,
        chain_id,
        Handover(MIGRATION_LEVEL, block, below, above),
        evidence,
        included,
        setting.seconds,
    )


async def _hand_over(
    setting: Setting, node: Node, client: Client, old: Accuser, before: Protocol
) -> tuple[str, Denunciation, Inclusion]:
    """Let the new accuser wait, migrate, and let it denounce; give the hash of the block below, and that.

    Raises:
        ScenarioFailed: the new accuser began with another block, or the evidence is not there.
    """
    async with contextlib.AsyncExitStack() as stack:
        new = setting.accuser(node)
        setting.keep_files(node, client, old, new)
        first = new.expect(PROCESSED)
        if not setting.twin:
            await stack.enter_async_context(running(new))
            setting.report(f"{old.name} watches {node.name}, {new.name} waits for its protocol")
        below = await _migrate(node, client, old, before, setting.protocol)
        setting.report(f"the block of level {MIGRATION_LEVEL} is the last one of {before.long_name}")
        if setting.twin:
            await client.bake_for_and_wait(DELEGATE.alias)
            await stack.enter_async_context(running(new))
        # What is baked before it has opened its streams, an accuser never sees.
        await new.wait_for("daemon_start.v0", since=new.start_mark())
        await client.bake_for_and_wait(DELEGATE.alias)
        await check_first(node, MIGRATION_LEVEL + 1, await first)
        setting.report(f"{new.name} began with the block above")
        return below, *await denounce(Stage(node, client, new, setting.report))


async def _migrate(node: Node, client: Client, old: Accuser, before: Protocol, after: Protocol) -> str:
    """Bake the migration block; give the hash of the one below, which the old accuser has processed."""
    while node.level < MIGRATION_LEVEL:
        await client.bake_for_and_wait(DELEGATE.alias)
    await check_protocols(node, MIGRATION_LEVEL - 1, before, before)
    await check_protocols(node, MIGRATION_LEVEL, before, after)
    below = await block_at(node, MIGRATION_LEVEL - 1)
    await old.wait_for(
        PROCESSED,
        lambda block: block if block == below else None,
        where=f"the block is {below}",
        since=old.start_mark(),
    )
    return below


@contextlib.asynccontextmanager
async def running(accuser: Accuser) -> AsyncGenerator[None]:
    """Run an accuser for the length of a block, which does not wait for it to be ready."""
    with plain_errors():
        async with trio.open_nursery() as nursery:
            await nursery.start(accuser.run)
            yield
            await accuser.terminate()


def processed(accuser: Accuser) -> list[str]:
    """The blocks that an accuser processes, in a list that grows."""
    blocks: list[str] = []
    accuser.on_event(lambda event: blocks.append(event.value) if event.name == PROCESSED else None)
    return blocks


async def block_at(node: Node, level: int) -> str:
    """The hash of the block of a level."""
    block: str = await node.rpc("get", f"/chains/main/blocks/{level}/hash")
    return block


async def check_protocols(node: Node, level: int, made_by: Protocol, followed_by: Protocol) -> None:
    """See that a block was made by one protocol, and that another follows. Raises `ScenarioFailed`."""
    found = await node.rpc("get", f"/chains/main/blocks/{level}/protocols")
    expected = {"protocol": made_by.hash, "next_protocol": followed_by.hash}
    if found != expected:
        raise ScenarioFailed(f"Expected the protocols of level {level} to be {expected}, found {found}")


async def check_first(node: Node, level: int, found: str) -> None:
    """See that the block that an accuser has found first is that of a level. Raises `ScenarioFailed`."""
    expected = await block_at(node, level)
    if found != expected:
        raise ScenarioFailed(f"Expected the accuser to find {expected}, found {found}")


async def denounce(stage: Stage) -> tuple[Denunciation, Inclusion]:
    """Attest the head twice, and see the accuser's evidence in the mempool and in the next block.

    Raises:
        ScenarioFailed: it is not there.
    """
    _, valid = await stage.sign_honestly("attestation")
    slots = await stage.slots(valid.level)
    denounced = stage.accuser.expect("double_attestation_denounced.v0", where="any evidence")
    injected = await attrs.evolve(valid, slot=slots[1]).inject(stage.node, DELEGATE)
    stage.report(f"{DELEGATE.alias} attested the head again: {injected}")
    evidence = Denunciation(**await denounced)
    stage.report(f"{stage.accuser.name} denounced it: {evidence.hash}")
    await stage.check_pending(evidence.hash, "double_attestation_evidence")
    await stage.bake(1)
    included = await find_evidence(stage.client, evidence.hash, "Double attestation")
    stage.report(f"the evidence is in block {included.block} of level {included.level}")
    return evidence, included
