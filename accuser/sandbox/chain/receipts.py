"""Balance updates as receipts show them (``lib_protocol/receipt_repr.ml``).

Typed clients refuse a field too many or too few.
"""

from __future__ import annotations

from typing import Any, Final

from ..._mavryk.protocol import Protocol

Update = dict[str, Any]

Origin = dict[str, str]
"""What moved the money."""

BLOCK: Final[Origin] = {"origin": "block"}


def delayed(operation: str) -> Origin:
    """An operation of an earlier block, whose effect comes at the end of a cycle."""
    return {"origin": "delayed_operation", "delayed_operation_hash": operation}


def contract(pkh: str, change: int, origin: Origin) -> Update:
    """What an account can spend changes by so many mumav."""
    return {"kind": "contract", "contract": pkh, "change": str(change), **origin}


def deposits(protocol: str, pkh: str, change: int, origin: Origin) -> Update:
    """The deposits of a delegate change by so many mumav."""
    # Boreas named the baker's own stake anew, when it told its edge over its stakers apart.
    staker = {"baker" if protocol == Protocol.ATLAS.hash else "baker_own_stake": pkh}
    frozen = {"kind": "freezer", "category": "deposits", "staker": staker}
    return {**frozen, "change": str(change), **origin}


def punishment(change: int, origin: Origin) -> Update:
    """So many mumav are burned."""
    return {"kind": "burned", "category": "punishments", "change": str(change), **origin}
