"""What an accuser has to remember, by upstream's rules; the judge's own copy of it."""

from __future__ import annotations

from typing import NamedTuple

import attrs

from .._mavryk.codec.consensus import InlinedConsensus


class Recorded(NamedTuple):
    """A vote, and the hash of the evidence that it was last part of."""

    operation: InlinedConsensus
    denounced: str | None


@attrs.define(eq=False, repr=False)
class Memory:
    """Whoever preserves P levels forgets what lies more than P below the highest, now and then."""

    preserved: int
    chain_id: str = ""
    highest: int = 0
    blocks: dict[tuple[str, int, int, str], str] = attrs.field(factory=dict)
    """By chain, level, round and baker: the last block of these."""
    votes: dict[tuple[str, int, int, str, bool], Recorded] = attrs.field(factory=dict)
    """By chain, level, round, consensus key and whether it preattests: the last such vote."""
    rights: dict[int, dict[int, str]] = attrs.field(factory=dict)
    """By level, the oldest first: who owns a slot."""
    _blocks_until_cleaning: int = attrs.field(
        default=attrs.Factory(lambda self: self._pause, takes_self=True)
    )

    @property
    def _pause(self) -> int:
        return max(1, self.preserved // 10)

    def copy(self) -> Memory:
        """One that changes by itself."""
        return attrs.evolve(self, blocks=dict(self.blocks), votes=dict(self.votes), rights=dict(self.rights))

    def reached(self, level: int) -> None:
        """A block of that level was taken."""
        self.highest = max(self.highest, level)

    def learn(self, level: int, rights: dict[int, str]) -> None:
        """Keep the rights of a level; of so many levels, the first one asked for goes."""
        while len(self.rights) >= self.preserved + 2:
            del self.rights[next(iter(self.rights))]
        self.rights[level] = rights

    def clean(self) -> bool:
        """A block is done with: forget what is old, if it is time; whether it was."""
        self._blocks_until_cleaning -= 1
        if self._blocks_until_cleaning >= 0:
            return False
        self._blocks_until_cleaning = self._pause
        least = self.highest - self.preserved
        self.blocks = {key: value for key, value in self.blocks.items() if key[1] >= least}
        self.votes = {key: value for key, value in self.votes.items() if key[1] >= least}
        return True
