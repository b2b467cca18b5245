"""Every vector that upstream's own encodings made, where they lie beside the checkout (see `conftest`)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from accuser._mavryk.codec.binary import frames
from accuser._mavryk.codec.binary.schema import BinaryError, Schema
from accuser._mavryk.codec.binary.services import service
from accuser._mavryk.codec.binary.words import ERRORS
from accuser._mavryk.codec.operations import Operation

from .conftest import VECTORS

FILES: Final = ("answers", "blocks", "stream-items", "requests", "errors")
PROTOCOL: Final = "PtBoreasK2KPuKbeYtXeEdudEHS7YcMFHE9amwheUc4kejTxgRi"


def _vectors(name: str) -> Iterator[dict[str, Any]]:
    path = VECTORS / f"{name}.jsonl"
    with path.open() as lines:
        yield from (json.loads(line) for line in lines)


def _schema(vector: dict[str, Any]) -> Schema:
    if vector["part"] == "error":
        return ERRORS
    found = service(vector["method"], vector["path"])
    assert found is not None, vector["path"]
    schema = found.request if vector["part"] == "request" else found.answer
    assert schema is not None
    return schema


@pytest.mark.parametrize("name", FILES)
def test_vectors_hold_in_both_directions(name: str) -> None:
    count = 0
    for vector in _vectors(name):
        schema, wire = _schema(vector), bytes.fromhex(vector["framed_hex"])
        assert frames.framed(schema, vector["json"]) == wire, vector["path"]
        value = frames.unframed(schema, wire, PROTOCOL)
        if name != "errors":
            assert value == vector.get("json_from_bytes", vector["json"]), vector["path"]
        if "these bytes read back as another value" not in vector["note"]:
            assert frames.framed(schema, value) == wire, vector["path"]
        count += 1
    assert count > 0


@pytest.mark.parametrize("name", FILES)
def test_vectors_cut_short_or_prolonged_are_refused(name: str) -> None:
    for vector in list(_vectors(name))[::7]:
        schema, wire = _schema(vector), bytes.fromhex(vector["framed_hex"])
        for wrong in (wire[:-1], wire + b"\0", wire[:3], b""):
            with pytest.raises(BinaryError):
                frames.unframed(schema, wrong, PROTOCOL)
        data = wire[4:]
        for end in range(0, len(data), 1 + len(data) // 40):
            # A part may be a value of its own where something is optional, but never any other error.
            with contextlib.suppress(BinaryError):
                schema.from_bytes(data[:end], PROTOCOL)


def test_operations_are_forged_and_read_as_upstream_does() -> None:
    seen = 0
    for entry in _vectors("requests"):
        value, data = entry["json"], bytes.fromhex(entry["binary_hex"])
        if entry["rpc"].endswith("forge/operations"):
            # A tag byte goes before.
            assert b"\0" + Operation.from_json(value).unsigned_bytes() == data
            assert Operation.from_bytes(data[1:], signed=False) == Operation.from_json(value)
        elif entry["rpc"].endswith("injection/operation") and len(value) > 200:
            operation = Operation.from_bytes(data[4:])
            assert operation.to_bytes() == data[4:] == bytes.fromhex(value)
        else:
            continue
        seen += 1
    assert seen > 50
