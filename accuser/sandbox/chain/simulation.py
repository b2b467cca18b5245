"""What operations would do on top of a state, without a block: for RPCs that clients ask beforehand.

Sources: ``lib_plugin/RPC.ml`` (``run_operation_service``), ``src/lib_shell/block_directory.ml``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ..._mavryk.codec.manager import Manager
from ..._mavryk.codec.operations import (
    Consensus,
    DoubleBaking,
    DoubleConsensus,
    Operation,
)
from ..._mavryk.codec.votes import Ballot, Proposals
from . import anonymous, economic_rules, evidence, issuance, manager, manager_rules, other_rules
from .accounts import Book
from .block import Network
from .economy import economy
from .state import State
from .trace import PERMANENT, failure, protocol_error

Json = dict[str, Any]


def simulate(
    network: Network, state: State, operations: Sequence[Operation], level: int, *, signed: bool
) -> list[tuple[Json, ...]]:
    """Let operations take effect one after the other, as in a block of that level.

    Args:
        network: of the chain.
        state: before them.
        operations: of any kind but consensus.
        level: of the block that they would be in.
        signed: whether their signatures have to be right.

    Returns:
        For each operation the metadata of its contents.

    Raises:
        NodeError: one of them is not valid.
    """
    if state.calendar is None:
        raise failure("The genesis protocol takes no operations.")
    book = Book(state.ledger, economy(state.calendar.parameters, state.protocol), state.calendar, level)
    seen = economic_rules.Seen()
    results = []
    for operation in operations:
        _check(network, state, operation, level, signed=signed)
        key = economic_rules.conflict_key(operation, state.protocol)
        if key in seen.conflicts:
            raise economic_rules.conflict_error(operation, seen.conflicts[key], state.protocol)
        seen.conflicts[key] = operation.hash
        results.append(_apply(book, state, operation))
    return results


def _check(network: Network, state: State, operation: Operation, level: int, *, signed: bool) -> None:
    content = operation.content
    if isinstance(content, Consensus):
        name = "run_operation_does_not_support_consensus_operations"
        raise protocol_error(state.protocol, PERMANENT, name)
    if isinstance(content, Manager):
        manager_rules.check(operation, state, signed=signed)
        manager_rules.check_block_gas(operation, 0, state)
    elif isinstance(content, Proposals | Ballot):
        economic_rules.check_vote(operation, content, state, signed=signed)
    elif isinstance(content, DoubleBaking | DoubleConsensus):
        evidence.check(content, state, level, network.chain_id)
    else:
        other_rules.check(operation, content, state, level, signed=signed)


def _apply(book: Book, state: State, operation: Operation) -> tuple[Json, ...]:
    content = operation.content
    if isinstance(content, Manager):
        return manager.apply(book, operation)
    if isinstance(content, anonymous.EFFECTIVE):
        calendar = book.calendar
        amounts = issuance.current(book.ledger, calendar.parameters, book.rules, book.cycle)
        proposer = calendar.baker(book.level, 0)
        assert proposer is not None
        return anonymous.apply(book, content, proposer.pkh, amounts)
    return ({},)


def signed_anyhow(operation: Operation) -> Operation:
    """An operation that has a hash, whether or not it came with a signature."""
    return operation if operation.signature is not None else attrs.evolve(operation, signature=bytes(64))
