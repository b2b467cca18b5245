"""Whether a block is valid, and what follows from it.

The checks and their order are upstream's (``src/lib_validation/block_validation.ml``): first the
shell's, then those of the protocol, for which see `economic_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final

from ..._mavryk.codec.crypto import (
    Watermark,
    operation_list_list_hash,
    verify,
    watermark,
)
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import BlockHeader, ShellHeader, fitness_key
from . import economic_rules, migration
from .activation import Activation
from .block import PASSES, Block, Network, Operations, hashes
from .economy import economy
from .ledger import opened, stakes
from .parameters import MAX_OPERATION_SIZE, PASS_QUOTAS, Calendar, Parameters, ParametersError
from .state import State
from .trace import (
    PERMANENT,
    TEMPORARY,
    NodeError,
    invalid_block,
    protocol_error,
    shell_error,
)

ECONOMIC_ERROR: Final = {"error": "economic_protocol_error"}

Included = Callable[[str], bool]
"""Whether an operation of that hash is in one of the live blocks."""


def validate(
    network: Network,
    predecessor: Block,
    header: BlockHeader,
    operations: Operations,
    live: Set[str],
    included: Included,
) -> Block:
    """Validate a block on top of its predecessor.

    Args:
        network: of the chain.
        predecessor: of the block.
        header: of the block.
        operations: of the block, by validation pass.
        live: hashes of the blocks that operations may be branched on.
        included: tells operations of those blocks.

    Raises:
        NodeError: the block is refused.
    """
    _check_shell(predecessor, header, operations)
    _check_operations(header.hash, operations, live, included)
    if predecessor.state.calendar is None:
        block = _validate_activation(network, predecessor, header, operations)
    else:
        try:
            calendar = predecessor.state.calendar
            block = economic_rules.validate(network, predecessor, calendar, header, operations)
        except NodeError as error:
            raise error.under(invalid_block(header.hash, ECONOMIC_ERROR).trace[0]) from error
    _check_result(predecessor, block)
    return block


def _check_shell(predecessor: Block, header: BlockHeader, operations: Operations) -> None:
    shell = header.shell
    found = operation_list_list_hash(hashes(operations))
    if found != shell.operations_hash:
        raise shell_error(
            TEMPORARY,
            "validator.inconsistent_operations_hash",
            block=header.hash,
            expected=shell.operations_hash,
            found=found,
        )
    if shell.level != predecessor.level + 1:
        reason = {"error": "invalid_level", "expected": predecessor.level + 1, "found": shell.level}
        raise invalid_block(header.hash, reason)
    if shell.timestamp <= predecessor.header.shell.timestamp:
        raise invalid_block(header.hash, {"error": "non_increasing_timestamp"})
    if fitness_key(shell.fitness) <= fitness_key(predecessor.header.shell.fitness):
        raise invalid_block(header.hash, {"error": "non_increasing_fitness"})
    passes = 0 if predecessor.state.calendar is None else PASSES
    if shell.validation_pass != passes or len(operations) != passes:
        reason = {"error": "unexpected_number_of_passes", "found": shell.validation_pass}
        raise invalid_block(header.hash, reason)


def _check_operations(block: str, operations: Operations, live: Set[str], included: Included) -> None:
    seen: set[str] = set()
    for index, (passed, quota) in enumerate(zip(operations, PASS_QUOTAS, strict=False)):
        most = quota.get("max_op")
        if most is not None and len(passed) > most:
            found = len(passed)
            reason = {
                "error": "too_many_operations",
                "validation_pass": index,
                "found": found,
                "max": most,
            }
            raise invalid_block(block, reason)
        for operation in passed:
            named = {"operation": operation.hash}
            size = len(operation.to_bytes())
            if size > MAX_OPERATION_SIZE:
                reason = {"error": "oversized_operation", **named, "found": size, "max": MAX_OPERATION_SIZE}
                raise invalid_block(block, reason)
            if operation.validation_pass != index:
                allowed = operation.validation_pass
                reason = {"error": "invalid_pass", **named, "pass": index, "allowed_pass": allowed}
                raise invalid_block(block, reason)
            if operation.branch not in live:
                reason = {"error": "outdated_operation", **named, "originating_block": operation.branch}
                raise invalid_block(block, reason)
            if operation.hash in seen or included(operation.hash):
                raise invalid_block(block, {"error": "replayed_operation", **named})
            seen.add(operation.hash)


def _validate_activation(
    network: Network, predecessor: Block, header: BlockHeader, operations: Operations
) -> Block:
    try:
        activation = Activation.from_bytes(header.protocol_data)
    except ForgeError as error:
        raise invalid_block(header.hash, {"error": "cannot_parse_block_header"}) from error
    signed, mark = activation.signed_part(header.shell), watermark(Watermark.ACTIVATION, network.chain_id)
    if not verify(network.activator_key, activation.signature, signed, watermark=mark):
        refused = protocol_error(predecessor.state.protocol, PERMANENT, "invalid_signature")
        raise refused.under(invalid_block(header.hash, ECONOMIC_ERROR).trace[0])
    if activation.fitness != header.shell.fitness:
        raise wrong_fitness(header.hash, activation.fitness, header.shell.fitness)
    return Block(
        hash=header.hash,
        header=header,
        operations=operations,
        protocol=predecessor.state.protocol,
        state=activated(network, activation, header.shell.level, header.hash),
    )


def activated(network: Network, activation: Activation, level: int, block: str) -> State:
    """The state after a block of that level that activates a protocol. Raises ``NodeError``."""
    protocol = migration.decided(network, activation.protocol, level)
    migration.check_known(protocol, block)
    try:
        parameters = Parameters.from_json(activation.parameters_json())
        rules = economy(parameters, protocol)
        ledger = opened(parameters, rules)
    except (ForgeError, ParametersError) as error:
        raise shell_error(TEMPORARY, "failure", msg=f"Invalid protocol_parameters: {error}") from error
    # With delegations, a delegate's weight is more than what it owns.
    candidates = ((one, one.free) for one in ledger.accounts.values() if one.is_delegate)
    calendar = Calendar(level, parameters, listed=ledger.listings())
    calendar = calendar.with_stakes(0, tuple(stakes(candidates, rules, adaptive=False)))
    return State(protocol, calendar, ledger=ledger)


def wrong_fitness(block: str, expected: tuple[bytes, ...], found: tuple[bytes, ...]) -> NodeError:
    """The header tells another fitness than the protocol."""
    return invalid_block(
        block,
        {
            "error": "invalid_fitness",
            "expected": [item.hex() for item in expected],
            "found": [item.hex() for item in found],
        },
    )


def proto_level(predecessor: ShellHeader, before: str, after: str) -> int:
    """``proto`` of a header: it grows when the protocol changes."""
    return predecessor.proto if before == after else (predecessor.proto + 1) % 256


def _check_result(predecessor: Block, block: Block) -> None:
    shell = block.header.shell
    expected = proto_level(predecessor.header.shell, block.protocol, block.state.protocol)
    if shell.proto != expected:
        reason = {"error": "invalid_proto_level", "expected": expected, "found": shell.proto}
        raise invalid_block(block.hash, reason)
    if shell.context != predecessor.resulting_context:
        raise shell_error(
            PERMANENT,
            "node.state.block.inconsistent_context_hash",
            wrong_context_hash=predecessor.resulting_context,
            expected_context_hash=shell.context,
        )
