"""Who may bake and attest: slots of a level, dealt among the delegates.

Every slot is drawn on its own, from a hash of a constant seed, the cycle, the level and the slot,
with chances in proportion to the stakes. The draw is the same in every node. Round ``r`` of a level
is baked by the owner of slot ``r`` modulo the committee size
(``src/proto_002_PtBoreas/lib_protocol/round_repr.ml``, ``to_slot``).
"""

from __future__ import annotations

import bisect
from functools import lru_cache
from itertools import accumulate
from typing import Final

import attrs

from ..._mavryk.codec.crypto import blake2b, public_key_hash

SEED: Final = b"accuser sandbox rights 29"
"""Chosen among its like so that, with the five well-known accounts at equal stakes, ``bootstrap1``
owns slot 0 of level 3: upstream's double-baking scenario needs that round from it."""


@attrs.frozen
class Delegate:
    """An account that may bake. ``stake`` is in mumav."""

    pkh: str
    public_key: str
    """What it bakes and attests with, which need not be the account's own key."""
    stake: int

    @property
    def consensus_pkh(self) -> str:
        """The hash of that key."""
        return _hash(self.public_key)


@lru_cache(maxsize=256)
def _hash(public_key: str) -> str:
    return public_key_hash(public_key)


@attrs.frozen(cache_hash=True)
class Rights:
    """The draw for a set of delegates. With no delegate at all, nobody owns anything."""

    delegates: tuple[Delegate, ...]
    committee_size: int = 256

    def owners(self, level: int, cycle: int) -> tuple[Delegate, ...]:
        """The owner of each slot of a level, in the order of the slots."""
        return _draw(self, level, cycle)

    def owner(self, level: int, cycle: int, slot: int) -> Delegate | None:
        """The owner of one slot; None for a slot that does not exist."""
        owners = self.owners(level, cycle)
        return owners[slot] if 0 <= slot < len(owners) else None

    def baker(self, level: int, cycle: int, round: int) -> Delegate | None:
        """Who may bake that round of that level."""
        return self.owner(level, cycle, round % self.committee_size)

    def slots(self, level: int, cycle: int) -> dict[str, list[int]]:
        """The slots of each delegate that has any, ascending, by public key hash."""
        known = _slots(self, level, cycle)
        return {pkh: list(own) for pkh, own in known.items()}

    def public_key(self, pkh: str) -> str | None:
        """The key of a delegate, if it is one."""
        return next((one.public_key for one in self.delegates if one.pkh == pkh), None)


@lru_cache(maxsize=4096)
def _draw(rights: Rights, level: int, cycle: int) -> tuple[Delegate, ...]:
    delegates = rights.delegates
    bounds = list(accumulate(delegate.stake for delegate in delegates))
    if not bounds or bounds[-1] <= 0:
        return ()
    prefix = SEED + cycle.to_bytes(4, "big") + level.to_bytes(4, "big")
    owners = []
    for slot in range(rights.committee_size):
        number = int.from_bytes(blake2b(prefix + slot.to_bytes(4, "big"), 16), "big")
        owners.append(delegates[bisect.bisect_right(bounds, number % bounds[-1])])
    return tuple(owners)


@lru_cache(maxsize=64)
def _slots(rights: Rights, level: int, cycle: int) -> dict[str, list[int]]:
    slots: dict[str, list[int]] = {}
    for slot, owner in enumerate(_draw(rights, level, cycle)):
        slots.setdefault(owner.pkh, []).append(slot)
    return slots
