"""Manager operations about contracts and scripts: they are forged and parsed, and never applied here."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from .base58 import Kind
from .contracts import (
    expression_field,
    is_originated,
    optional_hash,
    optional_hash_field,
    read_amount,
    read_contract,
    read_expression,
    read_optional_hash,
    shown_expression,
)
from .fields import (
    Fields,
    Reader,
    dynamic,
    hash_bytes,
)
from .numbers import natural_bytes, natural_field, number_bytes, number_field, read_number


@attrs.frozen
class Origination:
    """Make a contract."""

    kind: ClassVar[str] = "origination"
    tag: ClassVar[int] = 109
    balance: int
    delegate: str | None
    code: bytes
    """An expression, in binary; as the next."""
    storage: bytes

    def to_json(self) -> dict[str, Any]:
        """Its own fields."""
        delegate = {} if self.delegate is None else {"delegate": self.delegate}
        script = {"code": shown_expression(self.code), "storage": shown_expression(self.storage)}
        return {"balance": str(self.balance), **delegate, "script": script}

    def to_bytes(self) -> bytes:
        """Its own part. Raises ``ForgeError``."""
        scripts = dynamic(self.code) + dynamic(self.storage)
        return natural_bytes(self.balance, "balance") + optional_hash(self.delegate) + scripts

    @classmethod
    def from_fields(cls, fields: Fields) -> Origination:
        """Take its own fields. Raises ``ForgeError``."""
        balance, delegate = natural_field(fields, "balance"), optional_hash_field(fields)
        inner = Fields(fields.value("script"), fields.path("script"))
        code, storage = (expression_field(inner, name) for name in ("code", "storage"))
        inner.end()
        return cls(balance, delegate, code, storage)

    @classmethod
    def read(cls, reader: Reader) -> Origination:
        """Take its own part. Raises ``ForgeError``."""
        balance, delegate = read_amount(reader, "balance"), read_optional_hash(reader)
        code, storage = (read_expression(reader, name) for name in ("code", "storage"))
        return cls(balance, delegate, code, storage)


@attrs.frozen
class RegisterGlobalConstant:
    """Keep an expression for all scripts."""

    kind: ClassVar[str] = "register_global_constant"
    tag: ClassVar[int] = 111
    value: bytes
    """An expression, in binary."""

    def to_json(self) -> dict[str, Any]:
        """Its own fields."""
        return {"value": shown_expression(self.value)}

    def to_bytes(self) -> bytes:
        """Its own part. Raises ``ForgeError``."""
        return dynamic(self.value)

    @classmethod
    def from_fields(cls, fields: Fields) -> RegisterGlobalConstant:
        """Take its own fields. Raises ``ForgeError``."""
        return cls(expression_field(fields, "value"))

    @classmethod
    def read(cls, reader: Reader) -> RegisterGlobalConstant:
        """Take its own part. Raises ``ForgeError``."""
        return cls(read_expression(reader, "value"))


@attrs.frozen
class IncreasePaidStorage:
    """Pay for storage of a contract."""

    kind: ClassVar[str] = "increase_paid_storage"
    tag: ClassVar[int] = 113
    amount: int
    """In bytes; a negative one has a form too."""
    destination: str
    """``KT1...``"""

    def to_json(self) -> dict[str, Any]:
        """Its own fields."""
        return {"amount": str(self.amount), "destination": self.destination}

    def to_bytes(self) -> bytes:
        """Its own part. Raises ``ForgeError``."""
        address = hash_bytes(Kind.CONTRACT, self.destination, "destination")
        return number_bytes(self.amount) + b"\x01" + address + b"\0"

    @classmethod
    def from_fields(cls, fields: Fields) -> IncreasePaidStorage:
        """Take its own fields. Raises ``ForgeError``."""
        return cls(number_field(fields, "amount"), fields.hash(Kind.CONTRACT, "destination"))

    @classmethod
    def read(cls, reader: Reader) -> IncreasePaidStorage:
        """Take its own part. Raises ``ForgeError``."""
        amount, destination = read_number(reader, "amount"), read_contract(reader, "destination")
        if not is_originated(destination):
            raise reader.fail("destination", "not an originated contract")
        return cls(amount, destination)
