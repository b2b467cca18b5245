"""Micheline, the trees that parameters and scripts are made of: JSON and binary.

The sandbox runs no scripts, and reads such trees only to forge and parse operations. Sources:
``src/lib_micheline/micheline_encoding.ml``, ``lib_protocol/michelson_v1_primitives.ml``.
"""

from __future__ import annotations

import re
from typing import Any, Final

from .fields import (
    Fields,
    ForgeError,
    Reader,
    dynamic,
)
from .numbers import number_bytes, number_field, read_number

_NAMES: Final = """
    parameter storage code False Elt Left None Pair Right Some True Unit PACK UNPACK BLAKE2B SHA256
    SHA512 ABS ADD AMOUNT AND BALANCE CAR CDR CHECK_SIGNATURE COMPARE CONCAT CONS CREATE_ACCOUNT
    CREATE_CONTRACT IMPLICIT_ACCOUNT DIP DROP DUP EDIV EMPTY_MAP EMPTY_SET EQ EXEC FAILWITH GE GET GT
    HASH_KEY IF IF_CONS IF_LEFT IF_NONE INT LAMBDA LE LEFT LOOP LSL LSR LT MAP MEM MUL NEG NEQ NIL NONE
    NOT NOW OR PAIR PUSH RIGHT SIZE SOME SOURCE SENDER SELF STEPS_TO_QUOTA SUB SWAP TRANSFER_TOKENS
    SET_DELEGATE UNIT UPDATE XOR ITER LOOP_LEFT ADDRESS CONTRACT ISNAT CAST RENAME bool contract int key
    key_hash lambda list map big_map nat option or pair set signature string bytes mumav timestamp unit
    operation address SLICE DIG DUG EMPTY_BIG_MAP APPLY chain_id CHAIN_ID LEVEL SELF_ADDRESS never NEVER
    UNPAIR VOTING_POWER TOTAL_VOTING_POWER KECCAK SHA3 PAIRING_CHECK bls12_381_g1 bls12_381_g2
    bls12_381_fr sapling_state sapling_transaction_deprecated SAPLING_EMPTY_STATE SAPLING_VERIFY_UPDATE
    ticket TICKET_DEPRECATED READ_TICKET SPLIT_TICKET JOIN_TICKETS GET_AND_UPDATE chest chest_key
    OPEN_CHEST VIEW view constant SUB_MUMAV tx_rollup_l2_address MIN_BLOCK_TIME sapling_transaction EMIT
    Lambda_rec LAMBDA_REC TICKET BYTES NAT Ticket
"""
PRIMITIVES: Final = tuple(_NAMES.split())
"""In the order of their numbers in binary."""

UNIT: Final = b"\x03\x0b"
"""``Unit``, in binary."""

MAX_DEPTH: Final = 500
"""A tree that is deeper is refused: upstream's limit on nodes leaves no use for it."""

_NUMBERS: Final = {name: number for number, name in enumerate(PRIMITIVES)}
_INT, _STRING, _SEQUENCE, _PRIMITIVE, _GENERIC, _BYTES = 0, 1, 2, 3, 9, 10
_ANNOTATION: Final = re.compile(r"[@:$&%!][^ ]*")


def to_bytes(value: object, path: str = "", depth: int = 0) -> bytes:
    """The binary form of a tree. Raises ``ForgeError`` for what is none."""
    if depth > MAX_DEPTH:
        raise ForgeError(path or "/", "too deep")
    if isinstance(value, list):
        items = (to_bytes(item, f"{path}/{at}", depth + 1) for at, item in enumerate(value))
        return bytes([_SEQUENCE]) + dynamic(b"".join(items))
    fields = Fields(value, path)
    if fields.has("int"):
        result = bytes([_INT]) + number_bytes(number_field(fields, "int"))
    elif fields.has("string"):
        result = bytes([_STRING]) + dynamic(fields.text("string").encode())
    elif fields.has("bytes"):
        result = bytes([_BYTES]) + dynamic(fields.hex("bytes"))
    else:
        result = _primitive_bytes(fields, depth)
    fields.end()
    return result


def _primitive_bytes(fields: Fields, depth: int) -> bytes:
    name = fields.text("prim")
    if name not in _NUMBERS:
        raise ForgeError(fields.path("prim"), f"{name[:50]!r} is no primitive")
    path = fields.path("args")
    given = fields.items("args") if fields.has("args") else []
    arguments = [to_bytes(item, f"{path}/{at}", depth + 1) for at, item in enumerate(given)]
    annotations = _annotations(fields) if fields.has("annots") else b""
    number = bytes([_NUMBERS[name]])
    if len(arguments) > 2:
        return bytes([_GENERIC]) + number + dynamic(b"".join(arguments)) + dynamic(annotations)
    tag = bytes([_PRIMITIVE + 2 * len(arguments) + bool(annotations)])
    return tag + number + b"".join(arguments) + (dynamic(annotations) if annotations else b"")


def _annotations(fields: Fields) -> bytes:
    texts = []
    for item in fields.items("annots"):
        if not isinstance(item, str) or not _ANNOTATION.fullmatch(item):
            raise ForgeError(fields.path("annots"), f"{item!r} is no annotation")
        texts.append(item)
    return " ".join(texts).encode()


def read(reader: Reader, depth: int = 0) -> Any:
    """Take a tree. Raises ``ForgeError``."""
    if depth > MAX_DEPTH:
        raise reader.fail("expression", "too deep")
    tag = reader.integer(1, "expression", signed=False)
    if tag == _INT:
        return {"int": str(read_number(reader, "int"))}
    if tag == _STRING:
        return {"string": _text(reader, "string")}
    if tag == _BYTES:
        return {"bytes": reader.dynamic("bytes").rest().hex()}
    if tag == _SEQUENCE:
        return _items(reader.dynamic("sequence"), depth)
    if not _PRIMITIVE <= tag <= _GENERIC:
        raise reader.fail("expression", f"tag {tag}")
    return _read_primitive(reader, tag, depth)


def _read_primitive(reader: Reader, tag: int, depth: int) -> Any:
    number = reader.integer(1, "prim", signed=False)
    if number >= len(PRIMITIVES):
        raise reader.fail("prim", f"{number} is no primitive")
    value: dict[str, Any] = {"prim": PRIMITIVES[number]}
    if tag == _GENERIC:
        arguments, annotated = _items(reader.dynamic("args"), depth), True
    else:
        count, annotated = (tag - _PRIMITIVE) // 2, bool((tag - _PRIMITIVE) % 2)
        arguments = [read(reader, depth + 1) for _ in range(count)]
    if arguments:
        value["args"] = arguments
    annotations = _text(reader, "annots") if annotated else ""
    if annotations:
        value["annots"] = annotations.split(" ")
    return value


def _items(reader: Reader, depth: int) -> list[Any]:
    items = []
    while reader.left:
        items.append(read(reader, depth + 1))
    return items


def _text(reader: Reader, what: str) -> str:
    try:
        return reader.dynamic(what).rest().decode()
    except UnicodeDecodeError as error:
        raise reader.fail(what, str(error)) from error
