"""Readers of untrusted JSON and bytes: strict, and exact about what is wrong where."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from .base58 import (
    Base58Error,
    Kind,
    decode,
    encode,
)

SIGNATURE_SIZE: Final = 64
"""Bytes of a signature on any curve but BLS12-381, which is not supported."""

_SIGNATURE_KINDS: Final = {
    "sig": Kind.SIGNATURE,
    "edsig": Kind.ED25519_SIGNATURE,
    "spsig1": Kind.SECP256K1_SIGNATURE,
    "p2sig": Kind.P256_SIGNATURE,
}


class ForgeError(ValueError):
    """Something that has no binary or JSON form, or a form that stands for nothing."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        """A field's name, or the JSON pointer of a value, as in ``/contents/0/bh1/level``."""
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


def integer_bytes(value: int, size: int, what: str, *, signed: bool = True) -> bytes:
    """Big-endian bytes of an integer. Raises ``ForgeError`` if it does not fit."""
    try:
        return value.to_bytes(size, "big", signed=signed)
    except OverflowError:
        raise ForgeError(what, f"{value} does not fit {size} bytes") from None


def hash_bytes(kind: Kind, text: str, what: str) -> bytes:
    """The bytes of a base58check text. Raises ``ForgeError`` if it is not of that kind."""
    try:
        return decode(kind, text)
    except Base58Error as error:
        raise ForgeError(what, str(error)) from error


def hex_bytes(text: str, what: str) -> bytes:
    """The bytes that hexadecimal digits, and nothing else, stand for. Raises ``ForgeError``."""
    try:
        # fromhex would let white space pass.
        if text.isalnum() or not text:
            return bytes.fromhex(text)
    except ValueError:
        pass
    raise ForgeError(what, "not hexadecimal digits, two for each byte")


def dynamic(data: bytes) -> bytes:
    """``data`` after its length in four bytes."""
    return len(data).to_bytes(4, "big") + data


def check_size(data: bytes, size: int, what: str) -> bytes:
    """``data`` itself. Raises ``ForgeError`` if it has another size."""
    if len(data) != size:
        raise ForgeError(what, f"{len(data)} bytes instead of {size}")
    return data


class Reader:
    """Takes a binary value apart, from its beginning. Every method raises ``ForgeError``."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._position = 0
        self._what = what

    @property
    def left(self) -> int:
        """How many bytes have not been taken."""
        return len(self._data) - self._position

    def take(self, size: int, what: str) -> bytes:
        """The next ``size`` bytes."""
        if size > self.left:
            raise ForgeError(f"{self._what}/{what}", f"ends {size - self.left} bytes early")
        start, self._position = self._position, self._position + size
        return self._data[start : self._position]

    def rest(self) -> bytes:
        return self.take(self.left, "rest")

    def integer(self, size: int, what: str, *, signed: bool = True, least: int | None = None) -> int:
        """The next integer, of ``size`` bytes."""
        value = int.from_bytes(self.take(size, what), "big", signed=signed)
        if least is not None and value < least:
            raise ForgeError(f"{self._what}/{what}", f"{value} is less than {least}")
        return value

    def hash(self, kind: Kind, what: str) -> str:
        """The next hash, as its text."""
        return encode(kind, self.take(kind.size, what))

    def dynamic(self, what: str) -> Reader:
        """A reader of the next value that has its length before it."""
        size = self.integer(4, what, signed=False)
        return Reader(self.take(size, what), f"{self._what}/{what}")

    def signature(self) -> bytes:
        """The signature that takes all that is left."""
        return check_size(self.rest(), SIGNATURE_SIZE, f"{self._what}/signature")

    def end(self) -> None:
        """Refuse bytes that are left over."""
        if self.left:
            raise ForgeError(self._what, f"{self.left} bytes too many")

    def fail(self, what: str, reason: str) -> ForgeError:
        """The error to raise for a part of this value."""
        return ForgeError(f"{self._what}/{what}", reason)


class Fields:
    """Takes a JSON object apart, field by field. Every method raises ``ForgeError``."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise ForgeError(path or "/", "not an object")
        self._value: dict[str, object] = value
        self._path = path
        self._taken: set[str] = set()

    def path(self, name: str) -> str:
        """JSON pointer of a field."""
        return f"{self._path}/{name}"

    def has(self, name: str) -> bool:
        """Whether the object has that field."""
        return name in self._value

    def value(self, name: str) -> object:
        """A required field, whatever it is."""
        if name not in self._value:
            raise ForgeError(self.path(name), "missing")
        self._taken.add(name)
        return self._value[name]

    def text(self, name: str) -> str:
        value = self.value(name)
        if not isinstance(value, str):
            raise ForgeError(self.path(name), "not a string")
        return value

    def integer(self, name: str, least: int, most: int) -> int:
        """A required integer between two bounds, which it may equal."""
        value = self.value(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ForgeError(self.path(name), "not an integer")
        if not least <= value <= most:
            raise ForgeError(self.path(name), f"{value} is not between {least} and {most}")
        return value

    def items(self, name: str) -> list[object]:
        value = self.value(name)
        if not isinstance(value, list):
            raise ForgeError(self.path(name), "not a list")
        return value

    def hash(self, kind: Kind, name: str) -> str:
        """A required base58check text."""
        text = self.text(name)
        hash_bytes(kind, text, self.path(name))
        return text

    def hex(self, name: str) -> bytes:
        """Required bytes in hexadecimal digits."""
        return hex_bytes(self.text(name), self.path(name))

    def hex_items(self, name: str) -> tuple[bytes, ...]:
        """A required list of bytes in hexadecimal digits."""
        items = []
        for position, item in enumerate(self.items(name)):
            path = f"{self.path(name)}/{position}"
            if not isinstance(item, str):
                raise ForgeError(path, "not a string")
            items.append(hex_bytes(item, path))
        return tuple(items)

    def signature(self) -> bytes:
        """The required ``signature``, of any curve but BLS12-381."""
        text = self.text("signature")
        for prefix, kind in _SIGNATURE_KINDS.items():
            if text.startswith(prefix):
                return hash_bytes(kind, text, self.path("signature"))
        raise ForgeError(self.path("signature"), "not a signature of a supported curve")

    def end(self, ignore: Collection[str] = ()) -> None:
        """Refuse fields that nobody took, but for those to ignore."""
        for name in self._value:
            if name not in self._taken and name not in ignore:
                raise ForgeError(self.path(name), "unexpected field")
