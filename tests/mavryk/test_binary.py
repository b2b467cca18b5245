"""The binary media type: vectors of upstream's encodings where they lie, and properties of our own."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.binary import frames
from accuser._mavryk.codec.binary.records import Case, Default, Field, Optional, Record, Union
from accuser._mavryk.codec.binary.schema import (
    AMOUNT,
    BIG,
    BOOL,
    NATURAL,
    SIGNED,
    TEXT,
    UINT8,
    UINT16,
    BinaryError,
    Hex,
    Nullable,
    Schema,
    Sized,
    listed,
)
from accuser._mavryk.codec.binary.services import service
from accuser._mavryk.codec.binary.words import Slots

PROTOCOL: Final = "PtBoreasK2KPuKbeYtXeEdudEHS7YcMFHE9amwheUc4kejTxgRi"


@pytest.mark.parametrize(
    ("schema", "value", "wire"),
    [
        (NATURAL, 0, "00"),
        (NATURAL, 127, "7f"),
        (NATURAL, 128, "8001"),
        (SIGNED, 63, "3f"),
        (SIGNED, -1, "41"),
        (SIGNED, 64, "8001"),
        (SIGNED, -64, "c001"),
        (AMOUNT, "4000000000000", "8080d194b574"),
        (BOOL, True, "ff"),
        (Nullable(UINT8), None, "00"),
        (Nullable(UINT8), 7, "0107"),
        (TEXT, "né", "000000036ec3a9"),
        (listed(UINT16), [1, 258], "0000000400010102"),
        (Sized(Slots()), [1, 258], "0000000400010102"),
        (Sized(Slots()), [], "00000000"),
        (Sized(Hex(), width=1), "abcd", "02abcd"),
    ],
)
def test_parts(schema: Schema, value: object, wire: str) -> None:
    assert schema.to_bytes(value).hex() == wire
    assert schema.from_bytes(bytes.fromhex(wire)) == value


@pytest.mark.parametrize(
    ("schema", "wire"),
    [
        (NATURAL, "8000"),
        (NATURAL, "80"),
        (SIGNED, "8000"),
        (BOOL, "01"),
        (Nullable(UINT8), "0207"),
        (TEXT, "00000004616263"),
        (listed(UINT16), "00000003000101"),
        (listed(UINT8, 1), "000000020101"),
        (Union(Case(1, "one")), "02"),
    ],
)
def test_bytes_that_stand_for_nothing(schema: Schema, wire: str) -> None:
    with pytest.raises(BinaryError):
        schema.from_bytes(bytes.fromhex(wire))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (UINT8, 256),
        (UINT8, True),
        (UINT8, "1"),
        (NATURAL, -1),
        (AMOUNT, "-1"),
        (AMOUNT, "1.5"),
        (AMOUNT, 5),
        (BIG, "٣"),
        (Hex(), "a b"),
        (Hex(2), "ab"),
        (listed(UINT8), {"0": 1}),
        (Record(Field("a", UINT8)), {}),
        (Record(Field("a", UINT8)), {"a": 1, "b": 2}),
        (Record(), None),
        (Union(Case(1, "one")), {"kind": "two"}),
        (Union(Case(1, "one")), {"kind": "one", "more": 1}),
    ],
)
def test_values_without_a_binary_form(schema: Schema, value: object) -> None:
    with pytest.raises(BinaryError):
        schema.to_bytes(value)


def test_fields_that_may_be_absent() -> None:
    schema = Record(Optional("a", UINT8), Default("b", listed(UINT8), []))
    for value, wire in (
        ({}, "0000000000"),
        ({"a": 1}, "ff0100000000"),
        ({"b": [2]}, "000000000102"),
        ({"a": 1, "b": [2]}, "ff010000000102"),
    ):
        assert schema.to_bytes(value).hex() == wire
        assert schema.from_bytes(bytes.fromhex(wire)) == value
    assert schema.to_bytes({"b": []}).hex() == "0000000000"


@given(st.integers())
def test_numbers_of_any_size(number: int) -> None:
    assert SIGNED.from_bytes(SIGNED.to_bytes(number)) == number
    assert NATURAL.from_bytes(NATURAL.to_bytes(abs(number))) == abs(number)


_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner)
    ),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text("abk", min_size=1), _JSON, min_size=1), min_size=1, max_size=4))
def test_errors_are_json_as_bson(trace: list[dict[str, Any]]) -> None:
    assert frames.unframed_errors(frames.framed_errors(trace)) == trace


@pytest.mark.parametrize("value", [[], {"kind": "branch"}, "text", None, 5])
def test_what_is_no_trace_becomes_one(value: object) -> None:
    (error,) = frames.unframed_errors(frames.framed_errors(value))
    assert error["id"] == ("RPC.Empty_error_list" if value == [] else "RPC.Unexpected_error_encoding")


@given(st.binary(max_size=80))
def test_no_bytes_break_a_reader(data: bytes) -> None:
    for path in ("/monitor/heads/main", "/monitor/applied_blocks", "/chains/main/blocks/head"):
        found = service("GET", path)
        assert found is not None
        with pytest.raises(BinaryError):
            frames.unframed(found.answer, len(data).to_bytes(4, "big") + data, PROTOCOL)


def test_services_are_found_by_their_paths() -> None:
    for path in ("/chains/main/blocks/head/hash", "/chains/main/blocks/head/hash?x=/y", "/version/"):
        assert service("GET", path) is not None
    for method, path in (("GET", "/"), ("GET", "/chains/main"), ("PUT", "/version"), ("POST", "/version")):
        assert service(method, path) is None


def test_manager_operations_and_their_receipts() -> None:
    key_hash, branch = encode(Kind.MV1, bytes(20)), encode(Kind.BLOCK, bytes(32))
    manager = {
        "source": key_hash,
        "fee": "300",
        "counter": "1",
        "gas_limit": "1000",
        "storage_limit": "0",
    }
    change = {"kind": "contract", "contract": key_hash, "change": "-300", "origin": "block"}
    staked = {
        "kind": "freezer",
        "category": "deposits",
        "staker": {"contract": key_hash, "delegate": key_hash},
        "change": "5",
        "origin": "block",
    }
    operation = {
        "protocol": PROTOCOL,
        "chain_id": encode(Kind.CHAIN, bytes(4)),
        "hash": encode(Kind.OPERATION, bytes(32)),
        "branch": branch,
        "contents": [
            {
                "kind": "transaction",
                **manager,
                "amount": "5",
                "destination": key_hash,
                "parameters": {"entrypoint": "stake", "value": {"prim": "Unit"}},
                "metadata": {
                    "balance_updates": [change],
                    "operation_result": {
                        "status": "applied",
                        "balance_updates": [staked],
                        "consumed_milligas": "100",
                    },
                },
            },
            {
                "kind": "delegation",
                **manager,
                "metadata": {"operation_result": {"status": "skipped"}},
            },
        ],
        "signature": encode(Kind.SIGNATURE, bytes([1]) * 64),
    }
    found = service("GET", "/chains/main/blocks/head/operations/3/0")
    assert found is not None
    data = found.answer.to_bytes(operation)
    assert found.answer.from_bytes(data, PROTOCOL) == operation
    # The receipt of the stake, written out: status, case of a transfer, no storage, one change.
    assert bytes.fromhex("000000000000360400") in data


@pytest.mark.parametrize("value", [[0, 65535], [65536], [-1], [1, True], ["1"], [1.0], {1: 2}, "12", None, 3])
def test_numbers_that_are_packed_at_once_are_judged_as_one_by_one(value: object) -> None:
    def written(schema: Schema) -> object:
        try:
            return schema.to_bytes(value)
        except BinaryError as error:
            return str(error)

    assert written(Sized(Slots())) == written(listed(UINT16))
    with pytest.raises(BinaryError, match="Not enough data"):
        Sized(Slots()).from_bytes(bytes.fromhex("00000003000102"))
