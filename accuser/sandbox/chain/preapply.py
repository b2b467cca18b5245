"""Construction of blocks: the shell header that a block with given contents must have."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..._mavryk.codec.base58 import Kind, encode
from ..._mavryk.codec.crypto import operation_list_list_hash
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import (
    ProtocolData,
    ShellHeader,
    fitness,
    rfc3339,
)
from ..._mavryk.codec.operations import Consensus, Operation
from . import block_rules, consensus, economic_rules, migration
from .activation import Activation
from .block import PASSES, Block, Network
from .chain import Chain
from .parameters import PASS_QUOTAS, Calendar
from .state import State
from .trace import (
    PERMANENT,
    NodeError,
    failure,
    protocol_error,
)

NO_PAYLOAD = encode(Kind.PAYLOAD, bytes(32))
"""Stands for a fresh payload while its hash is not known yet."""


@attrs.frozen(eq=False)
class Preapplied:
    """The operations of one validation pass, judged."""

    applied: tuple[Operation, ...]
    refused: tuple[tuple[Operation, NodeError], ...]


@attrs.frozen(eq=False)
class Construction:
    """A block that could be made."""

    shell: ShellHeader
    passes: tuple[Preapplied, ...]


def construct_activation(
    network: Network, predecessor: Block, activation: Activation, timestamp: int
) -> Construction:
    """The block that activates a protocol on top of the genesis block. Raises ``NodeError``."""
    state = block_rules.activated(network, activation, predecessor.level + 1, predecessor.hash)
    shell = _shell(predecessor, state, timestamp, activation.fitness, ())
    return Construction(shell, ())


def construct(
    chain: Chain,
    predecessor: Block,
    data: ProtocolData,
    timestamp: int,
    operations: Sequence[Sequence[Operation]],
    *,
    sort: bool = False,
) -> Construction:
    """The block with these contents on top of ``predecessor``, at the round of its time.

    Args:
        chain: where the predecessor is.
        predecessor: of the block to be.
        data: the protocol data, whatever the signature; ``NO_PAYLOAD`` as payload hash will do.
        timestamp: of the block, in seconds since the epoch.
        operations: by validation pass.
        sort: put the operations of each pass in an order of the node's.

    Raises:
        NodeError: no such block can be.
    """
    calendar, network = predecessor.state.calendar, chain.network
    if calendar is None:
        raise failure("The genesis protocol only makes activation blocks.")
    if len(operations) > PASSES:
        raise failure(f"A block has {PASSES} validation passes, not {len(operations)}.")
    level, at_round = predecessor.level + 1, _round_at(calendar, predecessor, timestamp)
    baker = calendar.baker(level, at_round)
    assert baker is not None
    consensus.check_not_forbidden(predecessor.state, baker)
    economic_rules.check_payload_round(predecessor.state, data, at_round)
    economic_rules.check_commitment(predecessor.state, calendar, level, data)
    given = [tuple(passed) for passed in operations] + [()] * (PASSES - len(operations))
    locked_round = _locked_round(given[0], data, at_round)
    context = consensus.BlockContext(
        level=level,
        round=at_round,
        locked_round=locked_round,
        payload_hash=data.payload_hash,
        predecessor_round=predecessor.round,
        predecessor_payload=predecessor.payload_hash,
    )
    passes = _judge(chain, predecessor, context, given, sort=sort)
    try:
        reached = fitness(level, locked_round, predecessor.round, at_round)
    except ForgeError as error:
        raise failure(str(error)) from error
    state = predecessor.state
    votes = passes[1].applied
    after = migration.follow(
        network,
        state.protocol,
        economic_rules.voted(state, calendar, level, votes),
        level,
        predecessor.hash,
    )
    shell = _shell(predecessor, after, timestamp, reached, [passed.applied for passed in passes])
    return Construction(shell, passes)


def _round_at(calendar: Calendar, predecessor: Block, timestamp: int) -> int:
    before = predecessor.header.shell.timestamp
    found = calendar.parameters.round_at(before, predecessor.round, timestamp)
    if found is None:
        raise protocol_error(
            predecessor.state.protocol,
            PERMANENT,
            "round_of_past_timestamp",
            {
                "provided_timestamp": rfc3339(timestamp),
                "predecessor_timestamp": rfc3339(before),
                "predecessor_round": predecessor.round,
            },
        )
    return found


def _locked_round(votes: Sequence[Operation], data: ProtocolData, at_round: int) -> int | None:
    if data.payload_hash == NO_PAYLOAD:
        return None
    rounds = [
        operation.content.round
        for operation in votes
        if isinstance(operation.content, Consensus)
        and operation.content.kind == "preattestation"
        and operation.content.round < at_round
    ]
    return max(rounds, default=None)


def _judge(
    chain: Chain,
    predecessor: Block,
    context: consensus.BlockContext,
    operations: Sequence[Sequence[Operation]],
    *,
    sort: bool,
) -> tuple[Preapplied, ...]:
    live = chain.live_blocks(predecessor)
    seen = economic_rules.Seen()
    passes = []
    for index, passed in enumerate(operations):
        applied: list[Operation] = []
        refused = []
        most = PASS_QUOTAS[index].get("max_op", len(passed))
        for operation in sorted(passed, key=lambda one: one.hash) if sort else passed:
            try:
                if operation.validation_pass != index:
                    raise failure(f"Operation {operation.hash} does not belong in pass {index}.")
                if operation.branch not in live:
                    branch = operation.branch[:12]
                    raise failure(f"The operation {operation.hash} is outdated (originated in {branch})")
                if operation in applied or chain.is_included(operation.hash, live):
                    raise failure(f"The operation {operation.hash} was previously included in the chain.")
                if len(applied) >= most:
                    raise failure(f"Pass {index} takes {most} operations.")
                economic_rules.check_content(chain.network, predecessor.state, context, operation, seen)
            except NodeError as error:
                refused.append((operation, error))
            else:
                applied.append(operation)
        passes.append(Preapplied(tuple(applied), tuple(refused)))
    return tuple(passes)


def _shell(
    predecessor: Block,
    after: State,
    timestamp: int,
    reached: tuple[bytes, ...],
    operations: Sequence[Sequence[Operation]],
) -> ShellHeader:
    before = predecessor.header.shell
    return ShellHeader(
        level=predecessor.level + 1,
        proto=block_rules.proto_level(before, predecessor.state.protocol, after.protocol),
        predecessor=predecessor.hash,
        timestamp=timestamp,
        validation_pass=len(operations),
        operations_hash=operation_list_list_hash(
            [[operation.hash for operation in passed] for passed in operations]
        ),
        fitness=reached,
        context=predecessor.resulting_context,
    )
