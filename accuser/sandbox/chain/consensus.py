"""Validation of preattestations and attestations (``lib_protocol/validate.ml``).

A mempool is permissive, as upstream's: any payload, round and slot of a level next to the head's.
A block takes only operations about its predecessor (attestations) or its own payload
(preattestations), each with the smallest slot of its delegate.
"""

from __future__ import annotations

import attrs

from ..._mavryk.codec.operations import Consensus, InlinedConsensus, Operation
from .evidence import consensus_signature_is_good
from .rights import Delegate
from .state import State
from .trace import (
    BRANCH,
    OUTDATED,
    PERMANENT,
    TEMPORARY,
    NodeError,
    bad_signature,
    failure,
    protocol_error,
    shell_error,
)


@attrs.frozen
class BlockContext:
    """What a block's consensus operations must fit."""

    level: int
    round: int
    locked_round: int | None
    payload_hash: str
    predecessor_round: int
    predecessor_payload: str | None
    """None when the predecessor was made by the genesis protocol: nobody attests it."""


def check_in_mempool(operation: Operation, state: State, head_level: int, chain_id: str) -> None:
    """Validate an operation on top of a head. Raises ``NodeError``."""
    content, inlined = _parts(operation)
    if content.level + 1 < head_level:
        raise _wrong("old_level", OUTDATED, state, content, expected=head_level, provided=content.level)
    if content.level > head_level + 1:
        raise _wrong("future_level", TEMPORARY, state, content, expected=head_level, provided=content.level)
    owner = _owner(state, content, content.level)
    check_not_forbidden(state, owner)
    _check_signature(state, inlined, owner, chain_id)


def check_in_block(operation: Operation, state: State, block: BlockContext, chain_id: str) -> None:
    """Validate an operation in a block on top of the one of ``state``. Raises ``NodeError``."""
    content, inlined = _parts(operation)
    if content.kind == "preattestation":
        if block.locked_round is None:
            raise protocol_error(state.protocol, PERMANENT, "validate.unexpected_preattestation_in_block")
        if content.round >= block.round:
            raise protocol_error(
                state.protocol,
                PERMANENT,
                "validate.preattestation_round_too_high",
                {"block_round": block.round, "provided": content.round},
            )
        level, at_round, payload = block.level, block.locked_round, block.payload_hash
    else:
        if block.predecessor_payload is None:
            raise protocol_error(state.protocol, PERMANENT, "validate.unexpected_attestation_in_block")
        level, at_round = block.level - 1, block.predecessor_round
        payload = block.predecessor_payload
    _check_about(state, content, level, at_round, payload)
    owner = _owner(state, content, level)
    assert state.calendar is not None
    if state.calendar.slots(level)[owner.pkh][0] != content.slot:
        raise _wrong_slot(state, content)
    check_not_forbidden(state, owner)
    _check_signature(state, inlined, owner, chain_id)


def check_not_forbidden(state: State, delegate: Delegate) -> None:
    """See that a delegate may take part in the consensus. Raises ``NodeError``."""
    if state.is_forbidden(delegate.pkh):
        raise protocol_error(
            state.protocol,
            PERMANENT,
            "validate.temporarily_forbidden_delegate",
            {"delegate": delegate.pkh},
        )


def conflict_key(content: Consensus) -> tuple[object, ...]:
    """What two consensus operations may not share in one block or mempool."""
    return (_kind(content), content.slot, content.level, content.round)


def conflict_error(operation: Operation, existing: str, protocol: str) -> NodeError:
    """The block has an operation of that slot, kind, level and round already, under that hash."""
    content, _ = _parts(operation)
    return protocol_error(
        protocol,
        BRANCH,
        "validate.double_inclusion_of_consensus_operation",
        {"kind": _kind(content), "conflict": {"existing": existing, "new_operation": operation.hash}},
    )


def mempool_conflict_error(operation: Operation) -> NodeError:
    """The mempool has such an operation already.

    The shell's error and not the protocol's, and a temporary one: the operation is delayed, and so
    shown to accusers, who look for just such pairs (``src/lib_shell/prevalidation.ml``).
    """
    return shell_error(TEMPORARY, "prevalidation.operation_conflict", new_hash=operation.hash)


def _parts(operation: Operation) -> tuple[Consensus, InlinedConsensus]:
    inlined = operation.inlined
    if inlined is None:
        raise failure("Not a signed consensus operation.")
    return inlined.content, inlined


def _kind(content: Consensus) -> str:
    return "Preattestation" if content.kind == "preattestation" else "Attestation"


def _check_about(state: State, content: Consensus, level: int, at_round: int, payload: str) -> None:
    if content.level < level:
        raise _wrong("old_level", OUTDATED, state, content, expected=level, provided=content.level)
    if content.level > level:
        raise _wrong("future_level", TEMPORARY, state, content, expected=level, provided=content.level)
    if content.round < at_round:
        raise _wrong("old_round", BRANCH, state, content, expected_min=at_round, provided=content.round)
    if content.round > at_round:
        raise _wrong("future_round", TEMPORARY, state, content, expected_max=at_round, provided=content.round)
    if content.payload_hash != payload:
        raise protocol_error(
            state.protocol,
            BRANCH,
            "validate.wrong_payload_hash_for_consensus_operation",
            {"kind": _kind(content), "expected": payload, "provided": content.payload_hash},
        )


def _owner(state: State, content: Consensus, level: int) -> Delegate:
    if state.calendar is None:
        raise protocol_error(state.protocol, BRANCH, "validate.consensus_operation_not_allowed")
    owner = state.calendar.owner(level, content.slot)
    if owner is None:
        raise _wrong_slot(state, content)
    return owner


def _check_signature(state: State, inlined: InlinedConsensus, owner: Delegate, chain_id: str) -> None:
    if not consensus_signature_is_good(inlined, owner, chain_id):
        raise bad_signature(state.protocol, inlined.signature)


def _wrong_slot(state: State, content: Consensus) -> NodeError:
    return protocol_error(
        state.protocol, PERMANENT, "validate.wrong_slot_for_consensus_operation", {"kind": _kind(content)}
    )


def _wrong(what: str, kind: str, state: State, content: Consensus, **fields: object) -> NodeError:
    return protocol_error(
        state.protocol,
        kind,
        f"validate.consensus_operation_for_{what}",
        {"kind": _kind(content), **fields},
    )
