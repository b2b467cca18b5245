"""A delegate signs a consensus operation that is too far from the head for the accuser to care.

Upstream: ``tezt/tests/double_consensus.ml``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs
import trio

from .._daemons.operations import ConsensusOperation
from .._hosts.toolchain import Toolchain
from .._mavryk.protocol import Protocol
from .._recording.writer import Recording
from ._common import Report, silent
from ._stage import DELEGATE, Stage, open_stage

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
    *,
    accuser_path: Path | None = None,
    keep: bool = False,
    record: Recording | None = None,
    report: Report = silent,
    twin: bool = False,
) -> OutOfRange:
    """See an accuser that preserves no level pass over an attestation of the level before the head's.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with.
        accuser_path: an accuser's executable, in place of the toolchain's.
        keep: keep the directories of the daemons and clients, and report where they are.
        record: where the daemons are recorded, all of them in one.
        report: called with a line for each step.
        twin: give the accuser what it is to see in range, so that it must fail: as many levels as usual.

    Raises:
        SigningUnavailable: the package ``cryptography`` is not installed.
        AccuserError: something did not run, or the event did not come in time.
    """
    start = trio.current_time()
    async with open_stage(
        toolchain,
        protocol,
        preserved_levels=None if twin else 0,
        accuser_path=accuser_path,
        keep=keep,
        record=record,
        report=report,
    ) as stage:
        await stage.bake(2)
        _, valid = await stage.sign_honestly("attestation")
        head = await stage.bake(1)
        return await _pass_over(
            stage,
            attrs.evolve(valid, round=CRAFTED_ROUND),
            "consensus_operation_too_old.v0",
            toolchain,
            protocol,
            head,
            start,
        )


async def operation_too_far_in_future(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    *,
    accuser_path: Path | None = None,
    keep: bool = False,
    record: Recording | None = None,
    report: Report = silent,
    twin: bool = False,
) -> OutOfRange:
    """See an accuser pass over an attestation of three levels above the head.

    Arguments and errors are those of `operation_too_old`; its twin is about a level less.
    """
    start = trio.current_time()
    async with open_stage(
        toolchain,
        protocol,
        preserved_levels=2,
        accuser_path=accuser_path,
        keep=keep,
        record=record,
        report=report,
    ) as stage:
        head = await stage.bake(2)
        _, valid = await stage.sign_honestly("attestation")
        level = head + (NEAR if twin else FAR)
        slots = await stage.slots(level)
        return await _pass_over(
            stage,
            attrs.evolve(valid, level=level, round=0, slot=slots[0]),
            "consensus_operation_too_far_in_future.v0",
            toolchain,
            protocol,
            head,
            start,
        )


async def _pass_over(
    stage: Stage,
    operation: ConsensusOperation,
    event: str,
    toolchain: Toolchain,
    protocol: Protocol,
    head: int,
    start: float,
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
        toolchain.name,
        protocol.long_name,
        await stage.node.rpc("get", "/chains/main/chain_id"),
        event,
        injected,
        operation.level,
        head,
        round(trio.current_time() - start, 3),
    )
