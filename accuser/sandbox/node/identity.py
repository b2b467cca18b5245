"""The node's identity, ``identity.json`` in its data directory.

Upstream's layout (``src/lib_base/p2p_identity.ml``): an X25519 key pair, a proof-of-work stamp, and
the peer id, which is the hash of the public key.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import attrs

from ..._mavryk.codec.base58 import Kind, encode
from ..._mavryk.codec.crypto import blake2b

IDENTITY_FILE: Final = "identity.json"
_STAMP_SIZE: Final = 24


class IdentityError(Exception):
    """No usable identity; says why."""


@attrs.frozen
class Identity:
    """``stamp`` proves work; with a difficulty of 0 any stamp does."""

    peer_id: str
    public_key: bytes
    secret_key: bytes = attrs.field(repr=False)
    stamp: bytes = bytes(_STAMP_SIZE)

    @classmethod
    def generate(cls, difficulty: float) -> Identity:
        """Make one whose stamp has about so many leading zero bits.

        Raises:
            IdentityError: the difficulty is beyond what a sandbox is for.
        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        if not 0 <= difficulty <= 16:
            raise IdentityError(f"The sandbox makes identities of difficulty 0 to 16, not {difficulty:g}.")
        private = X25519PrivateKey.generate()
        public_key = private.public_key().public_bytes_raw()
        stamp = os.urandom(_STAMP_SIZE)
        while not _is_enough(public_key, stamp, difficulty):
            stamp = os.urandom(_STAMP_SIZE)
        peer_id = encode(Kind.PEER, blake2b(public_key, 16))
        return cls(peer_id, public_key, private.private_bytes_raw(), stamp)

    @classmethod
    def read(cls, path: Path) -> Identity:
        """Read a file. Raises ``IdentityError``."""
        try:
            value = json.loads(path.read_bytes())
            public_key, secret_key = bytes.fromhex(value["public_key"]), bytes.fromhex(value["secret_key"])
            stamp = bytes.fromhex(value["proof_of_work_stamp"])
        except FileNotFoundError as error:
            raise IdentityError(
                f"Cannot read the identity file: `{path}`. "
                "See `mavkit-node identity --help` on how to generate an identity."
            ) from error
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise IdentityError(f"Cannot read the identity file: `{path}`: {error!r}") from error
        peer_id = encode(Kind.PEER, blake2b(public_key, 16))
        if value.get("peer_id", peer_id) != peer_id:
            raise IdentityError(
                f"The current identity (public key hash) does not match the keys in {path}.\n"
                f"           Expected identity {peer_id}."
            )
        return cls(peer_id, public_key, secret_key, stamp)

    def write(self, path: Path) -> None:
        """Write a file. Raises ``IdentityError`` if it is there already."""
        value = {
            "peer_id": self.peer_id,
            "public_key": self.public_key.hex(),
            "secret_key": self.secret_key.hex(),
            "proof_of_work_stamp": self.stamp.hex(),
        }
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise existent(path) from error
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(value, indent=2) + "\n")

    def is_enough(self, difficulty: float) -> bool:
        """Whether the stamp proves that much work."""
        return _is_enough(self.public_key, self.stamp, difficulty)


def existent(path: Path) -> IdentityError:
    """The error for an identity that would be overwritten."""
    return IdentityError(
        f"Cannot implicitly overwrite the current identity file: '{path}'. "
        "See `mavkit-node identity --help` on how to generate a new identity."
    )


def _is_enough(public_key: bytes, stamp: bytes, difficulty: float) -> bool:
    return int.from_bytes(blake2b(public_key + stamp), "big") < 2 ** (256 - difficulty)
