"""Block headers: values, and their binary and JSON forms.

A header is a shell part, which the node understands, and protocol data, which only the protocol
does. The layouts are those of ``src/lib_base/block_header.ml`` and
``src/proto_002_PtBoreas/lib_protocol/block_header_repr.ml``, the same in the three protocols.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import attrs

from .base58 import Kind, encode
from .crypto import block_hash
from .fields import (
    SIGNATURE_SIZE,
    Fields,
    ForgeError,
    Reader,
    check_size,
    dynamic,
    hash_bytes,
    integer_bytes,
)

INT32_MAX: Final = 2**31 - 1
FITNESS_VERSION: Final = b"\x02"
VOTES: Final = ("on", "off", "pass")
"""What a baker can say in a per-block vote, by its number in the binary form."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d):?(\d\d))", re.ASCII
)


def rfc3339(seconds: int) -> str:
    """A time in seconds since the epoch as ``2025-08-15T12:00:09Z``.

    A time outside the years 1 to 9999 is written as the number itself.
    """
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return str(seconds)


def parse_timestamp(text: str) -> int:
    """Seconds since the epoch of an RFC 3339 time, or of a number of seconds in decimal digits.

    Fractions of a second are dropped. Raises ``ForgeError`` for any other text.
    """
    if match := _RFC3339.fullmatch(text):
        year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
        shift = 0
        if match[7]:
            shift = (int(match[8]) * 60 + int(match[9])) * 60 * (1 if match[7] == "+" else -1)
        if hour < 24 and minute < 60 and second <= 60:
            try:
                days = date(year, month, day).toordinal() - _EPOCH_DAY
            except ValueError:
                raise ForgeError("timestamp", f"{text!r} is no date") from None
            return ((days * 24 + hour) * 60 + minute) * 60 + second - shift
    elif re.fullmatch(r"-?\d{1,19}", text, re.ASCII) and -(2**63) <= int(text) < 2**63:
        return int(text)
    raise ForgeError("timestamp", f"{text[:50]!r} is neither an RFC 3339 time nor a number of seconds")


def fitness(level: int, locked_round: int | None, predecessor_round: int, round: int) -> tuple[bytes, ...]:
    """The fitness of a block (``lib_protocol/fitness_repr.ml``).

    Raises:
        ForgeError: the locked round is not below the round, or a number does not fit.
    """
    if locked_round is not None and locked_round >= round:
        raise ForgeError("fitness", f"locked round {locked_round} is not below round {round}")
    return (
        FITNESS_VERSION,
        integer_bytes(level, 4, "level"),
        b"" if locked_round is None else integer_bytes(locked_round, 4, "locked_round"),
        integer_bytes(-1 - predecessor_round, 4, "predecessor_round"),
        integer_bytes(round, 4, "round"),
    )


def fitness_round(value: tuple[bytes, ...]) -> int:
    """The round that a fitness tells; 0 for one of the genesis protocol.

    Raises:
        ForgeError: it has not the form of a fitness.
    """
    if not value or (len(value) == 2 and value[0] < FITNESS_VERSION):
        return 0
    if len(value) != 5 or value[0] != FITNESS_VERSION or len(value[4]) != 4:
        raise ForgeError("fitness", "not the fitness of a block")
    result = int.from_bytes(value[4], "big", signed=True)
    if result < 0:
        raise ForgeError("fitness", f"negative round {result}")
    return result


def fitness_key(value: tuple[bytes, ...]) -> tuple[int, tuple[tuple[int, bytes], ...]]:
    """A key by which fitnesses compare as in ``src/lib_base/fitness.ml``: shorter is less."""
    return len(value), tuple((len(item), item) for item in value)


@attrs.frozen
class ShellHeader:
    """The part of a header that does not depend on the protocol."""

    level: int
    proto: int
    """How many times the protocol has changed."""
    predecessor: str
    timestamp: int
    """Seconds since the epoch."""
    validation_pass: int
    """How many lists of operations the block has."""
    operations_hash: str
    fitness: tuple[bytes, ...]
    context: str

    def to_json(self) -> dict[str, Any]:
        """The eight fields, in upstream's order."""
        return {
            "level": self.level,
            "proto": self.proto,
            "predecessor": self.predecessor,
            "timestamp": rfc3339(self.timestamp),
            "validation_pass": self.validation_pass,
            "operations_hash": self.operations_hash,
            "fitness": [item.hex() for item in self.fitness],
            "context": self.context,
        }

    @classmethod
    def from_json(cls, value: object, *, ignore: Collection[str] = ()) -> ShellHeader:
        """Read such an object. Raises ``ForgeError``, for unknown fields too, unless ignored."""
        fields = Fields(value)
        shell = cls.from_fields(fields)
        fields.end(ignore)
        return shell

    @classmethod
    def from_fields(cls, fields: Fields) -> ShellHeader:
        """Take the eight fields of an object that may have others."""
        try:
            timestamp = parse_timestamp(fields.text("timestamp"))
        except ForgeError as error:
            raise ForgeError(fields.path("timestamp"), error.reason) from None
        return cls(
            level=fields.integer("level", -INT32_MAX - 1, INT32_MAX),
            proto=fields.integer("proto", 0, 255),
            predecessor=fields.hash(Kind.BLOCK, "predecessor"),
            timestamp=timestamp,
            validation_pass=fields.integer("validation_pass", 0, 255),
            operations_hash=fields.hash(Kind.OPERATION_LIST_LIST, "operations_hash"),
            fitness=fields.hex_items("fitness"),
            context=fields.hash(Kind.CONTEXT, "context"),
        )

    def to_bytes(self) -> bytes:
        """The binary form. Raises ``ForgeError`` for a value that has none."""
        return b"".join(
            (
                integer_bytes(self.level, 4, "level"),
                integer_bytes(self.proto, 1, "proto", signed=False),
                hash_bytes(Kind.BLOCK, self.predecessor, "predecessor"),
                integer_bytes(self.timestamp, 8, "timestamp"),
                integer_bytes(self.validation_pass, 1, "validation_pass", signed=False),
                hash_bytes(Kind.OPERATION_LIST_LIST, self.operations_hash, "operations_hash"),
                dynamic(b"".join(dynamic(item) for item in self.fitness)),
                hash_bytes(Kind.CONTEXT, self.context, "context"),
            )
        )

    @classmethod
    def read(cls, reader: Reader) -> ShellHeader:
        """Take a shell header from a binary value. Raises ``ForgeError``."""
        level = reader.integer(4, "level")
        proto = reader.integer(1, "proto", signed=False)
        predecessor = reader.hash(Kind.BLOCK, "predecessor")
        timestamp = reader.integer(8, "timestamp")
        validation_pass = reader.integer(1, "validation_pass", signed=False)
        operations_hash = reader.hash(Kind.OPERATION_LIST_LIST, "operations_hash")
        items = reader.dynamic("fitness")
        fitness = []
        while items.left:
            fitness.append(items.dynamic("item").rest())
        context = reader.hash(Kind.CONTEXT, "context")
        return cls(
            level, proto, predecessor, timestamp, validation_pass, operations_hash, tuple(fitness), context
        )


@attrs.frozen
class ProtocolData:
    """The part of a header that the three protocols understand."""

    payload_hash: str
    payload_round: int
    proof_of_work_nonce: bytes
    """8 bytes."""
    seed_nonce_hash: str | None
    liquidity_baking_toggle_vote: str
    """``on``, ``off`` or ``pass``, as the other vote."""
    adaptive_issuance_vote: str
    signature: bytes
    """64 bytes."""

    def unsigned_bytes(self) -> bytes:
        """The binary form without the signature. Raises ``ForgeError``."""
        seed = b"\x00"
        if self.seed_nonce_hash is not None:
            seed = b"\xff" + hash_bytes(Kind.NONCE, self.seed_nonce_hash, "seed_nonce_hash")
        votes = (
            _vote(self.liquidity_baking_toggle_vote, "liquidity_baking_toggle_vote")
            | _vote(self.adaptive_issuance_vote, "adaptive_issuance_vote") << 2
        )
        return b"".join(
            (
                hash_bytes(Kind.PAYLOAD, self.payload_hash, "payload_hash"),
                integer_bytes(self.payload_round, 4, "payload_round"),
                check_size(self.proof_of_work_nonce, 8, "proof_of_work_nonce"),
                seed,
                bytes([votes]),
            )
        )

    def to_bytes(self) -> bytes:
        """The binary form. Raises ``ForgeError`` for a value that has none."""
        return self.unsigned_bytes() + check_size(self.signature, SIGNATURE_SIZE, "signature")

    @classmethod
    def from_bytes(cls, data: bytes) -> ProtocolData:
        reader = Reader(data, "protocol_data")
        payload_hash = reader.hash(Kind.PAYLOAD, "payload_hash")
        payload_round = reader.integer(4, "payload_round", least=0)
        nonce = reader.take(8, "proof_of_work_nonce")
        presence = reader.integer(1, "seed_nonce_hash", signed=False)
        if presence not in (0, 0xFF):
            raise reader.fail("seed_nonce_hash", f"presence byte {presence:#04x}")
        seed = reader.hash(Kind.NONCE, "seed_nonce_hash") if presence else None
        votes = reader.integer(1, "votes", signed=False)
        liquidity_baking, adaptive_issuance = votes & 3, votes >> 2
        if liquidity_baking >= len(VOTES) or adaptive_issuance >= len(VOTES):
            raise reader.fail("votes", f"unknown votes {votes:#04x}")
        return cls(
            payload_hash,
            payload_round,
            nonce,
            seed,
            VOTES[liquidity_baking],
            VOTES[adaptive_issuance],
            reader.signature(),
        )

    def to_json(self) -> dict[str, Any]:
        """The fields as in the answer to ``/header``; no seed nonce hash is no field."""
        value: dict[str, Any] = {
            "payload_hash": self.payload_hash,
            "payload_round": self.payload_round,
            "proof_of_work_nonce": self.proof_of_work_nonce.hex(),
        }
        if self.seed_nonce_hash is not None:
            value["seed_nonce_hash"] = self.seed_nonce_hash
        value["liquidity_baking_toggle_vote"] = self.liquidity_baking_toggle_vote
        value["adaptive_issuance_vote"] = self.adaptive_issuance_vote
        value["signature"] = encode(Kind.SIGNATURE, self.signature)
        return value

    @classmethod
    def from_json(cls, value: object, *, ignore: Collection[str] = ()) -> ProtocolData:
        """Read such an object. Raises ``ForgeError``, for unknown fields too, unless ignored."""
        fields = Fields(value)
        data = cls.from_fields(fields)
        fields.end(ignore)
        return data

    @classmethod
    def from_fields(cls, fields: Fields) -> ProtocolData:
        """Take these fields of an object that may have others."""
        votes = []
        for name in ("liquidity_baking_toggle_vote", "adaptive_issuance_vote"):
            vote = fields.text(name)
            _vote(vote, fields.path(name))
            votes.append(vote)
        nonce = fields.hex("proof_of_work_nonce")
        check_size(nonce, 8, fields.path("proof_of_work_nonce"))
        return cls(
            payload_hash=fields.hash(Kind.PAYLOAD, "payload_hash"),
            payload_round=fields.integer("payload_round", 0, INT32_MAX),
            proof_of_work_nonce=nonce,
            seed_nonce_hash=(
                fields.hash(Kind.NONCE, "seed_nonce_hash") if fields.has("seed_nonce_hash") else None
            ),
            liquidity_baking_toggle_vote=votes[0],
            adaptive_issuance_vote=votes[1],
            signature=fields.signature(),
        )


@attrs.frozen
class BlockHeader:
    """A whole header, with its signature."""

    shell: ShellHeader
    protocol_data: bytes
    """As the protocol wrote it, signature included; not interpreted."""

    def to_bytes(self) -> bytes:
        """The binary form. Raises ``ForgeError`` for a value that has none."""
        return self.shell.to_bytes() + self.protocol_data

    @classmethod
    def from_bytes(cls, data: bytes) -> BlockHeader:
        """Read all of ``data``; any bytes will do as protocol data. Raises ``ForgeError``."""
        reader = Reader(data, "header")
        return cls(ShellHeader.read(reader), reader.rest())

    @functools.cached_property
    def hash(self) -> str:
        return block_hash(self.to_bytes())

    def shell_json(self) -> dict[str, Any]:
        """The header as in the items of ``/monitor/heads``, which have the hash besides."""
        return {**self.shell.to_json(), "protocol_data": self.protocol_data.hex()}

    @classmethod
    def from_shell_json(cls, value: object, *, ignore: Collection[str] = ()) -> BlockHeader:
        """Read such an object. Raises ``ForgeError``, for unknown fields too, unless ignored."""
        fields = Fields(value)
        header = cls(ShellHeader.from_fields(fields), fields.hex("protocol_data"))
        fields.end(ignore)
        return header


def full_header_json(header: BlockHeader) -> dict[str, Any]:
    """The header with its protocol data interpreted, as an evidence carries it.

    Raises:
        ForgeError: its protocol data is not that of the three protocols.
    """
    return {**header.shell.to_json(), **ProtocolData.from_bytes(header.protocol_data).to_json()}


def full_header_from_json(value: object, *, path: str = "", ignore: Collection[str] = ()) -> BlockHeader:
    """Read such an object.

    Args:
        value: decoded JSON.
        path: where it is, for the messages.
        ignore: names of other fields that may be there: ``protocol``, ``chain_id`` and ``hash``
            in the answer to ``/header``.

    Raises:
        ForgeError: a field is missing, unknown, or not what it should be.
    """
    fields = Fields(value, path)
    header = BlockHeader(ShellHeader.from_fields(fields), ProtocolData.from_fields(fields).to_bytes())
    fields.end(ignore)
    return header


def _vote(text: str, what: str) -> int:
    if text not in VOTES:
        raise ForgeError(what, f"{text[:50]!r} is none of {', '.join(VOTES)}")
    return VOTES.index(text)
