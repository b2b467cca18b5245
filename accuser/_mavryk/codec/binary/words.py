"""Values that Mavryk has everywhere: hashes, keys, accounts, signatures, moments, errors."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from ..base58 import (
    Base58Error,
    Kind,
    decode,
    encode,
)
from ..bson import BsonError, decode_any, encode_any
from ..fields import ForgeError
from ..forge import parse_timestamp
from ..keys import Curve
from .records import Field, Record
from .schema import INT64, LEVEL, TEXT, UINT8, UINT16, BinaryError, Hex, Rest, Schema, Sized, Source, listed

_ZEROS: Final = bytes(64)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Hash(Schema):
    """A base58check text of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Final = kind
        self.size: Final = kind.size

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        try:
            out += decode(self.kind, value)
        except (Base58Error, TypeError) as error:
            raise BinaryError(f"no hash of kind {self.kind.name}: {error}") from None

    def read(self, source: Source) -> str:
        """See `Schema.read`."""
        return encode(self.kind, source.take(self.size))


BLOCK: Final = Hash(Kind.BLOCK)
OPERATION: Final = Hash(Kind.OPERATION)
PROTOCOL: Final = Hash(Kind.PROTOCOL)
CONTEXT: Final = Hash(Kind.CONTEXT)
OPERATIONS: Final = Hash(Kind.OPERATION_LIST_LIST)
PAYLOAD: Final = Hash(Kind.PAYLOAD)
NONCE: Final = Hash(Kind.NONCE)
CHAIN: Final = Hash(Kind.CHAIN)
PEER: Final = Hash(Kind.PEER)


class Curved(Schema):
    """A text whose kind, one for each curve, is a tag."""

    def __init__(self, *kinds: tuple[str, Kind]) -> None:
        self.kinds: Final = tuple(kind for _, kind in kinds)
        self.tags: Final = {prefix: tag for tag, (prefix, _) in enumerate(kinds)}

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        if isinstance(value, str):
            for prefix, tag in self.tags.items():
                if value.startswith(prefix):
                    out.append(tag)
                    Hash(self.kinds[tag]).write(value, out)
                    return
        raise BinaryError(f"{str(value)[:50]!r} is of no curve that is known here")

    def read(self, source: Source) -> str:
        """See `Schema.read`."""
        tag = source.byte()
        if tag >= len(self.kinds):
            raise BinaryError(f"Unexpected tag {tag}")
        kind = self.kinds[tag]
        return encode(kind, source.take(kind.size))


KEY_HASH: Final = Curved(*((curve.name_of_hash, curve.hash) for curve in Curve))


PUBLIC_KEY: Final = Curved(*((curve.name_of_key, curve.public) for curve in Curve))


class _Contract(Schema):
    """An implicit account, or a contract that the protocol made."""

    def write(self, value: Any, out: bytearray) -> None:
        if isinstance(value, str) and value.startswith("KT1"):
            out.append(1)
            Hash(Kind.CONTRACT).write(value, out)
            out.append(0)
        else:
            out.append(0)
            KEY_HASH.write(value, out)

    def read(self, source: Source) -> str:
        tag = source.byte()
        if tag == 0:
            return str(KEY_HASH.read(source))
        if tag > 1:
            raise BinaryError(f"Unexpected tag {tag}")
        address = encode(Kind.CONTRACT, source.take(Kind.CONTRACT.size))
        if source.byte():
            raise BinaryError("a byte of padding is not 0")
        return address


CONTRACT: Final = _Contract()

_SIGNATURES: Final = {
    "sig": Kind.SIGNATURE,
    "edsig": Kind.ED25519_SIGNATURE,
    "spsig1": Kind.SECP256K1_SIGNATURE,
    "p2sig": Kind.P256_SIGNATURE,
}


class _Signature(Schema):
    def write(self, value: Any, out: bytearray) -> None:
        for prefix, kind in _SIGNATURES.items():
            if isinstance(value, str) and value.startswith(prefix):
                Hash(kind).write(value, out)
                return
        raise BinaryError(f"{str(value)[:50]!r} is no signature of 64 bytes")

    def read(self, source: Source) -> str:
        return encode(Kind.SIGNATURE, source.take(64))


SIGNATURE: Final = _Signature()


class EndingSignature(Field):
    """The signature that ends an operation.

    Args:
        fixed: its bytes are always there, and are zeros when it is not.
    """

    def __init__(self, *, fixed: bool) -> None:
        super().__init__("signature", SIGNATURE)
        self.fixed: Final = fixed

    def write(self, fields: dict[str, Any], out: bytearray) -> None:
        """See `Field.write`."""
        if "signature" in fields:
            super().write(fields, out)
        elif self.fixed:
            out += _ZEROS

    def read(self, source: Source, fields: dict[str, Any]) -> None:
        """See `Field.read`."""
        if self.fixed or source.position < source.end:
            signature = source.take(64)
            if not self.fixed or signature != _ZEROS:
                fields["signature"] = encode(Kind.SIGNATURE, signature)


class BeforeSignature(Schema):
    """Elements up to the 64 bytes of a signature that end a value."""

    def __init__(self, inner: Schema) -> None:
        self.inner: Final = Rest(inner)

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        self.inner.write(value, out)

    def read(self, source: Source) -> list[Any]:
        """See `Schema.read`."""
        outer, source.end = source.end, source.end - len(_ZEROS)
        if source.end < source.position:
            raise BinaryError("Not enough data")
        values = self.inner.read(source)
        source.end = outer
        return values


class _Timestamp(Schema):
    """A moment in whole seconds; in JSON an RFC 3339 text, or digits outside of its years."""

    def write(self, value: Any, out: bytearray) -> None:
        out += _moment_bytes(value) if isinstance(value, str) else b""
        if not isinstance(value, str):
            raise BinaryError(f"{str(value)[:50]} is no time")

    def read(self, source: Source) -> str:
        return _moment_text(INT64.read(source))


@lru_cache(maxsize=256)
def _moment_bytes(text: str) -> bytes:
    try:
        return parse_timestamp(text).to_bytes(8, "big", signed=True)
    except (ForgeError, OverflowError) as error:
        raise BinaryError(str(error)) from error


@lru_cache(maxsize=256)
def _moment_text(seconds: int) -> str:
    try:
        at = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return str(seconds)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at.year >= 1000 else str(seconds)


TIMESTAMP: Final = _Timestamp()


class _Error(Schema):
    """One error: JSON as BSON."""

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        try:
            out += encode_any(value)
        except BsonError as error:
            raise BinaryError(str(error)) from error

    def read(self, source: Source) -> Any:
        """See `Schema.read`."""
        try:
            return decode_any(source.take(source.end - source.position))
        except BsonError as error:
            raise BinaryError(str(error)) from error


class _Errors(_Error):
    """A trace. Values that are none are replaced, as upstream does."""

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        super().write(trace(value), out)


def trace(value: Any) -> list[Any]:
    """What upstream makes of the body of an error: itself, or an error that says what is wrong."""
    if value == []:
        return [{"kind": "branch", "id": "RPC.Empty_error_list"}]
    if not isinstance(value, list):
        unexpected = "RPC.Unexpected_error_encoding"
        return [{"kind": "branch", "id": unexpected, "unparsable message": value}]
    return value


ERROR: Final = Sized(_Error())
ERRORS: Final = Sized(_Errors())


class MaybeErrors(Field):
    """The error of an operation in the mempool; BSON's null where there is none."""

    def __init__(self) -> None:
        super().__init__("error", ERRORS)

    def write(self, fields: dict[str, Any], out: bytearray) -> None:
        """See `Field.write`."""
        if "error" in fields:
            super().write(fields, out)
        else:
            Sized(Hex()).write(encode_any(None).hex(), out)

    def read(self, source: Source, fields: dict[str, Any]) -> None:
        """See `Field.read`."""
        if (value := self.schema.read(source)) is not None:
            fields["error"] = value


FITNESS: Final = listed(Sized(Hex()))

SHELL: Final[Sequence[Field]] = (
    Field("level", LEVEL),
    Field("proto", UINT8),
    Field("predecessor", BLOCK),
    Field("timestamp", TIMESTAMP),
    Field("validation_pass", UINT8),
    Field("operations_hash", OPERATIONS),
    Field("fitness", FITNESS),
    Field("context", CONTEXT),
)
"""The fields of a header that no protocol interprets."""

RAW_HEADER: Final[Sequence[Field]] = (*SHELL, Field("protocol_data", Hex()))
RAW_OPERATION: Final = Record(Field("branch", BLOCK), Field("data", Hex()))
RAW_BYTES: Final = Sized(Hex())
NAME: Final = TEXT


class Slots(Rest):
    """Numbers of two bytes up to the end. A committee has many, so that all are packed at once."""

    def __init__(self) -> None:
        super().__init__(UINT16)

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        if isinstance(value, list | tuple) and set(map(type, value)) == {int}:
            with suppress(struct.error):
                out += struct.pack(f">{len(value)}H", *value)
                return
        super().write(value, out)  # which says what is wrong, if anything is

    def read(self, source: Source) -> list[Any]:
        """See `Schema.read`."""
        count, part = divmod(source.end - source.position, UINT16.size)
        if part:
            return super().read(source)
        return list(struct.unpack(f">{count}H", source.take(count * UINT16.size)))
