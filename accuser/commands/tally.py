"""What an accuser has done, counted from its events over all of its sessions. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import attrs

from .._stream.event import Event
from ..events import AccuserProcessedBlock, BlockSeen

DENOUNCED: Final = {
    f"{kind}_denounced.v0": kind for kind in ("double_baking", "double_attestation", "double_preattestation")
}
"""The kind of double signing that each event tells of."""

NAMES: Final = 200
"""How many names are counted apart, which is more than an accuser has: whoever invents names must
not fill our memory, or that of whoever reads the metrics."""

OTHER: Final = "other"
_BLOCK_SEEN: Final = BlockSeen.NAME.partition("{")[0]


@attrs.define(eq=False, repr=False)
class Tally:
    """Counts. Give `take` every event, and call `note_malformed` for whatever is none."""

    events: Counter[str] = attrs.field(factory=Counter, init=False)
    """By name; events without one, and of too many names, count as ``other``."""
    denunciations: Counter[str] = attrs.field(
        factory=lambda: Counter(dict.fromkeys(DENOUNCED.values(), 0)), init=False
    )
    """By kind."""
    blocks: int = attrs.field(default=0, init=False)
    """How many were processed."""
    blocks_seen: int = attrs.field(default=0, init=False)
    """How many it told of, processed or only seen. Seeing needs events of level ``info``."""
    level: int = attrs.field(default=0, init=False)
    """The highest of a block that was seen; 0 before the first. Needs events of level ``info``."""
    malformed: int = attrs.field(default=0, init=False)
    """Pieces of the stream that were no events."""
    last_event: float = attrs.field(default=0.0, init=False)
    """Time of the newest event, in seconds since the Unix epoch; 0 before the first."""

    def take(self, event: Event) -> None:
        """Count an event, whatever is in it."""
        name = event.name
        self.events[name if name and (name in self.events or len(self.events) < NAMES) else OTHER] += 1
        self.last_event = max(self.last_event, event.timestamp)
        if kind := DENOUNCED.get(name):
            self.denunciations[kind] += 1
        elif name == AccuserProcessedBlock.NAME:
            self.blocks += 1
            self.blocks_seen += 1
        elif name.startswith(_BLOCK_SEEN):
            self.blocks_seen += 1
            self.level = max(self.level, _level(event.value))

    def note_malformed(self) -> None:
        """Count a piece that is no event."""
        self.malformed += 1


def _level(value: Any) -> int:
    try:
        level = value["header"]["level"]
    except (KeyError, TypeError):
        return 0
    return level if isinstance(level, int) else 0
