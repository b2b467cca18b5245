"""What binary descriptions are made of: scalars, sizes, lists, records and unions.

The names and layouts follow upstream's ``data-encoding`` library. A description writes the JSON
value that upstream's encoding has beside the bytes, and reads it back. Where two JSON values have the
same bytes, the one that upstream prints is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

INT31_MAX: Final = 2**30 - 1


class BinaryError(ValueError):
    """A value that has no binary form, or bytes that stand for no value."""


class Source:
    """Bytes that are being read, up to an end that sizes move.

    Args:
        data: all the bytes.
        protocol: what fields that are constant and have no bytes are read as: the hash of the
            protocol that the value belongs to.
    """

    __slots__ = ("data", "end", "position", "protocol")

    def __init__(self, data: bytes, protocol: str = "") -> None:
        self.data: Final = data
        self.position: int = 0
        self.end: int = len(data)
        self.protocol: Final = protocol

    def take(self, size: int) -> bytes:
        """The next bytes. Raises ``BinaryError`` if there are not so many."""
        start, self.position = self.position, self.position + size
        if self.position > self.end:
            raise BinaryError("Not enough data")
        return self.data[start : self.position]

    def byte(self) -> int:
        """The next byte as a number."""
        return self.take(1)[0]


class Schema:
    """A description of values; the base of all."""

    def write(self, value: Any, out: bytearray) -> None:
        """Append the bytes of a JSON value. Raises ``BinaryError``."""
        raise NotImplementedError

    def read(self, source: Source) -> Any:
        """Take a value from the bytes. Raises ``BinaryError``."""
        raise NotImplementedError

    def to_bytes(self, value: Any) -> bytes:
        """The bytes of a JSON value. Raises ``BinaryError``."""
        out = bytearray()
        try:
            self.write(value, out)
        except RecursionError as error:
            raise BinaryError("too deep") from error
        return bytes(out)

    def from_bytes(self, data: bytes, protocol: str = "") -> Any:
        """The value that fills ``data``; for ``protocol`` see `Source`. Raises ``BinaryError``."""
        source = Source(data, protocol)
        value = self.read(source)
        if source.position != source.end:
            raise BinaryError("Extra bytes")
        return value


class Integer(Schema):
    """A number of a fixed size, big-endian; a JSON number."""

    def __init__(
        self, size: int, *, signed: bool = True, least: int | None = None, most: int | None = None
    ) -> None:
        bits = 8 * size
        self.size: Final = size
        self.signed: Final = signed
        self.least: Final = least if least is not None else -(2 ** (bits - 1)) if signed else 0
        self.most: Final = most if most is not None else 2 ** (bits - 1 if signed else bits) - 1

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        if type(value) is not int:
            raise BinaryError(f"{str(value)[:50]} is no integer")
        if not self.least <= value <= self.most:
            raise BinaryError(f"{value} is not between {self.least} and {self.most}")
        out += value.to_bytes(self.size, "big", signed=self.signed)

    def read(self, source: Source) -> int:
        """See `Schema.read`."""
        start = source.position
        source.position = end = start + self.size
        if end > source.end:
            raise BinaryError("Not enough data")
        value = int.from_bytes(source.data[start:end], "big", signed=self.signed)
        if not self.least <= value <= self.most:
            raise BinaryError("Invalid integer")
        return value


UINT8: Final = Integer(1, signed=False)
INT16: Final = Integer(2)
UINT16: Final = Integer(2, signed=False)
INT32: Final = Integer(4)
LEVEL: Final = Integer(4, least=0)
"""Levels, rounds and other 32-bit numbers that are never negative."""
INT31: Final = Integer(4, least=-(2**30), most=INT31_MAX)
INT64: Final = Integer(8)


class _Natural(Schema):
    """Zarith's ``n``: seven bits a byte, least first, the highest bit where more follow."""

    def write(self, value: Any, out: bytearray) -> None:
        if type(value) is not int or value < 0:
            raise BinaryError(f"{str(value)[:50]} is no natural number")
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)

    def read(self, source: Source) -> int:
        value = shift = 0
        while True:
            byte = source.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if not byte and shift > 7:
                    raise BinaryError("Trailing zero in Z")
                return value


class _Signed(Schema):
    """Zarith's ``z``: as ``n``, but the second highest bit of the first byte is the sign."""

    def write(self, value: Any, out: bytearray) -> None:
        if type(value) is not int:
            raise BinaryError(f"{str(value)[:50]} is no integer")
        rest = abs(value)
        sign = 0x40 if value < 0 else 0
        first, rest = rest & 0x3F | sign, rest >> 6
        if not rest:
            out.append(first)
            return
        out.append(first | 0x80)
        NATURAL.write(rest, out)

    def read(self, source: Source) -> int:
        first = source.byte()
        value = first & 0x3F
        if first >= 0x80:
            rest = NATURAL.read(source)
            if not rest:
                raise BinaryError("Trailing zero in Z")
            value |= rest << 6
        return -value if first & 0x40 else value


NATURAL: Final = _Natural()
SIGNED: Final = _Signed()

# Python itself refuses decimals of more than 4300 digits, in either direction.
_MAX_DIGITS: Final = 4000


class Decimal(Schema):
    """An integer that JSON has as a string of decimal digits."""

    def __init__(self, number: Schema) -> None:
        self.number: Final = number

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        digits = value[1:] if isinstance(value, str) and value[:1] == "-" else value
        if not isinstance(digits, str) or not (digits.isascii() and digits.isdecimal()):
            raise BinaryError(f"{str(value)[:50]!r} is no number in a string")
        if len(digits) > _MAX_DIGITS:
            raise BinaryError(f"a number of {len(digits)} digits")
        self.number.write(int(value), out)

    def read(self, source: Source) -> str:
        """See `Schema.read`."""
        try:
            return str(self.number.read(source))
        except ValueError as error:
            raise BinaryError(str(error)) from error


AMOUNT: Final = Decimal(NATURAL)
"""Coins and gas, in a string."""
BIG: Final = Decimal(SIGNED)
LONG: Final = Decimal(INT64)


class _Bool(Schema):
    def write(self, value: Any, out: bytearray) -> None:
        if not isinstance(value, bool):
            raise BinaryError(f"{str(value)[:50]} is no boolean")
        out.append(0xFF if value else 0)

    def read(self, source: Source) -> bool:
        return _presence(source)


def _presence(source: Source) -> bool:
    byte = source.byte()
    if byte not in (0, 0xFF):
        # Upstream's words for any of the two tags that a byte is not.
        raise BinaryError(f"Unexpected tag {byte}")
    return byte != 0


BOOL: Final = _Bool()


class Hex(Schema):
    """Bytes that JSON has as hexadecimal digits: so many, or all that are left."""

    def __init__(self, size: int | None = None) -> None:
        self.size: Final = size

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        try:
            # fromhex would let white space pass.
            if not isinstance(value, str) or not (value.isalnum() or not value):
                raise ValueError
            data = bytes.fromhex(value)
        except ValueError:
            raise BinaryError(f"{str(value)[:50]!r} is not hexadecimal") from None
        if self.size not in (None, len(data)):
            raise BinaryError(f"{len(data)} bytes where {self.size} must be")
        out += data

    def read(self, source: Source) -> str:
        """See `Schema.read`."""
        size = self.size if self.size is not None else source.end - source.position
        return source.take(size).hex()


class Text(Schema):
    """All that is left, as UTF-8."""

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        if not isinstance(value, str):
            raise BinaryError(f"{str(value)[:50]} is no string")
        out += value.encode("utf-8", "surrogateescape")

    def read(self, source: Source) -> str:
        """See `Schema.read`."""
        return source.take(source.end - source.position).decode("utf-8", "surrogateescape")


class Sized(Schema):
    """What is preceded by its size in bytes (``dynamic_size``): four bytes, or so many."""

    def __init__(self, inner: Schema, width: int = 4) -> None:
        self.inner: Final = inner
        self.width: Final = width

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        start = len(out)
        out += bytes(self.width)
        self.inner.write(value, out)
        size = len(out) - start - self.width
        if size > (INT31_MAX if self.width == 4 else 2 ** (8 * self.width) - 1):
            raise BinaryError(f"{size} bytes are too many")
        out[start : start + self.width] = size.to_bytes(self.width, "big")

    def read(self, source: Source) -> Any:
        """See `Schema.read`."""
        size = int.from_bytes(source.take(self.width), "big")
        end, outer = source.position + size, source.end
        if size > INT31_MAX or end > outer:
            raise BinaryError("Not enough data")
        source.end = end
        value = self.inner.read(source)
        if source.position != end:
            raise BinaryError("Extra bytes")
        source.end = outer
        return value


TEXT: Final = Sized(Text())


class Rest(Schema):
    """Elements up to the end (``Variable.list``)."""

    def __init__(self, inner: Schema, most: int | None = None) -> None:
        self.inner: Final = inner
        self.most: Final = most

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        if not isinstance(value, list | tuple):
            raise BinaryError(f"{str(value)[:50]} is no list")
        self._check(len(value))
        write = self.inner.write
        for item in value:
            write(item, out)

    def read(self, source: Source) -> list[Any]:
        """See `Schema.read`."""
        values = []
        read = self.inner.read
        while source.position < source.end:
            values.append(read(source))
        self._check(len(values))
        return values

    def _check(self, count: int) -> None:
        if self.most is not None and count > self.most:
            raise BinaryError(f"{count} elements where {self.most} may be")


def listed(inner: Schema, most: int | None = None) -> Schema:
    """A list with its size in bytes before it."""
    return Sized(Rest(inner, most))


class Pair(Schema):
    """A JSON array of fixed parts."""

    def __init__(self, *parts: Schema) -> None:
        self.parts: Final = parts

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        if not isinstance(value, list | tuple) or len(value) != len(self.parts):
            raise BinaryError(f"{str(value)[:50]} has not {len(self.parts)} parts")
        for part, item in zip(self.parts, value, strict=True):
            part.write(item, out)

    def read(self, source: Source) -> list[Any]:
        """See `Schema.read`."""
        return [part.read(source) for part in self.parts]


class Nullable(Schema):
    """A value or JSON's null (``option``): a tag, 0 or 1."""

    def __init__(self, inner: Schema) -> None:
        self.inner: Final = inner

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        out.append(0 if value is None else 1)
        if value is not None:
            self.inner.write(value, out)

    def read(self, source: Source) -> Any:
        """See `Schema.read`."""
        tag = source.byte()
        if tag > 1:
            raise BinaryError(f"Unexpected tag {tag}")
        return self.inner.read(source) if tag else None


class Enum(Schema):
    """One of some words; a tag of one byte."""

    def __init__(self, words: Mapping[int, str] | Sequence[str]) -> None:
        self.words: Final = dict(words) if isinstance(words, Mapping) else dict(enumerate(words))
        self.tags: Final = {word: tag for tag, word in self.words.items()}

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        tag = self.tags.get(value) if isinstance(value, str) else None
        if tag is None:
            raise BinaryError(f"{str(value)[:50]!r} is none of {', '.join(self.tags)}")
        out.append(tag)

    def read(self, source: Source) -> str:
        """See `Schema.read`."""
        tag = source.byte()
        if tag not in self.words:
            raise BinaryError(f"Unexpected tag {tag}")
        return self.words[tag]


def tags(words: Iterable[tuple[int, str]]) -> Enum:
    """Words with tags that have gaps."""
    return Enum(dict(words))
