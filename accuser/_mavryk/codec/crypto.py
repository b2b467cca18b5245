"""Hashes, keys and signatures, and the constants of the sandbox network.

Signatures are of the curve of their key, see `keys`: Ed25519 for every well-known account.
"""

from __future__ import annotations

import enum
import hashlib
import secrets
from collections.abc import Sequence
from typing import Final

import attrs

from ..accounts import ACTIVATOR as ACTIVATOR_ACCOUNT
from ..accounts import BOOTSTRAP as BOOTSTRAP_ACCOUNTS
from ..accounts import Account
from .base58 import Kind, decode, encode
from .keys import (
    hash_of_key,
    public_key_of,
    sign_digest,
    verify_digest,
)

UNENCRYPTED: Final = "unencrypted:"
"""Scheme of the keys in the files of a client."""


def blake2b(data: bytes, size: int = 32) -> bytes:
    """BLAKE2b of ``data``, of ``size`` bytes."""
    return hashlib.blake2b(data, digest_size=size).digest()


def block_hash(header: bytes) -> str:
    """Hash of a block, from its whole binary header."""
    return encode(Kind.BLOCK, blake2b(header))


def operation_hash(op: bytes) -> str:
    """Hash of an operation, from its binary form with the signature."""
    return encode(Kind.OPERATION, blake2b(op))


def chain_id(genesis_block: str) -> str:
    """Identifier of the chain that begins with that block (``src/lib_crypto/chain_id.ml``)."""
    return encode(Kind.CHAIN, blake2b(decode(Kind.BLOCK, genesis_block))[:4])


def operation_list_hash(hashes: Sequence[str]) -> str:
    """Hash of the operations of one validation pass, from theirs."""
    return encode(Kind.OPERATION_LIST, merkle_root([decode(Kind.OPERATION, text) for text in hashes]))


def operation_list_list_hash(hashes: Sequence[Sequence[str]]) -> str:
    """A header's ``operations_hash``, from the operations' hashes by validation pass."""
    passes = [decode(Kind.OPERATION_LIST, operation_list_hash(hashes_of_pass)) for hashes_of_pass in hashes]
    return encode(Kind.OPERATION_LIST_LIST, merkle_root(passes))


def payload_hash(predecessor: str, payload_round: int, operation_hashes: Sequence[str]) -> str:
    """Hash of a payload (``lib_protocol/block_payload_repr.ml``).

    Args:
        predecessor: hash of the block below the one that carries the payload.
        payload_round: round at which the payload was proposed first.
        operation_hashes: of the operations of passes 1 to 3, in their order.
    """
    return encode(
        Kind.PAYLOAD,
        blake2b(
            decode(Kind.BLOCK, predecessor)
            + payload_round.to_bytes(4, "big")
            + decode(Kind.OPERATION_LIST, operation_list_hash(operation_hashes))
        ),
    )


def merkle_root(elements: Sequence[bytes]) -> bytes:
    """The root of the tree of hashes over some elements."""
    # Generic_Merkle_tree of src/lib_crypto/blake2B.ml: a full binary tree, as if the last leaf
    # were repeated up to a power of two. `filler` is the subtree of such repetitions.
    if not elements:
        return blake2b(b"")
    nodes = [blake2b(element) for element in elements]
    filler = nodes[-1]
    while len(nodes) > 1:
        if len(nodes) % 2:
            nodes.append(filler)
        nodes = [blake2b(nodes[i] + nodes[i + 1]) for i in range(0, len(nodes), 2)]
        filler = blake2b(filler + filler)
    return nodes[0]


class Watermark(enum.IntEnum):
    """What a signature is for; a byte before the signed data tells it."""

    ACTIVATION = 0x01
    """Block 1, by the genesis protocol: a block header under the watermark from before Tenderbake."""
    GENERIC = 0x03
    BLOCK = 0x11
    PREATTESTATION = 0x12
    ATTESTATION = 0x13


def watermark(kind: Watermark, chain_id: str | None = None) -> bytes:
    """The bytes that precede signed data; all kinds but ``GENERIC`` bind it to a chain.

    Raises:
        ValueError: the chain id is missing.
    """
    if kind is Watermark.GENERIC:
        return bytes([kind])
    if chain_id is None:
        raise ValueError(f"watermark {kind.name} needs a chain id")
    return bytes([kind]) + decode(Kind.CHAIN, chain_id)


@attrs.frozen
class Key:
    """A key pair and what the client calls it."""

    alias: str
    pkh: str
    """``mv1...``, or ``mv2...`` and ``mv3...`` of the other curves."""
    public_key: str
    """``edpk...``, ``sppk...`` or ``p2pk...``"""
    secret_key: str = attrs.field(repr=False)
    """``edsk...`` and so on, without scheme."""

    def sign(self, data: bytes, *, watermark: bytes) -> bytes:
        """The 64-byte signature of ``data`` under that watermark."""
        return sign_digest(self.secret_key, blake2b(watermark + data))


def key_of_secret(secret: str, alias: str = "") -> Key:
    """The key pair of ``edsk...``, ``spsk...`` or ``p2sk...``, with or without ``unencrypted:`` before it.

    Raises:
        Base58Error: not an unencrypted secret key of one of these curves.
    """
    secret = secret.removeprefix(UNENCRYPTED)
    public_key = public_key_of(secret)
    return Key(alias, public_key_hash(public_key), public_key, secret)


def generated_key() -> Key:
    """A new key pair, of the system's randomness."""
    return key_of_secret(encode(Kind.ED25519_SEED, secrets.token_bytes(32)))


def public_key_hash(public_key: str) -> str:
    """``mv1...`` of ``edpk...``, and so for the other curves. Raises ``Base58Error`` for anything else."""
    return hash_of_key(public_key)


def verify(public_key: str, signature: bytes, data: bytes, *, watermark: bytes) -> bool:
    """Whether ``signature`` of ``data`` was made with that key under that watermark."""
    return verify_digest(public_key, signature, blake2b(watermark + data))


GENESIS_BLOCK: Final = "BLockGenesisGenesisGenesisGenesisGenesis23a82evMK9F"
"""First block of the sandbox network (``src/lib_node_config/config_file.ml``)."""

GENESIS_TIME: Final = 1755170303
"""Its time, in seconds since the epoch: 2025-08-14T11:18:23Z."""

CHAIN_ID: Final = "NetXXAAR1wWQhhe"
"""``chain_id(GENESIS_BLOCK)``."""


def _known(account: Account) -> Key:
    return Key(account.alias, account.pkh, account.public_key, account.secret_key)


BOOTSTRAP: Final = tuple(map(_known, BOOTSTRAP_ACCOUNTS))
"""The delegates of the sandbox network; their keys are public."""

ACTIVATOR: Final = _known(ACTIVATOR_ACCOUNT)
"""The account that may activate a protocol on the sandbox network."""
