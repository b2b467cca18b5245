"""What was really signed on a network, by whom: what an accuser may denounce, and what not."""

from __future__ import annotations

import attrs

from .._mavryk.codec.operations import Operation
from ..sandbox.chain.block import Block

Deed = tuple[str, str, int, int]
"""``block``, ``attestation`` or ``preattestation``; the delegate; level and round."""


@attrs.define(eq=False)
class Signatures:
    """All of a network."""

    deeds: dict[str, Deed] = attrs.field(factory=dict, init=False)
    """By the hash of the block or operation."""

    def baked(self, below: Block, at_round: int, made: str) -> None:
        """Note a block of that hash."""
        calendar = below.state.calendar
        assert calendar is not None
        baker = calendar.baker(below.level + 1, at_round)
        assert baker is not None
        self.deeds[made] = ("block", baker.pkh, below.level + 1, at_round)

    def voted(self, head: Block, vote: Operation) -> None:
        """Note a vote; other operations are nothing here."""
        inlined, calendar = vote.inlined, head.state.calendar
        if inlined is None or calendar is None:
            return
        about = inlined.content
        owner = calendar.owner(about.level, about.slot)
        kind = "preattestation" if about.kind == "preattestation" else "attestation"
        if owner is not None:
            self.deeds[inlined.hash] = (kind, owner.pkh, about.level, about.round)
