"""Who is paid for what: fees, blocks, attestations; and who counts as active.

Sources: ``lib_protocol/{delegate_missed_attestations_storage,shared_stake,delegate_cycles,
delegate_activation_storage}.ml``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from . import nonces, slashing
from .accounts import Book
from .issuance import Rewards
from .ledger import Ledger
from .made import BUFFER, BURN
from .parameters import Calendar
from .places import EDGE, SHARED, Contract, Deposits, Fees, LostRewards, Minted
from .receipts import Update

Updates = tuple[Update, ...]


def pay(book: Book, source: Minted, delegate: str, amount: int) -> Updates:
    """Give a reward: a part to spend, and a part that is frozen as the delegate's stake is."""
    frozen, delegated = weight(book, delegate)
    spendable = amount * delegated // (frozen + delegated) if frozen + delegated else amount
    rest = amount - spendable
    account = book.accounts[delegate]
    own = slashing.own_part(account, book.rules, rest)
    edge = -(-(rest - own) * account.terms[1] // 1_000_000_000)
    return (
        *book.transfer(source, Deposits(delegate), own),
        *book.transfer(source, Deposits(delegate, EDGE), edge),
        *book.transfer(source, Deposits(delegate, SHARED), rest - own - edge),
        *book.transfer(source, Contract(delegate), spendable),
    )


def weight(book: Book, delegate: str) -> tuple[int, int]:
    """What gives a delegate its rights in the block's cycle: what is frozen, and what is delegated."""
    frozen = book.ledger.initial_deposits(delegate, book.cycle)
    stake = next((one.stake for one in book.calendar.rights(book.cycle).delegates if one.pkh == delegate), 0)
    return frozen, max(0, stake - frozen)


def divide_fees(book: Book, proposer: str) -> Updates:
    """Divide the fees of a block: a quarter to the treasury, one to the proposer, the rest to burn."""
    fees = book.fees
    quarter = fees // 4
    return (
        *book.transfer(Fees(), Contract(BUFFER), quarter),
        *book.transfer(Fees(), Contract(proposer), quarter),
        *book.transfer(Fees(), Contract(BURN), fees - 2 * quarter),
    )


def pay_bakers(book: Book, proposer: str, baker: str, amounts: Rewards, slots: int | None) -> Updates:
    """Pay for a block.

    Args:
        book: what changes.
        proposer: whose payload it is.
        baker: who made the block.
        amounts: the rewards of the cycle.
        slots: those whose attestation the block has beyond the threshold; None if it needs none.
    """
    bonus = 0 if slots is None else amounts.bonus * max(0, slots)
    return (
        *divide_fees(book, proposer),
        *pay(book, Minted("baking rewards"), proposer, amounts.fixed),
        *pay(book, Minted("baking bonuses"), baker, bonus),
    )


# Participation


def expected_slots(calendar: Calendar, cycle: int) -> dict[str, int]:
    """How many attestations each delegate should make in a cycle, on the average."""
    rights = calendar.rights(cycle)
    total = sum(one.stake for one in rights.delegates)
    slots = calendar.parameters.blocks_per_cycle * rights.committee_size
    return {one.pkh: one.stake * slots // total for one in rights.delegates}


def allowed_to_miss(calendar: Calendar, expected: int) -> int:
    """How many of its slots a delegate may miss."""
    ratio = calendar.parameters.raw.get("minimal_participation_ratio", {})
    ratio = ratio if isinstance(ratio, Mapping) else {}
    return expected - expected * int(ratio.get("numerator", 2)) // int(ratio.get("denominator", 3))


def record_missed(book: Book, level: int, attesters: Iterable[str]) -> None:
    """Note who did not attest the block of ``level``, which is below the book's."""
    calendar, ledger = book.calendar, book.ledger
    present, missed = set(attesters), dict(ledger.missed)
    expected: dict[str, int] | None = None
    for pkh, slots in calendar.slots(level).items():
        if pkh in present:
            continue
        if pkh not in missed:
            if expected is None:
                expected = expected_slots(calendar, book.cycle)
            if pkh not in expected:
                # It had rights in the last cycle, and has none in this one.
                continue
            missed[pkh] = (allowed_to_miss(calendar, expected[pkh]), 0)
        left, levels = missed[pkh]
        missed[pkh] = (left - len(slots), levels + 1)
    book.ledger = attrs.evolve(ledger, missed=missed)


def pay_attesters(book: Book, amounts: Rewards) -> Updates:
    """Pay, at the end of a cycle, who has attested enough of it and revealed its nonces."""
    calendar, cycle = book.calendar, book.cycle
    forgetful = nonces.forgetful(book.ledger, calendar, cycle)
    expected = expected_slots(calendar, cycle)
    updates: Updates = ()
    source = Minted("attesting rewards")
    # The greatest stake first.
    for one in sorted(
        sorted(calendar.rights(cycle).delegates, key=lambda one: one.pkh, reverse=True),
        key=lambda one: one.stake,
        reverse=True,
    ):
        absent = book.ledger.missed.get(one.pkh, (0, 0))[0] < 0
        silent = one.pkh in forgetful
        amount = amounts.attesting * expected[one.pkh]
        if absent or silent:
            new = book.transfer(source, LostRewards(one.pkh, absent, silent), amount)
        else:
            new = pay(book, source, one.pkh, amount)
        updates = (*new, *updates)
    book.ledger = attrs.evolve(book.ledger, missed={})
    return updates


# Activity


def set_active(book: Book, pkh: str) -> None:
    """Note that a delegate took part in the block, or asked to be active again."""
    account, rules = book.accounts[pkh], book.rules
    gone = account.inactive or account.active_until < book.cycle
    until = book.cycle + rules.tolerated_inactivity + (rules.rights_delay if gone else 0)
    if account.inactive or account.active_until < until:
        book.put(attrs.evolve(account, inactive=False, active_until=max(account.active_until, until)))


def deactivate(book: Book) -> tuple[str, ...]:
    """Deactivate, at the end of a cycle, who has been silent too long; the latest first."""
    if book.cycle < book.rules.rights_delay:
        return ()
    found = [
        one.pkh
        for one in book.accounts.values()
        if one.is_delegate
        and not one.inactive
        and one.active_until <= book.cycle
        and one.frozen + one.staked + one.free >= book.rules.minimal_stake
    ]
    for pkh in found:
        book.change(pkh, inactive=True)
    return tuple(sorted(found, reverse=True))


def pending_of(ledger: Ledger, cycle: int) -> Ledger:
    """The ledger at the beginning of a cycle, when keys and terms that waited for it take effect."""
    changed = []
    for one in ledger.accounts.values():
        if not one.pending_keys and not one.pending_terms:
            continue
        keys = [key for since, key in one.pending_keys if since <= cycle]
        terms = [new for since, new in one.pending_terms if since <= cycle]
        changed.append(
            attrs.evolve(
                one,
                consensus_key=keys[-1] if keys else one.consensus_key,
                pending_keys=tuple(each for each in one.pending_keys if each[0] > cycle),
                terms=terms[-1] if terms else one.terms,
                pending_terms=tuple(each for each in one.pending_terms if each[0] > cycle),
            )
        )
    return ledger.evolve_accounts(*changed) if changed else ledger
