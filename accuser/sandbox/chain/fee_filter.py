"""What a mempool wants to be paid (``lib_plugin/mempool.ml``, ``config``)."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import attrs

from ..._mavryk.codec.fields import Fields, ForgeError
from .limits import MINIMAL_FEE, MINIMAL_FEE_BY_BYTE, MINIMAL_FEE_BY_GAS

Ratio: TypeAlias = tuple[int, int]
"""A numerator, and a denominator that is not 0."""

_MUMAV: Final = 1000
"""Thousandths of a mumav in one."""


@attrs.frozen
class FeeFilter:
    """The least fees of operations that wait for a block."""

    minimal_fees: int = MINIMAL_FEE // _MUMAV
    """In mumav."""
    by_gas: Ratio = (MINIMAL_FEE_BY_GAS, 1)
    """Thousandths of a mumav for a unit of gas; as the next one."""
    by_byte: Ratio = (MINIMAL_FEE_BY_BYTE, 1)
    replacement: Ratio = (21, 20)
    """An operation replaces one of the same manager if it pays, by gas too, so many times as much."""

    def takes(self, fee: int, gas: int, size: int) -> bool:
        """Whether a fee in mumav is enough for so much gas and so many bytes."""
        by_gas, by_byte = self.by_gas, self.by_byte
        paid = _MUMAV * (fee - self.minimal_fees) * by_gas[1] * by_byte[1]
        return paid >= by_gas[0] * gas * by_byte[1] + by_byte[0] * size * by_gas[1]

    def replacing_fee(self, fee: int, gas: int, old_gas: int) -> int:
        """The least fee of an operation of so much gas in place of one of that fee and gas."""
        times, of = self.replacement
        by_gas = -(-times * fee * gas // (of * old_gas))
        return max(-(-times * fee // of), by_gas)

    def to_json(self, *, with_defaults: bool) -> dict[str, Any]:
        """As the RPC tells it; fields that are as usual only if they are wanted."""
        shown = {
            "minimal_fees": str(self.minimal_fees),
            "minimal_nanomav_per_gas_unit": [str(part) for part in self.by_gas],
            "minimal_nanomav_per_byte": [str(part) for part in self.by_byte],
            "replace_by_fee_factor": [str(part) for part in self.replacement],
        }
        if with_defaults:
            return shown
        usual = FeeFilter().to_json(with_defaults=True)
        return {name: value for name, value in shown.items() if value != usual[name]}

    @classmethod
    def from_json(cls, value: object) -> FeeFilter:
        """Read such an object; a field that is absent is as usual. Raises ``ForgeError``."""
        fields, usual = Fields(value), cls()
        read = cls(
            minimal_fees=_natural(fields.text("minimal_fees"))
            if fields.has("minimal_fees")
            else usual.minimal_fees,
            by_gas=_ratio(fields, "minimal_nanomav_per_gas_unit", usual.by_gas),
            by_byte=_ratio(fields, "minimal_nanomav_per_byte", usual.by_byte),
            replacement=_ratio(fields, "replace_by_fee_factor", usual.replacement),
        )
        fields.end()
        return read


def _natural(text: object) -> int:
    if not isinstance(text, str) or not text.isdecimal():
        raise ForgeError("/", "not a natural number in digits")
    return int(text)


def _ratio(fields: Fields, name: str, usual: Ratio) -> Ratio:
    if not fields.has(name):
        return usual
    parts = [_natural(part) for part in fields.items(name)]
    if len(parts) != 2 or parts[1] == 0:
        raise ForgeError(fields.path(name), "not a numerator and a denominator")
    return parts[0], parts[1]
