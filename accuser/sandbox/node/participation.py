"""How much a delegate has attested in a cycle, and how much it may still miss.

Source: ``lib_protocol/delegate_missed_attestations_storage.ml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

from ..._mavryk.codec.operations import Consensus
from ..chain.block import Block
from ..chain.chain import Chain
from ..chain.economy import Economy
from ..chain.parameters import Calendar
from . import issuance


def of_delegate(
    chain: Chain, block: Block, calendar: Calendar, rules: Economy, pkh: str
) -> dict[str, object]:
    """The participation in the cycle of a block, as its RPC tells it."""
    cycle = calendar.cycle(block.level)
    stakes = {one.pkh: one.stake for one in calendar.rights(cycle).delegates}
    slots = calendar.parameters.blocks_per_cycle * calendar.parameters.rights.committee_size
    expected = stakes.get(pkh, 0) * slots // (sum(stakes.values()) or 1)
    minimal = _minimal(calendar, expected)
    missed = _missed(chain, block, calendar, pkh) if pkh in stakes else []
    left = expected - minimal - sum(missed)
    reward = issuance.rewards(calendar, rules)["attesting_reward_per_slot"] * expected
    return {
        "expected_cycle_activity": expected,
        "minimal_cycle_activity": minimal,
        "missed_slots": sum(missed),
        "missed_levels": len(missed),
        "remaining_allowed_missed_slots": max(0, left),
        "expected_attesting_rewards": str(0 if left < 0 else reward),
    }


def _minimal(calendar: Calendar, expected: int) -> int:
    ratio = calendar.parameters.raw.get("minimal_participation_ratio", {})
    ratio = ratio if isinstance(ratio, Mapping) else {}
    return expected * int(ratio.get("numerator", 2)) // int(ratio.get("denominator", 3))


def _missed(chain: Chain, block: Block, calendar: Calendar, pkh: str) -> list[int]:
    """The slots of each level whose attestation a block of the cycle should have had, and has not."""
    if calendar.ends_cycle(block.level):
        # With the cycle's last block, the next one begins to count.
        return []
    cycle, missed = calendar.cycle(block.level), []
    for each in takewhile(lambda one: calendar.cycle(one.level) == cycle, chain.branch(block)):
        # The block that begins a protocol is not attested.
        if each.level > calendar.protocol_level + 1:
            slots = calendar.slots(each.level - 1).get(pkh, [])
            if slots and not _attested(each, slots[0]):
                missed.append(len(slots))
    return missed


def _attested(block: Block, slot: int) -> bool:
    contents = (operation.content for operation in block.operations[0])
    return any(
        isinstance(one, Consensus) and one.kind != "preattestation" and one.slot == slot for one in contents
    )
