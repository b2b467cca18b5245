"""What the RPCs tell of the money that a chain issues.

The amounts are those of the constants, with a coefficient of 1: the sandbox does not adapt them.
Sources: ``lib_protocol/{adaptive_issuance_services,delegate_rewards}.ml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from ..chain.block import Block
from ..chain.economy import Economy
from ..chain.parameters import Calendar, number
from .routes_contracts import MADE

_MINUTES_A_YEAR: Final = 525_600

_WEIGHTS: Final = {
    "base_total_issued_per_minute": 80_007_812,
    "baking_reward_fixed_portion_weight": 5120,
    "baking_reward_bonus_weight": 5120,
    "attesting_reward_weight": 10_240,
    "seed_nonce_revelation_tip_weight": 1,
    "vdf_revelation_tip_weight": 1,
}
"""Where the parameters say nothing: upstream's sandbox network."""

_SUBSIDY: Final = "liquidity_baking_subsidy_weight"
"""Atlas pays it as a part of what is issued, its successors besides."""

_OF_ATLAS: Final = {"base_total_issued_per_minute": 85_007_812, _SUBSIDY: 1280}


def total_supply(block: Block) -> int:
    """All that anybody owns after a block, in mumav."""
    return sum(MADE.values()) + sum(account.total for account in block.state.ledger.accounts.values())


def per_minute(calendar: Calendar, rules: Economy) -> int:
    """What is issued in a minute, in mumav."""
    return _weights(calendar, rules)["base_total_issued_per_minute"]


def yearly_rate(block: Block, calendar: Calendar, rules: Economy) -> Fraction:
    """What is issued in a year, in per cent of the supply."""
    return Fraction(per_minute(calendar, rules) * _MINUTES_A_YEAR * 100, total_supply(block))


def expected(calendar: Calendar, rules: Economy, cycle: int) -> list[dict[str, Any]]:
    """The rewards of a cycle and those that follow, as far as they are fixed."""
    amounts = {name: str(amount) for name, amount in rewards(calendar, rules).items()}
    return [{"cycle": cycle + ahead, **amounts} for ahead in range(rules.rights_delay + 1)]


def rewards(calendar: Calendar, rules: Economy) -> dict[str, int]:
    """Each reward, in mumav (``reward_from_constants``)."""
    parameters, weights = calendar.parameters, _weights(calendar, rules)
    committee = parameters.rights.committee_size

    def amount(weight: str, times: int = 1) -> int:
        share = weights[weight] * times * parameters.minimal_block_delay
        return weights["base_total_issued_per_minute"] * share // (60 * _sum(weights))

    bonus, commitments = committee - parameters.consensus_threshold, parameters.blocks_per_commitment
    return {
        "baking_reward_fixed_portion": amount("baking_reward_fixed_portion_weight"),
        "baking_reward_bonus_per_slot": amount("baking_reward_bonus_weight") // bonus if bonus > 0 else 0,
        "attesting_reward_per_slot": amount("attesting_reward_weight") // committee,
        **({"liquidity_baking_subsidy": amount(_SUBSIDY)} if rules.is_atlas else {}),
        "seed_nonce_revelation_tip": amount("seed_nonce_revelation_tip_weight", commitments),
        "vdf_revelation_tip": amount("vdf_revelation_tip_weight", commitments),
    }


def _weights(calendar: Calendar, rules: Economy) -> dict[str, int]:
    given = calendar.parameters.raw.get("issuance_weights")
    given = given if isinstance(given, Mapping) else {}
    defaults = {**_WEIGHTS, **(_OF_ATLAS if rules.is_atlas else {})}
    return {name: number(given, name, 0, 2**63 - 1, default=value) for name, value in defaults.items()}


def _sum(weights: Mapping[str, int]) -> int:
    return sum(value for name, value in weights.items() if name != "base_total_issued_per_minute") or 1


def decimal(rate: Fraction) -> str:
    """A rate with three decimals, rounded down, as upstream writes it."""
    whole, rest = divmod(rate.numerator * 1000 // rate.denominator, 1000)
    return f"{whole}.{rest:03d}"


def exact(rate: Fraction) -> dict[str, str]:
    """A rate as the quotient that it is."""
    return {"numerator": str(rate.numerator), "denominator": str(rate.denominator)}
