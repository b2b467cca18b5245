"""Operations: their contents, what their application told, and the forms they have in answers.

Sources: ``lib_protocol/{operation_repr,apply_results,receipt_repr}.ml``. Contracts, rollups and the
data availability layer do not exist here: their tags are unknown.
"""

from __future__ import annotations

from typing import Any, Final

from ..base58 import Kind
from ..fields import ForgeError, Reader
from ..micheline import read, to_bytes
from .receipts import (
    BASIC,
    DELEGATED,
    OF_CONSENSUS,
    OF_DRAINS,
    OF_EVIDENCE,
    OF_NONCES,
    OF_VOTES,
    TRANSFERRED,
    applied,
)
from .records import Case, Field, OfProtocol, Optional, Part, Record, Tagged, Union
from .schema import (
    AMOUNT,
    BIG,
    LEVEL,
    UINT16,
    BinaryError,
    Enum,
    Hex,
    Rest,
    Schema,
    Sized,
    Source,
    Text,
    listed,
    tags,
)
from .words import (
    BLOCK,
    CHAIN,
    CONTRACT,
    ERRORS,
    KEY_HASH,
    NONCE,
    OPERATION,
    PAYLOAD,
    PROTOCOL,
    PUBLIC_KEY,
    RAW_BYTES,
    SHELL,
    SIGNATURE,
    BeforeSignature,
    EndingSignature,
    Hash,
    MaybeErrors,
)

_VOTES: Final = ("on", "off", "pass")
_BALLOTS: Final = Enum(("yay", "nay", "pass"))


class _Votes(Field):
    """The two votes of a block: two bits each of one byte."""

    _FIRST: Final = "liquidity_baking_toggle_vote"
    _SECOND: Final = "adaptive_issuance_vote"

    def __init__(self) -> None:
        super().__init__(self._FIRST, Enum(_VOTES))

    def write(self, fields: dict[str, Any], out: bytearray) -> None:
        """See `Field.write`."""
        try:
            first, second = (_VOTES.index(fields.pop(name)) for name in (self._FIRST, self._SECOND))
        except (KeyError, ValueError) as error:
            raise BinaryError(f"votes: {error}") from error
        out.append(first | second << 2)

    def read(self, source: Source, fields: dict[str, Any]) -> None:
        """See `Field.read`."""
        byte = source.byte()
        first, second = byte & 3, byte >> 2
        if max(first, second) >= len(_VOTES):
            raise BinaryError(f"Unexpected tag {byte}")
        fields[self._FIRST], fields[self._SECOND] = _VOTES[first], _VOTES[second]


UNSIGNED_DATA: Final = (
    Field("payload_hash", PAYLOAD),
    Field("payload_round", LEVEL),
    Field("proof_of_work_nonce", Hex(8)),
    Optional("seed_nonce_hash", NONCE),
    _Votes(),
)
PROTOCOL_DATA: Final = (*UNSIGNED_DATA, Field("signature", SIGNATURE))
FULL_HEADER: Final = (*SHELL, *PROTOCOL_DATA)
"""A header with what the protocol has in it."""

_VOTE_FIELDS: Final = (
    Field("slot", UINT16),
    Field("level", LEVEL),
    Field("round", LEVEL),
    Field("block_payload_hash", PAYLOAD),
)
_DAL_FIELDS: Final = (*_VOTE_FIELDS, Field("dal_attestation", BIG))
_MANAGER: Final = (
    Field("source", KEY_HASH),
    Field("fee", AMOUNT),
    Field("counter", AMOUNT),
    Field("gas_limit", AMOUNT),
    Field("storage_limit", AMOUNT),
)


class _Entrypoint(Schema):
    """The name of what is called: a tag for those that accounts have, else a text."""

    _NAMES: Final = tags(
        enumerate(
            (
                *("default", "root", "do", "set_delegate", "remove_delegate", "deposit"),
                *("stake", "unstake", "finalize_unstake", "set_delegate_parameters"),
            )
        )
    )
    _OTHER: Final = Sized(Text(), width=1)

    def write(self, value: Any, out: bytearray) -> None:
        if value in self._NAMES.tags:
            self._NAMES.write(value, out)
        else:
            out.append(255)
            self._OTHER.write(value, out)

    def read(self, source: Source) -> str:
        if source.position < source.end and source.data[source.position] == 255:
            source.byte()
            return str(self._OTHER.read(source))
        return self._NAMES.read(source)


class _Expression(Schema):
    """A Micheline tree, in a field that has its size."""

    _BYTES: Final = Sized(Hex())

    def write(self, value: Any, out: bytearray) -> None:
        try:
            self._BYTES.write(to_bytes(value).hex(), out)
        except ForgeError as error:
            raise BinaryError(str(error)) from error

    def read(self, source: Source) -> Any:
        reader = Reader(bytes.fromhex(self._BYTES.read(source)), "expression")
        try:
            tree = read(reader)
            reader.end()
        except ForgeError as error:
            raise BinaryError(str(error)) from error
        return tree


_PARAMETERS: Final = Record(Field("entrypoint", _Entrypoint()), Field("value", _Expression()))


def _inlined(*cases: Case) -> Schema:
    return Sized(
        Record(
            Field("branch", BLOCK),
            Field("operations", Union(*cases)),
            EndingSignature(fixed=False),
        )
    )


_PREATTESTATION: Final = Case(20, "preattestation", *_VOTE_FIELDS, former=("preendorsement",))
_ATTESTATION: Final = Case(21, "attestation", *_VOTE_FIELDS, former=("endorsement",))
_WITH_DAL: Final = Case(23, "attestation_with_dal", *_DAL_FIELDS, former=("endorsement_with_dal",))
_ONE: Final = _inlined(_ATTESTATION, _WITH_DAL)
_PRE: Final = _inlined(_PREATTESTATION)
_HEADER: Final = Sized(Record(*FULL_HEADER))

_KINDS: Final[tuple[tuple[Case, Field | None], ...]] = (
    (Case(1, "seed_nonce_revelation", Field("level", LEVEL), Field("nonce", Hex(32))), OF_NONCES),
    (
        Case(
            2,
            "double_attestation_evidence",
            Field("op1", _ONE),
            Field("op2", _ONE),
            former=("double_endorsement_evidence",),
        ),
        OF_EVIDENCE,
    ),
    (Case(3, "double_baking_evidence", Field("bh1", _HEADER), Field("bh2", _HEADER)), OF_EVIDENCE),
    (
        Case(
            5,
            "proposals",
            Field("source", KEY_HASH),
            Field("period", LEVEL),
            Field("proposals", listed(PROTOCOL, 20)),
        ),
        OF_VOTES,
    ),
    (
        Case(
            6,
            "ballot",
            Field("source", KEY_HASH),
            Field("period", LEVEL),
            Field("proposal", PROTOCOL),
            Field("ballot", _BALLOTS),
        ),
        OF_VOTES,
    ),
    (
        Case(
            7,
            "double_preattestation_evidence",
            Field("op1", _PRE),
            Field("op2", _PRE),
            former=("double_preendorsement_evidence",),
        ),
        OF_EVIDENCE,
    ),
    (Case(4, "activate_account", Field("pkh", Hash(Kind.MV1)), Field("secret", Hex(20))), OF_NONCES),
    (
        Case(
            9,
            "drain_delegate",
            Field("consensus_key", KEY_HASH),
            Field("delegate", KEY_HASH),
            Field("destination", KEY_HASH),
        ),
        OF_DRAINS,
    ),
    (Case(17, "failing_noop", Field("arbitrary", RAW_BYTES)), None),
    (_PREATTESTATION, OF_CONSENSUS),
    (_ATTESTATION, OF_CONSENSUS),
    (_WITH_DAL, OF_CONSENSUS),
    (Case(107, "reveal", *_MANAGER, Field("public_key", PUBLIC_KEY)), applied(*BASIC)),
    (
        Case(
            108,
            "transaction",
            *_MANAGER,
            Field("amount", AMOUNT),
            Field("destination", CONTRACT),
            Optional("parameters", _PARAMETERS),
        ),
        applied(Part(Tagged(0, Record(*TRANSFERRED)))),
    ),
    (Case(110, "delegation", *_MANAGER, Optional("delegate", KEY_HASH)), applied(*DELEGATED)),
    (Case(112, "set_deposits_limit", *_MANAGER, Optional("limit", AMOUNT)), applied(*BASIC)),
    (Case(114, "update_consensus_key", *_MANAGER, Field("pk", PUBLIC_KEY)), applied(*BASIC)),
)

CONTENT: Final = Union(*(case for case, _ in _KINDS))
"""What an operation says."""
_TOLD: Final = Union(
    *(
        Case(case.tag, case.word, *case.record.fields, metadata, former=case.former)
        for case, metadata in _KINDS
        if metadata is not None
    )
)

_SIGNED: Final = Part(Sized(Record(Field("contents", BeforeSignature(CONTENT)), EndingSignature(fixed=True))))
_BRANCH: Final = Part(Sized(Record(Field("branch", BLOCK))))

VALIDATED: Final = Record(Field("hash", OPERATION), Field("branch", BLOCK), _SIGNED)
"""An operation of ``pending_operations`` that is fine."""
CLASSIFIED: Final = Record(Field("hash", OPERATION), OfProtocol(), _BRANCH, _SIGNED, Field("error", ERRORS))
"""One that is not."""
UNPROCESSED: Final = Record(Field("hash", OPERATION), OfProtocol(), _BRANCH, _SIGNED)
MONITORED: Final = Record(Field("hash", OPERATION), OfProtocol(), _BRANCH, _SIGNED, MaybeErrors())
"""One in an item of ``monitor_operations``."""
TO_FORGE: Final = Tagged(0, Record(Field("branch", BLOCK), Field("contents", Rest(CONTENT))))
"""What ``helpers/forge/operations`` is asked."""
TO_PREAPPLY: Final = Tagged(0, Record(OfProtocol(), _BRANCH, _SIGNED))
"""An operation that ``helpers/preapply`` is asked to apply."""


class _InBlock(Schema):
    """Contents with their metadata, or without if the node has none any more."""

    _TOLD: Final = Record(Field("contents", listed(_TOLD)), EndingSignature(fixed=False))
    _UNTOLD: Final = Record(Field("contents", BeforeSignature(CONTENT)), EndingSignature(fixed=True))
    _TOO_LARGE: Final = "too large"

    def write(self, value: Any, out: bytearray) -> None:
        contents = value.fields.get("contents")
        if isinstance(contents, list) and any("metadata" in content for content in contents):
            out += b"\x02\x00"
            self._TOLD.write(value, out)
            return
        out.append(0 if value.fields.pop("metadata", None) == self._TOO_LARGE else 1)
        self._UNTOLD.write(value, out)

    def read(self, source: Source) -> dict[str, Any]:
        match source.byte():
            case 2:
                if (tag := source.byte()) == 0:
                    return self._TOLD.read(source)
                if tag == 1:
                    plain = Record(Field("contents", listed(CONTENT)), EndingSignature(fixed=False))
                    return plain.read(source)
            case 1:
                return self._UNTOLD.read(source)
            case 0:
                return {**self._UNTOLD.read(source), "metadata": self._TOO_LARGE}
            case tag:
                pass
        raise BinaryError(f"Unexpected tag {tag}")


IN_BLOCK: Final = Record(
    OfProtocol(), Field("chain_id", CHAIN), Field("hash", OPERATION), _BRANCH, Part(Sized(_InBlock()))
)
"""An operation in the answer for a block."""
