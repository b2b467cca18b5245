"""Base58check texts of hashes, keys and signatures.

A text is the base-58 number of ``prefix + data + checksum``, the checksum being the first four
bytes of the double SHA-256 of what precedes it. Prefixes and sizes are those of
``src/lib_crypto/base58.ml``.
"""

from __future__ import annotations

import enum
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {character: value for value, character in enumerate(_ALPHABET)}
_CHECKSUM_SIZE: Final = 4

CACHED: Final = 4096
"""Texts that are remembered, each way: those of some hundred blocks."""

# Decoding costs quadratic time, and no text of a known kind comes near this length.
_MAX_LENGTH: Final = 256


class Kind(enum.Enum):
    """What a text stands for. The value is the prefix and the size of the data, in bytes."""

    BLOCK = (b"\x01\x34", 32)
    """Block hash, ``B...``."""
    OPERATION = (b"\x05\x74", 32)
    """Operation hash, ``o...``."""
    PROTOCOL = (b"\x02\xaa", 32)
    """Protocol hash, ``P...``."""
    CONTEXT = (b"\x4f\xc7", 32)
    """Context hash, ``Co...``."""
    OPERATION_LIST = (b"\x85\xe9", 32)
    """Hash of the operations of one validation pass, ``Lo...``."""
    OPERATION_LIST_LIST = (b"\x1d\x9f\x6d", 32)
    """Hash of all the operations of a block, ``LLo...``."""
    PAYLOAD = (b"\x01\x6a\xf2", 32)
    """Hash of what a block's consensus is about, ``vh...``."""
    NONCE = (b"\x45\xdc\xa9", 32)
    """Commitment to a seed nonce, ``nce...``."""
    CHAIN = (b"\x57\x52\x00", 4)
    """Chain id, ``Net...``."""
    MV1 = (b"\x05\xba\xc4", 20)
    """Hash of an Ed25519 public key."""
    MV2 = (b"\x05\xba\xc7", 20)
    """Hash of a Secp256k1 public key."""
    MV3 = (b"\x05\xba\xc9", 20)
    """Hash of a P-256 public key."""
    MV4 = (b"\x05\xba\xcc", 20)
    """Hash of a BLS12-381 public key."""
    CONTRACT = (b"\x02\x5a\x79", 20)
    """Address of an originated contract, ``KT1...``."""
    ROLLUP = (b"\x06\x7c\x75", 20)
    """Address of a smart rollup, ``sr1...``."""
    ROLLUP_COMMITMENT = (b"\x11\xa5\x86\x8a", 32)
    """Hash of a commitment of a smart rollup, ``src1...``."""
    SCRIPT_EXPR = (b"\x0d\x2c\x40\x1b", 32)
    """Hash of a Michelson expression, ``expr...``."""
    STATE = (b"\x4c\x40\xcc", 32)
    """Hash that a seed is, ``rng...``."""
    BLOCK_METADATA = (b"\xea\xf9", 32)
    """Hash of the metadata of a block, ``bm...``."""
    OPERATION_METADATA = (b"\x05\xb7", 32)
    """Hash of the metadata of an operation, ``r...``."""
    OPERATION_METADATA_LIST = (b"\x86\x27", 32)
    """Hash of the metadata of the operations of one validation pass, ``Lr...``."""
    OPERATION_METADATA_LIST_LIST = (b"\x1d\x9f\xb6", 32)
    """Hash of the metadata of all the operations of a block, ``LLr...``."""
    BLINDED = (b"\x01\x01\x4b\x04", 20)
    """What stands for an account that was set aside, ``bmv1...``."""
    PEER = (b"\x99\x67", 16)
    """Identity of a node on the network, ``id...``."""
    ED25519_PUBLIC = (b"\x0d\x0f\x25\xd9", 32)
    """Ed25519 public key, ``edpk...``."""
    ED25519_SEED = (b"\x0d\x0f\x3a\x07", 32)
    """Ed25519 secret seed, ``edsk...`` of 54 characters."""
    ED25519_SECRET = (b"\x2b\xf6\x4e\x07", 64)
    """Ed25519 secret seed and public key, ``edsk...`` of 98 characters."""
    SECP256K1_PUBLIC = (b"\x03\xfe\xe2\x56", 33)
    """Secp256k1 public key, ``sppk...``."""
    SECP256K1_SECRET = (b"\x11\xa2\xe0\xc9", 32)
    """Secp256k1 secret key, ``spsk...``."""
    P256_PUBLIC = (b"\x03\xb2\x8b\x7f", 33)
    """P-256 public key, ``p2pk...``."""
    P256_SECRET = (b"\x10\x51\xee\xbd", 32)
    """P-256 secret key, ``p2sk...``."""
    BLS_PUBLIC = (b"\x06\x95\x87\xcc", 48)
    """BLS12-381 public key, ``BLpk...``."""
    SIGNATURE = (b"\x04\x82\x2b", 64)
    """Signature of an unstated curve, ``sig...``."""
    ED25519_SIGNATURE = (b"\x09\xf5\xcd\x86\x12", 64)
    """Ed25519 signature, ``edsig...``."""
    SECP256K1_SIGNATURE = (b"\x0d\x73\x65\x13\x3f", 64)
    """Secp256k1 signature, ``spsig1...``."""
    P256_SIGNATURE = (b"\x36\xf0\x2c\x34", 64)
    """P-256 signature, ``p2sig...``."""
    BLS_SIGNATURE = (b"\x28\xab\x40\xcf", 96)
    """BLS12-381 signature, ``BLsig...``."""

    if not TYPE_CHECKING:
        # Enum's own is written in Python, and would be called for each text that is remembered.
        __hash__ = object.__hash__

    def __init__(self, prefix: bytes, size: int) -> None:
        self.prefix: Final = prefix
        self.size: Final = size


class Base58Error(ValueError):
    """A text that is not what it should be."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text = text
        self.reason = reason

    def __str__(self) -> str:
        text = self.text if len(self.text) <= 100 else f"{self.text[:100]}..."
        return f"{text!r}: {self.reason}"


# The same few hashes are read and written again and again while they are near the head.
@lru_cache(maxsize=CACHED)
def encode(kind: Kind, data: bytes) -> str:
    """Write ``data`` as a text of that kind.

    Raises:
        ValueError: ``data`` has not the size of that kind.
    """
    if len(data) != kind.size:
        raise ValueError(f"{kind.name} takes {kind.size} bytes, not {len(data)}")
    payload = kind.prefix + data
    number = int.from_bytes(payload + _checksum(payload), "big")
    # No prefix begins with a zero byte, which base 58 would have to write apart.
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


@lru_cache(maxsize=CACHED)
def decode(kind: Kind, text: str) -> bytes:
    """Read a text of that kind; return the data without prefix and checksum.

    Raises:
        Base58Error: a character outside the alphabet, a wrong checksum, another kind or length.
    """
    if len(text) > _MAX_LENGTH:
        raise Base58Error(text, f"{len(text)} characters are too long")
    number = 0
    for position, character in enumerate(text):
        digit = _DIGITS.get(character)
        if digit is None:
            raise Base58Error(text, f"bad character {character!r} at position {position}")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    raw = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    payload, checksum = raw[:-_CHECKSUM_SIZE], raw[-_CHECKSUM_SIZE:]
    if len(raw) < _CHECKSUM_SIZE or checksum != _checksum(payload):
        raise Base58Error(text, "wrong checksum")
    if not payload.startswith(kind.prefix):
        raise Base58Error(text, f"not of kind {kind.name}")
    data = payload[len(kind.prefix) :]
    if len(data) != kind.size:
        raise Base58Error(text, f"{len(data)} bytes where {kind.name} has {kind.size}")
    return data


def is_key_hash(text: str) -> bool:
    """Whether a text is the hash of a public key, of whichever curve."""
    for kind in (Kind.MV1, Kind.MV2, Kind.MV3, Kind.MV4):
        try:
            decode(kind, text)
        except Base58Error:
            continue
        return True
    return False


def _checksum(payload: bytes) -> bytes:
    return sha256(sha256(payload).digest()).digest()[:_CHECKSUM_SIZE]
