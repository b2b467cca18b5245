"""What was really signed on a network, by whom: what an accuser may denounce, and what not."""

from __future__ import annotations

from typing import Final

import attrs

from .._mavryk.codec.operations import Operation
from ..sandbox.chain.block import Block

BY_HAND: Final = ""
"""The source of what a step of the schedule signs; others are the directories of bakers."""

Deed = tuple[str, str, int, int]
"""``block``, ``attestation`` or ``preattestation``; the delegate; level and round."""


@attrs.define(eq=False, repr=False)
class Signatures:
    """All of a network."""

    deeds: dict[str, Deed] = attrs.field(factory=dict, init=False)
    """By the hash of the block or operation."""
    sources: dict[str, str] = attrs.field(factory=dict, init=False)
    """Who signed it first, by the same."""

    def baked(self, below: Block, at_round: int, made: str, source: str) -> None:
        """Note a block of that hash."""
        self.sources.setdefault(made, source)
        calendar = below.state.calendar
        assert calendar is not None
        baker = calendar.baker(below.level + 1, at_round)
        assert baker is not None
        self.deeds[made] = ("block", baker.pkh, below.level + 1, at_round)

    def voted(self, head: Block, vote: Operation, source: str) -> None:
        """Note a vote; other operations are nothing here."""
        inlined, calendar = vote.inlined, head.state.calendar
        if inlined is None or calendar is None:
            return
        about = inlined.content
        owner = calendar.owner(about.level, about.slot)
        kind = "preattestation" if about.kind == "preattestation" else "attestation"
        self.sources.setdefault(inlined.hash, source)
        if owner is not None:
            self.deeds[inlined.hash] = (kind, owner.pkh, about.level, about.round)
