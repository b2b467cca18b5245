"""The operations that a baker knows, and the votes that it counts for a candidate. Pure.

As ``lib_delegate/operation_worker.ml`` does it: a flush of the node's mempool empties the pool, but
not the count of the votes that are watched; attestations stay for a while, for the next block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from ..._mavryk.codec.operations import Consensus, Operation
from .values import Candidate, Note, QuorumReached, VoteKind

KEPT_ROUNDS = 5
"""How many rounds back attestations are kept."""


@attrs.define(eq=False, repr=False)
class Pool:
    """Operations by hash, and one count.

    Args:
        threshold: slots that make a quorum.
    """

    threshold: int
    operations: dict[str, Operation] = attrs.field(factory=dict)
    """Those of the node's mempool since its last flush."""
    _kept: dict[str, Operation] = attrs.field(factory=dict)
    _kind: VoteKind = "preattestation"
    _candidate: Candidate | None = None
    _powers: Mapping[int, int] = attrs.field(factory=dict)
    _votes: dict[int, Operation] = attrs.field(factory=dict)
    """Those that count, by slot."""

    def flush(self) -> None:
        """Forget the mempool: the node has a new head."""
        self.operations.clear()

    def add(self, batch: Iterable[Operation]) -> list[Note | QuorumReached]:
        """Take operations of the mempool."""
        fresh = [operation for operation in batch if operation.hash not in self.operations]
        for operation in fresh:
            self.operations[operation.hash] = operation
            if _attests(operation):
                self._keep(operation)
        return self._count(fresh)

    def watch(
        self, kind: VoteKind, candidate: Candidate, powers: Mapping[int, int]
    ) -> list[Note | QuorumReached]:
        """Begin to count votes.

        Args:
            kind: of the votes.
            candidate: what they are for.
            powers: how many slots each delegate of the level has, by its first slot.
        """
        self._kind, self._candidate, self._powers, self._votes = kind, candidate, powers, {}
        return self._count([*self.operations.values(), *self._kept.values()], first=True)

    def _count(self, operations: Iterable[Operation], *, first: bool = False) -> list[Note | QuorumReached]:
        candidate = self._candidate
        if candidate is None:
            return []
        before = self._power()
        count = 0
        for operation in operations:
            content = operation.content
            if not isinstance(content, Consensus) or _kind(content) != self._kind:
                continue
            if (content.round, content.payload_hash) != (candidate.round, candidate.payload_hash):
                continue
            if content.slot in self._powers and content.slot not in self._votes:
                self._votes[content.slot] = operation
                count += 1
        power, name = self._power(), f"{self._kind}s"
        if power >= self.threshold:
            self._candidate = None
            told = Note(
                "pqc_reached" if self._kind == "preattestation" else "qc_reached",
                {"voting_power": power, name: len(self._votes)},
            )
            return [told, QuorumReached(self._kind, candidate, tuple(self._votes.values()))]
        if count == 0 and not first:
            return []
        value = {
            "count": count,
            "delta_power": power - before,
            "voting_power": power,
            name: len(self._votes),
        }
        return [Note(f"{name}_received", value)]

    def _power(self) -> int:
        return sum(self._powers[slot] for slot in self._votes)

    def _keep(self, operation: Operation) -> None:
        self._kept[operation.hash] = operation
        newest = max(_place(one) for one in self._kept.values())
        for name, one in tuple(self._kept.items()):
            level, at_round = _place(one)
            if level < newest[0] - 1 or (level == newest[0] and at_round < newest[1] - KEPT_ROUNDS):
                del self._kept[name]

    def for_block(self, elected: Iterable[Operation] = ()) -> list[Operation]:
        """What a block may be made of: the pool, the kept attestations, and those of the quorum."""
        known = dict(self.operations)
        for operation in (*self._kept.values(), *elected):
            known.setdefault(operation.hash, operation)
        return list(known.values())


def _kind(content: Consensus) -> VoteKind:
    return "preattestation" if content.kind == "preattestation" else "attestation"


def _attests(operation: Operation) -> bool:
    content = operation.content
    return isinstance(content, Consensus) and content.kind != "preattestation"


def _place(operation: Operation) -> tuple[int, int]:
    content = operation.content
    assert isinstance(content, Consensus)
    return content.level, content.round
