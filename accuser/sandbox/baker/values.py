"""What the automaton of a baker takes in, and what it gives out."""

from __future__ import annotations

import enum
from typing import Literal, TypeAlias

import attrs

from ..._mavryk.codec.operations import Operation
from ..client.delegates import Head

VoteKind = Literal["preattestation", "attestation"]


class Phase(enum.Enum):
    """Where it stands in a round; the values are the names in events (one with upstream's typo)."""

    IDLE = "Idle"
    PREATTESTATIONS = "Awaiting_preattestations"
    APPLICATION = "Awaiting_application"
    ATTESTATIONS = "Awaiting_attestationss"


@attrs.frozen
class Prequorum:
    """Preattestations of enough power for one payload at one round."""

    level: int
    round: int
    payload_hash: str
    votes: tuple[Operation, ...]


@attrs.frozen
class Proposal:
    """A block, as its level's bakers see it."""

    block: Head
    predecessor: Head
    operations: tuple[tuple[Operation, ...], ...] = ()
    """By validation pass."""
    payload_round: int = 0
    prequorum: Prequorum | None = None
    """The one that the block carries, of an earlier round."""

    @property
    def level(self) -> int:
        """That of the block."""
        return self.block.shell.level

    @property
    def payload(self) -> str:
        """The payload's hash; empty for a block of the genesis protocol."""
        return self.block.payload_hash or ""

    @property
    def is_first_of_protocol(self) -> bool:
        """Whether nobody votes for it: it activates, or is made by the protocol before."""
        return self.block.shell.proto != self.predecessor.shell.proto


@attrs.frozen
class Candidate:
    """What votes are counted for."""

    block: str
    level: int
    round: int
    payload_hash: str


@attrs.frozen
class Elected:
    """A block with a quorum: the next level is built on it."""

    proposal: Proposal
    attestations: tuple[Operation, ...]


# What comes in.


@attrs.frozen
class NewProposal:
    """A block was validated by the node, or has become its head (``applied``)."""

    proposal: Proposal
    applied: bool


@attrs.frozen
class QuorumReached:
    """Enough votes of a kind: ``preattestation`` is a prequorum, ``attestation`` a quorum."""

    kind: VoteKind
    candidate: Candidate
    votes: tuple[Operation, ...]


@attrs.frozen
class EndOfRound:
    """A round is over."""

    round: int


@attrs.frozen
class TimeToBake:
    """The next level's block of that round is to be forged."""

    round: int


@attrs.frozen
class SignedVote:
    """A vote of one of ours is signed."""

    kind: VoteKind
    delegate: str
    level: int
    round: int
    payload_hash: str
    operation: Operation


Input: TypeAlias = NewProposal | QuorumReached | EndOfRound | TimeToBake | SignedVote


# What comes out.


@attrs.frozen
class Note:
    """An event: its name, and its value."""

    name: str
    value: object = attrs.field(factory=dict)


@attrs.frozen
class SignVotes:
    """Sign a preattestation and an attestation for each delegate with a slot, if its watermark lets it."""

    proposal: Proposal


@attrs.frozen
class Watch:
    """Count the votes of a kind for a candidate."""

    kind: VoteKind
    candidate: Candidate


@attrs.frozen
class Inject:
    """Hand a vote to the node."""

    vote: SignedVote


@attrs.frozen
class Forge:
    """Make a block.

    Attributes:
        level: of the block to be.
        round: likewise.
        delegate: who bakes it.
        predecessor: block below.
        quorum: attestations of the predecessor that are known to be enough.
        again: the proposal of this level whose operations are taken besides those of the pool.
        prequorum: with it, the payload of ``again`` is proposed again as it is.
    """

    level: int
    round: int
    delegate: str
    predecessor: Head
    quorum: tuple[Operation, ...] = ()
    again: Proposal | None = None
    prequorum: Prequorum | None = None


@attrs.frozen
class Synchronize:
    """Take the present round from the clock: the branch was switched."""

    proposal: Proposal


Action: TypeAlias = Note | SignVotes | Watch | Inject | Forge | Synchronize


@attrs.frozen
class Rights:
    """Who of ours has which slots of a level, by delegate, ascending."""

    slots: dict[str, tuple[int, ...]]
    committee_size: int

    def owner(self, round: int) -> str | None:
        """Who of ours bakes a round."""
        slot = round % self.committee_size
        return next((delegate for delegate, own in self.slots.items() if slot in own), None)

    def first_round(self, earliest: int = 0) -> int | None:
        """The first round from ``earliest`` on that one of ours bakes."""
        rounds = range(earliest, earliest + self.committee_size)
        return next((one for one in rounds if self.owner(one) is not None), None)


NOBODY = Rights({}, 1)
"""The rights of a level where none of ours has a slot."""
