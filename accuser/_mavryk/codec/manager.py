"""Manager operations: what the owner of an account orders, and pays for.

Sources: ``lib_protocol/{operation_repr,contract_repr,entrypoint_repr}.ml``. Contracts and scripts
are forged and parsed, but the sandbox's protocol does not run any.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, TypeAlias

import attrs

from .contracts import (
    contract_bytes,
    expression_field,
    hash_field,
    key_field,
    optional_hash,
    optional_hash_field,
    read_amount,
    read_contract,
    read_expression,
    read_optional_hash,
    read_presence,
    shown_expression,
)
from .fields import (
    Fields,
    ForgeError,
    Reader,
    dynamic,
)
from .keys import key_hash_bytes, public_key_bytes, read_key_hash, read_public_key
from .micheline import UNIT
from .numbers import natural_bytes, natural_field, read_natural
from .scripts import IncreasePaidStorage, Origination, RegisterGlobalConstant

DEFAULT: Final = "default"
ENTRYPOINTS: Final = (
    DEFAULT,
    "root",
    "do",
    "set_delegate",
    "remove_delegate",
    "deposit",
    "stake",
    "unstake",
    "finalize_unstake",
    "set_delegate_parameters",
)
"""By their numbers in binary; any other is written out."""

_NAMED: Final = 0xFF
_MAX_NAME: Final = 31
_MOST: Final = 2 ** (7 * 10) - 1
"""The most that ten bytes of seven bits hold."""


@attrs.frozen
class Reveal:
    """Make the public key of an account known."""

    kind: ClassVar[str] = "reveal"
    tag: ClassVar[int] = 107
    public_key: str

    def to_json(self) -> dict[str, Any]:
        """Its own fields."""
        return {"public_key": self.public_key}

    def to_bytes(self) -> bytes:
        """Its own part. Raises ``ForgeError``."""
        return public_key_bytes(self.public_key, "public_key")

    @classmethod
    def from_fields(cls, fields: Fields) -> Reveal:
        """Take its own fields. Raises ``ForgeError``."""
        return cls(key_field(fields, "public_key"))

    @classmethod
    def read(cls, reader: Reader) -> Reveal:
        """Take its own part. Raises ``ForgeError``."""
        return cls(read_public_key(reader, "public_key"))


@attrs.frozen
class Call:
    """The entrypoint that a transaction calls, and with what."""

    entrypoint: str = DEFAULT
    value: bytes = UNIT
    """An expression, in binary."""

    def to_json(self) -> dict[str, Any]:
        """``{"entrypoint", "value"}``."""
        return {"entrypoint": self.entrypoint, "value": shown_expression(self.value)}

    def to_bytes(self) -> bytes:
        """The binary form. Raises ``ForgeError``."""
        if self.entrypoint in ENTRYPOINTS:
            name = bytes([ENTRYPOINTS.index(self.entrypoint)])
        else:
            text = self.entrypoint.encode()
            if len(text) > _MAX_NAME:
                raise ForgeError("entrypoint", f"longer than {_MAX_NAME} bytes")
            name = bytes([_NAMED, len(text)]) + text
        return name + dynamic(self.value)

    @classmethod
    def from_json(cls, value: object, path: str) -> Call:
        """Read such an object. Raises ``ForgeError``."""
        fields = Fields(value, path)
        call = cls(fields.text("entrypoint"), expression_field(fields, "value"))
        fields.end()
        if len(call.entrypoint.encode()) > _MAX_NAME:
            raise ForgeError(fields.path("entrypoint"), f"longer than {_MAX_NAME} bytes")
        return call

    @classmethod
    def read(cls, reader: Reader) -> Call:
        """Take it. Raises ``ForgeError``."""
        tag = reader.integer(1, "entrypoint", signed=False)
        if tag < len(ENTRYPOINTS):
            return cls(ENTRYPOINTS[tag], read_expression(reader, "value"))
        if tag != _NAMED:
            raise reader.fail("entrypoint", f"tag {tag}")
        size = reader.integer(1, "entrypoint", signed=False)
        if size > _MAX_NAME:
            raise reader.fail("entrypoint", f"longer than {_MAX_NAME} bytes")
        try:
            name = reader.take(size, "entrypoint").decode()
        except UnicodeDecodeError as error:
            raise reader.fail("entrypoint", str(error)) from error
        if name in ENTRYPOINTS:
            raise reader.fail("entrypoint", f"{name!r} has a number of its own")
        return cls(name, read_expression(reader, "value"))


@attrs.frozen
class Transaction:
    """Give to an account, or call an entrypoint."""

    kind: ClassVar[str] = "transaction"
    tag: ClassVar[int] = 108
    amount: int
    """In mumav."""
    destination: str
    """A public key hash or ``KT1...``."""
    call: Call | None = None
    """None for a mere gift, which binary may also spell out."""

    @property
    def called(self) -> Call:
        """The call, which for a gift is that of the entrypoint ``default``."""
        return self.call or Call()

    def to_json(self) -> dict[str, Any]:
        """Its own fields; no parameters where they are those of a mere gift."""
        shown: dict[str, Any] = {"amount": str(self.amount), "destination": self.destination}
        called = self.called
        return shown if called == Call() else {**shown, "parameters": called.to_json()}

    def to_bytes(self) -> bytes:
        """Its own part. Raises ``ForgeError``."""
        amount = natural_bytes(self.amount, "amount")
        parameters = b"\0" if self.call is None else b"\xff" + self.call.to_bytes()
        return amount + contract_bytes(self.destination, "destination") + parameters

    @classmethod
    def from_fields(cls, fields: Fields) -> Transaction:
        """Take its own fields. Raises ``ForgeError``."""
        amount, destination = natural_field(fields, "amount"), fields.text("destination")
        contract_bytes(destination, fields.path("destination"))
        if not fields.has("parameters"):
            return cls(amount, destination)
        call = Call.from_json(fields.value("parameters"), fields.path("parameters"))
        return cls(amount, destination, None if call == Call() else call)

    @classmethod
    def read(cls, reader: Reader) -> Transaction:
        """Take its own part. Raises ``ForgeError``."""
        amount = read_amount(reader, "amount")
        destination = read_contract(reader, "destination")
        return cls(amount, destination, Call.read(reader) if read_presence(reader, "parameters") else None)


@attrs.frozen
class Delegation:
    """Choose a delegate, or none; whoever chooses itself becomes one."""

    kind: ClassVar[str] = "delegation"
    tag: ClassVar[int] = 110
    delegate: str | None

    def to_json(self) -> dict[str, Any]:
        """Its own fields."""
        return {} if self.delegate is None else {"delegate": self.delegate}

    def to_bytes(self) -> bytes:
        """Its own part. Raises ``ForgeError``."""
        return optional_hash(self.delegate)

    @classmethod
    def from_fields(cls, fields: Fields) -> Delegation:
        """Take its own fields. Raises ``ForgeError``."""
        return cls(optional_hash_field(fields))

    @classmethod
    def read(cls, reader: Reader) -> Delegation:
        """Take its own part. Raises ``ForgeError``."""
        return cls(read_optional_hash(reader))


@attrs.frozen
class SetDepositsLimit:
    """Limit what a delegate freezes by itself."""

    kind: ClassVar[str] = "set_deposits_limit"
    tag: ClassVar[int] = 112
    limit: int | None

    def to_json(self) -> dict[str, Any]:
        """Its own fields."""
        return {} if self.limit is None else {"limit": str(self.limit)}

    def to_bytes(self) -> bytes:
        """Its own part. Raises ``ForgeError``."""
        return b"\0" if self.limit is None else b"\xff" + natural_bytes(self.limit, "limit")

    @classmethod
    def from_fields(cls, fields: Fields) -> SetDepositsLimit:
        """Take its own fields. Raises ``ForgeError``."""
        return cls(natural_field(fields, "limit") if fields.has("limit") else None)

    @classmethod
    def read(cls, reader: Reader) -> SetDepositsLimit:
        """Take its own part. Raises ``ForgeError``."""
        return cls(read_amount(reader, "limit") if read_presence(reader, "limit") else None)


@attrs.frozen
class UpdateConsensusKey:
    """Let another key bake and attest for a delegate."""

    kind: ClassVar[str] = "update_consensus_key"
    tag: ClassVar[int] = 114
    pk: str

    def to_json(self) -> dict[str, Any]:
        """Its own fields."""
        return {"pk": self.pk}

    def to_bytes(self) -> bytes:
        """Its own part. Raises ``ForgeError``."""
        return public_key_bytes(self.pk, "pk")

    @classmethod
    def from_fields(cls, fields: Fields) -> UpdateConsensusKey:
        """Take its own fields. Raises ``ForgeError``."""
        return cls(key_field(fields, "pk"))

    @classmethod
    def read(cls, reader: Reader) -> UpdateConsensusKey:
        """Take its own part. Raises ``ForgeError``."""
        return cls(read_public_key(reader, "pk"))


Body: TypeAlias = (
    Reveal
    | Transaction
    | Origination
    | Delegation
    | RegisterGlobalConstant
    | SetDepositsLimit
    | IncreasePaidStorage
    | UpdateConsensusKey
)
BODIES: Final[tuple[type[Body], ...]] = (
    Reveal,
    Transaction,
    Origination,
    Delegation,
    RegisterGlobalConstant,
    SetDepositsLimit,
    IncreasePaidStorage,
    UpdateConsensusKey,
)
_BY_KIND: Final = {body.kind: body for body in BODIES}
_BY_TAG: Final = {body.tag: body for body in BODIES}
MANAGER_KINDS: Final = frozenset(_BY_KIND)
MANAGER_TAGS: Final = frozenset(_BY_TAG)


@attrs.frozen
class Manager:
    """One content of a manager operation: who pays how much, and for what."""

    source: str
    fee: int
    """In mumav."""
    counter: int
    gas_limit: int
    storage_limit: int
    body: Body

    @property
    def kind(self) -> str:
        """The kind's name in JSON."""
        return self.body.kind

    def to_json(self) -> dict[str, Any]:
        """The fields, the kind first."""
        head = {"kind": self.kind, "source": self.source}
        numbers = {name: str(getattr(self, name)) for name in _NUMBERS}
        return {**head, **numbers, **self.body.to_json()}

    def to_bytes(self) -> bytes:
        """The tag and the content. Raises ``ForgeError``."""
        numbers = b"".join(natural_bytes(getattr(self, name), name) for name in _NUMBERS)
        return bytes([self.body.tag]) + key_hash_bytes(self.source, "source") + numbers + self.body.to_bytes()

    @classmethod
    def from_fields(cls, kind: str, fields: Fields) -> Manager:
        """Take the fields that follow the kind. Raises ``ForgeError``."""
        source = hash_field(fields, "source")
        fee = natural_field(fields, "fee")
        counter, gas_limit, storage_limit = (natural_field(fields, name, _MOST) for name in _NUMBERS[1:])
        return cls(source, fee, counter, gas_limit, storage_limit, _BY_KIND[kind].from_fields(fields))

    @classmethod
    def read(cls, tag: int, reader: Reader) -> Manager:
        """Take the content that follows the tag. Raises ``ForgeError``."""
        source, fee = read_key_hash(reader, "source"), read_amount(reader, "fee")
        counter, gas_limit, storage_limit = (read_natural(reader, name) for name in _NUMBERS[1:])
        return cls(source, fee, counter, gas_limit, storage_limit, _BY_TAG[tag].read(reader))


_NUMBERS: Final = ("fee", "counter", "gas_limit", "storage_limit")
