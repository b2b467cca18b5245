"""The entrypoints of accounts, by which they stake: transactions of an account to itself.

Source: ``lib_protocol/apply.ml``, ``apply_stake`` and those that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..._mavryk.codec.contracts import shown_expression
from ..._mavryk.codec.manager import Transaction
from . import gas, staking
from .accounts import Book
from .parameters import number
from .receipts import Update
from .trace import BRANCH, PERMANENT, TEMPORARY

Done = tuple[tuple[Update, ...], int]
"""The updates, and the gas that was used besides what every such call uses."""

PARAMETERS: Final = "set_delegate_parameters"
_BILLION: Final = 1_000_000_000


def stake(book: Book, source: str, body: Transaction) -> Done:
    """Freeze an amount with one's delegate. Raises ``NodeError``."""
    _check_manual(book)
    if not body.amount:
        raise book.error(BRANCH, "contract.empty_transaction", {"contract": body.destination})
    _check_own(book, source, body)
    delegate = _delegate(book, source)
    if delegate != source:
        if not book.adaptive:
            name = "operations.staking_for_delegator_while_external_staking_disabled"
            raise book.error(PERMANENT, name)
        if not book.accounts[delegate].terms[0]:
            name = "operations.staking_to_delegate_that_refuses_external_staking"
            raise book.error(PERMANENT, name)
    finalized = _finalizes(book, source)
    updates = staking.stake(book, source, body.amount, book.cycle, exactly=True)
    return updates, finalized


def unstake(book: Book, source: str, body: Transaction) -> Done:
    """Ask for an amount back, or for as much as there is. Raises ``NodeError``."""
    _check_manual(book)
    _check_own(book, source, body)
    _delegate(book, source)
    return unstaked(book, source, body.amount)


def unstaked(book: Book, source: str, amount: int | None) -> Done:
    """Ask an account's delegate for an amount, or for all. Raises ``NodeError``."""
    before, finalized = book.accounts[source], _finalizes(book, source)
    updates = staking.request(book, source, amount, book.cycle)
    asked = book.accounts[source].requests != before.requests
    return updates, (gas.REQUESTED + gas.AFTER_UNSTAKING + finalized if asked else 0)


def finalize_unstake(book: Book, source: str, body: Transaction) -> Done:
    """Get back what was asked for long enough ago. Raises ``NodeError``."""
    if body.amount:
        name = "operations.invalid_nonzero_transaction_amount"
        raise book.error(PERMANENT, name, {"amount": str(body.amount)})
    _check_own(book, source, body)
    finalized = _finalizes(book, source)
    return staking.finalize(book, source, book.cycle), finalized


def set_delegate_parameters(book: Book, source: str, body: Transaction) -> Done:
    """Say who may stake with a delegate, and for what part of the rewards. Raises ``NodeError``."""
    terms = _terms(shown_expression(body.called.value))
    if terms is None:
        raise book.error(PERMANENT, "michelson_v1.bad_contract_parameter", {"contract": source})
    _check_own(book, source, body)
    account = book.accounts[source]
    if not account.is_delegate:
        raise book.error(PERMANENT, "operations.invalid_staking_parameters_sender")
    if not (0 <= terms[0] < 2**31 and 0 <= terms[1] <= _BILLION):
        raise book.error(PERMANENT, "operations.invalid_staking_parameters")
    raw = book.calendar.parameters.raw
    delay = number(raw, "delegate_parameters_activation_delay", 0, 255, default=book.rules.rights_delay)
    since = book.cycle + delay + 1
    others = tuple(each for each in account.pending_terms if each[0] != since)
    book.change(source, pending_terms=(*others, (since, terms)))
    return (), 0


CALLS: Final[Mapping[str, Callable[[Book, str, Transaction], Done]]] = {
    "stake": stake,
    "unstake": unstake,
    "finalize_unstake": finalize_unstake,
    PARAMETERS: set_delegate_parameters,
}


def _check_manual(book: Book) -> None:
    if not book.staking_is_manual:
        raise book.error(TEMPORARY, "operation.manual_staking_forbidden")


def _check_own(book: Book, source: str, body: Transaction) -> None:
    if body.destination != source:
        raise book.error(PERMANENT, "operations.invalid_self_transaction_destination")


def _delegate(book: Book, source: str) -> str:
    delegate = book.accounts[source].delegate
    if delegate is None:
        raise book.error(PERMANENT, "operations.stake_modification_with_no_delegate_set")
    return delegate


def _finalizes(book: Book, source: str) -> int:
    requests = book.accounts[source].requests
    return gas.FINALIZED if any(staking.is_finalizable(book, at, book.cycle) for at, _ in requests) else 0


def _terms(value: Any) -> tuple[int, int] | None:
    """``Pair limit (Pair edge Unit)``, or the same in one pair."""
    parts = []
    while isinstance(value, dict) and value.get("prim") == "Pair" and len(value.get("args", ())) >= 2:
        first, *rest = value["args"]
        parts.append(first)
        value = rest[0] if len(rest) == 1 else {"prim": "Pair", "args": rest}
    if value != {"prim": "Unit"} or len(parts) != 2:
        return None
    if not all(isinstance(part, dict) and "int" in part for part in parts):
        return None
    return int(parts[0]["int"]), int(parts[1]["int"])
