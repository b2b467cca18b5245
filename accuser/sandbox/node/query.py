"""What the parameters of an RPC mean: those of its query, and the variable parts of its path.

A parameter that an RPC does not have is ignored, one that it has and that cannot be read is refused,
in the words of upstream's library (``resto.ml``: ``Query.parse``; ``lib_rpc/RPC_arg.ml``).
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from ..._mavryk.codec.base58 import (
    Base58Error,
    Kind,
    decode,
    is_key_hash,
)
from .points import Point

_INTEGER: Final = re.compile(
    r"[+-]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(0[uU])?[0-9][0-9_]*)", re.ASCII
)


class Unreadable(ValueError):
    """A text that is no value of a type; ``str()`` is what upstream says of it."""


@attrs.frozen
class Type:
    """A type of parameters. ``read`` raises `Unreadable`."""

    name: str
    read: Callable[[str], Any]


class Arity(enum.Enum):
    """How often a parameter may be given."""

    ONCE = "once"
    FLAG = "flag"
    MANY = "many"


@attrs.frozen
class Parameter:
    """A parameter of a query. Absent, it has the value ``default``; a flag False, one of many ()."""

    name: str
    type: Type
    arity: Arity = Arity.ONCE
    default: Any = None


def once(name: str, type: Type, default: Any = None) -> Parameter:
    """A parameter that may be given once."""
    return Parameter(name, type, default=default)


def many(name: str, type: Type) -> Parameter:
    """A parameter that may be repeated; its value is a tuple in the order of the query."""
    return Parameter(name, type, Arity.MANY, ())


def flag(name: str) -> Parameter:
    """A truth value that is false where it is absent, and true where it is given without a value."""
    return Parameter(name, BOOLEAN, Arity.FLAG, False)


def parse(parameters: Sequence[Parameter], query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The value of each parameter.

    Raises:
        Unreadable: one is given twice, or its text is no value of its type.
    """
    values = {}
    for parameter in parameters:
        given = query.get(parameter.name, ())
        if len(given) > 1 and parameter.arity is not Arity.MANY:
            raise Unreadable(f"Duplicate argument '{parameter.name}' in query string.")
        read = tuple(_read(parameter, text) for text in given)
        if parameter.arity is Arity.MANY:
            values[parameter.name] = read
        else:
            values[parameter.name] = read[0] if read else parameter.default
    return values


def _read(parameter: Parameter, text: str) -> Any:
    try:
        return parameter.type.read(text)
    except Unreadable as error:
        raise Unreadable(f"Failed to parse argument '{parameter.name}' ({quoted(text)}): {error}") from error


def quoted(text: str) -> str:
    """A text as OCaml writes it between quotes (``%S``)."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b"}
    written = []
    for byte in text.encode(errors="surrogateescape"):
        character = chr(byte)
        printable = 0x20 <= byte < 0x7F
        written.append(escapes.get(character) or (character if printable else f"\\{byte:03d}"))
    return f'"{"".join(written)}"'


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("", "true", "t", "yes", "y"):
        return True
    if lowered in ("false", "f", "no", "n"):
        return False
    raise Unreadable("Cannot parse boolean value")


def number(text: str, bits: int = 63) -> int | None:
    """A number as OCaml reads it, also ``0x10`` and ``1_000``; None if it is none of so many bits."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    digits, sign = text.lstrip("+-").replace("_", ""), -1 if text.startswith("-") else 1
    digits = digits[2:] if digits[:2] in ("0u", "0U") else digits
    value = sign * int(digits, 0 if not digits.isdecimal() else 10)
    return value if -(2 ** (bits - 1)) <= value < 2 ** (bits - 1) else None


def _numbers(name: str, bits: int, complaint: str) -> Type:
    def read(text: str) -> int:
        value = number(text, bits)
        if value is None:
            raise Unreadable(complaint.format(text))
        return value

    return Type(name, read)


def _naturals(name: str, bits: int) -> Type:
    def read(text: str) -> int:
        value = number(text, bits)
        if value is None:
            raise Unreadable("Cannot parse natural number (number expected)")
        if value < 0:
            raise Unreadable("Cannot parse natural number (positive number expected)")
        return value

    return Type(name, read)


def _hashes(name: str, kind: Kind, called: str | None = None) -> Type:
    def read(text: str) -> str:
        try:
            decode(kind, text)
        except Base58Error as error:
            raise Unreadable(_undecoded(called or name, text)) from error
        return text

    return Type(name, read)


def _undecoded(name: str, text: str) -> str:
    return f"failed to decode Base58Check-encoded data ({name}): {quoted(text)}"


def _key_hash(text: str) -> str:
    if not is_key_hash(text):
        raise Unreadable(_undecoded("Signature.Public_key_hash", text))
    return text


def _contract(text: str) -> str:
    if is_key_hash(text):
        return text
    try:
        decode(Kind.CONTRACT, text)
    except Base58Error as error:
        raise Unreadable("Cannot parse contract id") from error
    return text


def _date(text: str) -> int:
    if text in ("none", "epoch"):
        return 0
    seconds = number(text, 64)
    if seconds is None:
        raise Unreadable(f"failed to parse time (epoch): {quoted(text)}")
    return seconds


def _span(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)", text, re.ASCII)
    if match is None:
        raise Unreadable(f"failed to parse timespan: {quoted(text)}")
    return float(match[1])


def _chain(text: str) -> str:
    if text not in ("main", "test"):
        try:
            decode(Kind.CHAIN, text)
        except Base58Error as error:
            raise Unreadable("Cannot parse chain identifier.") from error
    return text


def _point(text: str) -> Point:
    try:
        return Point.parse(text)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def _choice(name: str, words: Sequence[str], complaint: Callable[[str], str]) -> Type:
    def read(text: str) -> str:
        if text not in words:
            raise Unreadable(complaint(text))
        return text

    return Type(name, read)


def _big_map(text: str) -> int:
    if re.fullmatch(r"-?\d+", text, re.ASCII) is None:
        raise Unreadable("Cannot parse big map id")
    return int(text)


def _sapling(text: str) -> int:
    if re.fullmatch(r"-?\d+", text, re.ASCII) is None:
        raise Unreadable("Cannot parse sapling state id")
    return int(text)


_ALIASES: Final = ("head", "checkpoint", "savepoint", "caboose")


def _block(text: str) -> str:
    """A block as `Chain.resolve` reads it (``block_services.ml``: ``parse_block``)."""
    signs = [character for character in text if character in "~-+"]
    sign = signs[0] if signs else ""
    parts = [part for part in (text.split(sign) if sign else [text]) if part]
    if len(signs) < 2 and 0 < len(parts) < 3:
        base, offset = parts[0], number(parts[1], 32) if len(parts) == 2 else None
        if len(parts) == 1 and base in ("genesis", *_ALIASES):
            return base
        if len(parts) == 2 and offset is not None and offset >= 0:
            if base == "genesis" and sign == "+":
                return f"genesis+{offset}"
            if base in _ALIASES and not (base == "head" and sign == "+"):
                return f"{base}{sign}{offset}"
        if len(parts) == 1 or (offset is not None and offset >= 0):
            following = "" if len(parts) == 1 else f"{sign}{offset}"
            if _is_block_hash(base):
                return base + following
            level = number(base if following else text, 32)
            if level is not None and level >= 0:
                return "genesis" if level == 0 else f"{level}{following}"
    raise Unreadable(f"Cannot parse block identifier: {text}")


def _is_block_hash(text: str) -> bool:
    try:
        decode(Kind.BLOCK, text)
    except Base58Error:
        return False
    return True


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError as error:
        raise Unreadable(str(error)) from error


def versions(*known: tuple[int, str], default: int) -> Parameter:
    """The parameter ``version``: these versions, each with what upstream calls it."""

    def read(text: str) -> int:
        for version, _ in known:
            if text == str(version):
                return version
        listed = ",".join(f' version "{version}"{" " if called else ""}{called}' for version, called in known)
        raise Unreadable(f"Unsupported version {text} (supported versions {listed})")

    return once("version", Type("version", read), default)


BOOLEAN: Final = Type("bool", _boolean)
INT: Final = _numbers("int", 63, "Cannot parse integer value")
INT32: Final = _numbers("int32", 32, "Cannot parse int32 value")
INT64: Final = _numbers("int64", 64, "Cannot parse int64 value")
UINT: Final = _naturals("uint", 63)
LEVEL: Final = _numbers("block_level", 32, "Cannot parse level")
CYCLE: Final = _naturals("block_cycle", 32)
BIG_MAP: Final = Type("big_map_id", _big_map)
SAPLING: Final = Type("sapling_state_id", _sapling)
BLOCK: Final = Type("block_id", _block)
PASS: Final = _numbers("list_offset", 63, "Invalid list offset ({})")
INDEX: Final = _numbers("operation_offset", 63, "Invalid operation offset ({})")
BLOCK_HASH: Final = _hashes("block_hash", Kind.BLOCK)
PROTOCOL_HASH: Final = _hashes("Protocol_hash", Kind.PROTOCOL)
PEER: Final = _hashes("peer_id", Kind.PEER, "Crypto_box.Public_key_hash")
KEY_HASH: Final = Type("pkh", _key_hash)
CONTRACT: Final = Type("contract_id", _contract)
CHAIN: Final = Type("chain_id", _chain)
DATE: Final = Type("date", _date)
ADDRESS: Final = Type("addr", _address)
ROLLUP: Final = _hashes("smart_rollup_address", Kind.ROLLUP, "Smart_rollup_address")
COMMITMENT: Final = _hashes("smart_rollup_commitment_hash", Kind.ROLLUP_COMMITMENT)
SCRIPT_EXPR: Final = _hashes("script_expr", Kind.SCRIPT_EXPR)
SPAN: Final = Type("timespan", _span)
POINT: Final = Type("point", _point)
TEXT: Final = Type("string", lambda text: text)
METADATA: Final = _choice(
    "metadata_rpc_arg",
    ("always", "never"),
    lambda text: f'Invalid argument: Invalid_argument("unrecognize parameter {text}")',
)
PEER_STATE: Final = _choice(
    "p2p.point.state_filter", ("accepted", "running", "disconnected"), lambda text: f"Invalid state: {text}"
)
POINT_STATE: Final = _choice(
    "p2p.point.state_filter",
    ("requested", "accepted", "running", "disconnected"),
    lambda text: f"Invalid state: {text}",
)
