"""Addresses, and the other small parts that manager operations are made of.

Sources: ``lib_protocol/{contract_repr,tez_repr,script_repr}.ml``.
"""

from __future__ import annotations

from . import micheline
from .base58 import Kind, encode
from .fields import Fields, Reader, hash_bytes
from .keys import key_hash_bytes, public_key_bytes, read_key_hash
from .numbers import INT64_MAX, read_natural


def is_originated(contract: str) -> bool:
    """Whether an address is that of an originated contract, and not of an account."""
    return contract.startswith("KT1")


def contract_bytes(contract: str, what: str) -> bytes:
    """The binary form of an address. Raises ``ForgeError``."""
    if is_originated(contract):
        return b"\x01" + hash_bytes(Kind.CONTRACT, contract, what) + b"\0"
    return b"\0" + key_hash_bytes(contract, what)


def read_contract(reader: Reader, what: str) -> str:
    """Take an address. Raises ``ForgeError``."""
    tag = reader.integer(1, what, signed=False)
    if tag == 0:
        return read_key_hash(reader, what)
    if tag != 1:
        raise reader.fail(what, f"{tag} is no kind of address")
    address = encode(Kind.CONTRACT, reader.take(Kind.CONTRACT.size, what))
    if reader.take(1, what) != b"\0":
        raise reader.fail(what, "padding that is not zero")
    return address


def read_amount(reader: Reader, what: str) -> int:
    """Take an amount of mumav. Raises ``ForgeError``."""
    amount = read_natural(reader, what)
    if amount > INT64_MAX:
        raise reader.fail(what, f"{amount} does not fit 8 bytes")
    return amount


def read_presence(reader: Reader, what: str) -> bool:
    """Take the byte that says whether an optional value follows. Raises ``ForgeError``."""
    byte = reader.integer(1, what, signed=False)
    if byte not in (0, 0xFF):
        raise reader.fail(what, f"presence byte {byte:#04x}")
    return bool(byte)


def read_expression(reader: Reader, what: str) -> bytes:
    """Take an expression that has its length before it, as its bytes. Raises ``ForgeError``."""
    data = reader.dynamic(what).rest()
    check = Reader(data, what)
    micheline.read(check)
    check.end()
    return data


def expression_field(fields: Fields, name: str) -> bytes:
    """Take a field that is an expression, as its bytes. Raises ``ForgeError``."""
    return micheline.to_bytes(fields.value(name), fields.path(name))


def shown_expression(data: bytes) -> object:
    """The JSON of an expression's bytes. Raises ``ForgeError``."""
    return micheline.read(Reader(data, "expression"))


def optional_hash(pkh: str | None) -> bytes:
    """The binary form of a delegate, or of none. Raises ``ForgeError``."""
    return b"\0" if pkh is None else b"\xff" + key_hash_bytes(pkh, "delegate")


def read_optional_hash(reader: Reader) -> str | None:
    """Take a delegate, or none. Raises ``ForgeError``."""
    return read_key_hash(reader, "delegate") if read_presence(reader, "delegate") else None


def optional_hash_field(fields: Fields) -> str | None:
    """Take the field ``delegate``, which may be absent. Raises ``ForgeError``."""
    return hash_field(fields, "delegate") if fields.has("delegate") else None


def hash_field(fields: Fields, name: str) -> str:
    """Take a field that is a public key hash. Raises ``ForgeError``."""
    text = fields.text(name)
    key_hash_bytes(text, fields.path(name))
    return text


def key_field(fields: Fields, name: str) -> str:
    """Take a field that is a public key. Raises ``ForgeError``."""
    text = fields.text(name)
    public_key_bytes(text, fields.path(name))
    return text
