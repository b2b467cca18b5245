"""The limits and prices of manager operations, as the parameters give them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import attrs

from .parameters import Parameters, number

_MOST: Final = 2**63 - 1

MINIMAL_FEE: Final = 100_000
"""What a mempool wants for an operation, in thousandths of a mumav; as the two that follow."""
MINIMAL_FEE_BY_GAS: Final = 100
MINIMAL_FEE_BY_BYTE: Final = 1_000


@attrs.frozen
class Limits:
    """Gas is in units."""

    gas_by_operation: int
    gas_by_block: int
    storage: int
    """In bytes, by operation."""
    cost_per_byte: int
    """In mumav."""
    origination_size: int
    """What an account that is new takes, in bytes."""

    @property
    def origination_cost(self) -> int:
        """What is burned for it, in mumav."""
        return self.origination_size * self.cost_per_byte


@lru_cache(maxsize=64)
def limits(parameters: Parameters) -> Limits:
    """Those of a chain. Raises ``ParametersError``."""

    def given(name: str, default: int) -> int:
        return number(parameters.raw, name, 0, _MOST, default=default)

    return Limits(
        gas_by_operation=given("hard_gas_limit_per_operation", 1_040_000),
        gas_by_block=given("hard_gas_limit_per_block", 1_733_333),
        storage=given("hard_storage_limit_per_operation", 60_000),
        cost_per_byte=given("cost_per_byte", 250),
        origination_size=given("origination_size", 257),
    )
