"""The operations that amend the protocol: proposals and ballots (``lib_protocol/operation_repr.ml``)."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import attrs

from .base58 import Base58Error, Kind, decode
from .fields import (
    Fields,
    ForgeError,
    Reader,
    dynamic,
    hash_bytes,
    integer_bytes,
)
from .forge import INT32_MAX

PROPOSALS_TAG: Final = 5
BALLOT_TAG: Final = 6
MAX_PROPOSALS: Final = 20

BallotText: TypeAlias = Literal["yay", "nay", "pass"]
BALLOTS: Final[tuple[BallotText, ...]] = ("yay", "nay", "pass")
"""In the order of their numbers in the binary form."""

_HASHES: Final = (Kind.MV1, Kind.MV2, Kind.MV3, Kind.MV4)


@attrs.frozen
class Proposals:
    """Protocols that a delegate proposes in a voting period."""

    source: str
    period: int
    proposals: tuple[str, ...]

    kind = "proposals"

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first."""
        proposals = list(self.proposals)
        return {"kind": self.kind, "source": self.source, "period": self.period, "proposals": proposals}

    def to_bytes(self) -> bytes:
        """The tag and the content. Raises ``ForgeError``."""
        hashes = b"".join(hash_bytes(Kind.PROTOCOL, one, "proposals") for one in self.proposals)
        return bytes([PROPOSALS_TAG]) + _head(self.source, self.period) + dynamic(hashes)

    @classmethod
    def from_fields(cls, fields: Fields) -> Proposals:
        """Take the fields that follow the kind. Raises ``ForgeError``."""
        source, period = _head_fields(fields)
        proposals = fields.items("proposals")
        for proposal in proposals:
            hash_bytes(Kind.PROTOCOL, proposal if isinstance(proposal, str) else "", "proposals")
        return cls(source, period, tuple(map(str, proposals)))

    @classmethod
    def read(cls, reader: Reader) -> Proposals:
        """Take the content that follows the tag. Raises ``ForgeError``."""
        source, period = _read_head(reader)
        items, proposals = reader.dynamic("proposals"), []
        while items.left:
            proposals.append(items.hash(Kind.PROTOCOL, "proposal"))
        if len(proposals) > MAX_PROPOSALS:
            raise reader.fail("proposals", f"{len(proposals)} are more than {MAX_PROPOSALS}")
        return cls(source, period, tuple(proposals))


@attrs.frozen
class Ballot:
    """What a delegate thinks of the proposal that is voted on."""

    source: str
    period: int
    proposal: str
    ballot: BallotText

    kind = "ballot"

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first."""
        return {"kind": self.kind, **attrs.asdict(self)}

    def to_bytes(self) -> bytes:
        """The tag and the content. Raises ``ForgeError``."""
        proposal = hash_bytes(Kind.PROTOCOL, self.proposal, "proposal")
        return bytes([BALLOT_TAG]) + _head(self.source, self.period) + proposal + bytes([self._number])

    @property
    def _number(self) -> int:
        return BALLOTS.index(self.ballot)

    @classmethod
    def from_fields(cls, fields: Fields) -> Ballot:
        """Take the fields that follow the kind. Raises ``ForgeError``."""
        source, period = _head_fields(fields)
        proposal, ballot = fields.hash(Kind.PROTOCOL, "proposal"), fields.text("ballot")
        if ballot not in BALLOTS:
            raise ForgeError(fields.path("ballot"), f"{ballot[:50]!r} is none of {', '.join(BALLOTS)}")
        return cls(source, period, proposal, ballot)

    @classmethod
    def read(cls, reader: Reader) -> Ballot:
        """Take the content that follows the tag. Raises ``ForgeError``."""
        source, period = _read_head(reader)
        proposal = reader.hash(Kind.PROTOCOL, "proposal")
        number = reader.integer(1, "ballot", signed=False)
        if number >= len(BALLOTS):
            raise reader.fail("ballot", f"{number} is no ballot")
        return cls(source, period, proposal, BALLOTS[number])


Vote: TypeAlias = Proposals | Ballot


def _head(source: str, period: int) -> bytes:
    for tag, kind in enumerate(_HASHES):
        try:
            return bytes([tag]) + decode(kind, source) + integer_bytes(period, 4, "period")
        except Base58Error:
            continue
    raise ForgeError("source", f"{source[:50]!r} is no public key hash")


def _head_fields(fields: Fields) -> tuple[str, int]:
    source, period = fields.text("source"), fields.integer("period", 0, INT32_MAX)
    _head(source, period)
    return source, period


def _read_head(reader: Reader) -> tuple[str, int]:
    tag = reader.integer(1, "source", signed=False)
    if tag >= len(_HASHES):
        raise reader.fail("source", f"{tag} is no kind of key")
    return reader.hash(_HASHES[tag], "source"), reader.integer(4, "period", least=0)
