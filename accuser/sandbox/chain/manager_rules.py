"""Whether a manager operation is valid on top of a state (``lib_protocol/validate.ml``, ``Manager``).

Amounts are not looked at: an operation whose application fails is in its block all the same, and pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..._mavryk.codec.keys import Curve, curve_of_hash, curve_of_key, hash_of_key
from ..._mavryk.codec.manager import (
    Delegation,
    Manager,
    Reveal,
    Transaction,
    UpdateConsensusKey,
)
from ..._mavryk.codec.operations import Operation
from ..._mavryk.codec.scripts import IncreasePaidStorage, Origination, RegisterGlobalConstant
from . import gas, other_rules
from .fee_filter import FeeFilter
from .ledger import Account
from .limits import Limits, limits
from .state import State
from .trace import (
    BRANCH,
    PERMANENT,
    TEMPORARY,
    NodeError,
    failure,
    protocol_error,
    shell_error,
)


def check(operation: Operation, state: State, *, signed: bool = True) -> int:
    """Validate an operation on top of a state, but for what concerns others of its block.

    Args:
        operation: a manager operation.
        state: before it.
        signed: whether its signature has to be right.

    Returns:
        The gas that it may use, in units.

    Raises:
        NodeError: it is not valid.
    """
    contents = operation.managed
    account, key = _check_source(contents, state)
    _check_contents(operation, contents, account, state)
    if signed:
        other_rules.check_signature(operation, key, state)
    return gas_limit(operation)


def gas_limit(operation: Operation) -> int:
    """The gas that all contents may use, in units."""
    return sum(one.gas_limit for one in operation.managed)


def fee(operation: Operation) -> int:
    """What all contents pay, in mumav."""
    return sum(one.fee for one in operation.managed)


def check_block_gas(operation: Operation, used: int, state: State) -> None:
    """See that a block which has used so much gas may take an operation. Raises ``NodeError``."""
    assert state.calendar is not None
    if used + gas_limit(operation) > limits(state.calendar.parameters).gas_by_block:
        raise protocol_error(state.protocol, TEMPORARY, "gas_exhausted.block")


def check_in_mempool(operation: Operation, state: State, wanted: FeeFilter) -> None:
    """Validate an operation that waits for a block (``lib_plugin/mempool.ml``). Raises ``NodeError``."""
    if not wanted.takes(fee(operation), gas_limit(operation), len(operation.to_bytes())):
        raise protocol_error(state.protocol, PERMANENT, "prefilter.fees_too_low")
    try:
        check_block_gas(operation, 0, state)
    except NodeError as error:
        # What no block can take is never valid.
        outer = protocol_error(state.protocol, PERMANENT, "gas_limit_too_high")
        raise error.under(outer.trace[0]) from error
    check(operation, state)


def check_replacement(new: Operation, old: Operation, wanted: FeeFilter) -> None:
    """See that a mempool prefers an operation to another one of the same manager. Raises ``NodeError``."""
    needed = wanted.replacing_fee(fee(old), gas_limit(new), gas_limit(old))
    if fee(new) < needed:
        raise shell_error(
            TEMPORARY,
            "prevalidation.operation_conflict",
            new_hash=new.hash,
            needed_fee_in_mumav=str(needed),
        )


def replacement_error(old: str, new: Operation) -> NodeError:
    """What is said of an operation, given by its hash, that another one has replaced."""
    return shell_error(TEMPORARY, "prevalidation.operation_replacement", old_hash=old, new_hash=new.hash)


def _check_source(contents: Sequence[Manager], state: State) -> tuple[Account, str]:
    """The account that pays, and its key."""
    first = contents[0]
    for before, one in pairwise(contents):
        if isinstance(one.body, Reveal):
            raise _invalid(state, "incorrect_reveal_position")
        if one.source != first.source:
            raise _invalid(state, "inconsistent_sources")
        if one.counter != before.counter + 1:
            raise _invalid(state, "inconsistent_counters")
    account = state.ledger.accounts.get(first.source)
    if account is None:
        fields = {"implicit": first.source}
        raise protocol_error(state.protocol, BRANCH, "implicit.empty_implicit_contract", fields)
    expected = account.counter + 1
    if first.counter != expected:
        past = first.counter < expected
        raise protocol_error(
            state.protocol,
            BRANCH if past else TEMPORARY,
            f"contract.counter_in_the_{'past' if past else 'future'}",
            {"contract": first.source, "expected": str(expected), "found": str(first.counter)},
        )
    key = first.body.public_key if isinstance(first.body, Reveal) else account.public_key
    if key is None:
        fields = {"contract": first.source}
        raise protocol_error(state.protocol, BRANCH, "contract.unrevealed_key", fields)
    return account, key


def _check_contents(
    operation: Operation, contents: Sequence[Manager], account: Account, state: State
) -> None:
    assert state.calendar is not None
    bounds = limits(state.calendar.parameters)
    balance: int | None = account.spendable
    for position, one in enumerate(contents):
        fixed = gas.MANAGER + (0 if position else gas.signature(operation))
        _check_limits(one, bounds, fixed, state)
        if balance is None:
            fields = {"implicit": account.pkh}
            raise protocol_error(state.protocol, BRANCH, "implicit.empty_implicit_contract", fields)
        _check_kind(one, state)
        balance = _after_fee(one, account, balance, state)


def _check_limits(one: Manager, bounds: Limits, fixed: int, state: State) -> None:
    if one.gas_limit > bounds.gas_by_operation:
        raise protocol_error(state.protocol, PERMANENT, "gas_limit_too_high")
    if 1000 * one.gas_limit < fixed:
        inner = protocol_error(state.protocol, TEMPORARY, "gas_exhausted.operation")
        raise inner.under(_invalid(state, "insufficient_gas_for_manager").trace[0])
    if one.storage_limit > bounds.storage:
        raise protocol_error(state.protocol, PERMANENT, "storage_limit_too_high")


def _check_kind(one: Manager, state: State) -> None:
    body = one.body
    if isinstance(body, Reveal):
        provided = hash_of_key(body.public_key)
        if provided != one.source:
            fields = {
                "public_key": body.public_key,
                "expected_hash": one.source,
                "provided_hash": provided,
            }
            raise protocol_error(state.protocol, PERMANENT, "contract.manager.inconsistent_hash", fields)
    elif isinstance(body, Delegation) and body.delegate and curve_of_hash(body.delegate) is Curve.BLS:
        fields = {"delegate": body.delegate}
        raise protocol_error(state.protocol, BRANCH, "delegate.forbidden_mv4", fields)
    elif isinstance(body, UpdateConsensusKey) and curve_of_key(body.pk) is Curve.BLS:
        fields = {"delegate_pk": body.pk}
        raise protocol_error(state.protocol, PERMANENT, "delegate.consensus_key.mv4", fields)
    elif isinstance(body, Origination | RegisterGlobalConstant | IncreasePaidStorage):
        raise failure(f"The sandbox has no contracts and no Michelson: it takes no {body.kind}.")
    elif isinstance(body, Transaction) and body.destination in state.ledger.contracts:
        raise failure(f"The sandbox runs no scripts: nobody can call {body.destination}.")


def _after_fee(one: Manager, account: Account, balance: int, state: State) -> int | None:
    """What is left after a fee; None if the account is not there any more then."""
    left = balance - one.fee
    if left < 0:
        raise protocol_error(
            state.protocol,
            TEMPORARY,
            "contract.balance_too_low",
            {"contract": one.source, "balance": str(balance), "amount": str(one.fee)},
        )
    if left or not one.fee:
        return left
    if account.delegate == account.pkh:
        return left
    if account.delegate is not None:
        fields = {"implicit": account.pkh}
        raise protocol_error(state.protocol, BRANCH, "implicit.empty_implicit_delegated_contract", fields)
    return left if account.requests else None


def _invalid(state: State, name: str) -> NodeError:
    return protocol_error(state.protocol, PERMANENT, f"validate.operation.{name}")
