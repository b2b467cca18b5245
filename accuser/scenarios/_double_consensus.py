"""A delegate signs several consensus operations of one level and round.

Upstream: ``tezt/tests/double_consensus.ml``.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Unpack, get_args

import attrs

from .. import ConsensusOperation, Event, Protocol, ScenarioFailed, Toolchain
from ._common import ConsensusKind, Denunciation, ScenarioOptions
from ._stage import DELEGATE, Setting, Stage, open_stage

Difference = Literal["slot", "block_payload_hash", "branch"]
"""What an operation says otherwise than the valid one."""

DIFFERENCES: Final[tuple[Difference, ...]] = get_args(Difference)

ALREADY_DENOUNCED: Final = "double_consensus_already_denounced.v0"

BLOCKS: Final = 5
"""Baked first, so that there are other branches and payloads to name."""


@attrs.frozen
class Misdeed:
    """A signature too many, and what came of it."""

    operation: str
    """Hash of the operation that should not be."""
    evidence: Denunciation


@attrs.frozen
class DoubleConsensus:
    """What a scenario about double attestations or preattestations found."""

    toolchain: str
    protocol: str
    chain_id: str
    kind: str
    """``attestation`` or ``preattestation``."""
    difference: str
    """What the operations say otherwise: ``slot``, ``block_payload_hash`` or ``branch``."""
    level: int
    round: int
    valid: str
    """Hash of the valid operation."""
    first: Misdeed
    second: Misdeed
    already_denounced: str
    """Hash of the evidence that the accuser remembered when it met the second misdeed."""
    seconds: float

    @property
    def outcome(self) -> str:
        """What was shown, in a few words."""
        return "denounced, and denounced again"


async def double_consensus(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    *,
    kind: ConsensusKind = "attestation",
    difference: Difference = "slot",
    **options: Unpack[ScenarioOptions],
) -> DoubleConsensus:
    """Make a delegate sign thrice for one level and round, and see an accuser denounce it twice.

    After a valid operation of bootstrap1 come two crafted ones, which differ from it in their
    slot, in their payload or in their branch. The accuser denounces the first one; at the second
    it says that the delegate was denounced already, and by which evidence.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with.
        kind: what is signed.
        difference: what the crafted operations say otherwise. Those about slots are valid for
            the mempool; the others are forced into it.
        options: those of `ScenarioOptions`. The twin crafts operations that differ in nothing.

    Raises:
        ScenarioFailed: the mempool does not hold the evidence, or another was remembered.
        SigningUnavailable: the package ``cryptography`` is not installed.
        AccuserError: something did not run, or an event did not come in time.
    """
    setting = Setting(toolchain=toolchain, protocol=protocol, **options)
    async with open_stage(setting) as stage:
        level = await stage.bake(BLOCKS)
        slots = await stage.slots(level)
        valid_hash, valid = await stage.sign_honestly(kind)
        twice = (valid, valid) if setting.twin else await _crafted(stage, valid, difference, slots)
        setting.report(f"{DELEGATE.alias} signs twice more, with another {difference}")
        # A mempool that holds the same one already may say so.
        first, second, already = await _denounced_twice(
            stage, *twice, force=setting.twin or difference != "slot"
        )
        chain_id = await stage.node.rpc("get", "/chains/main/chain_id")
    return DoubleConsensus(
        toolchain.name,
        protocol.long_name,
        chain_id,
        kind,
        difference,
        valid.level,
        valid.round,
        valid_hash,
        first,
        second,
        already,
        setting.seconds,
    )


async def _denounced_twice(
    stage: Stage, first: ConsensusOperation, second: ConsensusOperation, *, force: bool
) -> tuple[Misdeed, Misdeed, str]:
    """Inject both; give what came of each, and what the accuser remembered at the second.

    Raises:
        ScenarioFailed: the mempool does not hold the evidence, or another was remembered.
    """
    first_misdeed, _ = await _commit(stage, first, force=force)
    evidence = first_misdeed.evidence
    await stage.check_pending(evidence.hash, f"double_{first.kind}_evidence")
    stage.report(f"the mempool of {stage.node.name} holds the evidence")
    second_misdeed, already = await _commit(stage, second, force=force)
    if already != evidence.hash:
        raise ScenarioFailed(
            f"{stage.accuser.name} was to say that {DELEGATE.alias} was denounced already in "
            f"{evidence.hash}, and said {already}"
        )
    stage.report(f"{stage.accuser.name} remembered that evidence")
    return first_misdeed, second_misdeed, already


async def _commit(stage: Stage, operation: ConsensusOperation, *, force: bool) -> tuple[Misdeed, str | None]:
    """Inject an operation; give what came of it, and what was said to be denounced already."""
    kind, already = operation.kind, None
    signed = (await operation.sign(stage.node, DELEGATE)).hex()

    # Evidence holds the two operations as they were signed. A mempool that replaces one operation
    # by another shows the first one again, which the accuser takes for one more: so not every
    # evidence that comes now is about this operation.
    def about_it(event: Event) -> Any:
        nonlocal already
        if event.name == ALREADY_DENOUNCED:
            already = event.value
            return None
        return event.value if signed in event.value["bytes"] else None

    denounced = stage.accuser.expect(
        (ALREADY_DENOUNCED, f"double_{kind}_denounced.v0"),
        about_it,
        where="it is about the injected operation",
    )
    injected = await operation.inject(stage.node, DELEGATE, force=force)
    stage.report(f"{DELEGATE.alias} injected the {kind} {injected}")
    evidence = Denunciation(**await denounced)
    stage.report(f"{stage.accuser.name} denounced it: {evidence.hash}")
    return Misdeed(injected, evidence), already


async def _crafted(
    stage: Stage, valid: ConsensusOperation, difference: Difference, slots: list[int]
) -> tuple[ConsensusOperation, ConsensusOperation]:
    if len(slots) < 3:
        raise ScenarioFailed(f"{DELEGATE.alias} has {len(slots)} slots at level {valid.level}; 3 are needed")
    if difference == "slot":
        return attrs.evolve(valid, slot=slots[1]), attrs.evolve(valid, slot=slots[2])
    if difference == "branch":
        others = [await stage.block(back, "hash") for back in (4, 5)]
    else:
        others = [(await stage.block(back, "header"))["payload_hash"] for back in (2, 3)]
    # As upstream: the third operation is about a slot of its own too.
    first, second = ({difference: other} for other in others)
    return attrs.evolve(valid, slot=slots[0], **first), attrs.evolve(valid, slot=slots[2], **second)
