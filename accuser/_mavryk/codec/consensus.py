"""Consensus operations, and their binary and JSON forms (``lib_protocol/operation_repr.ml``)."""

from __future__ import annotations

import functools
from typing import Any, Final, Literal, TypeAlias

import attrs

from .base58 import Kind, encode
from .crypto import Watermark, operation_hash
from .fields import SIGNATURE_SIZE, Fields, ForgeError, Reader, check_size, hash_bytes, integer_bytes
from .forge import INT32_MAX
from .numbers import number_bytes, number_field, read_number

ConsensusKind: TypeAlias = Literal["preattestation", "attestation", "attestation_with_dal"]

CONSENSUS_TAGS: Final[dict[ConsensusKind, int]] = {
    "preattestation": 20,
    "attestation": 21,
    "attestation_with_dal": 23,
}

LEGACY_KINDS: Final = {
    "preendorsement": "preattestation",
    "endorsement": "attestation",
    "endorsement_with_dal": "attestation_with_dal",
    "double_endorsement_evidence": "double_attestation_evidence",
    "double_preendorsement_evidence": "double_preattestation_evidence",
}
"""Former names of kinds, which JSON input may still use."""

CONSENSUS_KINDS: Final = {tag: kind for kind, tag in CONSENSUS_TAGS.items()}


def kind_of(fields: Fields) -> str:
    """The kind of an operation in JSON, by its present name."""
    kind = fields.text("kind")
    return LEGACY_KINDS.get(kind, kind)


@attrs.frozen
class Consensus:
    """A preattestation or attestation."""

    kind: ConsensusKind
    slot: int
    level: int
    round: int
    payload_hash: str
    dal_attestation: int | None = None
    """A set of slots as bits, for ``attestation_with_dal`` and only there."""

    def __attrs_post_init__(self) -> None:
        if (self.kind == "attestation_with_dal") != (self.dal_attestation is not None):
            raise ForgeError("dal_attestation", f"does not fit the kind {self.kind}")

    @property
    def watermark(self) -> Watermark:
        """What it is signed as."""
        return Watermark.PREATTESTATION if self.kind == "preattestation" else Watermark.ATTESTATION

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first."""
        value: dict[str, Any] = {
            "kind": self.kind,
            "slot": self.slot,
            "level": self.level,
            "round": self.round,
            "block_payload_hash": self.payload_hash,
        }
        if self.dal_attestation is not None:
            value["dal_attestation"] = str(self.dal_attestation)
        return value

    @classmethod
    def from_fields(cls, kind: ConsensusKind, fields: Fields) -> Consensus:
        """Take the fields that follow the kind."""
        dal = None
        if kind == "attestation_with_dal":
            dal = number_field(fields, "dal_attestation")
        return cls(
            kind,
            slot=fields.integer("slot", 0, 0xFFFF),
            level=fields.integer("level", 0, INT32_MAX),
            round=fields.integer("round", 0, INT32_MAX),
            payload_hash=fields.hash(Kind.PAYLOAD, "block_payload_hash"),
            dal_attestation=dal,
        )

    def to_bytes(self) -> bytes:
        """The tag and the content. Raises ``ForgeError`` for a value that has no binary form."""
        return b"".join(
            (
                bytes([CONSENSUS_TAGS[self.kind]]),
                integer_bytes(self.slot, 2, "slot", signed=False),
                integer_bytes(self.level, 4, "level"),
                integer_bytes(self.round, 4, "round"),
                hash_bytes(Kind.PAYLOAD, self.payload_hash, "block_payload_hash"),
                b"" if self.dal_attestation is None else number_bytes(self.dal_attestation),
            )
        )

    @classmethod
    def read(cls, kind: ConsensusKind, reader: Reader) -> Consensus:
        """Take the content that follows the tag."""
        slot = reader.integer(2, "slot", signed=False)
        level = reader.integer(4, "level", least=0)
        at_round = reader.integer(4, "round", least=0)
        payload_hash = reader.hash(Kind.PAYLOAD, "block_payload_hash")
        dal = read_number(reader, "dal_attestation") if kind == "attestation_with_dal" else None
        return cls(kind, slot, level, at_round, payload_hash, dal)


@attrs.frozen
class InlinedConsensus:
    """A signed consensus operation, as an evidence carries it."""

    branch: str
    content: Consensus
    signature: bytes
    """64 bytes."""

    def unsigned_bytes(self) -> bytes:
        """What is signed, under the content's watermark. Raises ``ForgeError``."""
        return hash_bytes(Kind.BLOCK, self.branch, "branch") + self.content.to_bytes()

    def to_bytes(self) -> bytes:
        """The binary form, the same as of the operation by itself. Raises ``ForgeError``."""
        return self.unsigned_bytes() + check_size(self.signature, SIGNATURE_SIZE, "signature")

    @classmethod
    def from_bytes(cls, data: bytes) -> InlinedConsensus:
        return cls.read(Reader(data, "operation"))

    @classmethod
    def read(cls, reader: Reader) -> InlinedConsensus:
        """Take all that is left."""
        branch = reader.hash(Kind.BLOCK, "branch")
        tag = reader.integer(1, "tag", signed=False)
        if tag not in CONSENSUS_KINDS:
            raise reader.fail("tag", f"{tag} is no consensus operation")
        return cls(branch, Consensus.read(CONSENSUS_KINDS[tag], reader), reader.signature())

    @functools.cached_property
    def hash(self) -> str:
        return operation_hash(self.to_bytes())

    def to_json(self) -> dict[str, Any]:
        """``{"branch", "operations": {...}, "signature"}``."""
        return {
            "branch": self.branch,
            "operations": self.content.to_json(),
            "signature": encode(Kind.SIGNATURE, self.signature),
        }

    @classmethod
    def from_json(cls, value: object, *, path: str = "") -> InlinedConsensus:
        """Read such an object. Raises ``ForgeError``."""
        fields = Fields(value, path)
        branch = fields.hash(Kind.BLOCK, "branch")
        content = Fields(fields.value("operations"), fields.path("operations"))
        kind = kind_of(content)
        if kind not in CONSENSUS_TAGS:
            raise ForgeError(content.path("kind"), f"{kind[:50]!r} is no consensus operation")
        consensus = Consensus.from_fields(kind, content)
        content.end()
        inlined = cls(branch, consensus, fields.signature())
        fields.end()
        return inlined
