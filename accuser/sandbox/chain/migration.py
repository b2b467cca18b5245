"""From one protocol to the next: who decides it, and what becomes of the state.

Sources: ``src/lib_validation/block_validation.ml`` (``may_patch_protocol``), and of the protocols
``raw_context.ml`` and ``init_storage.ml`` (``prepare_first_block``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from ..._mavryk.protocol import Protocol
from .block import Network
from .issuance import RATIOS
from .parameters import Parameters
from .state import State
from .trace import (
    PERMANENT,
    TEMPORARY,
    failure,
    protocol_error,
    shell_error,
)

KNOWN_PROTOCOLS: Final = {protocol.hash: protocol for protocol in Protocol}

VERSIONS: Final = {
    Protocol.ATLAS: "atlas_001",
    Protocol.BOREAS: "boreas_002",
    Protocol.ALPHA: "alpha_current",
}
"""What each protocol leaves in a ledger, for the next one to see (``constants_repr.ml``)."""

SLOW_BLOCKS: Final = 8
"""From so many seconds a block on, a migration also changes delays and the length of cycles."""


def decided(network: Network, protocol: str, level: int) -> str:
    """The protocol that follows a block of that level, which left ``protocol`` in the ledger.

    An override of the protocol goes before an upgrade at the level.
    """
    return network.overrides.get(protocol) or network.upgrades.get(level, protocol)


def check_known(protocol: str, block: str) -> None:
    """Raise ``NodeError`` for a protocol that the node does not have."""
    if protocol not in KNOWN_PROTOCOLS:
        raise shell_error(TEMPORARY, "validator.unavailable_protocol", block=block, missing_protocol=protocol)


def follow(network: Network, before: str, after: State, level: int, block: str) -> State:
    """The state after a block, with the protocol that its users want, which then takes it over.

    Args:
        network: of the chain; it knows what its users want.
        before: the protocol that made the block.
        after: the state that it leaves.
        level: of the block.
        block: its hash, for errors.

    Raises:
        NodeError: there is no such protocol here, or it does not follow this one.
    """
    protocol = decided(network, after.protocol, level)
    if protocol == before:
        return after if after.protocol == protocol else attrs.evolve(after, protocol=protocol)
    check_known(protocol, block)
    old, new = KNOWN_PROTOCOLS[before], KNOWN_PROTOCOLS[protocol]
    if new.previous is not old:
        found = {"incompatible_protocol_version": VERSIONS[old]}
        raise protocol_error(protocol, PERMANENT, "context.storage_error", found)
    assert after.calendar is not None
    parameters = after.calendar.parameters
    if parameters.minimal_block_delay >= SLOW_BLOCKS:
        raise failure(
            f"The sandbox does not migrate a chain whose blocks take {parameters.minimal_block_delay} "
            f"seconds: from {SLOW_BLOCKS} on, the next protocol would change delays and cycles."
        )
    adopted = attrs.evolve(parameters, raw=constants_after_atlas(parameters, level))
    calendar = attrs.evolve(after.calendar, parameters=adopted, protocol_level=level)
    return attrs.evolve(after.after_atlas(), protocol=protocol, calendar=calendar)


def constants_after_atlas(parameters: Parameters, level: int) -> dict[str, Any]:
    """The parameters that Boreas and alpha make of those of Atlas, at a migration at that level.

    What an activation has left out stays out, but for what the new protocols add.
    """
    raw = dict(parameters.raw)
    preserved = raw.pop("preserved_cycles", 2)
    raw.pop("blocks_per_stake_snapshot", None)
    changed: dict[str, Any] = {
        # Five is what the main network had.
        "consensus_rights_delay": 2 if preserved == 5 else preserved,
        "blocks_preservation_cycles": 1,
        "delegate_parameters_activation_delay": preserved,
        "liquidity_baking_subsidy": "5000000",
        "max_slashing_per_block": 10000,
        "max_slashing_threshold": parameters.rights.committee_size // 3 + 1,
        "dal_parametric": _DAL,
        "adaptive_issuance_launch_ema_threshold": 0,
        "adaptive_issuance_activation_vote_enable": True,
        "adaptive_issuance_force_activation": False,
        "ns_enable": True,
        "direct_ticket_spending_enable": False,
    }
    for name in ("double_baking", "double_attestation"):
        percentage = f"percentage_of_frozen_deposits_slashed_per_{name}"
        if percentage in raw:
            changed[percentage] = 100 * raw[percentage]
    if "issuance_weights" in raw:
        weights = dict(raw["issuance_weights"])
        weights.pop("liquidity_baking_subsidy_weight", None)
        subsidised = int(weights["base_total_issued_per_minute"])
        weights["base_total_issued_per_minute"] = str(max(0, subsidised - 5_000_000))
        changed["issuance_weights"] = weights
    if "smart_rollup_reveal_activation_level" in raw:
        # With the data availability layer, it goes on as if it had always been there.
        active = raw.get("dal_parametric", {}).get("feature_enable", False)
        changed["smart_rollup_reveal_activation_level"] = {
            **raw["smart_rollup_reveal_activation_level"],
            "dal_page": 1 if active else level + 1,
            "dal_parameters": 1 if active else level + 1,
            "dal_attested_slots_validity_lag": 241_920,
        }
    if "adaptive_rewards_params" in raw:
        rewards = dict(raw["adaptive_rewards_params"])
        for replaced in ("issuance_ratio_min", "issuance_ratio_max"):
            rewards.pop(replaced, None)
        changed["adaptive_rewards_params"] = {**rewards, **RATIOS}
    return {**raw, **changed}


_DAL: Final[Mapping[str, object]] = {
    "feature_enable": True,
    "incentives_enable": False,
    "number_of_slots": 32,
    "attestation_lag": 8,
    "attestation_threshold": 66,
    "redundancy_factor": 8,
    "page_size": 3967,
    "slot_size": 126_944,
    "number_of_shards": 512,
}
