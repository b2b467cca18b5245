"""Blocks, votes and inputs of the automaton as the values of events have them. Pure."""

from __future__ import annotations

from typing import Any

from ..._mavryk.codec.base58 import Kind, encode
from ..._mavryk.codec.forge import BlockHeader, ProtocolData
from ..._mavryk.codec.operations import Consensus, Operation
from ..client.delegates import Head
from .forging import Made
from .values import (
    EndOfRound,
    Input,
    NewProposal,
    Phase,
    Prequorum,
    Proposal,
    QuorumReached,
    SignedVote,
    TimeToBake,
)
from .votefile import Votes


def step(phase: Phase, happening: Input) -> dict[str, Any] | None:
    """The value of ``step_current_phase``; None where upstream has no encoding."""
    match happening:
        case NewProposal(proposal, applied):
            name = "New_head_proposal" if applied else "New_valid_proposal"
            pair = {"block": _proposed(proposal), "predecessor": _head(proposal.predecessor)}
            event: list[Any] = [name, pair]
        case QuorumReached(kind, candidate, votes):
            name = "Prequorum_reached" if kind == "preattestation" else "Quorum_reached"
            watched = {
                "hash": candidate.block,
                "round_watched": candidate.round,
                "payload_hash_watched": candidate.payload_hash,
            }
            event = [name, watched, [vote.to_json() for vote in votes]]
        case EndOfRound(round):
            event = ["Timeout", {"kind": "End_of_round", "round": round}]
        case TimeToBake(round):
            event = ["Timeout", {"kind": "Time_to_prepare_next_level_block", "round": round}]
        case SignedVote():
            return None
    return {"phase": phase.value, "event": event}


def _head(head: Head, operations: tuple[tuple[Operation, ...], ...] = ()) -> dict[str, Any]:
    passes = [[operation.to_json() for operation in passed] for passed in operations]
    passes += [[] for _ in range(4 - len(passes))]
    quorum = [
        operation.to_json()
        for operation in (operations[0] if operations else ())
        if isinstance(operation.content, Consensus) and operation.content.kind != "preattestation"
    ]
    return {
        "hash": head.hash,
        "shell": head.shell.to_json(),
        "payload_hash": head.payload_hash,
        "payload_round": head.round,
        "round": head.round,
        "prequorum": None,
        "quorum": quorum,
        "payload": {
            "votes_payload": passes[1],
            "anonymous_payload": passes[2],
            "managers_payload": passes[3],
        },
    }


def _proposed(proposal: Proposal) -> dict[str, Any]:
    shown = _head(proposal.block, proposal.operations)
    shown["payload_round"] = proposal.payload_round
    if proposal.prequorum is not None:
        shown["prequorum"] = _prequorum(proposal.prequorum)
    return shown


def _prequorum(prequorum: Prequorum) -> dict[str, Any]:
    return {
        "level": prequorum.level,
        "round": prequorum.round,
        "block_payload_hash": prequorum.payload_hash,
        "preattestations": [vote.to_json() for vote in prequorum.votes],
    }


def signed_vote(vote: SignedVote, signer: dict[str, Any]) -> dict[str, Any]:
    """The value of ``new_forge_event`` for a vote."""
    content = vote.operation.content
    assert isinstance(content, Consensus)
    about = content.to_json()
    del about["kind"]
    unsigned = {"vote_kind": {}, "vote_consensus_content": about, "delegate": signer}
    return {
        f"signed_{vote.kind}": {
            "unsigned_consensus_vote": unsigned,
            "signed_operation": vote.operation.to_json(),
        }
    }


def signed_block(made: Made, round: int, votes: Votes, signer: dict[str, Any]) -> dict[str, Any]:
    """The value of ``new_forge_event`` for a block."""
    return {
        "signed_block": {
            "header": _header(made.header),
            "round": round,
            "delegate": signer,
            "operations": made.operations,
            "baking_votes": {
                "liquidity_baking_vote": votes.liquidity_baking,
                "adaptive_issuance_vote": votes.adaptive_issuance,
            },
        }
    }


def _header(header: BlockHeader) -> dict[str, Any]:
    data = ProtocolData.from_bytes(header.protocol_data)
    value = {**header.shell.to_json(), **data.to_json()}
    value["signature"] = encode(Kind.SIGNATURE, data.signature)
    return value
