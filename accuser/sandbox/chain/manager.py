"""What manager operations do, and the receipts that tell it (``lib_protocol/apply.ml``).

Fees are taken of a whole batch first, and stay whatever follows. Of the contents, either all take
effect, or none.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from ..._mavryk.codec.keys import hash_of_key
from ..._mavryk.codec.manager import (
    DEFAULT,
    Call,
    Delegation,
    Manager,
    Reveal,
    SetDepositsLimit,
    Transaction,
    UpdateConsensusKey,
)
from ..._mavryk.codec.micheline import UNIT
from ..._mavryk.codec.operations import Operation
from . import gas, manager_calls, rewards
from .accounts import Book
from .limits import limits
from .places import Burned, Contract, Fees
from .receipts import Update
from .trace import (
    BRANCH,
    PERMANENT,
    TEMPORARY,
    NodeError,
    failure,
)

Json = dict[str, Any]

SKIPPED: Final[Json] = {"status": "skipped"}


@attrs.define
class Effect:
    """What a content did. The amounts of gas are in thousandths of a unit."""

    updates: tuple[Update, ...] = ()
    gas: int = 0
    fields: Json = attrs.field(factory=dict)
    """What else its result shows."""


def apply(book: Book, operation: Operation) -> tuple[Json, ...]:
    """Let an operation, which is valid, take effect.

    Returns:
        The metadata of each content.

    Raises:
        NodeError: the fees cannot be taken, after what the block did before.
    """
    contents = operation.managed
    fees = [_take_fee(book, one) for one in contents]
    results = _apply_contents(book, operation)
    return tuple(
        {**({"balance_updates": list(fee)} if fee else {}), "operation_result": result}
        for fee, result in zip(fees, results, strict=True)
    )


def _take_fee(book: Book, one: Manager) -> tuple[Update, ...]:
    book.counter += 1
    account = book.accounts.get(one.source)
    if account is None:
        raise book.error(BRANCH, "implicit.empty_implicit_contract", {"implicit": one.source})
    book.change(one.source, counter=account.counter + 1)
    return book.transfer(Contract(one.source), Fees(), one.fee)


def _apply_contents(book: Book, operation: Operation) -> list[Json]:
    contents, before = operation.managed, book.copy()
    results: list[Json] = []
    for position, one in enumerate(contents):
        fixed = gas.content(one) + (0 if position else gas.signature(operation))
        try:
            effect = _apply(book, one, fixed)
        except NodeError as error:
            book.adopt(before)
            for result in results:
                result["status"] = "backtracked"
            failed: Json = {"status": "failed", "errors": list(error.trace)}
            return [*results, failed, *(dict(SKIPPED) for _ in contents[position + 1 :])]
        results.append(_result(one, effect))
    return results


def _result(one: Manager, effect: Effect) -> Json:
    updates = {"balance_updates": list(effect.updates)} if effect.updates else {}
    consumed = {"consumed_milligas": str(effect.gas)}
    return {"status": "applied", **updates, **consumed, **effect.fields}


def _apply(book: Book, one: Manager, fixed: int) -> Effect:
    if one.source not in book.accounts:
        raise book.error(BRANCH, "implicit.empty_implicit_contract", {"implicit": one.source})
    body, effect = one.body, Effect(gas=fixed)
    if isinstance(body, Reveal):
        _reveal(book, one.source, body)
    elif isinstance(body, Transaction):
        effect = _transaction(book, one, body, fixed)
    elif isinstance(body, Delegation):
        effect.updates = _delegation(book, one.source, body.delegate, effect)
    elif isinstance(body, SetDepositsLimit):
        _limit(book, one.source, body.limit)
    elif isinstance(body, UpdateConsensusKey):
        _consensus_key(book, one.source, body.pk)
    else:
        raise failure(f"The sandbox has no contracts and no Michelson: it takes no {one.kind}.")
    if effect.gas > 1000 * one.gas_limit:
        raise book.error(TEMPORARY, "gas_exhausted.operation")
    return effect


def _reveal(book: Book, source: str, body: Reveal) -> None:
    if book.accounts[source].public_key is not None:
        raise book.error(BRANCH, "contract.previously_revealed_key", {"contract": source})
    book.change(source, public_key=body.public_key)


def _transaction(book: Book, one: Manager, body: Transaction, fixed: int) -> Effect:
    called, destination = body.called, body.destination
    if destination.startswith("KT1"):
        fields = {"contract": destination}
        raise book.error(TEMPORARY, "contract.non_existing_contract", fields)
    call = manager_calls.CALLS.get(called.entrypoint)
    if call is not None:
        if called.entrypoint != manager_calls.PARAMETERS and called.value != UNIT:
            raise book.error(PERMANENT, "michelson_v1.bad_contract_parameter", {"contract": one.source})
        updates, more = call(book, one.source, body)
        return Effect(updates, fixed + more)
    if called != Call():
        if called.entrypoint == DEFAULT:
            raise book.error(PERMANENT, "michelson_v1.bad_contract_parameter", {"contract": one.source})
        fields = {"entrypoint": called.entrypoint}
        raise book.error(PERMANENT, "michelson_v1.no_such_entrypoint", fields)
    return _gift(book, one, body, fixed)


def _gift(book: Book, one: Manager, body: Transaction, fixed: int) -> Effect:
    if not body.amount:
        raise book.error(BRANCH, "contract.empty_transaction", {"contract": body.destination})
    new = body.destination not in book.accounts
    updates = book.transfer(Contract(one.source), Contract(body.destination), body.amount)
    if not new:
        return Effect(updates, fixed)
    bounds = limits(book.calendar.parameters)
    if one.storage_limit < bounds.origination_size:
        raise book.error(TEMPORARY, "storage_exhausted.operation")
    try:
        if one.source not in book.accounts:
            raise book.error(BRANCH, "implicit.empty_implicit_contract", {"implicit": one.source})
        price = bounds.origination_cost
        updates += book.transfer(Contract(one.source), Burned("storage fees"), price)
    except NodeError as error:
        outer = book.error(TEMPORARY, "contract.cannot_pay_storage_fee")
        raise error.under(outer.trace[0]) from error
    return Effect(updates, fixed, {"allocated_destination_contract": True})


def _delegation(book: Book, source: str, delegate: str | None, effect: Effect) -> tuple[Update, ...]:
    account = book.accounts[source]
    updates: tuple[Update, ...] = ()
    if account.delegate not in (None, source):
        updates, more = manager_calls.unstaked(book, source, None)
        effect.gas += more
    if delegate == source:
        _register(book, source)
        return updates
    if account.is_delegate:
        raise book.error(PERMANENT, "delegate.no_deletion", {"delegate": source})
    if delegate is not None and delegate == account.delegate:
        raise book.error(TEMPORARY, "delegate.unchanged")
    if delegate is not None:
        chosen = book.accounts.get(delegate)
        if chosen is None or not chosen.is_delegate:
            raise book.error(PERMANENT, "contract.manager.unregistered_delegate", {"hash": delegate})
    book.delegate_to(source, delegate)
    return updates


def _register(book: Book, source: str) -> None:
    """Make an account a delegate, or an active one again."""
    account = book.accounts[source]
    if account.is_delegate:
        if not account.inactive and account.active_until >= book.cycle:
            raise book.error(TEMPORARY, "delegate.already_active")
        rewards.set_active(book, source)
        return
    if not account.spendable:
        raise book.error(PERMANENT, "delegate.empty_delegate_account", {"delegate": source})
    if key_is_used(book, source):
        raise book.error(PERMANENT, "delegate.consensus_key.active")
    book.delegate_to(source, None)
    tolerated = book.rules.tolerated_inactivity + book.rules.rights_delay
    book.change(
        source,
        delegate=source,
        is_delegate=True,
        least=0,
        least_at=book.level,
        active_until=book.cycle + tolerated,
    )


def _limit(book: Book, source: str, limit: int | None) -> None:
    if not book.accounts[source].is_delegate:
        name = "operation.set_deposits_limit_on_unregistered_delegate"
        raise book.error(TEMPORARY, name, {"delegate": source})
    if book.staking_is_manual:
        raise book.error(TEMPORARY, "operation.set_deposits_limit_when_automated_staking_off")
    book.change(source, limit=limit)


def _consensus_key(book: Book, source: str, key: str) -> None:
    account = book.accounts[source]
    if not account.is_delegate:
        name = "operation.update_consensus_key_on_unregistered_delegate"
        raise book.error(TEMPORARY, name, {"delegate": source})
    since = book.cycle + book.rules.rights_delay + 1
    if account.key_at(since) == key:
        first = next((at for at, _ in reversed(account.pending_keys) if at <= since), book.cycle)
        raise book.error(PERMANENT, "delegate.consensus_key.invalid_noop", {"cycle": first})
    if key_is_used(book, hash_of_key(key)):
        raise book.error(PERMANENT, "delegate.consensus_key.active")
    others = tuple(each for each in account.pending_keys if each[0] != since)
    book.change(source, pending_keys=(*others, (since, key)))


def key_is_used(book: Book, pkh: str) -> bool:
    """Whether a key is one that a delegate is going to bake with, once all that waits has come true."""
    for one in book.accounts.values():
        if one.is_delegate:
            key = one.pending_keys[-1][1] if one.pending_keys else one.consensus_key or one.public_key
            if key is not None and hash_of_key(key) == pkh:
                return True
    return False
