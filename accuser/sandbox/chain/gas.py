"""What manager operations cost in gas, exactly, in thousandths of a unit.

Sources: ``lib_protocol/{operation_costs,michelson_v1_gas,adaptive_issuance_costs}.ml``. Scripts are
not run here, so that few costs are needed.
"""

from __future__ import annotations

from typing import Final

from ..._mavryk.codec.keys import Curve, curve_of_hash
from ..._mavryk.codec.manager import Manager, Transaction
from ..._mavryk.codec.operations import Operation

MANAGER: Final = 100_000
"""Of every content."""
_CHECKS: Final = {Curve.ED25519: 65_800, Curve.SECP256K1: 51_600, Curve.P256: 341_000}
_VALUE_BYTE: Final = 20
_UNIT_BYTES: Final = 2
_FIND_DELEGATE: Final = 420_000
_FINALIZE: Final = 940_000
FINALIZED: Final = 200_000
"""More, if something is given back."""
REQUESTED: Final = 2_720_000
"""More, if something is unstaked."""
_CALLS: Final = {
    "stake": 2_520_000 + _FINALIZE,
    "unstake": _FIND_DELEGATE,
    "finalize_unstake": _FIND_DELEGATE + _FINALIZE,
    "set_delegate_parameters": 620_000,
}
AFTER_UNSTAKING: Final = _FINALIZE
"""More, since unstaking something finalizes what came before."""


def signature(operation: Operation) -> int:
    """What the check of an operation's signature costs; the first content pays for it."""
    size = len(operation.unsigned_bytes())
    curve = curve_of_hash(operation.managed[0].source)
    if curve is Curve.BLS:
        return 1_570_000 + 3 * size + 32 * size
    # Beside the check, the operation is hashed and written again.
    hashing = size + (size >> 3)
    return _CHECKS[curve] + hashing + 32 * size


def content(one: Manager) -> int:
    """What a content costs besides, before what depends on the ledger."""
    if not isinstance(one.body, Transaction):
        return MANAGER
    called = one.body.called
    return MANAGER + _VALUE_BYTE * max(len(called.value), _UNIT_BYTES) + _CALLS.get(called.entrypoint, 0)
