"""What is frozen with delegates: stakes, requests to get them back, and what is given back.

Sources: ``lib_protocol/{staking,unstake_requests_storage,staking_pseudotokens_storage}.ml``.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .accounts import Book
from .economy import WHOLE
from .ledger import Account
from .parameters import MAX_SLASHING_PERIOD
from .places import OWN, Contract, Deposits, Unstaked
from .receipts import BLOCK, Update
from .trace import PERMANENT, failure

Updates = tuple[Update, ...]


def stake(book: Book, sender: str, amount: int, cycle: int, *, exactly: bool) -> Updates:
    """Freeze more with the delegate of an account.

    Args:
        book: what changes.
        sender: the account, which has a delegate.
        amount: what to freeze, in mumav.
        cycle: the one that counts, which at the end of a cycle is the next one.
        exactly: fail if there is not enough, and do not just take less.

    Raises:
        NodeError: not enough, or the sender waits for what it had staked with another delegate.
    """
    delegate = book.accounts[sender].delegate
    assert delegate is not None
    waiting = _unfinalizable(book, sender, cycle)
    if exactly and waiting and book.accounts[sender].requested_of != delegate:
        name = "operation.cannot_stake_with_unfinalizable_unstake_requests_to_another_delegate"
        raise book.error(PERMANENT, name)
    finalized = finalize(book, sender, cycle)
    staker = sender if sender != delegate else OWN
    taken: Updates = ()
    if sender == delegate:
        taken, amount = _take_back(book, sender, amount, cycle)
    if not exactly:
        amount = min(amount, book.spendable(sender))
    tokens = _buy(book, sender, delegate, amount) if sender != delegate else ()
    frozen = book.transfer(Contract(sender), Deposits(delegate, staker), amount)
    return (*taken, *tokens, *frozen, *finalized)


def request(book: Book, sender: str, amount: int | None, cycle: int) -> Updates:
    """Ask an account's delegate for what was staked, at most all of it; None is all.

    Raises:
        NodeError: the sender waits for what it had staked with another delegate.
    """
    account = book.accounts[sender]
    delegate = account.delegate
    assert delegate is not None
    tokens: Updates = ()
    if delegate == sender:
        staker = OWN
        amount = account.frozen if amount is None else min(amount, account.frozen)
    else:
        staker = sender
        amount, tokens = _sell(book, sender, delegate, amount)
    if not amount:
        return tokens
    moved = book.transfer(Deposits(delegate, staker), Unstaked(delegate, sender, cycle), amount)
    finalized = finalize(book, sender, cycle)
    account = book.accounts[sender]
    if account.requests and account.requested_of != delegate:
        name = "operation.cannot_unstake_with_unfinalizable_unstake_requests_to_another_delegate"
        raise book.error(PERMANENT, name)
    requests = dict(account.requests)
    requests[cycle] = requests.get(cycle, 0) + amount
    book.change(sender, requests=tuple(sorted(requests.items())), requested_of=delegate)
    return (*tokens, *moved, *finalized)


def finalize(book: Book, sender: str, cycle: int) -> Updates:
    """Give back what was unstaked long enough ago, less what was slashed of it."""
    account = book.accounts.get(sender)
    if account is None or account.requested_of is None:
        return ()
    due = [one for one in account.requests if is_finalizable(book, one[0], cycle)]
    if not due:
        return ()
    delegate = account.requested_of
    left = tuple(one for one in account.requests if one not in due)
    book.change(sender, requests=left, requested_of=delegate if left else None)
    updates: Updates = ()
    for since, amount in due:
        given = after_slashing(book, delegate, since, amount)
        place = Unstaked(delegate, sender, since)
        updates = (*book.transfer(place, Contract(sender), given), *updates)
    return updates


def is_finalizable(book: Book, since: int, cycle: int) -> bool:
    """Whether what was unstaked in one cycle can be given back in another."""
    return since + book.rules.rights_delay + MAX_SLASHING_PERIOD <= cycle


def after_slashing(book: Book, delegate: str, since: int, amount: int) -> int:
    """What is left of an amount that was unstaked in a cycle (``apply_slashes``)."""
    return slashed_amount(book.ledger.slashed, delegate, since, amount, book.rules.rights_delay)


def slashed_amount(
    slashed: Mapping[tuple[str, int], int], delegate: str, since: int, amount: int, delay: int
) -> int:
    """What is left of an amount, given what delegates were slashed by."""
    left = amount
    for cycle in range(since, since + delay + 1):
        part = slashed.get((delegate, cycle), 0)
        left = max(0, left - -(-amount * part // WHOLE))
    return left


def _unfinalizable(book: Book, sender: str, cycle: int) -> bool:
    return any(not is_finalizable(book, since, cycle) for since, _ in book.accounts[sender].requests)


def _take_back(book: Book, sender: str, amount: int, cycle: int) -> tuple[Updates, int]:
    """Freeze what a delegate had asked for, the latest first; the updates, and what is still missing."""
    account = book.accounts[sender]
    if not account.requests:
        return (), amount
    if account.requested_of != sender:
        return (), 0
    oldest = cycle - (book.rules.rights_delay + 1)
    slashed = any(who == sender and of >= max(oldest, 0) for who, of in book.ledger.slashed)
    if slashed or book.ledger.is_accused(sender):
        return (), amount
    updates: Updates = ()
    left: list[tuple[int, int]] = []
    for since, requested in reversed(account.requests):
        taken = min(requested, amount)
        amount -= taken
        updates += book.transfer(Unstaked(sender, sender, since), Deposits(sender), taken)
        initial, current = book.unstaked.get((sender, since), (0, 0))
        book.unstaked[sender, since] = (initial - taken, current)
        if requested > taken:
            left.append((since, requested - taken))
    book.change(sender, requests=tuple(reversed(left)), requested_of=sender if left else None)
    return updates, amount


# The shares of stakers, which upstream calls pseudo-tokens


def _buy(book: Book, sender: str, delegate: str, amount: int) -> Updates:
    holder = book.accounts[delegate]
    if not amount:
        return ()
    if not holder.all_shares:
        bought = amount
    elif not holder.staked:
        raise failure(f"Nobody can stake with {delegate}, which has lost all that was staked with it.")
    else:
        bought = holder.all_shares * amount // holder.staked
    return _exchange(book, sender, delegate, bought)


def _sell(book: Book, sender: str, delegate: str, amount: int | None) -> tuple[int, Updates]:
    """Give shares away for an amount; what they are worth, and the updates."""
    account, holder = book.accounts[sender], book.accounts[delegate]
    if amount == 0 or not account.shares or not holder.staked:
        return 0, ()
    worth = holder.staked * account.shares // holder.all_shares
    amount = worth if amount is None else min(amount, worth)
    if not amount:
        return 0, ()
    sold = min(-(-holder.all_shares * amount // holder.staked), account.shares)
    given = holder.staked * sold // holder.all_shares
    if given > amount:
        sold -= 1
        given = holder.staked * sold // holder.all_shares
    return given, _exchange(book, sender, delegate, -sold)


def _exchange(book: Book, sender: str, delegate: str, shares: int) -> Updates:
    if not shares:
        return ()
    account, holder = book.accounts[sender], book.accounts[delegate]
    book.put(attrs.evolve(account, shares=account.shares + shares))
    book.put(attrs.evolve(holder, all_shares=holder.all_shares + shares))
    numerator = {"kind": "staking", "category": "delegator_numerator", "delegator": sender}
    denominator = {"kind": "staking", "category": "delegate_denominator", "delegate": delegate}
    return tuple({**place, "change": str(shares), **BLOCK} for place in (numerator, denominator))


def automatic(book: Book, pkh: str, cycle: int) -> Updates:
    """Let a delegate freeze what is best for it, or give it back (``adjust_frozen_stakes``)."""
    account = book.accounts[pkh]
    best = optimum(account, book)
    if best > account.frozen:
        return stake(book, pkh, best - account.frozen, cycle, exactly=False)
    if best < account.frozen:
        return request(book, pkh, account.frozen - best, cycle)
    return finalize(book, pkh, cycle)


def optimum(account: Account, book: Book) -> int:
    """The deposits that make all that is delegated count, and no more, while staking is automatic."""
    power = account.free + account.frozen
    best = max(-(-power // (book.rules.delegation_over_baking + 1)), book.rules.minimal_frozen_stake)
    return best if account.limit is None else min(best, account.limit)
