"""Evidence decoded and checked by code that shares nothing with the package's own encoders."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BAKERS = {
    "bootstrap1": "edpkuBknW28nW72KG6RoHtYW7p12T6GKc7nAbwYX5m8Wd9sDVC9yav",
    "bootstrap2": "edpktzNbDAUjUk697W7gYg2CRuBQjyPxbEg8dLccYYwKSKvkPvjtV9",
    "bootstrap3": "edpkuTXkJDGcFd5nh6VvMz8phXxU3Bi7h6hqgywNFi1vZTfQNnS1RV",
    "bootstrap4": "edpkuFrRoDSEbJYgxRtLx2ps82UdaYc1WwfS9sE11yhauZt5DgCHbU",
    "bootstrap5": "edpkv8EUUH68jmo3f7Um5PezmfGrRF24gnfLpH3sVNwJnV5bVCxL2n",
}


def base58check(prefix: bytes, payload: bytes) -> str:
    data = prefix + payload
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return text


def unbase58check(text: str, prefix_size: int) -> bytes:
    number = 0
    for character in text:
        number = number * 58 + ALPHABET.index(character)
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    assert hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:]
    return data[prefix_size:-4]


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def operation_hash(operation: bytes) -> str:
    return base58check(b"\x05\x74", digest(operation))


@dataclass
class Header:
    raw: bytes
    level: int
    timestamp: int
    round: int
    signature: bytes

    @classmethod
    def decode(cls, raw: bytes) -> Header:
        level, _proto = struct.unpack_from(">iB", raw, 0)
        (timestamp,) = struct.unpack_from(">q", raw, 37)
        assert raw[45] == 4  # validation passes
        position = 46 + 32
        (size,) = struct.unpack_from(">I", raw, position)
        fitness, position = raw[position + 4 : position + 4 + size], position + 4 + size
        items = []
        while fitness:
            (length,) = struct.unpack_from(">I", fitness)
            items.append(fitness[4 : 4 + length])
            fitness = fitness[4 + length :]
        assert len(items) == 5
        assert items[0] == b"\x02"
        assert int.from_bytes(items[1], "big") == level
        position += 32 + 32 + 4 + 8  # context, payload hash, payload round, proof of work
        presence = raw[position]
        assert presence in (0, 255)
        position += 1 + (32 if presence else 0) + 1
        assert len(raw) == position + 64
        return cls(raw, level, timestamp, int.from_bytes(items[4], "big"), raw[position:])

    @property
    def hash(self) -> bytes:
        return digest(self.raw)

    def signers(self, chain_id: str) -> set[str]:
        """The well-known bakers whose signature this is."""
        message = digest(b"\x11" + unbase58check(chain_id, 3) + self.raw[:-64])
        found = set()
        for name, key in BAKERS.items():
            try:
                Ed25519PublicKey.from_public_bytes(unbase58check(key, 4)).verify(self.signature, message)
            except InvalidSignature:
                continue
            found.add(name)
        return found


@dataclass
class Evidence:
    branch: bytes
    first: Header
    second: Header
    signature: bytes

    @classmethod
    def decode(cls, operation: bytes) -> Evidence:
        assert operation[32] == 3  # double_baking_evidence
        position, headers = 33, list[Header]()
        for _ in range(2):
            (size,) = struct.unpack_from(">I", operation, position)
            headers.append(Header.decode(operation[position + 4 : position + 4 + size]))
            position += 4 + size
        first, second = headers
        return cls(operation[:32], first, second, operation[position:])


@dataclass
class Signed:
    """A preattestation or an attestation."""

    raw: bytes
    branch: bytes
    tag: int
    slot: int
    level: int
    round: int
    payload: bytes
    signature: bytes

    @classmethod
    def decode(cls, raw: bytes) -> Signed:
        tag, slot, level, at_round = struct.unpack_from(">BHii", raw, 32)
        assert len(raw) == 43 + 32 + 64
        return cls(raw, raw[:32], tag, slot, level, at_round, raw[43:75], raw[75:])

    @property
    def hash(self) -> str:
        return operation_hash(self.raw)

    def signed_by(self, name: str, chain_id: str) -> bool:
        watermark = {20: b"\x12", 21: b"\x13"}[self.tag]
        message = digest(watermark + unbase58check(chain_id, 3) + self.raw[:-64])
        try:
            Ed25519PublicKey.from_public_bytes(unbase58check(BAKERS[name], 4)).verify(self.signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass
class ConsensusEvidence:
    tag: int
    first: Signed
    second: Signed
    signature: bytes

    @classmethod
    def decode(cls, operation: bytes) -> ConsensusEvidence:
        position, signed = 33, list[Signed]()
        for _ in range(2):
            (size,) = struct.unpack_from(">I", operation, position)
            signed.append(Signed.decode(operation[position + 4 : position + 4 + size]))
            position += 4 + size
        first, second = signed
        return cls(operation[32], first, second, operation[position:])
