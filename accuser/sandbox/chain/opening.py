"""What the first block of a chain's first protocol tells of the activation below it.

Sources: ``lib_protocol/{init_storage,bootstrap_storage,receipt_repr}.ml`` (``group_balance_updates``).
"""

from __future__ import annotations

from typing import Any

from .ledger import Ledger
from .made import BUFFER, CPMM, LQT, MADE, TOKEN
from .places import Commitment, Contract, Deposits, Minted, Place
from .receipts import BLOCK, MIGRATION, Origin, Update


def balance_updates(ledger: Ledger, protocol: str) -> list[Update]:
    """What the accounts began with: one sum for each place, the latest place in upstream's order first.

    Args:
        ledger: as the activation left it.
        protocol: its hash.
    """
    accounts = sorted(ledger.accounts.values(), key=lambda one: one.pkh, reverse=True)
    set_aside = sorted(ledger.commitments.items(), reverse=True)
    owned = sum(one.spendable + one.frozen for one in accounts)
    moved: list[tuple[Place, int, Origin]] = [
        (Minted("commitment"), -sum(ledger.commitments.values()), BLOCK),
        (Minted("bootstrap"), -owned, MIGRATION),
        *((Commitment(blinded), amount, BLOCK) for blinded, amount in set_aside),
        *((Deposits(one.pkh), one.frozen, MIGRATION) for one in accounts),
        *((Contract(one.pkh), one.spendable, MIGRATION) for one in accounts),
    ]
    return [_update(place, amount, origin, protocol) for place, amount, origin in moved if amount]


def originations(protocol: str) -> list[dict[str, Any]]:
    """The contracts that the protocol made; of what their scripts cost nothing is known here."""
    return [_origination(address, protocol) for address in (CPMM, LQT, TOKEN, BUFFER)]


def _origination(address: str, protocol: str) -> dict[str, Any]:
    amount, result = MADE[address], dict[str, Any](kind="origination")
    if amount:
        result["balance_updates"] = [
            _update(Minted("subsidy"), -amount, MIGRATION, protocol),
            _update(Contract(address), amount, MIGRATION, protocol),
        ]
    return {**result, "originated_contracts": [address]}


def _update(place: Place, amount: int, origin: Origin, protocol: str) -> Update:
    return {**place.shown(protocol), "change": str(amount), **origin}
