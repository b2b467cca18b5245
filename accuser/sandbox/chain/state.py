"""What a block leaves behind for those that follow it: the part of a ledger that matters here."""

from __future__ import annotations

from typing import Final

import attrs

from ..._mavryk.codec.forge import FITNESS_VERSION
from ..._mavryk.protocol import Protocol
from .amendment import Amendment
from .ledger import Ledger
from .misbehaviour import Misbehaviour, MisbehaviourKind
from .parameters import MAX_SLASHING_PERIOD, Calendar


@attrs.frozen(eq=False)
class State:
    """The state after a block. It is immutable; each branch has its own."""

    protocol: str
    """Hash of the protocol that makes the next block."""
    calendar: Calendar | None = None
    """None before the first activation."""
    denounced: frozenset[Misbehaviour] = frozenset()
    ledger: Ledger = attrs.field(factory=Ledger)
    """Empty before the first activation."""
    amendment: Amendment = attrs.field(factory=Amendment)

    def is_forbidden(self, pkh: str) -> bool:
        """Whether a delegate may not bake, preattest or attest in the next block."""
        return pkh in self.ledger.forbidden

    def is_denounced(self, misbehaviour: Misbehaviour) -> bool:
        """Whether an evidence of it is in the chain already."""
        key = memory_key(self.protocol, misbehaviour)
        if key in self.denounced:
            return True
        # What Atlas remembered has lost its round (``already_denounced_storage.ml``).
        of_before = self.calendar is not None and misbehaviour.level < self.calendar.protocol_level
        return of_before and attrs.evolve(key, round=0) in self.denounced

    def after_atlas(self) -> State:
        """The state with Atlas's memory as its successors take it over, whatever they then know.

        Everything has been in round 0, and who was denounced for one kind of vote was for both
        (``migrate_already_denounced_from_Atlas``).
        """
        known = {attrs.evolve(one, round=0) for one in self.denounced}
        known |= {attrs.evolve(one, kind="preattestation") for one in known if one.kind == "attestation"}
        return attrs.evolve(self, denounced=frozenset(known))

    def with_denounced(self, misbehaviours: list[Misbehaviour], level: int) -> State:
        """The state after a block of that level with evidence of these."""
        if not misbehaviours or self.calendar is None:
            return self
        cycle = self.calendar.cycle
        kept = {known for known in self.denounced if cycle(known.level) + MAX_SLASHING_PERIOD >= cycle(level)}
        kept.update(memory_key(self.protocol, misbehaviour) for misbehaviour in misbehaviours)
        return attrs.evolve(self, denounced=frozenset(kept))


def memory_key(protocol: str, misbehaviour: Misbehaviour) -> Misbehaviour:
    """What the ledger remembers of a misbehaviour.

    Atlas forgets the round, and whether an operation was an attestation or a preattestation
    (``already_slashed_for_double_attesting``); later protocols keep both.
    """
    if protocol != Protocol.ATLAS.hash:
        return misbehaviour
    kind: MisbehaviourKind = "block" if misbehaviour.kind == "block" else "attestation"
    return attrs.evolve(misbehaviour, round=None, kind=kind)


@attrs.frozen
class Fitness:
    """A fitness taken apart (``lib_protocol/fitness_repr.ml``)."""

    level: int
    locked_round: int | None
    predecessor_round: int
    round: int

    @classmethod
    def parse(cls, raw: tuple[bytes, ...]) -> Fitness | None:
        """None where upstream says ``invalid_fitness``."""
        if len(raw) != 5 or raw[0] != FITNESS_VERSION or len(raw[2]) not in (0, _SIZE):
            return None
        if any(len(raw[index]) != _SIZE for index in (1, 3, 4)):
            return None
        level, locked, negated, at_round = (int.from_bytes(item, "big", signed=True) for item in raw[1:])
        predecessor_round = -1 - negated
        locked_round = locked if raw[2] else None
        if level < 0 or predecessor_round < 0 or at_round < 0 or (locked_round or 0) < 0:
            return None
        if locked_round is not None and locked_round >= at_round:
            return None
        return cls(level, locked_round, predecessor_round, at_round)


_SIZE: Final = 4


def round_of(raw: tuple[bytes, ...]) -> int:
    """The round of a block's fitness; 0 for the genesis block, which has none."""
    parsed = Fitness.parse(raw)
    return parsed.round if parsed is not None else 0
