"""Numbers of any size in binary: seven bits a byte, the lowest first (``Data_encoding.n`` and ``z``)."""

from __future__ import annotations

import re
from typing import Final

from .fields import Fields, ForgeError, Reader

MAX_SIZE: Final = 10
"""The most bytes of an amount, a counter or a limit (``lib_protocol/tez_repr.ml``)."""

MAX_DIGITS: Final = 2000
"""Python itself refuses decimals beyond 4300 digits."""

INT64_MAX: Final = 2**63 - 1


def natural_bytes(value: int, what: str) -> bytes:
    """The binary form of a natural number. Raises ``ForgeError`` for a negative one."""
    if value < 0:
        raise ForgeError(what, f"{value} is negative")
    result = bytearray([value & 0x7F])
    value >>= 7
    while value:
        result[-1] |= 0x80
        result.append(value & 0x7F)
        value >>= 7
    return bytes(result)


def read_natural(reader: Reader, what: str, size: int = MAX_SIZE) -> int:
    """Take a natural number of so many bytes at most. Raises ``ForgeError``."""
    value = 0
    for position in range(size):
        byte = reader.integer(1, what, signed=False)
        value |= (byte & 0x7F) << 7 * position
        if not byte & 0x80:
            if position and not byte:
                raise reader.fail(what, "trailing zero byte")
            return value
    raise reader.fail(what, f"longer than {size} bytes")


def number_bytes(value: int) -> bytes:
    """The binary form of a number with a sign, which is the second highest bit of the first byte."""
    sign, rest = (0x40, -value) if value < 0 else (0, value)
    result = bytearray([sign | rest & 0x3F])
    rest >>= 6
    while rest:
        result[-1] |= 0x80
        result.append(rest & 0x7F)
        rest >>= 7
    return bytes(result)


def read_number(reader: Reader, what: str) -> int:
    """Take a number with a sign. Raises ``ForgeError``."""
    byte = reader.integer(1, what, signed=False)
    negative = bool(byte & 0x40)
    value, shift = byte & 0x3F, 6
    while byte & 0x80:
        byte = reader.integer(1, what, signed=False)
        value |= (byte & 0x7F) << shift
        shift += 7
    if shift > 6 and byte == 0:
        raise reader.fail(what, "trailing zero byte")
    if negative and not value:
        raise reader.fail(what, "zero with a sign")
    return -value if negative else value


def natural_field(fields: Fields, name: str, most: int = INT64_MAX) -> int:
    """Take a field that is a natural number in a text. Raises ``ForgeError``."""
    text = fields.text(name)
    if not re.fullmatch(rf"\d{{1,{MAX_DIGITS}}}", text, re.ASCII):
        raise ForgeError(fields.path(name), "not a natural number in a string")
    if int(text) > most:
        raise ForgeError(fields.path(name), f"{text[:50]} is more than {most}")
    return int(text)


def number_field(fields: Fields, name: str) -> int:
    """Take a field that is a number with a sign in a text. Raises ``ForgeError``."""
    text = fields.text(name)
    if not re.fullmatch(rf"-?\d{{1,{MAX_DIGITS}}}", text, re.ASCII):
        raise ForgeError(fields.path(name), "not a number in a string")
    return int(text)
