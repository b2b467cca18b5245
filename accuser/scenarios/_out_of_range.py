"""A delegate signs a consensus operation that is too far from the head for the accuser to care.

Upstream: ``tezt/tests/double_consensus.ml``.
"""

from __future__ import annotations

from typing import Final, Unpack

import attrs

from .. import ConsensusOperation, Protocol, Toolchain
from ._common import ScenarioOptions
from ._stage import DELEGATE, Setting, Stage, open_stage

CRAFTED_ROUND: Final = 3
"""Of the old operation, so that it conflicts with nothing in the mempool."""

NEAR: Final = 2
"""The most levels above the head that accusers look at."""
FAR: Final = NEAR + 1


@attrs.frozen
class OutOfRange:
    """What a scenario about an operation that accusers pass over found."""

    toolchain: str
    protocol: str
    chain_id: str
    event: str
    """Name of the accuser's event about it."""
    operation: str
    """Hash of the operation."""
    level: int
    """What the operation is about."""
    head: int
    """Level of the head."""
    seconds: float

    @property
    def outcome(self) -> str:
        """What was shown, in a few words."""
        return "seen, and passed over"


async def operation_too_old(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    **options: Unpack[ScenarioOptions],
) -> OutOfRange:
    """See an accuser that preserves no level pass over an attestation of the level before the head's.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with.
        options: those of `ScenarioOptions`. The twin gives the accuser what it is to see in range.

    Raises:
        SigningUnavailable: the package ``cryptography`` is not installed.
        AccuserError: something did not run, or the event did not come in time.
    """
    setting = Setting(toolchain=toolchain, protocol=protocol, **options)
    async with open_stage(setting, preserved_levels=None if setting.twin else 0) as stage:
        await stage.bake(2)
        _, valid = await stage.sign_honestly("attestation")
        head = await stage.bake(1)
        return await _pass_over(
            setting,
            stage,
            attrs.evolve(valid, round=CRAFTED_ROUND),
            "consensus_operation_too_old.v0",
            head,
        )


async def operation_too_far_in_future(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    **options: Unpack[ScenarioOptions],
) -> OutOfRange:
    """See an accuser pass over an attestation of three levels above the head.

    Arguments and errors are those of `operation_too_old`; its twin is about a level less.
    """
    setting = Setting(toolchain=toolchain, protocol=protocol, **options)
    async with open_stage(setting, preserved_levels=2) as stage:
        head = await stage.bake(2)
        _, valid = await stage.sign_honestly("attestation")
        level = head + (NEAR if setting.twin else FAR)
        slots = await stage.slots(level)
        return await _pass_over(
            setting,
            stage,
            attrs.evolve(valid, level=level, round=0, slot=slots[0]),
            "consensus_operation_too_far_in_future.v0",
            head,
        )


async def _pass_over(
    setting: Setting, stage: Stage, operation: ConsensusOperation, event: str, head: int
) -> OutOfRange:
    mark = stage.accuser.mark()
    injected = await operation.inject(stage.node, DELEGATE, force=True)
    stage.report(f"{DELEGATE.alias} injected an attestation of level {operation.level}: {injected}")
    # Others may be out of range too: the valid one is, for an accuser that preserves no level.
    await stage.accuser.wait_for(
        event,
        lambda passed_over: passed_over if passed_over == injected else None,
        where=f"the operation is {injected}",
        since=mark,
    )
    stage.report(f"{stage.accuser.name} passed it over, with {event}")
    return OutOfRange(
        setting.toolchain.name,
        setting.protocol.long_name,
        await stage.node.rpc("get", "/chains/main/chain_id"),
        event,
        injected,
        operation.level,
        head,
        setting.seconds,
    )
