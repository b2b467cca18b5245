"""What the application of operations told: changes of balances and the like.

Sources: ``lib_protocol/{apply_results,receipt_repr}.ml``.
"""

from __future__ import annotations

from typing import Any, Final

from ...protocol import Protocol
from ..base58 import Kind
from .records import Case, Default, Field, Optional, Part, Record, Shapes, Tagged, Union
from .schema import (
    AMOUNT,
    BIG,
    BOOL,
    INT31,
    LEVEL,
    LONG,
    BinaryError,
    Hex,
    Schema,
    Sized,
    Source,
    listed,
)
from .words import CONTRACT, ERROR, KEY_HASH, OPERATION, Hash


class _OwnStake(Field):
    """The baker's own stake, which Boreas named anew."""

    def __init__(self) -> None:
        super().__init__("baker_own_stake", KEY_HASH, "baker")

    def read(self, source: Source, fields: dict[str, Any]) -> None:
        """See `Field.read`."""
        name = "baker" if source.protocol == Protocol.ATLAS.hash else self.name
        fields[name] = self.schema.read(source)


_STAKER: Final = {
    0: Record(Field("contract", CONTRACT), Field("delegate", KEY_HASH)),
    1: Record(Field("delegate", KEY_HASH)),
}
_FROZEN: Final = Shapes(
    {
        **_STAKER,
        2: Record(_OwnStake()),
        3: Record(Field("baker_edge", KEY_HASH)),
    }
)


class _Balance(Schema):
    """A balance that changes: upstream tells them apart by ``kind`` and ``category``."""

    _CHANGE: Final = Field("change", LONG)
    _CASES: Final[dict[tuple[str, str | None], tuple[int, tuple[Field, ...]]]] = {
        ("contract", None): (0, (Field("contract", CONTRACT),)),
        ("accumulator", "block fees"): (2, ()),
        ("freezer", "deposits"): (4, (Field("staker", _FROZEN),)),
        ("minted", "nonce revelation rewards"): (5, ()),
        ("minted", "attesting rewards"): (7, ()),
        ("minted", "baking rewards"): (8, ()),
        ("minted", "baking bonuses"): (9, ()),
        ("burned", "storage fees"): (11, ()),
        ("burned", "punishments"): (12, ()),
        ("burned", "lost attesting rewards"): (
            13,
            (Field("delegate", KEY_HASH), Field("participation", BOOL), Field("revelation", BOOL)),
        ),
        ("minted", "subsidy"): (14, ()),
        ("burned", "burned"): (15, ()),
        ("commitment", "commitment"): (16, (Field("committer", Hash(Kind.BLINDED)),)),
        ("minted", "bootstrap"): (17, ()),
        ("minted", "invoice"): (18, ()),
        ("minted", "commitment"): (19, ()),
        ("minted", "minted"): (20, ()),
        ("freezer", "unstaked_deposits"): (26, (Field("staker", Shapes(_STAKER)), Field("cycle", LEVEL))),
        ("staking", "delegator_numerator"): (27, (Field("delegator", CONTRACT),)),
        ("staking", "delegate_denominator"): (28, (Field("delegate", KEY_HASH),)),
    }
    _WORDS: Final = {tag: words for words, (tag, _) in _CASES.items()}
    _ORIGIN: Final = Part(
        Union(
            *(Case(tag, word) for tag, word in enumerate(("block", "migration", "subsidy", "simulation"))),
            Case(4, "delayed_operation", Field("delayed_operation_hash", OPERATION)),
            by="origin",
        )
    )

    def write(self, value: Any, out: bytearray) -> None:
        if not isinstance(value, dict):
            raise BinaryError(f"{str(value)[:50]} is no object")
        fields = dict(value)
        words = fields.pop("kind", None), fields.pop("category", None)
        if words not in self._CASES:
            raise BinaryError(f"balance update of {words}")
        tag, own = self._CASES[words]
        out.append(tag)
        for field in (*own, self._CHANGE, self._ORIGIN):
            field.write(fields, out)
        if fields:
            raise BinaryError(f"Unexpected object field {next(iter(fields))}")

    def read(self, source: Source) -> dict[str, Any]:
        tag = source.byte()
        if tag not in self._WORDS:
            raise BinaryError(f"Unexpected tag {tag}")
        kind, category = self._WORDS[tag]
        value: dict[str, Any] = {"kind": kind}
        if category is not None:
            value["category"] = category
        for field in (*self._CASES[kind, category][1], self._CHANGE, self._ORIGIN):
            field.read(source, value)
        return value


BALANCES: Final = listed(_Balance())
"""Changes of balances, as receipts list them."""
UPDATES: Final = Default("balance_updates", BALANCES, [])

BASIC: Final = (Field("consumed_milligas", AMOUNT),)
DELEGATED: Final = (*BASIC, UPDATES)


class _NoneHere(Schema):
    """A list that is empty without contracts."""

    _EMPTY: Final = Sized(Hex())

    def write(self, value: Any, out: bytearray) -> None:
        if value:
            raise BinaryError("something that only contracts have")
        self._EMPTY.write("", out)

    def read(self, source: Source) -> list[Any]:
        if self._EMPTY.read(source):
            raise BinaryError("something that only contracts have")
        return []


class _Absent(Field):
    """An optional field that only contracts have."""

    def __init__(self, name: str) -> None:
        super().__init__(name, BOOL)

    def write(self, fields: dict[str, Any], out: bytearray) -> None:
        """See `Field.write`."""
        out.append(0)

    def read(self, source: Source, fields: dict[str, Any]) -> None:
        """See `Field.read`."""
        if BOOL.read(source):
            raise BinaryError(f"{self.name}: something that only contracts have")


TRANSFERRED: Final = (
    _Absent("storage"),
    UPDATES,
    Default("ticket_updates", _NoneHere(), []),
    Default("originated_contracts", _NoneHere(), []),
    Default("consumed_milligas", AMOUNT, "0"),
    Default("storage_size", BIG, "0"),
    Default("paid_storage_size_diff", BIG, "0"),
    Default("allocated_destination_contract", BOOL, False),
    _Absent("lazy_storage_diff"),
)


MADE: Final = (
    UPDATES,
    Default("originated_contracts", listed(CONTRACT), []),
    Default("consumed_milligas", AMOUNT, "0"),
    Default("storage_size", BIG, "0"),
    Default("paid_storage_size_diff", BIG, "0"),
    _Absent("lazy_storage_diff"),
)
OF_NOBODY: Final = Union(
    Case(0, "reveal", *BASIC),
    Case(1, "transaction", Part(Tagged(0, Record(*TRANSFERRED)))),
    Case(2, "origination", *MADE),
    Case(3, "delegation", *DELEGATED),
    Case(5, "set_deposits_limit", *BASIC),
    Case(6, "update_consensus_key", *BASIC),
    by="kind",
)
"""The result of an operation that the protocol itself made (``successful_manager_operation_result``)."""


def applied(*fields: Field) -> Field:
    """What the application of a manager operation told."""
    trace_ = listed(ERROR)
    result = Union(
        Case(0, "applied", *fields),
        Case(1, "failed", Field("errors", trace_)),
        Case(2, "skipped"),
        Case(3, "backtracked", Optional("errors", trace_), *fields),
        by="status",
    )
    return Field(
        "metadata",
        Record(
            UPDATES, Field("operation_result", result), Default("internal_operation_results", _NoneHere(), [])
        ),
    )


OF_CONSENSUS: Final = Field(
    "metadata",
    Record(
        UPDATES,
        Field("delegate", KEY_HASH),
        Field("consensus_power", INT31, "endorsement_power", "preendorsement_power"),
        Field("consensus_key", KEY_HASH),
    ),
)
OF_EVIDENCE: Final = Field("metadata", Record(Optional("forbidden_delegate", KEY_HASH), UPDATES))
OF_VOTES: Final = Field("metadata", Record())
OF_DRAINS: Final = Field("metadata", Record(UPDATES, Default("allocated_destination_contract", BOOL, False)))
OF_NONCES: Final = Field("metadata", Record(UPDATES))
