"""The constants that stakes, slashing and the issuance of money depend on, as each protocol means them.

A constant that the activation does not give has its value on upstream's sandbox network
(``src/proto_*/lib_parameters/default_parameters.ml``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import attrs

from ..._mavryk.protocol import Protocol
from .parameters import MAX_SLASHING_PERIOD, Parameters, ParametersError, number

WHOLE: Final = 10_000
"""Percentages are parts of this one, as since Boreas; Atlas has parts of a hundred in its parameters."""

FORBIDDING_PERCENTAGE: Final = 5_100
"""What somebody must be slashed by in two cycles to be forbidden in Atlas
(``lib_protocol/forbidden_delegates_storage.ml``, ``should_forbid``)."""

_MOST: Final = 2**63 - 1


@attrs.frozen
class Economy:
    """Amounts are in mumav, delays in cycles, percentages in parts of `WHOLE`."""

    protocol: str
    """Hash of the protocol that applies them."""
    rights_delay: int
    """A stake of the end of one cycle gives rights so many cycles after the next one."""
    minimal_stake: int
    minimal_frozen_stake: int
    delegation_over_baking: int
    """How many times its own deposits a delegate may use of what is not frozen."""
    staking_over_baking: int
    edge_of_staking_over_delegation: int
    double_baking: int
    double_attestation: int
    max_slashing: int
    """For a double attestation or preattestation, with adaptive issuance."""
    max_slashing_threshold: int
    """The slots of the denounced that cost `max_slashing`."""
    autostaking: bool
    delayed: bool
    """Whether a misbehaviour is punished at the end of the cycle after its own, and whether the
    percentage for attesting twice depends on how many did."""
    issuance_votes: bool
    issuance_threshold: int
    issuance_at_once: bool

    @property
    def is_atlas(self) -> bool:
        """Whether the rules are those of Atlas; later protocols share theirs."""
        return self.protocol == Protocol.ATLAS.hash

    @property
    def reward_divisor(self) -> int:
        """Who includes an evidence gets one such part of what the culprit loses."""
        return self.staking_over_baking + 2

    @property
    def vote_contribution(self) -> int:
        """What one block's vote for adaptive issuance moves the average of votes by."""
        return 8_595 if self.is_atlas else 5_730

    @property
    def tolerated_inactivity(self) -> int:
        """How many cycles a delegate may be silent."""
        return 1 + self.rights_delay

    @property
    def issuance_delay(self) -> int:
        """Cycles between the vote for adaptive issuance and its beginning."""
        return 1 + self.rights_delay + MAX_SLASHING_PERIOD


@lru_cache(maxsize=64)
def economy(parameters: Parameters, protocol: str) -> Economy:
    """Give the constants of a chain while ``protocol`` is active.

    Raises:
        ParametersError: one of them is not what it should be.
    """
    raw, atlas = parameters.raw, protocol == Protocol.ATLAS.hash
    of_atlas = "preserved_cycles" in raw or (atlas and "consensus_rights_delay" not in raw)
    # An upgrade of a chain that began with Atlas decides what Atlas did not know
    # (``lib_protocol/raw_context.ml``, ``prepare_first_block``).
    upgraded = of_atlas and not atlas
    whole = 100 if of_atlas else WHOLE

    def percentage(name: str, default: int) -> int:
        return number(raw, name, 0, whole, default=default * whole // WHOLE) * WHOLE // whole

    def flag(name: str, *, default: bool) -> bool:
        value = raw.get(name, default)
        if not isinstance(value, bool):
            raise ParametersError(f"{name} is {value!r}: true or false is needed")
        return value

    delay = number(raw, "preserved_cycles" if of_atlas else "consensus_rights_delay", 0, 255, default=2)
    return Economy(
        protocol=protocol,
        rights_delay=2 if upgraded and delay == 5 else delay,
        minimal_stake=number(raw, "minimal_stake", 0, _MOST),
        minimal_frozen_stake=number(raw, "minimal_frozen_stake", 0, _MOST, default=600_000_000),
        delegation_over_baking=number(raw, "limit_of_delegation_over_baking", 0, 255, default=19),
        staking_over_baking=number(raw, "global_limit_of_staking_over_baking", 0, 255, default=5),
        edge_of_staking_over_delegation=number(raw, "edge_of_staking_over_delegation", 1, 255, default=2),
        double_baking=percentage("percentage_of_frozen_deposits_slashed_per_double_baking", 500),
        double_attestation=percentage("percentage_of_frozen_deposits_slashed_per_double_attestation", 5_000),
        max_slashing=number(raw, "max_slashing_per_block", 0, WHOLE, default=WHOLE),
        max_slashing_threshold=number(
            raw, "max_slashing_threshold", 1, default=101 if protocol == Protocol.ALPHA.hash else 86
        ),
        autostaking=flag("autostaking_enable", default=True),
        delayed=flag("ns_enable", default=True) and not atlas,
        issuance_votes=upgraded or flag("adaptive_issuance_activation_vote_enable", default=not atlas),
        issuance_threshold=0
        if upgraded
        else number(raw, "adaptive_issuance_launch_ema_threshold", 0, default=1_600_000_000 if atlas else 0),
        issuance_at_once=flag("adaptive_issuance_force_activation", default=False),
    )
