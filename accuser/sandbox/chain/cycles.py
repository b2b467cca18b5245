"""What a block does to the ledger, and what the last block of a cycle does besides.

The order of the steps is upstream's (``lib_protocol/apply.ml``, ``finalize_application``, and
``delegate_cycles.ml``, ``cycle_end``). Nobody is paid, deactivated, or given deposits back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from . import receipts, slashing
from .economy import WHOLE, Economy, economy
from .ledger import Account, Denunciation, Ledger, stakes, voted
from .parameters import Calendar
from .state import State


@attrs.frozen(eq=False)
class Deeds:
    """What a block has in it that matters to the ledger."""

    level: int
    vote: str
    """The baker's about adaptive issuance."""
    active: frozenset[str]
    """Delegates that baked, proposed or attested."""
    denunciations: Sequence[tuple[Denunciation, bool]]
    """Each with whether it is the first one of its misbehaviour."""


@attrs.frozen(eq=False)
class Outcome:
    """The state after a block, and what its receipts tell of the way there."""

    state: State
    updates: tuple[receipts.Update, ...] = ()
    forbids: Mapping[str, str] = attrs.field(factory=dict)
    """Whom the evidence of a hash made the protocol forbid."""


def outcome(state: State, deeds: Deeds) -> Outcome:
    """What follows from a block on the state before it."""
    calendar, ledger = state.calendar, state.ledger
    assert calendar is not None
    rules = economy(calendar.parameters, state.protocol)
    cycle = calendar.cycle(deeds.level)
    ledger = voted(ledger, deeds.vote, cycle, rules)
    forbids: dict[str, str] = {}
    for denunciation, first in deeds.denunciations:
        named = not rules.is_atlas
        if first:
            ledger, named = slashing.record(ledger, rules, calendar, denunciation, deeds.level)
        if named:
            forbids[denunciation.operation] = denunciation.misbehaviour.delegate
    ledger = _noticed(ledger, deeds.active, cycle + rules.tolerated_inactivity)
    updates: tuple[receipts.Update, ...] = ()
    if calendar.ends_cycle(deeds.level):
        calendar, ledger, updates = _cycle_end(calendar, ledger, rules, deeds.level)
    after = attrs.evolve(state, calendar=calendar, ledger=ledger)
    return Outcome(after, updates, forbids)


def _noticed(ledger: Ledger, active: frozenset[str], until: int) -> Ledger:
    found = [ledger.accounts[pkh] for pkh in active]
    return ledger.evolve_accounts(
        *(attrs.evolve(one, active_until=until) for one in found if one.active_until < until)
    )


def _cycle_end(
    calendar: Calendar, before: Ledger, rules: Economy, level: int
) -> tuple[Calendar, Ledger, tuple[receipts.Update, ...]]:
    cycle = calendar.cycle(level)
    adaptive = before.issuance_is_adaptive(cycle)
    slashed = slashing.slash(before, rules, calendar, level)
    ledger, updates = slashed.ledger, slashed.updates
    if rules.autostaking and not adaptive:
        ledger, staked = _autostaked(ledger, rules, calendar, level)
        updates += staked
    # In the order of the accounts, on which the draw depends: equal stakes give the same rights again.
    if rules.is_atlas:
        # Atlas takes a snapshot from within the cycle, from which only the slashing is taken off.
        accounts = (one for one in before.accounts.values() if one.is_delegate)
        candidates = [(_lessened(one, slashed.percentages), one.spendable) for one in accounts]
    else:
        accounts = (one for one in ledger.accounts.values() if one.is_delegate)
        candidates = [(one, one.least_spendable(level, calendar)) for one in accounts]
    selected = stakes(candidates, rules, adaptive=adaptive)
    chosen_for = cycle + 1 + rules.rights_delay
    calendar = calendar.with_stakes(chosen_for, tuple(selected))
    selections = {kept: chosen for kept, chosen in ledger.selections.items() if kept >= cycle}
    selections[chosen_for] = {delegate.pkh: deposits for delegate, deposits in selected.items()}
    ledger = slashing.pardoned(attrs.evolve(ledger, selections=selections), rules, cycle + 1)
    if calendar.ends_voting_period(level):
        ledger = ledger.evolve_accounts(
            *(
                attrs.evolve(one, listed=one.total if one.total >= rules.minimal_stake else 0)
                for one in ledger.delegates()
            )
        )
    return calendar, ledger, updates


def _lessened(account: Account, percentages: Mapping[str, int]) -> Account:
    left = WHOLE - percentages.get(account.pkh, 0)
    return attrs.evolve(account, frozen=account.frozen * left // WHOLE)


def _autostaked(
    ledger: Ledger, rules: Economy, calendar: Calendar, level: int
) -> tuple[Ledger, tuple[receipts.Update, ...]]:
    """Freeze, for each delegate that is not accused, what is missing for its delegation."""
    updates: tuple[receipts.Update, ...] = ()
    for one in ledger.delegates():
        if one.total < rules.minimal_stake or (not rules.is_atlas and ledger.is_accused(one.pkh)):
            continue
        best = max(-(-one.total // (rules.delegation_over_baking + 1)), rules.minimal_frozen_stake)
        amount = min(best - one.frozen, one.spendable)
        if amount <= 0:
            continue
        updates = (
            receipts.contract(one.pkh, -amount, receipts.BLOCK),
            receipts.deposits(rules.protocol, one.pkh, amount, receipts.BLOCK),
            *updates,
        )
        paid = one.paid(-amount, level, calendar)
        ledger = ledger.evolve_accounts(attrs.evolve(paid, frozen=one.frozen + amount))
    return ledger, updates
