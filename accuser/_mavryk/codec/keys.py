"""Keys and signatures by curve: Ed25519, secp256k1, P-256; of BLS12-381 only the texts.

The package ``cryptography`` knows no BLS12-381 signatures: keys of that curve can be written and read,
and whoever needs a signature of theirs is refused. A public key or the hash of one
is, in binary, the number of its curve and its bytes (``src/lib_crypto/signature_v1.ml``).
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from .base58 import (
    Base58Error,
    Kind,
    decode,
    encode,
)
from .fields import ForgeError, Reader

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurve
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Curve(enum.Enum):
    """The value is the curve's number in binary, and the kinds of its texts."""

    ED25519 = (0, Kind.MV1, Kind.ED25519_PUBLIC, Kind.ED25519_SIGNATURE)
    SECP256K1 = (1, Kind.MV2, Kind.SECP256K1_PUBLIC, Kind.SECP256K1_SIGNATURE)
    P256 = (2, Kind.MV3, Kind.P256_PUBLIC, Kind.P256_SIGNATURE)
    BLS = (3, Kind.MV4, Kind.BLS_PUBLIC, Kind.BLS_SIGNATURE)

    def __init__(self, tag: int, hash: Kind, public: Kind, signature: Kind) -> None:
        self.tag: Final = tag
        self.hash: Final = hash
        self.public: Final = public
        self.signature: Final = signature

    @property
    def name_of_hash(self) -> str:
        """How the text of a public key hash begins."""
        return self.hash.name.lower()

    @property
    def name_of_key(self) -> str:
        """How the text of a public key begins."""
        return _KEY_NAMES[self.tag]


_KEY_NAMES: Final = ("edpk", "sppk", "p2pk", "BLpk")
_CURVES: Final = {curve.tag: curve for curve in Curve}


def curve_of_hash(pkh: str) -> Curve:
    """The curve of the key that a text is the hash of. Raises ``Base58Error`` if it is none."""
    return _curve_of(pkh, "no public key hash", lambda curve: (curve.name_of_hash, curve.hash))


def curve_of_key(public_key: str) -> Curve:
    """The curve of a public key. Raises ``Base58Error`` if it is none."""
    return _curve_of(public_key, "no public key", lambda curve: (curve.name_of_key, curve.public))


def _curve_of(text: str, complaint: str, form: Callable[[Curve], tuple[str, Kind]]) -> Curve:
    for curve in Curve:
        beginning, kind = form(curve)
        if text.startswith(beginning):
            decode(kind, text)
            return curve
    raise Base58Error(text, complaint)


def hash_of_key(public_key: str) -> str:
    """``mv1...`` to ``mv4...`` of a public key. Raises ``Base58Error`` for anything else."""
    curve = curve_of_key(public_key)
    data = decode(curve.public, public_key)
    return encode(curve.hash, hashlib.blake2b(data, digest_size=20).digest())


def key_hash_bytes(pkh: str, what: str) -> bytes:
    """The binary form of a public key hash. Raises ``ForgeError`` if it is none."""
    try:
        curve = curve_of_hash(pkh)
    except Base58Error as error:
        raise ForgeError(what, str(error)) from error
    return bytes([curve.tag]) + decode(curve.hash, pkh)


def public_key_bytes(public_key: str, what: str) -> bytes:
    """The binary form of a public key. Raises ``ForgeError`` if it is none."""
    try:
        curve = curve_of_key(public_key)
    except Base58Error as error:
        raise ForgeError(what, str(error)) from error
    return bytes([curve.tag]) + decode(curve.public, public_key)


def read_key_hash(reader: Reader, what: str) -> str:
    """Take a public key hash. Raises ``ForgeError``."""
    return reader.hash(_read_curve(reader, what).hash, what)


def read_public_key(reader: Reader, what: str) -> str:
    """Take a public key. Raises ``ForgeError``."""
    return reader.hash(_read_curve(reader, what).public, what)


def _read_curve(reader: Reader, what: str) -> Curve:
    tag = reader.integer(1, what, signed=False)
    if tag not in _CURVES:
        raise reader.fail(what, f"{tag} is no kind of key")
    return _CURVES[tag]


# Each node judges a vote at least twice: in its mempool, after each new head, and in a block.
@lru_cache(maxsize=8192)
def verify_digest(public_key: str, signature: bytes, digest: bytes) -> bool:
    """Whether a signature of 64 bytes is that of a digest of 32; never for BLS12-381."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    curve = curve_of_key(public_key)
    data = decode(curve.public, public_key)
    try:
        if curve is Curve.ED25519:
            Ed25519PublicKey.from_public_bytes(data).verify(signature, digest)
        elif curve is Curve.BLS:
            return False
        else:
            _verify_ecdsa(curve, data, signature, digest)
    except (InvalidSignature, ValueError):
        # A ValueError tells of a public key that is no point of the curve.
        return False
    return True


def sign_digest(secret: str, digest: bytes) -> bytes:
    """The 64-byte signature of a digest of 32 bytes. Raises ``Base58Error`` for no secret key."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

    curve, data = _secret(secret)
    if curve is Curve.ED25519:
        return _ed25519(data).sign(digest)
    private = ec.derive_private_key(int.from_bytes(data, "big"), _ec(curve))
    r, s = decode_dss_signature(private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
    if curve is Curve.SECP256K1:
        # Of the two values that fit, upstream's library takes the lower one alone.
        s = min(s, _SECP256K1_ORDER - s)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@lru_cache(maxsize=16)
def _ed25519(data: bytes) -> Ed25519PrivateKey:
    # To make one is to compute its public key, which takes as long as to sign.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(data)


def public_key_of(secret: str) -> str:
    """The public key of a secret key. Raises ``Base58Error`` for no unencrypted secret key."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    curve, data = _secret(secret)
    if curve is Curve.ED25519:
        raw = Ed25519PrivateKey.from_private_bytes(data).public_key().public_bytes_raw()
        return encode(curve.public, raw)
    public = ec.derive_private_key(int.from_bytes(data, "big"), _ec(curve)).public_key()
    return encode(curve.public, public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint))


def _verify_ecdsa(curve: Curve, data: bytes, signature: bytes, digest: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if curve is Curve.SECP256K1 and s > _SECP256K1_ORDER // 2:
        raise InvalidSignature
    public = ec.EllipticCurvePublicKey.from_encoded_point(_ec(curve), data)
    public.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def _ec(curve: Curve) -> EllipticCurve:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.SECP256K1() if curve is Curve.SECP256K1 else ec.SECP256R1()


def _secret(secret: str) -> tuple[Curve, bytes]:
    if secret.startswith("spsk"):
        return Curve.SECP256K1, decode(Kind.SECP256K1_SECRET, secret)
    if secret.startswith("p2sk"):
        return Curve.P256, decode(Kind.P256_SECRET, secret)
    if len(secret) == 98:
        return Curve.ED25519, decode(Kind.ED25519_SECRET, secret)[:32]
    return Curve.ED25519, decode(Kind.ED25519_SEED, secret)
