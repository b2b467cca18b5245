"""Validation of denunciations, check by check as ``lib_protocol/validate.ml`` does.

The first check that fails gives the error. `check` needs the state of a block and the level that
comes next; it knows nothing of the mempool. `conflict_key` is what mempools and blocks add.
"""

from __future__ import annotations

from typing import TypeAlias

from ..._mavryk.codec.crypto import Watermark, verify, watermark
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import BlockHeader, ProtocolData
from ..._mavryk.codec.operations import (
    DoubleBaking,
    DoubleConsensus,
    InlinedConsensus,
    Operation,
)
from ..._mavryk.protocol import Protocol
from .misbehaviour import Misbehaviour, MisbehaviourKind
from .parameters import MAX_SLASHING_PERIOD, Calendar
from .rights import Delegate
from .state import Fitness, State
from .trace import (
    BRANCH,
    PERMANENT,
    TEMPORARY,
    NodeError,
    bad_signature,
    failure,
    protocol_error,
)

ConflictKey: TypeAlias = tuple[object, ...]


def kind_of(evidence: DoubleBaking | DoubleConsensus) -> MisbehaviourKind:
    """What is denounced, as errors name it."""
    if isinstance(evidence, DoubleBaking):
        return "block"
    return "attestation" if evidence.kind == "double_attestation_evidence" else "preattestation"


def check(
    evidence: DoubleBaking | DoubleConsensus, state: State, next_level: int, chain_id: str
) -> Misbehaviour:
    """Validate an evidence in the block of ``next_level`` that follows the one of ``state``.

    Returns:
        What it denounces.

    Raises:
        NodeError: with the errors of ``lib_protocol/validate_errors.ml``.
    """
    if isinstance(evidence, DoubleBaking):
        return _check_double_baking(evidence, state, next_level, chain_id)
    return _check_double_consensus(evidence, state, next_level, chain_id)


def conflict_key(evidence: DoubleBaking | DoubleConsensus, protocol: str) -> ConflictKey:
    """What two evidences, which are valid, may not share in one block or mempool.

    Atlas does not tell attestations from preattestations here.
    """
    if isinstance(evidence, DoubleBaking):
        fitness = Fitness.parse(evidence.bh1.shell.fitness)
        assert fitness is not None
        return ("block", fitness.level, fitness.round)
    about = evidence.op1.content
    kind = "consensus" if protocol == Protocol.ATLAS.hash else kind_of(evidence)
    return (kind, about.level, about.round, about.slot)


def conflict_error(operation: Operation, existing: str, protocol: str) -> NodeError:
    """An evidence of the same is in the mempool or block already, under that hash."""
    content = operation.content
    assert isinstance(content, DoubleBaking | DoubleConsensus)
    return protocol_error(
        protocol,
        BRANCH,
        "validate.operation.conflicting_denunciation",
        {
            "denunciation_kind": kind_of(content),
            "conflict": {"existing": existing, "new_operation": operation.hash},
        },
    )


def _check_double_baking(
    evidence: DoubleBaking, state: State, next_level: int, chain_id: str
) -> Misbehaviour:
    bh1, bh2 = evidence.bh1, evidence.bh2
    round1, round2 = _round(bh1, state), _round(bh2, state)
    level1, level2 = bh1.shell.level, bh2.shell.level
    # The order of the hashes is that of their bytes, as the base58 texts of one length have too.
    if not (level1 == level2 and round1 == round2 and bh1.hash < bh2.hash):
        raise protocol_error(
            state.protocol,
            PERMANENT,
            "validate.block.invalid_double_baking_evidence",
            {
                "hash1": bh1.hash,
                "level1": level1,
                "round1": round1,
                "hash2": bh2.hash,
                "level2": level2,
                "round2": round2,
            },
        )
    calendar = _check_age(state, "block", level1, next_level)
    baker = calendar.baker(level1, round1)
    if baker is None:
        raise _no_rights(state, level1)
    # One round has one baker, so the protocol's comparison of two delegates never fails here.
    misbehaviour = Misbehaviour(baker.pkh, level1, round1, "block")
    _check_not_denounced(state, misbehaviour)
    for header in (bh1, bh2):
        if not block_signature_is_good(header, baker.public_key, chain_id):
            raise protocol_error(
                state.protocol,
                PERMANENT,
                "block_header.invalid_block_signature",
                {"block": header.hash, "expected": baker.pkh},
            )
    return misbehaviour


def _check_double_consensus(
    evidence: DoubleConsensus, state: State, next_level: int, chain_id: str
) -> Misbehaviour:
    kind = kind_of(evidence)
    op1, op2 = evidence.op1, evidence.op2
    about1, about2 = op1.content, op2.content
    differ = (
        about1.payload_hash != about2.payload_hash or op1.branch != op2.branch or about1.slot != about2.slot
    )
    same_round = about1.level == about2.level and about1.round == about2.round
    if not (same_round and differ and op1.hash < op2.hash):
        raise protocol_error(
            state.protocol, PERMANENT, "validate.operation.block.invalid_denunciation", {"kind": kind}
        )
    level = about1.level
    calendar = _check_age(state, kind, level, next_level)
    owner1, owner2 = calendar.owner(level, about1.slot), calendar.owner(level, about2.slot)
    if owner1 is None or owner2 is None:
        raise _no_rights(state, level)
    if owner1.pkh != owner2.pkh:
        raise protocol_error(
            state.protocol,
            PERMANENT,
            "validate.operation.block.inconsistent_denunciation",
            {"kind": kind, "delegate1": owner1.pkh, "delegate2": owner2.pkh},
        )
    misbehaviour = Misbehaviour(owner1.pkh, level, about1.round, kind)
    _check_not_denounced(state, misbehaviour)
    for operation in (op1, op2):
        if not consensus_signature_is_good(operation, owner1, chain_id):
            raise bad_signature(state.protocol, operation.signature)
    return misbehaviour


def block_signature_is_good(header: BlockHeader, public_key: str, chain_id: str) -> bool:
    """Whether that key signed that header on that chain."""
    try:
        data = ProtocolData.from_bytes(header.protocol_data)
        unsigned = header.shell.to_bytes() + data.unsigned_bytes()
    except ForgeError:
        return False
    return verify(public_key, data.signature, unsigned, watermark=watermark(Watermark.BLOCK, chain_id))


def consensus_signature_is_good(operation: InlinedConsensus, owner: Delegate, chain_id: str) -> bool:
    """Whether the owner of its slot signed that operation on that chain."""
    mark = watermark(operation.content.watermark, chain_id)
    return verify(owner.public_key, operation.signature, operation.unsigned_bytes(), watermark=mark)


def _round(header: BlockHeader, state: State) -> int:
    fitness = Fitness.parse(header.shell.fitness)
    if fitness is None:
        raise protocol_error(state.protocol, PERMANENT, "invalid_fitness")
    return fitness.round


def _check_age(state: State, kind: MisbehaviourKind, level: int, next_level: int) -> Calendar:
    calendar = state.calendar
    if calendar is None:
        raise failure("No protocol with delegates is active.")
    given, current = calendar.cycle(level), calendar.cycle(next_level)
    if given > current:
        raise protocol_error(
            state.protocol,
            TEMPORARY,
            "validate.operation.block.too_early_denunciation",
            {"kind": kind, "level": level, "current": next_level},
        )
    if given + MAX_SLASHING_PERIOD <= current:
        raise protocol_error(
            state.protocol,
            PERMANENT,
            "validate.operation.block.outdated_denunciation",
            {"kind": kind, "level": level, "last": _last_cycle(state.protocol, given)},
        )
    return calendar


def _last_cycle(protocol: str, misbehaviour: int) -> int:
    """What errors call the last cycle: Alpha means one that still takes evidence, the others do not."""
    return misbehaviour + MAX_SLASHING_PERIOD - (1 if protocol == Protocol.ALPHA.hash else 0)


def _check_not_denounced(state: State, misbehaviour: Misbehaviour) -> None:
    if state.is_denounced(misbehaviour):
        assert state.calendar is not None
        raise protocol_error(
            state.protocol,
            BRANCH,
            "validate.operation.already_denounced",
            {
                "denunciation_kind": misbehaviour.kind,
                "delegate": misbehaviour.delegate,
                "level": state.calendar.level_info(misbehaviour.level),
            },
        )


def _no_rights(state: State, level: int) -> NodeError:
    # Upstream draws an owner for every slot number, and has no rights before the first protocol; it
    # registers no error for either.
    return protocol_error(state.protocol, PERMANENT, "level_not_in_alpha", {"level": level})
