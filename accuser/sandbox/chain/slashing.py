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
from .economy import FORBIDDING_PERCENTAGE, WHOLE, Economy
from .ledger import Denunciation, Ledger
from .misbehaviour import Misbehaviour, MisbehaviourKind
from .parameters import Calendar

_ORDER: Final[dict[MisbehaviourKind, int]] = {"block": 0, "attestation": 1, "preattestation": 2}
"""In which the misbehaviours of one level and round are punished."""

_Key = tuple[int, int | None, int]


@attrs.frozen(eq=False)
class Slashed:
    """What the end of a cycle did to those who were denounced."""

    ledger: Ledger
    updates: tuple[receipts.Update, ...]
    percentages: dict[str, int]
    """What each one was slashed by, in parts of `WHOLE`; for Atlas alone."""


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


def slash(ledger: Ledger, economy: Economy, calendar: Calendar, level: int) -> Slashed:
    """Punish, at the end of the cycle of ``level``, whoever's time has come."""
    if economy.is_atlas:
        return _slash_atlas(ledger, economy, calendar, level)
    due = [one for one in ledger.pending if is_due(one, economy, calendar, level)]
    left = tuple(one for one in ledger.pending if one not in due)
    groups = _by_misbehaviour(due)
    updates: list[receipts.Update] = []
    for key in sorted(groups):
        percentage = _percentage(ledger, economy, calendar, groups[key], level)
        for denunciation in groups[key]:
            culprit = denunciation.misbehaviour.delegate
            cycle = calendar.cycle(denunciation.misbehaviour.level)
            before = ledger.slashed.get((culprit, cycle), 0)
            after = min(WHOLE, before + percentage)
            ledger = attrs.evolve(ledger, slashed={**ledger.slashed, (culprit, cycle): after})
            ledger, new = _punish(ledger, economy, calendar, denunciation, after - before, level)
            updates = [*new, *updates]
    return Slashed(attrs.evolve(ledger, pending=left), tuple(updates), {})


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
    for group in _by_misbehaviour(ledger.pending).values():
        percentage = _percentage(ledger, economy, calendar, group, level)
        for one in group:
            if one.misbehaviour.delegate == pkh:
                initial = _initial_deposits(ledger, calendar, one.misbehaviour, level)
                total += min(initial * percentage // WHOLE, account.frozen)
    return total


def _slash_atlas(ledger: Ledger, economy: Economy, calendar: Calendar, level: int) -> Slashed:
    updates: list[receipts.Update] = []
    percentages: dict[str, int] = {}
    # By delegate, and then in the order of their inclusion.
    for one in sorted(ledger.pending, key=lambda denunciation: denunciation.misbehaviour.delegate):
        percentage = _constant(economy, one.misbehaviour.kind)
        ledger, new = _punish(ledger, economy, calendar, one, percentage, level)
        updates = [*new, *updates]
        culprit = one.misbehaviour.delegate
        percentages[culprit] = min(WHOLE, percentages.get(culprit, 0) + percentage)
    return Slashed(attrs.evolve(ledger, pending=()), tuple(updates), percentages)


def _punish(
    ledger: Ledger,
    economy: Economy,
    calendar: Calendar,
    denunciation: Denunciation,
    percentage: int,
    level: int,
) -> tuple[Ledger, list[receipts.Update]]:
    culprit = ledger.accounts[denunciation.misbehaviour.delegate]
    initial = _initial_deposits(ledger, calendar, denunciation.misbehaviour, level)
    amount = min(initial * percentage // WHOLE, culprit.frozen)
    reward = amount // economy.reward_divisor
    burned = amount - reward
    origin = receipts.delayed(denunciation.operation)
    updates: list[receipts.Update] = []
    if burned:
        updates += (
            receipts.deposits(economy.protocol, culprit.pkh, -burned, origin),
            receipts.punishment(burned, origin),
        )
    if reward:
        updates += (
            receipts.deposits(economy.protocol, culprit.pkh, -reward, origin),
            receipts.contract(denunciation.rewarded, reward, origin),
        )
    ledger = ledger.evolve_accounts(attrs.evolve(culprit, frozen=culprit.frozen - amount))
    rewarded = ledger.accounts[denunciation.rewarded]
    return ledger.evolve_accounts(rewarded.paid(reward, level, calendar)) if reward else ledger, updates


def _initial_deposits(ledger: Ledger, calendar: Calendar, misbehaviour: Misbehaviour, level: int) -> int:
    cycle = calendar.cycle(misbehaviour.level)
    # An evidence that is acted upon later than that costs nothing.
    if cycle < calendar.cycle(level) - 1:
        return 0
    return ledger.initial_deposits(misbehaviour.delegate, cycle)


def _by_misbehaviour(denunciations: Iterable[Denunciation]) -> dict[_Key, Sequence[Denunciation]]:
    """Those about one level, round and kind together, at most one of each delegate."""
    groups: dict[_Key, dict[str, Denunciation]] = {}
    for one in denunciations:
        what = one.misbehaviour
        group = groups.setdefault((what.level, what.round, _ORDER[what.kind]), {})
        group.setdefault(what.delegate, one)
    return {key: [group[pkh] for pkh in sorted(group)] for key, group in groups.items()}


def _constant(economy: Economy, kind: MisbehaviourKind) -> int:
    return economy.double_baking if kind == "block" else economy.double_attestation


def _percentage(
    ledger: Ledger, economy: Economy, calendar: Calendar, group: Sequence[Denunciation], level: int
) -> int:
    what = group[0].misbehaviour
    adaptive = ledger.issuance_is_adaptive(calendar.cycle(level))
    if what.kind == "block" or not (economy.delayed and adaptive):
        return _constant(economy, what.kind)
    slots = calendar.slots(what.level)
    denounced = sum(len(slots.get(one.misbehaviour.delegate, ())) for one in group)
    if denounced >= economy.max_slashing_threshold:
        return economy.max_slashing
    return -(-economy.max_slashing * denounced**2 // economy.max_slashing_threshold**2)


def _is_too_much(ledger: Ledger, pkh: str, cycle: int) -> bool:
    lost = sum(
        part for (culprit, of), part in ledger.slashed.items() if culprit == pkh and of >= max(cycle - 1, 0)
    )
    return min(lost, WHOLE) >= FORBIDDING_PERCENTAGE


def _may_return(ledger: Ledger, economy: Economy, pkh: str, new_cycle: int) -> bool:
    rights, deposits = ledger.initial_deposits(pkh, new_cycle), ledger.accounts[pkh].frozen
    if economy.is_atlas:
        return not _is_too_much(ledger, pkh, new_cycle) and deposits >= rights // 2
    return not ledger.is_accused(pkh) and deposits >= rights
