"""What the protocol issues: how much for which service, and how that adapts to what is staked.

Amounts are in mumav. Sources: ``lib_protocol/{delegate_rewards,adaptive_issuance_storage}.ml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import attrs

from .economy import Economy
from .ledger import Ledger
from .parameters import Parameters, ParametersError, number

_MINUTES_A_YEAR: Final = 525_600
_SECONDS_A_DAY: Final = 86_400
_MOST: Final = 2**63 - 1
_BONUS_UNIT: Final = 10**15
"""Of so many parts a bonus is an integral number."""

_BASE: Final = "base_total_issued_per_minute"
_SUBSIDY: Final = "liquidity_baking_subsidy_weight"

_WEIGHTS: Final = {
    _BASE: 80_007_812,
    "baking_reward_fixed_portion_weight": 5120,
    "baking_reward_bonus_weight": 5120,
    "attesting_reward_weight": 10_240,
    "seed_nonce_revelation_tip_weight": 1,
    "vdf_revelation_tip_weight": 1,
}
_OF_ATLAS: Final = {_BASE: 85_007_812, _SUBSIDY: 1280}
"""Atlas pays the subsidy as a part of what is issued, its successors besides."""

RATIOS: Final[Mapping[str, Any]] = {
    "issuance_ratio_final_min": {"numerator": "1", "denominator": "400"},
    "issuance_ratio_final_max": {"numerator": "1", "denominator": "10"},
    "issuance_ratio_initial_min": {"numerator": "1", "denominator": "40"},
    "issuance_ratio_initial_max": {"numerator": "7", "denominator": "200"},
    "initial_period": 130,
    "transition_period": 70,
}
"""Constants that Boreas has and Atlas had not."""
_REWARDS: Final[Mapping[str, Any]] = {
    **RATIOS,
    "max_bonus": "50000000000000",
    "growth_rate": {"numerator": "1", "denominator": "100"},
    "center_dz": {"numerator": "33", "denominator": "100"},
    "radius_dz": {"numerator": "1", "denominator": "50"},
}


@attrs.frozen
class Rewards:
    """What each service is worth, before the coefficient of the cycle."""

    fixed: int
    """For a payload."""
    bonus: int
    """For a block, by slot whose attestation it has above the threshold."""
    attesting: int
    """By slot."""
    tip: int
    """For including the revelation of a nonce."""
    delay_tip: int
    """For including the result of a verifiable delay function."""
    subsidy: int
    """Of every block, to the buffer of the treasury; no coefficient changes it but in Atlas."""
    per_minute: int

    def times(self, coefficient: Fraction) -> Rewards:
        """The rewards of a cycle with that coefficient, each rounded down."""
        if coefficient == 1:
            return self
        scaled = {
            name: int(getattr(self, name) * coefficient)
            for name in ("fixed", "bonus", "attesting", "tip", "delay_tip")
        }
        return attrs.evolve(self, **scaled)


@lru_cache(maxsize=64)
def rewards(parameters: Parameters, rules: Economy) -> Rewards:
    """The rewards of a protocol. Raises ``ParametersError``."""
    weights = _weights(parameters, rules)
    total = sum(value for name, value in weights.items() if name != _BASE)
    if not total:
        raise ParametersError("issuance_weights are all zero")
    committee, delay = parameters.rights.committee_size, parameters.minimal_block_delay

    def amount(weight: str, times: int = 1) -> int:
        return weights[_BASE] * weights[weight] * times * delay // (60 * total)

    bonus = committee - parameters.consensus_threshold
    subsidy = number(parameters.raw, "liquidity_baking_subsidy", 0, _MOST, default=5_000_000) * delay // 60
    return Rewards(
        fixed=amount("baking_reward_fixed_portion_weight"),
        bonus=amount("baking_reward_bonus_weight") // bonus if bonus > 0 else 0,
        attesting=amount("attesting_reward_weight") // committee,
        tip=amount("seed_nonce_revelation_tip_weight", parameters.blocks_per_commitment),
        delay_tip=amount("vdf_revelation_tip_weight", parameters.blocks_per_commitment),
        subsidy=amount(_SUBSIDY) if rules.is_atlas else subsidy,
        per_minute=weights[_BASE],
    )


def current(ledger: Ledger, parameters: Parameters, rules: Economy, cycle: int) -> Rewards:
    """The rewards of a cycle."""
    return rewards(parameters, rules).times(ledger.coefficients.get(cycle, Fraction(1)))


def _weights(parameters: Parameters, rules: Economy) -> dict[str, int]:
    given = parameters.raw.get("issuance_weights", {})
    if not isinstance(given, Mapping):
        raise ParametersError("issuance_weights is no object")
    defaults = {**_WEIGHTS, **(_OF_ATLAS if rules.is_atlas else {})}
    return {name: number(given, name, 0, _MOST, default=value) for name, value in defaults.items()}


def adapted(ledger: Ledger, parameters: Parameters, rules: Economy, new_cycle: int, staked: int) -> Ledger:
    """The ledger at a cycle's end, with the coefficient of the cycle whose rights were given now.

    Args:
        ledger: after all else that the end of a cycle does.
        parameters: of the chain.
        rules: of the protocol.
        new_cycle: the one that begins.
        staked: what is frozen for the rights that were given now.
    """
    kept = {cycle: one for cycle, one in ledger.coefficients.items() if cycle >= new_cycle}
    if not ledger.issuance_is_adaptive(new_cycle - 1) or not ledger.supply:
        return attrs.evolve(ledger, coefficients=kept)
    assert ledger.launch_cycle is not None
    given = {**_REWARDS, **parameters.raw.get("adaptive_rewards_params", {})}
    age = new_cycle - ledger.launch_cycle
    least = _extremum(given, age, "min")
    most = _extremum(given, age, "max")
    ratio = Fraction(staked, ledger.supply)
    # A 1600th of the inverse square of what is staked, in a year.
    base = most if not staked else min(max(1 / (1600 * ratio**2), least), most)
    for_cycle = new_cycle + rules.rights_delay
    before = ledger.bonuses.get(for_cycle - 1, Fraction(0))
    seconds = parameters.blocks_per_cycle * parameters.minimal_block_delay
    bonus = _bonus(given, before, ratio, most - base, Fraction(seconds, _SECONDS_A_DAY))
    per_minute = rewards(parameters, rules).per_minute
    yearly = min(max(base + bonus, least), most)
    coefficient = yearly * ledger.supply / _MINUTES_A_YEAR / per_minute if per_minute else Fraction(1)
    bonuses = {cycle: one for cycle, one in ledger.bonuses.items() if cycle >= new_cycle}
    return attrs.evolve(
        ledger,
        coefficients={**kept, for_cycle: coefficient},
        bonuses={**bonuses, for_cycle: bonus},
    )


def _extremum(given: Mapping[str, Any], age: int, which: str) -> Fraction:
    """The least or the most that is issued in a year, so many cycles after the launch."""
    if f"issuance_ratio_{which}" in given:
        # Atlas does not change it in time.
        return _ratio(given[f"issuance_ratio_{which}"])
    initial = _ratio(given[f"issuance_ratio_initial_{which}"])
    final = _ratio(given[f"issuance_ratio_final_{which}"])
    passed, transition = age - int(given["initial_period"]), int(given["transition_period"]) + 1
    return initial + (final - initial) * min(max(Fraction(passed, transition), Fraction(0)), Fraction(1))


def _bonus(
    given: Mapping[str, Any], before: Fraction, ratio: Fraction, room: Fraction, days: Fraction
) -> Fraction:
    centre, radius = _ratio(given["center_dz"]), _ratio(given["radius_dz"])
    distance = max(Fraction(0), abs(ratio - centre) - radius)
    grown = before + (distance if ratio < centre else -distance) * _ratio(given["growth_rate"]) * days
    bounded = min(max(grown, Fraction(0)), room, Fraction(int(given["max_bonus"]), _BONUS_UNIT))
    return Fraction(int(bounded * _BONUS_UNIT), _BONUS_UNIT)


def _ratio(value: Mapping[str, str]) -> Fraction:
    return Fraction(int(value["numerator"]), int(value["denominator"]))
