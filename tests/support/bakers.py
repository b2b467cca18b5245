"""Automata of bakers, with blocks and votes to feed them with."""

from __future__ import annotations

from typing import Any

import attrs

from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import (
    GENESIS_BLOCK,
    blake2b,
)
from accuser._mavryk.codec.forge import ShellHeader, fitness
from accuser._mavryk.codec.operations import Consensus, ConsensusKind, Operation
from accuser.sandbox.baker.state import Automaton
from accuser.sandbox.baker.values import (
    Action,
    Candidate,
    EndOfRound,
    Input,
    NewProposal,
    Note,
    Phase,
    Prequorum,
    Proposal,
    QuorumReached,
    Rights,
    SignedVote,
)
from accuser.sandbox.client.delegates import Constants, Head

ALL = Rights({"one": (0, 2), "two": (1, 3)}, 4)
CONSTANTS = Constants(1, 1, 4, 3, 2**62)


def block(name: str) -> str:
    return encode(Kind.BLOCK, blake2b(name.encode()))


def payload(name: str) -> str:
    return encode(Kind.PAYLOAD, blake2b(name.encode()))


def head(name: str, level: int, round: int = 0, *, below: str = "", proto: int = 1, time: int = 0) -> Head:
    shell = ShellHeader(
        level=level,
        proto=proto,
        predecessor=block(below or f"{level - 1}"),
        timestamp=time or level,
        validation_pass=4,
        operations_hash=encode(Kind.OPERATION_LIST_LIST, bytes(32)),
        fitness=fitness(level, None, 0, round),
        context=encode(Kind.CONTEXT, bytes(32)),
    )
    return Head(block(name), shell, round, payload(name))


def proposal(
    name: str,
    level: int = 3,
    round: int = 0,
    *,
    branch: str = "",
    says: str = "",
    prequorum: Prequorum | None = None,
    proto: int = 1,
) -> Proposal:
    below = branch or f"{level - 1}"
    made = head(name, level, round, below=below, proto=proto)
    made = attrs.evolve(made, payload_hash=payload(says or name))
    return Proposal(made, head(below, level - 1), prequorum=prequorum)


def vote(
    slot: int, *, kind: ConsensusKind = "preattestation", says: str = "a", level: int = 3, round: int = 0
) -> Operation:
    content = Consensus(kind, slot, level, round, payload(says))
    return Operation(GENESIS_BLOCK, (content,), bytes(64))


def automaton(latest: Proposal | None = None, round: int = 0, **state: Any) -> Automaton:
    made = Automaton(latest or proposal("before", 2), round, **state)
    made.rights = made.next_rights = ALL
    return made


def feed(state: Automaton, happening: Input, clock: int = 0) -> list[Action]:
    done = state.step(happening, lambda _: clock)
    state.rights = state.next_rights = ALL
    return done


def names(actions: list[Action]) -> list[str]:
    return [action.name if isinstance(action, Note) else type(action).__name__ for action in actions]


def phase(state: Automaton) -> Phase:
    return state.phase


def candidate(of: Proposal) -> Candidate:
    return Candidate(of.block.hash, of.level, of.block.round, of.payload)


def prequorum(of: Proposal) -> QuorumReached:
    return QuorumReached("preattestation", candidate(of), (vote(0),))


def quorum(of: Proposal) -> QuorumReached:
    return QuorumReached("attestation", candidate(of), (vote(0, kind="attestation"),))


def signed(kind: Any, of: Proposal, **other: Any) -> SignedVote:
    made = SignedVote(kind, "one", of.level, of.block.round, of.payload, vote(0))
    return attrs.evolve(made, **other)


def locked_on(name: str, round: int = 0) -> tuple[Automaton, Proposal]:
    """An automaton that has attested a proposal, whose round then ended without a quorum."""
    state, first = automaton(), proposal(name, round=round)
    feed(state, NewProposal(first, False), round)
    feed(state, NewProposal(first, True), round)
    feed(state, prequorum(first))
    feed(state, EndOfRound(round))
    return state, first
