"""Whether a block is valid for a protocol with delegates.

The checks and their order are those of ``lib_protocol/block_header_repr.ml`` and ``validate.ml``.
"""

from __future__ import annotations

import attrs

from ..._mavryk.codec.crypto import (
    blake2b,
    payload_hash,
)
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import BlockHeader, ProtocolData, rfc3339
from ..._mavryk.codec.manager import Manager
from ..._mavryk.codec.operations import (
    Consensus,
    DoubleBaking,
    DoubleConsensus,
    Operation,
)
from ..._mavryk.codec.votes import Ballot, Proposals, Vote
from . import amendment, consensus, cycles, evidence, manager_rules, migration, other_rules
from .activation import ZERO_SIGNATURE
from .block import Block, Network, Operations
from .ledger import Denunciation
from .misbehaviour import Misbehaviour
from .parameters import Calendar, Parameters
from .rights import Delegate
from .state import Fitness, State, memory_key
from .trace import (
    PERMANENT,
    TEMPORARY,
    NodeError,
    invalid_block,
    protocol_error,
)


def validate(
    network: Network, predecessor: Block, calendar: Calendar, header: BlockHeader, operations: Operations
) -> Block:
    """Validate a block of a protocol with delegates, but for what the shell checks.

    Raises:
        NodeError: the protocol refuses it.
    """
    shell, state = header.shell, predecessor.state
    try:
        data = ProtocolData.from_bytes(header.protocol_data)
    except ForgeError as error:
        raise invalid_block(header.hash, {"error": "cannot_parse_block_header"}) from error
    fitness = Fitness.parse(shell.fitness)
    if fitness is None:
        raise protocol_error(state.protocol, PERMANENT, "invalid_fitness")
    baker, proposer = _check_header(network, predecessor, calendar, header, data, fitness)
    check_commitment(state, calendar, shell.level, data)
    consensus.check_not_forbidden(state, baker)
    context = consensus.BlockContext(
        level=shell.level,
        round=fitness.round,
        locked_round=fitness.locked_round,
        payload_hash=data.payload_hash,
        predecessor_round=predecessor.round,
        predecessor_payload=predecessor.payload_hash,
    )
    denounced = check_contents(network, state, context, operations)
    _check_payload(state, header, data, operations)
    _check_power(state, calendar, shell.level, fitness, operations[0])
    outcome = cycles.outcome(
        state.with_denounced([misbehaviour for _, misbehaviour in denounced], shell.level),
        deeds(state, shell.level, baker, proposer, data, operations, denounced),
    )
    after = voted(outcome.state, calendar, shell.level, operations[1])
    return Block(
        hash=header.hash,
        header=header,
        operations=operations,
        protocol=state.protocol,
        state=migration.follow(network, state.protocol, after, shell.level, header.hash),
        baker=baker,
        proposer=proposer,
        updates=outcome.updates,
        forbids=outcome.forbids,
        results=outcome.results,
        subsidy=outcome.subsidy,
        deactivated=outcome.deactivated,
    )


def deeds(
    state: State,
    level: int,
    baker: Delegate,
    proposer: Delegate,
    data: ProtocolData,
    operations: Operations,
    denounced: list[tuple[str, Misbehaviour]],
) -> cycles.Deeds:
    """What the ledger has to know of a block whose operations are valid."""
    calendar = state.calendar
    assert calendar is not None
    attesters = _attesters(calendar, operations[0])
    slots = calendar.slots(level - 1)
    # The block that begins a protocol is not attested.
    attested = level > calendar.protocol_level + 1
    return cycles.Deeds(
        level=level,
        baker=baker.pkh,
        proposer=proposer.pkh,
        vote=data.adaptive_issuance_vote,
        attesters=frozenset(attesters),
        slots=sum(len(slots[pkh]) for pkh in attesters) if attested else None,
        denunciations=_denunciations(state, proposer, denounced),
        operations=[*operations[2], *operations[3]],
        nonce_hash=data.seed_nonce_hash,
    )


def _check_payload(state: State, header: BlockHeader, data: ProtocolData, operations: Operations) -> None:
    hashes = [operation.hash for passed in operations[1:] for operation in passed]
    payload = payload_hash(header.shell.predecessor, data.payload_round, hashes)
    if payload != data.payload_hash:
        raise protocol_error(
            state.protocol,
            PERMANENT,
            "validate.block.invalid_payload_hash",
            {"expected": payload, "provided": data.payload_hash},
        )


def _denunciations(
    state: State, proposer: Delegate, denounced: list[tuple[str, Misbehaviour]]
) -> list[tuple[Denunciation, bool]]:
    # Evidence about different slots may be of one misbehaviour; only the first one counts.
    seen: set[Misbehaviour] = set()
    found = []
    for operation, misbehaviour in denounced:
        key = memory_key(state.protocol, misbehaviour)
        found.append((Denunciation(operation, proposer.pkh, misbehaviour), key not in seen))
        seen.add(key)
    return found


def _attesters(calendar: Calendar, votes: tuple[Operation, ...]) -> set[str]:
    attesters = set()
    for operation in votes:
        content = operation.content
        if isinstance(content, Consensus) and content.kind != "preattestation":
            owner = calendar.owner(content.level, content.slot)
            assert owner is not None
            attesters.add(owner.pkh)
    return attesters


def _check_header(
    network: Network,
    predecessor: Block,
    calendar: Calendar,
    header: BlockHeader,
    data: ProtocolData,
    fitness: Fitness,
) -> tuple[Delegate, Delegate]:
    shell, state, parameters = header.shell, predecessor.state, calendar.parameters
    if not stamp_is_good(header, parameters):
        raise protocol_error(state.protocol, PERMANENT, "block_header.invalid_stamp")
    baker = calendar.baker(shell.level, fitness.round)
    assert baker is not None
    if not evidence.block_signature_is_good(header, baker.public_key, network.chain_id):
        raise protocol_error(
            state.protocol,
            PERMANENT,
            "block_header.invalid_block_signature",
            {"block": header.hash, "expected": baker.pkh},
        )
    check_payload_round(state, data, fitness.round)
    expected = parameters.timestamp(predecessor.header.shell.timestamp, predecessor.round, fitness.round)
    if shell.timestamp != expected:
        raise protocol_error(
            state.protocol,
            PERMANENT,
            "block_header.wrong_timestamp",
            {"block_timestamp": rfc3339(shell.timestamp), "expected_timestamp": rfc3339(expected)},
        )
    if fitness.level != shell.level or fitness.predecessor_round != predecessor.round:
        raise protocol_error(state.protocol, PERMANENT, "wrong_fitness")
    proposer = calendar.baker(shell.level, data.payload_round)
    assert proposer is not None
    return baker, proposer


def check_payload_round(state: State, data: ProtocolData, round: int) -> None:
    """A payload cannot come from a later round. Raises ``NodeError``."""
    if data.payload_round > round:
        raise protocol_error(
            state.protocol,
            PERMANENT,
            "block_header.invalid_payload_round",
            {"payload_round": data.payload_round, "round": round},
        )


def check_commitment(state: State, calendar: Calendar, level: int, data: ProtocolData) -> None:
    """Some levels need a seed nonce hash, the others forbid it. Raises ``NodeError``."""
    expected = bool(calendar.level_info(level)["expected_commitment"])
    if (data.seed_nonce_hash is not None) != expected:
        raise protocol_error(
            state.protocol, PERMANENT, "block_header.invalid_commitment", {"expected": expected}
        )


def stamp_is_good(header: BlockHeader, parameters: Parameters) -> bool:
    """Whether the header's proof-of-work nonce does its work."""
    unsigned = header.protocol_data[: -len(ZERO_SIGNATURE)] + ZERO_SIGNATURE
    digest = blake2b(header.shell.to_bytes() + unsigned)
    return int.from_bytes(digest[:8], "big") <= parameters.proof_of_work_threshold


@attrs.define
class Seen:
    """What the operations of a block share with nobody, and what they have used up."""

    conflicts: dict[tuple[object, ...], str] = attrs.field(factory=dict)
    """The hash of each by its `conflict_key`."""
    gas: int = 0
    """In units, as the limits of manager operations say."""


def check_contents(
    network: Network, state: State, context: consensus.BlockContext, operations: Operations
) -> list[tuple[str, Misbehaviour]]:
    """Validate the operations of a block against the state before it and among themselves.

    Returns:
        What they denounce, each with the hash of the evidence.

    Raises:
        NodeError: of the first one that is wrong.
    """
    denounced = []
    seen = Seen()
    for passed in operations:
        for operation in passed:
            misbehaviour = check_content(network, state, context, operation, seen)
            if misbehaviour is not None:
                denounced.append((operation.hash, misbehaviour))
    return denounced


def check_content(
    network: Network,
    state: State,
    context: consensus.BlockContext,
    operation: Operation,
    seen: Seen,
) -> Misbehaviour | None:
    """Validate one operation of a block, after those of ``seen``, where it is noted."""
    content = operation.content
    misbehaviour = None
    if isinstance(content, Consensus):
        consensus.check_in_block(operation, state, context, network.chain_id)
    elif isinstance(content, Proposals | Ballot):
        check_vote(operation, content, state)
    elif isinstance(content, Manager):
        manager_rules.check_block_gas(operation, seen.gas, state)
        manager_rules.check(operation, state)
    elif isinstance(content, DoubleBaking | DoubleConsensus):
        misbehaviour = evidence.check(content, state, context.level, network.chain_id)
    else:
        other_rules.check(operation, content, state, context.level)
    key = conflict_key(operation, state.protocol)
    if key in seen.conflicts:
        raise conflict_error(operation, seen.conflicts[key], state.protocol)
    seen.conflicts[key] = operation.hash
    seen.gas += manager_rules.gas_limit(operation)
    return misbehaviour


def conflict_key(operation: Operation, protocol: str) -> tuple[object, ...]:
    """What two operations, which are valid, may not share in one block or mempool."""
    content = operation.content
    if isinstance(content, Consensus):
        return consensus.conflict_key(content)
    if isinstance(content, Proposals | Ballot):
        return amendment.conflict_key(content)
    if isinstance(content, Manager):
        return ("manager", content.source)
    if isinstance(content, DoubleBaking | DoubleConsensus):
        return evidence.conflict_key(content, protocol)
    return other_rules.conflict_key(content)


def conflict_error(operation: Operation, existing: str, protocol: str) -> NodeError:
    """What a block says of an operation that conflicts with the one of that hash."""
    content = operation.content
    if isinstance(content, Consensus):
        return consensus.conflict_error(operation, existing, protocol)
    if isinstance(content, Proposals | Ballot):
        return amendment.conflict_error(content, operation.hash, existing, protocol)
    if isinstance(content, Manager):
        conflict = {"existing": existing, "new_operation": operation.hash}
        fields = {"source": content.source, "conflict": conflict}
        return protocol_error(protocol, TEMPORARY, "validate.operation.manager_restriction", fields)
    if isinstance(content, DoubleBaking | DoubleConsensus):
        return evidence.conflict_error(operation, existing, protocol)
    return other_rules.conflict_error(content, operation, existing, protocol)


def check_vote(operation: Operation, vote: Vote, state: State, *, signed: bool = True) -> None:
    """Validate a vote on top of a state; its signature if it has to be right. Raises ``NodeError``."""
    assert state.calendar is not None
    amendment.check(vote, state.amendment, state.calendar, state.protocol)
    if not signed:
        return
    account = state.ledger.accounts.get(vote.source)
    key = None if account is None else account.public_key
    assert key is not None
    other_rules.check_signature(operation, key, state)


def voted(state: State, calendar: Calendar, level: int, votes: tuple[Operation, ...]) -> State:
    """The state after the votes of a block of that level, and with what they may have adopted."""
    now = state.amendment
    for operation in votes:
        assert isinstance(operation.content, Proposals | Ballot)
        now = now.with_vote(operation.content)
    now, adopted = now.at_end_of(level, calendar)
    if now is state.amendment and adopted is None:
        return state
    return attrs.evolve(state, amendment=now, protocol=adopted or state.protocol)


def _check_power(
    state: State, calendar: Calendar, level: int, fitness: Fitness, votes: tuple[Operation, ...]
) -> None:
    threshold = calendar.parameters.consensus_threshold
    power = {"preattestation": 0, "attestation": 0}
    for operation in votes:
        content = operation.content
        assert isinstance(content, Consensus)
        owner = calendar.owner(content.level, content.slot)
        assert owner is not None
        kind = "preattestation" if content.kind == "preattestation" else "attestation"
        power[kind] += len(calendar.slots(content.level)[owner.pkh])
    if fitness.locked_round is not None and not power["preattestation"] >= max(threshold, 1):
        raise protocol_error(
            state.protocol,
            PERMANENT,
            "validate.block.insufficient_locked_round_evidence",
            {"voting_power": power["preattestation"], "consensus_threshold": threshold},
        )
    # The block that begins a protocol is not attested (``check_attestation_power``).
    if level > calendar.protocol_level + 1 and power["attestation"] < threshold:
        raise protocol_error(
            state.protocol,
            PERMANENT,
            "validate.block.not_enough_attestations",
            {"required": threshold, "provided": power["attestation"]},
        )
