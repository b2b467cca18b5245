"""What the ledger tells of an account or a delegate, in the terms of upstream's RPCs.

Amounts are in mumav. Sources: ``lib_protocol/{contract_services,delegate_services}.ml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ..._mavryk.codec.crypto import public_key_hash
from . import issuance, rewards, staking
from .economy import Economy
from .ledger import Account, Ledger
from .parameters import MAX_SLASHING_PERIOD, Calendar

Json = dict[str, Any]


@attrs.frozen(eq=False)
class View:
    """The ledger after a block of that level."""

    ledger: Ledger
    calendar: Calendar
    rules: Economy
    level: int

    @property
    def cycle(self) -> int:
        """That of the block."""
        return self.calendar.cycle(self.level)


def counter(view: View, address: str) -> int:
    """The counter of an account; one that does not exist would begin with everybody's."""
    account = view.ledger.accounts.get(address)
    return view.ledger.counter if account is None else account.counter


def full_balance(view: View, account: Account) -> int:
    """All that an account owns, also what it has staked or asked back."""
    return account.spendable + staked(view, account) + unstaked(view, account)


def staked(view: View, account: Account) -> int:
    """What an account has frozen with its delegate."""
    return view.ledger.staked_balance(account)


def unstaked(view: View, account: Account) -> int:
    """What an account has asked back and not got yet, after slashing."""
    return sum(amount for _, amount in _requests(view, account))


def unstaked_frozen(view: View, account: Account) -> int:
    """The part of it that it cannot have yet."""
    return sum(amount for since, amount in _requests(view, account) if not _is_due(view, since))


def unstaked_finalizable(view: View, account: Account) -> int:
    """The part of it that it may have now."""
    return sum(amount for since, amount in _requests(view, account) if _is_due(view, since))


def unstake_requests(view: View, account: Account) -> Json | None:
    """What an account has asked back, by whether it may have it now; None if it asked for nothing."""
    delegate = account.requested_of
    if delegate is None:
        return None
    finalizable = [
        {"delegate": delegate, "cycle": since, "amount": str(amount)}
        for since, amount in _requests(view, account)
        if _is_due(view, since)
    ]
    waiting = [
        {"cycle": since, "amount": str(amount)}
        for since, amount in account.requests
        if not _is_due(view, since)
    ]
    return {"finalizable": finalizable, "unfinalizable": {"delegate": delegate, "requests": waiting}}


def _requests(view: View, account: Account) -> list[tuple[int, int]]:
    delegate, delay = account.requested_of or "", view.rules.rights_delay
    return [
        (since, staking.slashed_amount(view.ledger.slashed, delegate, since, amount, delay))
        for since, amount in account.requests
    ]


def _is_due(view: View, since: int) -> bool:
    return since + view.rules.rights_delay + MAX_SLASHING_PERIOD <= view.cycle


# Delegates


def delegated_contracts(view: View, account: Account) -> list[str]:
    """Who delegates to a delegate, itself included."""
    return [one.pkh for one in view.ledger.delegators(account.pkh)]


def delegated_balance(view: View, account: Account) -> int:
    """What others delegate to it."""
    own = sum(amount for _, amount in _requests(view, account))
    return max(0, account.delegated - own)


def is_deactivated(view: View, account: Account) -> bool:
    """Whether it was silent too long."""
    return account.inactive or account.active_until < view.cycle


def stakers(view: View, account: Account) -> list[Json]:
    """Who has something frozen with it, itself first, and how much."""
    own = {"staker": account.pkh, "frozen_deposits": str(account.frozen)}
    others = [one for one in view.ledger.delegators(account.pkh) if one.shares]
    return [own, *({"staker": one.pkh, "frozen_deposits": str(staked(view, one))} for one in others)]


def consensus_key(account: Account) -> Json:
    """The key that it bakes with, and those that will follow."""
    active = account.consensus_key or account.public_key
    assert active is not None
    shown: Json = {"active": {"pkh": public_key_hash(active), "pk": active}}
    if account.pending_keys:
        shown["pendings"] = [
            {"cycle": cycle, "pkh": public_key_hash(key), "pk": key} for cycle, key in account.pending_keys
        ]
    return shown


def terms(limit: int, edge: int) -> Json:
    """On which terms others may stake with a delegate."""
    return {
        "limit_of_staking_over_baking_millionth": limit,
        "edge_of_baking_over_staking_billionth": edge,
    }


def unstaked_frozen_deposits(view: View, account: Account) -> list[Json]:
    """What was unstaked from it, by cycle; all that cannot be slashed any more is that of the first."""
    first = max(0, view.cycle - view.rules.rights_delay - MAX_SLASHING_PERIOD)
    amounts: dict[int, int] = dict.fromkeys(range(first, view.cycle + 1), 0)
    for (pkh, since), (_, current) in view.ledger.unstaked.items():
        if pkh == account.pkh:
            cycle = max(first, since)
            amounts[cycle] = amounts.get(cycle, 0) + current
    return [{"cycle": cycle, "deposit": str(amount)} for cycle, amount in amounts.items()]


def participation(view: View, account: Account) -> Json:
    """How much it has attested in the cycle, and how much it may still miss."""
    expected = rewards.expected_slots(view.calendar, view.cycle).get(account.pkh, 0)
    allowed = rewards.allowed_to_miss(view.calendar, expected)
    left, levels = view.ledger.missed.get(account.pkh, (allowed, 0))
    amounts = issuance.current(view.ledger, view.calendar.parameters, view.rules, view.cycle)
    return {
        "expected_cycle_activity": expected,
        "minimal_cycle_activity": expected - allowed,
        "missed_slots": allowed - left,
        "missed_levels": levels,
        "remaining_allowed_missed_slots": max(0, left),
        "expected_attesting_rewards": str(0 if left < 0 else amounts.attesting * expected),
    }


def nonce(view: View, level: int) -> Mapping[str, str]:
    """What is known of the nonce of a level."""
    known = view.ledger.nonces.get(level)
    if known is None:
        return {}
    return {"hash": known.hash} if known.revealed is None else {"nonce": known.revealed.hex()}
