"""Balance updates as receipts show them (``lib_protocol/receipt_repr.ml``).

Typed clients refuse a field too many or too few. `places` has what they say of each place.
"""

from __future__ import annotations

from typing import Any, Final

Update = dict[str, Any]

Origin = dict[str, str]
"""What moved the money."""

BLOCK: Final[Origin] = {"origin": "block"}
MIGRATION: Final[Origin] = {"origin": "migration"}
SUBSIDY: Final[Origin] = {"origin": "subsidy"}


def delayed(operation: str) -> Origin:
    """An operation of an earlier block, whose effect comes at the end of a cycle."""
    return {"origin": "delayed_operation", "delayed_operation_hash": operation}
