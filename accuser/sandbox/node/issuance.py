"""What the RPCs tell of the money that a chain issues.

Source: ``lib_protocol/adaptive_issuance_services.ml``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from ..chain import issuance
from ..chain.views import View

_MINUTES_A_YEAR: Final = 525_600


def per_minute(view: View) -> int:
    """What is issued in a minute of the cycle, in mumav."""
    return int(_exactly(view))


def _exactly(view: View) -> Fraction:
    amounts = issuance.rewards(view.calendar.parameters, view.rules)
    return amounts.per_minute * view.ledger.coefficients.get(view.cycle, Fraction(1))


def yearly_rate(view: View) -> Fraction:
    """What is issued in a year, in per cent of the supply."""
    return _exactly(view) * _MINUTES_A_YEAR * 100 / (view.ledger.supply or 1)


def dynamic_rate(view: View) -> Fraction:
    """The part of the rate, in per cent, that is there because too little is staked."""
    return view.ledger.bonuses.get(view.cycle, Fraction(0)) * 100


def expected(view: View) -> list[dict[str, Any]]:
    """The rewards of a cycle and those that follow, as far as they are fixed."""
    return [
        {"cycle": cycle, **{name: str(amount) for name, amount in _rewards(view, cycle).items()}}
        for cycle in range(view.cycle, view.cycle + view.rules.rights_delay + 1)
    ]


def _rewards(view: View, cycle: int) -> dict[str, int]:
    amounts = issuance.current(view.ledger, view.calendar.parameters, view.rules, cycle)
    return {
        "baking_reward_fixed_portion": amounts.fixed,
        "baking_reward_bonus_per_slot": amounts.bonus,
        "attesting_reward_per_slot": amounts.attesting,
        **({"liquidity_baking_subsidy": amounts.subsidy} if view.rules.is_atlas else {}),
        "seed_nonce_revelation_tip": amounts.tip,
        "vdf_revelation_tip": amounts.delay_tip,
    }


def decimal(rate: Fraction) -> str:
    """A rate with three decimals, rounded down, as upstream writes it."""
    whole, rest = divmod(rate.numerator * 1000 // rate.denominator, 1000)
    return f"{whole}.{rest:03d}"


def exact(rate: Fraction) -> dict[str, str]:
    """A rate as the quotient that it is."""
    return {"numerator": str(rate.numerator), "denominator": str(rate.denominator)}
