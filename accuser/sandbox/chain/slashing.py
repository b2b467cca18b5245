"""What becomes of a denunciation: who is forbidden, how much is lost, and who gets a part of it.

Sources: ``lib_protocol/{delegate_slashed_deposits_storage,slash_percentage,
forbidden_delegates_storage}.ml``. No protocol punishes at once: Atlas does so at the end of the
cycle that has the evidence, later ones at the end of the cycle after that of the misbehaviour. What
comes at once is that a delegate is forbidden: since Boreas after any misbehaviour, in Atlas when
what it is to lose for two cycles is more than half.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from . import receipts
from .accounts import Book
from .economy import FORBIDDING_PERCENTAGE, WHOLE, Economy
from .ledger import Account, Denunciation, Ledger
from .misbehaviour import Misbehaviour, MisbehaviourKind
from .parameters import Calendar
from .places import SHARED, Burned, Contract, Deposits, Place, Unstaked

_ORDER: Final[dict[MisbehaviourKind, int]] = {"block": 0, "attestation": 1, "preattestation": 2}
"""In which the misbehaviours of one level and round are punished."""

_Key = tuple[int, int | None, int]


def record(
    ledger: Ledger, economy: Economy, calendar: Calendar, denunciation: Denunciation, level: int
) -> tuple[Ledger, bool]:
    """Note an evidence of the block of ``level``.

    Returns:
        The ledger after it, and whether the receipt names the delegate as forbidden.
    """
    culprit = denunciation.misbehaviour.delegate
    if not economy.is_atlas:
        forbidden, pending = ledger.forbidden | {culprit}, (*ledger.pending, denunciation)
        return attrs.evolve(ledger, forbidden=forbidden, pending=pending), True
    key = (culprit, calendar.cycle(denunciation.misbehaviour.level))
    before = ledger.slashed.get((culprit, calendar.cycle(level)), 0)
    percentage = _constant(economy, denunciation.misbehaviour.kind)
    slashed = {**ledger.slashed, key: min(WHOLE, ledger.slashed.get(key, 0) + percentage)}
    ledger = attrs.evolve(ledger, slashed=slashed)
    forbids = _is_too_much(ledger, culprit, calendar.cycle(level))
    if forbids:
        ledger = attrs.evolve(ledger, forbidden=ledger.forbidden | {culprit})
    # Who has nothing left to lose is not punished any more.
    if before < WHOLE:
        ledger = attrs.evolve(ledger, pending=(*ledger.pending, denunciation))
    return ledger, forbids


def slash(book: Book) -> tuple[tuple[receipts.Update, ...], dict[str, int]]:
    """Punish, at the end of the cycle of a book's block, whoever's time has come.

    Returns:
        The updates, and for Atlas what each one was slashed by, in parts of `WHOLE`.
    """
    economy, calendar, level = book.rules, book.calendar, book.level
    if economy.is_atlas:
        return _slash_atlas(book)
    due = [one for one in book.ledger.pending if is_due(one, economy, calendar, level)]
    left = tuple(one for one in book.ledger.pending if one not in due)
    cases = _by_misbehaviour(due)
    updates: list[receipts.Update] = []
    for key in sorted(cases):
        percentage = _percentage(book.ledger, economy, calendar, cases[key], level)
        for denunciation in cases[key]:
            culprit = denunciation.misbehaviour.delegate
            cycle = calendar.cycle(denunciation.misbehaviour.level)
            before = book.ledger.slashed.get((culprit, cycle), 0)
            after = min(WHOLE, before + percentage)
            slashed = {**book.ledger.slashed, (culprit, cycle): after}
            book.ledger = attrs.evolve(book.ledger, slashed=slashed)
            updates = [*_punish(book, denunciation, after - before), *updates]
    book.ledger = attrs.evolve(book.ledger, pending=left)
    return tuple(updates), {}


def is_due(denunciation: Denunciation, economy: Economy, calendar: Calendar, level: int) -> bool:
    """Whether it is acted upon at the end of the cycle of ``level``."""
    return not economy.delayed or calendar.cycle(denunciation.misbehaviour.level) < calendar.cycle(level)


def pardoned(ledger: Ledger, economy: Economy, new_cycle: int) -> Ledger:
    """The ledger where who has enough deposits for its rights again is not forbidden any more."""
    freed = {pkh for pkh in ledger.forbidden if _may_return(ledger, economy, pkh, new_cycle)}
    return attrs.evolve(ledger, forbidden=ledger.forbidden - freed) if freed else ledger


def estimate(ledger: Ledger, economy: Economy, calendar: Calendar, pkh: str, level: int) -> int:
    """What a delegate is going to lose, in mumav, as far as a block of ``level`` can tell."""
    account, total = ledger.accounts[pkh], 0
    for case in _by_misbehaviour(ledger.pending).values():
        percentage = _percentage(ledger, economy, calendar, case, level)
        for one in case:
            if one.misbehaviour.delegate == pkh:
                initial = _initial_deposits(ledger, calendar, one.misbehaviour, level)
                total += min(initial * percentage // WHOLE, account.frozen + account.staked)
    return total


def _slash_atlas(book: Book) -> tuple[tuple[receipts.Update, ...], dict[str, int]]:
    updates: list[receipts.Update] = []
    percentages: dict[str, int] = {}
    # By delegate, and then in the order of their inclusion.
    for one in sorted(book.ledger.pending, key=lambda denunciation: denunciation.misbehaviour.delegate):
        percentage = _constant(book.rules, one.misbehaviour.kind)
        updates = [*_punish(book, one, percentage), *updates]
        culprit = one.misbehaviour.delegate
        percentages[culprit] = min(WHOLE, percentages.get(culprit, 0) + percentage)
    book.ledger = attrs.evolve(book.ledger, pending=())
    return tuple(updates), percentages


def _punish(book: Book, denunciation: Denunciation, percentage: int) -> tuple[receipts.Update, ...]:
    what, rules, calendar = denunciation.misbehaviour, book.rules, book.calendar
    pkh = what.delegate
    culprit = book.accounts[pkh]
    initial = _initial_deposits(book.ledger, calendar, what, book.level)
    amount = min(initial * percentage // WHOLE, culprit.frozen + culprit.staked)
    own = min(own_part(culprit, rules, amount), culprit.frozen)
    parts: list[tuple[Place, int]] = [(Deposits(pkh), own), (Deposits(pkh, SHARED), amount - own)]
    # What was unstaked since the cycle's rights were given is punished as if it were still frozen.
    cycle = calendar.cycle(what.level)
    for since in range(max(0, cycle - rules.rights_delay), cycle + 1):
        unstaked, current = book.unstaked.get((pkh, since), (0, 0))
        place = Unstaked(pkh, SHARED, since)
        parts.insert(0, (place, min(unstaked * percentage // WHOLE, current)))
    rewards = [(place, part // rules.reward_divisor) for place, part in parts]
    burned = [(place, part - part // rules.reward_divisor) for place, part in parts]
    origin = receipts.delayed(denunciation.operation)
    return (
        *book.gather(burned, Burned("punishments"), origin),
        *book.gather(rewards, Contract(denunciation.rewarded), origin),
    )


def own_part(account: Account, rules: Economy, amount: int) -> int:
    """The part of an amount that concerns a delegate and not its stakers, rounded up."""
    allowed = account.allowed(rules.staking_over_baking)
    if not account.frozen:
        return 0
    return -(-amount * account.frozen // (account.frozen + allowed))


def _initial_deposits(ledger: Ledger, calendar: Calendar, misbehaviour: Misbehaviour, level: int) -> int:
    cycle = calendar.cycle(misbehaviour.level)
    # An evidence that is acted upon later than that costs nothing.
    if cycle < calendar.cycle(level) - 1:
        return 0
    return ledger.initial_deposits(misbehaviour.delegate, cycle)


def _by_misbehaviour(denunciations: Iterable[Denunciation]) -> dict[_Key, Sequence[Denunciation]]:
    """Those about one level, round and kind together, at most one of each delegate."""
    cases: dict[_Key, dict[str, Denunciation]] = {}
    for one in denunciations:
        what = one.misbehaviour
        case = cases.setdefault((what.level, what.round, _ORDER[what.kind]), {})
        case.setdefault(what.delegate, one)
    return {key: [case[pkh] for pkh in sorted(case)] for key, case in cases.items()}


def _constant(economy: Economy, kind: MisbehaviourKind) -> int:
    return economy.double_baking if kind == "block" else economy.double_attestation


def _percentage(
    ledger: Ledger, economy: Economy, calendar: Calendar, case: Sequence[Denunciation], level: int
) -> int:
    what = case[0].misbehaviour
    adaptive = ledger.issuance_is_adaptive(calendar.cycle(level))
    if what.kind == "block" or not (economy.delayed and adaptive):
        return _constant(economy, what.kind)
    slots = calendar.slots(what.level)
    denounced = sum(len(slots.get(one.misbehaviour.delegate, ())) for one in case)
    if denounced >= economy.max_slashing_threshold:
        return economy.max_slashing
    return -(-economy.max_slashing * denounced**2 // economy.max_slashing_threshold**2)


def _is_too_much(ledger: Ledger, pkh: str, cycle: int) -> bool:
    lost = sum(
        part for (culprit, of), part in ledger.slashed.items() if culprit == pkh and of >= max(cycle - 1, 0)
    )
    return min(lost, WHOLE) >= FORBIDDING_PERCENTAGE


def _may_return(ledger: Ledger, economy: Economy, pkh: str, new_cycle: int) -> bool:
    account = ledger.accounts[pkh]
    rights, deposits = ledger.initial_deposits(pkh, new_cycle), account.frozen + account.staked
    if economy.is_atlas:
        return not _is_too_much(ledger, pkh, new_cycle) and deposits >= rights // 2
    return not ledger.is_accused(pkh) and deposits >= rights
