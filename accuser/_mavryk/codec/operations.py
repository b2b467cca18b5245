"""Operations: consensus operations, denunciations and votes, and their binary and JSON forms.

The layouts are those of ``lib_protocol/operation_repr.ml`` of each protocol. No other kinds of
operations exist here, and each of these stands alone in its operation.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any, Final, Literal, TypeAlias

import attrs

from .base58 import Kind, encode
from .consensus import CONSENSUS_KINDS, kind_of
from .consensus import CONSENSUS_TAGS as CONSENSUS_TAGS
from .consensus import LEGACY_KINDS as LEGACY_KINDS
from .consensus import Consensus as Consensus
from .consensus import ConsensusKind as ConsensusKind
from .consensus import InlinedConsensus as InlinedConsensus
from .crypto import operation_hash
from .fields import SIGNATURE_SIZE, Fields, ForgeError, Reader, check_size, dynamic, hash_bytes
from .forge import BlockHeader, full_header_from_json, full_header_json
from .votes import BALLOT_TAG, PROPOSALS_TAG, Ballot, Proposals

EvidenceKind: TypeAlias = Literal["double_attestation_evidence", "double_preattestation_evidence"]

EVIDENCE_TAGS: Final[dict[EvidenceKind, int]] = {
    "double_attestation_evidence": 2,
    "double_preattestation_evidence": 7,
}
DOUBLE_BAKING: Final = "double_baking_evidence"
DOUBLE_BAKING_TAG: Final = 3

_EVIDENCE_KINDS: Final = {tag: kind for kind, tag in EVIDENCE_TAGS.items()}


@attrs.frozen
class DoubleBaking:
    """Two headers of one delegate at one level and round."""

    bh1: BlockHeader
    bh2: BlockHeader

    @property
    def kind(self) -> str:
        """The kind's name in JSON."""
        return DOUBLE_BAKING

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first. Raises ``ForgeError`` for headers of another protocol."""
        return {
            "kind": DOUBLE_BAKING,
            "bh1": full_header_json(self.bh1),
            "bh2": full_header_json(self.bh2),
        }

    def to_bytes(self) -> bytes:
        """The tag and the content. Raises ``ForgeError``."""
        return bytes([DOUBLE_BAKING_TAG]) + dynamic(self.bh1.to_bytes()) + dynamic(self.bh2.to_bytes())


@attrs.frozen
class DoubleConsensus:
    """Two consensus operations of one delegate that contradict each other."""

    kind: EvidenceKind
    op1: InlinedConsensus
    op2: InlinedConsensus

    def __attrs_post_init__(self) -> None:
        preattestation = self.kind == "double_preattestation_evidence"
        for name, operation in (("op1", self.op1), ("op2", self.op2)):
            if (operation.content.kind == "preattestation") != preattestation:
                raise ForgeError(name, f"{operation.content.kind} in a {self.kind}")

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first."""
        return {"kind": self.kind, "op1": self.op1.to_json(), "op2": self.op2.to_json()}

    def to_bytes(self) -> bytes:
        """The tag and the content. Raises ``ForgeError``."""
        tag = bytes([EVIDENCE_TAGS[self.kind]])
        return tag + dynamic(self.op1.to_bytes()) + dynamic(self.op2.to_bytes())


Content: TypeAlias = Consensus | DoubleBaking | DoubleConsensus | Proposals | Ballot


@attrs.frozen
class Operation:
    """An operation; ``contents`` has exactly one element."""

    branch: str
    contents: tuple[Content, ...]
    signature: bytes | None = None
    """64 bytes (zeros for a denunciation, which is anonymous), or None for an unsigned one."""

    def __attrs_post_init__(self) -> None:
        if len(self.contents) != 1:
            raise ForgeError("/contents", f"{len(self.contents)} contents where one must be")

    @property
    def content(self) -> Content:
        """The only element of ``contents``."""
        return self.contents[0]

    @property
    def validation_pass(self) -> int:
        """Which list of a block it belongs to: 0 for consensus, 1 for votes, 2 for denunciations."""
        if isinstance(self.content, Consensus):
            return 0
        return 1 if isinstance(self.content, Proposals | Ballot) else 2

    @property
    def inlined(self) -> InlinedConsensus | None:
        """A signed consensus operation in the form of an evidence; None if it is none."""
        if isinstance(self.content, Consensus) and self.signature is not None:
            return InlinedConsensus(self.branch, self.content, self.signature)
        return None

    def unsigned_bytes(self) -> bytes:
        """The binary form without the signature. Raises ``ForgeError``."""
        return hash_bytes(Kind.BLOCK, self.branch, "branch") + self.content.to_bytes()

    def to_bytes(self) -> bytes:
        """The binary form with the signature. Raises ``ForgeError`` if there is none."""
        if self.signature is None:
            raise ForgeError("signature", "missing")
        return self.unsigned_bytes() + check_size(self.signature, SIGNATURE_SIZE, "signature")

    @functools.cached_property
    def hash(self) -> str:
        """The operation's hash. Raises ``ForgeError`` if it is not signed."""
        return operation_hash(self.to_bytes())

    def raw_json(self) -> dict[str, Any]:
        """``{"branch", "data"}``, as blocks carry it. Raises ``ForgeError`` if it is not signed."""
        return {"branch": self.branch, "data": self.to_bytes()[Kind.BLOCK.size :].hex()}

    def to_json(self) -> dict[str, Any]:
        """``{"branch", "contents": [...], "signature"}``, the last only if there is one."""
        value: dict[str, Any] = {
            "branch": self.branch,
            "contents": [content.to_json() for content in self.contents],
        }
        if self.signature is not None:
            value["signature"] = encode(Kind.SIGNATURE, self.signature)
        return value

    @classmethod
    def from_json(cls, value: object, *, ignore: Collection[str] = ()) -> Operation:
        """Read such an object; former names of kinds are taken too.

        Args:
            value: decoded JSON.
            ignore: names of other fields that the object and its contents may have, as
                ``hash``, ``protocol``, ``chain_id``, ``error`` and ``metadata`` in answers.

        Raises:
            ForgeError: a field is missing, unknown, or not what it should be, or the operation
                is of a kind that does not exist here.
        """
        fields = Fields(value)
        branch = fields.hash(Kind.BLOCK, "branch")
        contents = tuple(
            _content_from_json(item, f"/contents/{position}", ignore)
            for position, item in enumerate(fields.items("contents"))
        )
        signature = fields.signature() if fields.has("signature") else None
        fields.end(ignore)
        return cls(branch, contents, signature)

    @classmethod
    def from_bytes(cls, data: bytes, signed: bool = True) -> Operation:
        """Read all of ``data``, with or without a signature at its end. Raises ``ForgeError``."""
        reader = Reader(data, "operation")
        branch = reader.hash(Kind.BLOCK, "branch")
        tag = reader.integer(1, "tag", signed=False)
        content: Content
        if tag in CONSENSUS_KINDS:
            content = Consensus.read(CONSENSUS_KINDS[tag], reader)
        elif tag in _EVIDENCE_KINDS:
            op1, op2 = (InlinedConsensus.read(reader.dynamic(name)) for name in ("op1", "op2"))
            content = DoubleConsensus(_EVIDENCE_KINDS[tag], op1, op2)
        elif tag == DOUBLE_BAKING_TAG:
            bh1, bh2 = (BlockHeader.from_bytes(reader.dynamic(name).rest()) for name in ("bh1", "bh2"))
            content = DoubleBaking(bh1, bh2)
            for header in (bh1, bh2):
                full_header_json(header)
        elif tag == PROPOSALS_TAG:
            content = Proposals.read(reader)
        elif tag == BALLOT_TAG:
            content = Ballot.read(reader)
        else:
            raise reader.fail("tag", f"{tag} is no kind of operation that exists here")
        signature = reader.signature() if signed else None
        reader.end()
        return cls(branch, (content,), signature)


def _content_from_json(value: object, path: str, ignore: Collection[str]) -> Content:
    fields = Fields(value, path)
    kind = kind_of(fields)
    content: Content
    if kind in CONSENSUS_TAGS:
        content = Consensus.from_fields(kind, fields)
    elif kind in EVIDENCE_TAGS:
        op1, op2 = (
            InlinedConsensus.from_json(fields.value(name), path=fields.path(name)) for name in ("op1", "op2")
        )
        content = DoubleConsensus(kind, op1, op2)
    elif kind == DOUBLE_BAKING:
        bh1, bh2 = (
            full_header_from_json(fields.value(name), path=fields.path(name)) for name in ("bh1", "bh2")
        )
        content = DoubleBaking(bh1, bh2)
    elif kind == Proposals.kind:
        content = Proposals.from_fields(fields)
    elif kind == Ballot.kind:
        content = Ballot.from_fields(fields)
    else:
        raise ForgeError(fields.path("kind"), f"{kind[:50]!r} is no kind of operation that exists here")
    fields.end(ignore)
    return content
