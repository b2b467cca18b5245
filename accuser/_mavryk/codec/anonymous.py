"""Operations that nobody pays for: revelations, activations, drains, and the noop that always fails.

Source: ``lib_protocol/operation_repr.ml``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, TypeAlias

import attrs

from .base58 import Kind
from .contracts import hash_field
from .fields import (
    Fields,
    ForgeError,
    Reader,
    check_size,
    dynamic,
    hash_bytes,
    hex_bytes,
    integer_bytes,
)
from .forge import INT32_MAX
from .keys import key_hash_bytes, read_key_hash

NONCE_SIZE: Final = 32
_SECRET_SIZE: Final = 20
_VDF_SIZE: Final = 100


@attrs.frozen
class SeedNonceRevelation:
    """The nonce that the baker of a block had committed to."""

    kind: ClassVar[str] = "seed_nonce_revelation"
    tag: ClassVar[int] = 1
    level: int
    """Of the block with the commitment."""
    nonce: bytes

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first."""
        return {"kind": self.kind, "level": self.level, "nonce": self.nonce.hex()}

    def to_bytes(self) -> bytes:
        """The tag and the content. Raises ``ForgeError``."""
        level = integer_bytes(self.level, 4, "level")
        return bytes([self.tag]) + level + check_size(self.nonce, NONCE_SIZE, "nonce")

    @classmethod
    def from_fields(cls, fields: Fields) -> SeedNonceRevelation:
        """Take the fields that follow the kind. Raises ``ForgeError``."""
        level = fields.integer("level", 0, INT32_MAX)
        return cls(level, check_size(fields.hex("nonce"), NONCE_SIZE, fields.path("nonce")))

    @classmethod
    def read(cls, reader: Reader) -> SeedNonceRevelation:
        """Take the content that follows the tag. Raises ``ForgeError``."""
        return cls(reader.integer(4, "level", least=0), reader.take(NONCE_SIZE, "nonce"))


@attrs.frozen
class VdfRevelation:
    """A solution of the verifiable delay function of a cycle."""

    kind: ClassVar[str] = "vdf_revelation"
    tag: ClassVar[int] = 8
    solution: tuple[bytes, bytes]

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first."""
        return {"kind": self.kind, "solution": [part.hex() for part in self.solution]}

    def to_bytes(self) -> bytes:
        """The tag and the content. Raises ``ForgeError``."""
        parts = (check_size(part, _VDF_SIZE, "solution") for part in self.solution)
        return bytes([self.tag]) + b"".join(parts)

    @classmethod
    def from_fields(cls, fields: Fields) -> VdfRevelation:
        """Take the fields that follow the kind. Raises ``ForgeError``."""
        parts = fields.hex_items("solution")
        if len(parts) != 2:
            raise ForgeError(fields.path("solution"), "not a pair")
        for part in parts:
            check_size(part, _VDF_SIZE, fields.path("solution"))
        return cls((parts[0], parts[1]))

    @classmethod
    def read(cls, reader: Reader) -> VdfRevelation:
        """Take the content that follows the tag. Raises ``ForgeError``."""
        return cls((reader.take(_VDF_SIZE, "solution"), reader.take(_VDF_SIZE, "solution")))


@attrs.frozen
class ActivateAccount:
    """Claim what was set aside for an account before the chain began."""

    kind: ClassVar[str] = "activate_account"
    tag: ClassVar[int] = 4
    pkh: str
    """``mv1...``"""
    secret: bytes

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first."""
        return {"kind": self.kind, "pkh": self.pkh, "secret": self.secret.hex()}

    def to_bytes(self) -> bytes:
        """The tag and the content. Raises ``ForgeError``."""
        pkh = hash_bytes(Kind.MV1, self.pkh, "pkh")
        return bytes([self.tag]) + pkh + check_size(self.secret, _SECRET_SIZE, "secret")

    @classmethod
    def from_fields(cls, fields: Fields) -> ActivateAccount:
        """Take the fields that follow the kind. Raises ``ForgeError``."""
        pkh = fields.hash(Kind.MV1, "pkh")
        return cls(pkh, check_size(fields.hex("secret"), _SECRET_SIZE, fields.path("secret")))

    @classmethod
    def read(cls, reader: Reader) -> ActivateAccount:
        """Take the content that follows the tag. Raises ``ForgeError``."""
        return cls(reader.hash(Kind.MV1, "pkh"), reader.take(_SECRET_SIZE, "secret"))


@attrs.frozen
class DrainDelegate:
    """What the holder of a consensus key may take of the delegate's money."""

    kind: ClassVar[str] = "drain_delegate"
    tag: ClassVar[int] = 9
    consensus_key: str
    delegate: str
    destination: str

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first."""
        return {"kind": self.kind, **attrs.asdict(self)}

    def to_bytes(self) -> bytes:
        """The tag and the content. Raises ``ForgeError``."""
        return bytes([self.tag]) + b"".join(
            key_hash_bytes(pkh, name) for name, pkh in attrs.asdict(self).items()
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> DrainDelegate:
        """Take the fields that follow the kind. Raises ``ForgeError``."""
        return cls(*(hash_field(fields, name) for name in ("consensus_key", "delegate", "destination")))

    @classmethod
    def read(cls, reader: Reader) -> DrainDelegate:
        """Take the content that follows the tag. Raises ``ForgeError``."""
        return cls(*(read_key_hash(reader, name) for name in ("consensus_key", "delegate", "destination")))


@attrs.frozen
class FailingNoop:
    """Something to sign that no block takes."""

    kind: ClassVar[str] = "failing_noop"
    tag: ClassVar[int] = 17
    arbitrary: bytes

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first."""
        return {"kind": self.kind, "arbitrary": self.arbitrary.hex()}

    def to_bytes(self) -> bytes:
        """The tag and the content."""
        return bytes([self.tag]) + dynamic(self.arbitrary)

    @classmethod
    def from_fields(cls, fields: Fields) -> FailingNoop:
        """Take the fields that follow the kind. Raises ``ForgeError``."""
        return cls(hex_bytes(fields.text("arbitrary"), fields.path("arbitrary")))

    @classmethod
    def read(cls, reader: Reader) -> FailingNoop:
        """Take the content that follows the tag. Raises ``ForgeError``."""
        return cls(reader.dynamic("arbitrary").rest())


Anonymous: TypeAlias = SeedNonceRevelation | VdfRevelation | ActivateAccount | DrainDelegate
ANONYMOUS: Final[tuple[type[Anonymous | FailingNoop], ...]] = (
    SeedNonceRevelation,
    VdfRevelation,
    ActivateAccount,
    DrainDelegate,
    FailingNoop,
)
BY_KIND: Final = {content.kind: content for content in ANONYMOUS}
BY_TAG: Final = {content.tag: content for content in ANONYMOUS}
