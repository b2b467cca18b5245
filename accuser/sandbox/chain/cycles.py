"""What a block does to the ledger, and what the last block of a cycle does besides.

The order of the steps is upstream's (``lib_protocol/apply.ml``, ``finalize_application``, and
``delegate_cycles.ml``, ``cycle_end``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from ..._mavryk.codec.operations import Operation
from . import anonymous, issuance, manager, nonces, receipts, rewards, slashing, staking
from .accounts import Book
from .economy import WHOLE, Economy, economy
from .issuance import Rewards
from .ledger import Account, Denunciation, Ledger, stakes, voted
from .made import BUFFER
from .parameters import Calendar
from .places import Contract, Minted
from .state import State


@attrs.frozen(eq=False)
class Deeds:
    """What a block has in it that matters to the ledger."""

    level: int
    baker: str
    """Who made the block."""
    proposer: str
    """Whose payload it is."""
    vote: str
    """The baker's about adaptive issuance."""
    attesters: frozenset[str]
    """Delegates that attested the block below."""
    slots: int | None
    """How many slots they have; None if the block below needs no attestations."""
    denunciations: Sequence[tuple[Denunciation, bool]] = ()
    """Each with whether it is the first one of its misbehaviour."""
    operations: Sequence[Operation] = ()
    """Those of passes 2 and 3, in their order."""
    nonce_hash: str | None = None
    """What the baker commits to."""


@attrs.frozen(eq=False)
class Outcome:
    """The state after a block, and what its receipts tell of the way there."""

    state: State
    updates: tuple[receipts.Update, ...] = ()
    forbids: Mapping[str, str] = attrs.field(factory=dict)
    """Whom the evidence of a hash made the protocol forbid."""
    results: Mapping[str, tuple[dict[str, Any], ...]] = attrs.field(factory=dict)
    """The metadata of each content, by the hash of the operation."""
    subsidy: tuple[receipts.Update, ...] = ()
    """What was minted for the treasury."""
    deactivated: tuple[str, ...] = ()
    """Delegates that were silent too long."""


def outcome(state: State, deeds: Deeds) -> Outcome:
    """What follows from a block on the state before it. Raises ``NodeError``."""
    calendar, level = state.calendar, deeds.level
    assert calendar is not None
    rules = economy(calendar.parameters, state.protocol)
    ledger = voted(state.ledger, deeds.vote, calendar.cycle(level), rules)
    book = Book(ledger, rules, calendar, level)
    amounts = issuance.current(ledger, calendar.parameters, rules, book.cycle)
    subsidy = book.transfer(Minted("subsidy"), Contract(BUFFER), amounts.subsidy, receipts.SUBSIDY)
    forbids = _denounced(book, deeds)
    results = {
        operation.hash: _applied(book, operation, deeds.proposer, amounts)
        for operation in deeds.operations
        if operation.managed or isinstance(operation.content, anonymous.EFFECTIVE)
    }
    updates = _finish(book, deeds, amounts)
    deactivated: tuple[str, ...] = ()
    after = book.closed()
    if calendar.ends_cycle(level):
        calendar, after, new, deactivated = _cycle_end(book, amounts)
        updates += new
    return Outcome(
        attrs.evolve(state, calendar=calendar, ledger=after), updates, forbids, results, subsidy, deactivated
    )


def _denounced(book: Book, deeds: Deeds) -> dict[str, str]:
    forbids = {}
    for denunciation, first in deeds.denunciations:
        named = not book.rules.is_atlas
        if first:
            book.ledger, named = slashing.record(
                book.ledger, book.rules, book.calendar, denunciation, deeds.level
            )
        if named:
            forbids[denunciation.operation] = denunciation.misbehaviour.delegate
    return forbids


def _applied(book: Book, operation: Operation, proposer: str, amounts: Rewards) -> tuple[dict[str, Any], ...]:
    content = operation.content
    if isinstance(content, anonymous.EFFECTIVE):
        return anonymous.apply(book, content, proposer, amounts)
    return manager.apply(book, operation)


def _finish(book: Book, deeds: Deeds, amounts: Rewards) -> tuple[receipts.Update, ...]:
    """What comes after the operations of every block."""
    if deeds.nonce_hash is not None:
        book.ledger = nonces.committed(book.ledger, deeds.level, deeds.nonce_hash, deeds.baker)
    bonus: int | None = None
    if deeds.slots is not None:
        for pkh in deeds.attesters:
            rewards.set_active(book, pkh)
        rewards.record_missed(book, deeds.level - 1, deeds.attesters)
        bonus = deeds.slots - book.calendar.parameters.consensus_threshold
    for pkh in (deeds.proposer, deeds.baker):
        rewards.set_active(book, pkh)
    return rewards.pay_bakers(book, deeds.proposer, deeds.baker, amounts, bonus)


def _cycle_end(
    book: Book, amounts: Rewards
) -> tuple[Calendar, Ledger, tuple[receipts.Update, ...], tuple[str, ...]]:
    rules, calendar, cycle, adaptive = book.rules, book.calendar, book.cycle, book.adaptive
    attesting = rewards.pay_attesters(book, amounts)
    # Atlas takes a snapshot from within the cycle, from which only the slashing is taken off.
    before = {pkh: one for pkh, one in book.accounts.items() if one.is_delegate}
    slashed, percentages = slashing.slash(book)
    deactivated = rewards.deactivate(book)
    staked: tuple[receipts.Update, ...] = ()
    if rules.autostaking and not adaptive:
        staked = _autostaked(book, deactivated)
    # In the order of the accounts, on which the draw depends: equal stakes give the same rights again.
    delegates = (one for one in book.accounts.values() if one.is_delegate)
    if rules.is_atlas:
        lessened = (
            attrs.evolve(_lessened(before[one.pkh], percentages), inactive=one.inactive) for one in delegates
        )
        candidates = [(one, one.free) for one in lessened]
    else:
        candidates = [(one, one.least_spendable(book.level, calendar)) for one in delegates]
    chosen_for = cycle + 1 + rules.rights_delay
    selected = stakes(candidates, rules, adaptive=adaptive, cycle=chosen_for)
    calendar = calendar.with_stakes(chosen_for, tuple(selected))
    ledger = book.closed()
    selections = {kept: chosen for kept, chosen in ledger.selections.items() if kept >= cycle}
    selections[chosen_for] = {delegate.pkh: deposits for delegate, deposits in selected.items()}
    ledger = slashing.pardoned(attrs.evolve(ledger, selections=selections), rules, cycle + 1)
    ledger = nonces.without_old(rewards.pending_of(ledger, cycle + 1), calendar, cycle)
    ledger = issuance.adapted(ledger, calendar.parameters, rules, cycle + 1, sum(selected.values()))
    if calendar.ends_voting_period(book.level):
        ledger = ledger.evolve_accounts(*(_listed(one, rules) for one in ledger.delegates()))
        calendar = attrs.evolve(calendar, listed=ledger.listings())
    return calendar, ledger, (*slashed, *attesting, *staked), deactivated


def _listed(account: Account, rules: Economy) -> Account:
    weight = 0 if account.inactive else account.staking_balance
    return attrs.evolve(account, listed=weight if weight >= rules.minimal_stake else 0)


def _lessened(account: Account, percentages: Mapping[str, int]) -> Account:
    left = WHOLE - percentages.get(account.pkh, 0)
    return attrs.evolve(account, frozen=account.frozen * left // WHOLE)


def _autostaked(book: Book, deactivated: Sequence[str]) -> tuple[receipts.Update, ...]:
    """Freeze what is missing for the delegation of each delegate that is not accused, or free the rest."""
    updates: tuple[receipts.Update, ...] = ()
    rules, new_cycle = book.rules, book.cycle + 1
    for pkh in sorted(one.pkh for one in book.accounts.values() if one.is_delegate and not one.inactive):
        one = book.accounts[pkh]
        if one.staking_balance < rules.minimal_stake:
            continue
        if not rules.is_atlas and book.ledger.is_accused(pkh):
            continue
        updates = (*staking.automatic(book, pkh, new_cycle), *updates)
    for pkh in deactivated:
        updates = (*staking.request(book, pkh, None, new_cycle), *updates)
    return updates
