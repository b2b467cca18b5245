"""Operations of every kind that the sandbox knows, and their binary and JSON forms.

The layouts are those of ``lib_protocol/operation_repr.ml`` of each protocol. Rollups, tickets and
the data availability layer have no operations here. Only manager operations come in batches.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any, Final, Literal, TypeAlias

import attrs

from .anonymous import (
    BY_KIND,
    BY_TAG,
    Anonymous,
    FailingNoop,
)
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
from .manager import MANAGER_KINDS, MANAGER_TAGS, Manager
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


Evidence: TypeAlias = DoubleBaking | DoubleConsensus
Content: TypeAlias = Consensus | Evidence | Proposals | Ballot | Anonymous | FailingNoop | Manager


@attrs.frozen
class Operation:
    """An operation; ``contents`` has one element, or several if all are manager operations."""

    branch: str
    contents: tuple[Content, ...]
    signature: bytes | None = None
    """64 bytes (zeros for anonymous operations), or None for an unsigned one."""

    def __attrs_post_init__(self) -> None:
        if not self.contents:
            raise ForgeError("/contents", "0 contents where one must be")
        if len(self.contents) > 1 and not all(isinstance(one, Manager) for one in self.contents):
            reason = "Operation list of length > 1 should only contain manager operations."
            raise ForgeError("/contents", reason)

    @property
    def content(self) -> Content:
        """The first element of ``contents``, which tells what kind of operation it is."""
        return self.contents[0]

    @property
    def managed(self) -> tuple[Manager, ...]:
        """The contents of a manager operation; none if it is of another kind."""
        return tuple(one for one in self.contents if isinstance(one, Manager))

    @property
    def validation_pass(self) -> int:
        """Which list of a block it belongs to.

        0 for consensus, 1 for votes, 2 for anonymous ones, 3 for managers' (``main.ml``). What never
        is in a block counts as of the last pass.
        """
        if isinstance(self.content, Consensus):
            return 0
        if isinstance(self.content, Proposals | Ballot):
            return 1
        return 3 if isinstance(self.content, Manager | FailingNoop) else 2

    @property
    def inlined(self) -> InlinedConsensus | None:
        """A signed consensus operation in the form of an evidence; None if it is none."""
        if isinstance(self.content, Consensus) and self.signature is not None:
            return InlinedConsensus(self.branch, self.content, self.signature)
        return None

    def unsigned_bytes(self) -> bytes:
        """The binary form without the signature. Raises ``ForgeError``."""
        contents = b"".join(content.to_bytes() for content in self.contents)
        return hash_bytes(Kind.BLOCK, self.branch, "branch") + contents

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
        contents = [_read_content(reader)]
        # Nothing tells how many contents a batch has but the signature behind them.
        while isinstance(contents[0], Manager) and reader.left > (SIGNATURE_SIZE if signed else 0):
            contents.append(_read_content(reader))
        signature = reader.signature() if signed else None
        reader.end()
        return cls(branch, tuple(contents), signature)


def _read_content(reader: Reader) -> Content:
    tag = reader.integer(1, "tag", signed=False)
    if tag in CONSENSUS_KINDS:
        return Consensus.read(CONSENSUS_KINDS[tag], reader)
    if tag in _EVIDENCE_KINDS:
        op1, op2 = (InlinedConsensus.read(reader.dynamic(name)) for name in ("op1", "op2"))
        return DoubleConsensus(_EVIDENCE_KINDS[tag], op1, op2)
    if tag == DOUBLE_BAKING_TAG:
        bh1, bh2 = (BlockHeader.from_bytes(reader.dynamic(name).rest()) for name in ("bh1", "bh2"))
        for header in (bh1, bh2):
            full_header_json(header)
        return DoubleBaking(bh1, bh2)
    if tag == PROPOSALS_TAG:
        return Proposals.read(reader)
    if tag == BALLOT_TAG:
        return Ballot.read(reader)
    if tag in MANAGER_TAGS:
        return Manager.read(tag, reader)
    if tag in BY_TAG:
        return BY_TAG[tag].read(reader)
    raise reader.fail("tag", f"{tag} is no kind of operation that exists here")


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
    elif kind in MANAGER_KINDS:
        content = Manager.from_fields(kind, fields)
    elif kind in BY_KIND:
        content = BY_KIND[kind].from_fields(fields)
    else:
        raise ForgeError(fields.path("kind"), f"{kind[:50]!r} is no kind of operation that exists here")
    fields.end(ignore)
    return content
