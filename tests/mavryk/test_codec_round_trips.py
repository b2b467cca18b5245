"""Round trips of invented values."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuser._mavryk.codec import crypto
from accuser._mavryk.codec.base58 import (
    Kind,
    encode,
)
from accuser._mavryk.codec.fields import ForgeError
from accuser._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    ShellHeader,
    full_header_from_json,
    full_header_json,
)
from accuser._mavryk.codec.operations import (
    InlinedConsensus,
    Operation,
)
from tests.support.codec import (
    full_headers,
    operations,
    protocol_data,
    shells,
)


@given(shells, st.binary(max_size=40))
def test_any_header_round_trips(shell: ShellHeader, data: bytes) -> None:
    header = BlockHeader(shell, data)
    assert BlockHeader.from_bytes(header.to_bytes()) == header
    assert BlockHeader.from_shell_json(json.loads(json.dumps(header.shell_json()))) == header
    assert ShellHeader.from_json(shell.to_json()) == shell
    assert header.hash == encode(Kind.BLOCK, crypto.blake2b(header.to_bytes()))


@given(protocol_data)
def test_any_protocol_data_round_trips(data: ProtocolData) -> None:
    assert ProtocolData.from_bytes(data.to_bytes()) == data
    assert ProtocolData.from_json(json.loads(json.dumps(data.to_json()))) == data
    assert data.to_bytes() == data.unsigned_bytes() + data.signature


@given(full_headers)
def test_any_full_header_round_trips(header: BlockHeader) -> None:
    assert full_header_from_json(json.loads(json.dumps(full_header_json(header)))) == header


@given(operations)
def test_any_operation_round_trips(operation: Operation) -> None:
    data = operation.to_bytes()
    assert Operation.from_bytes(data) == operation
    assert Operation.from_json(json.loads(json.dumps(operation.to_json()))) == operation
    assert operation.hash == encode(Kind.OPERATION, crypto.blake2b(data))
    unsigned = attrs.evolve(operation, signature=None)
    assert unsigned.unsigned_bytes() + (operation.signature or b"") == data
    assert Operation.from_bytes(unsigned.unsigned_bytes(), signed=False) == unsigned
    assert Operation.from_json(unsigned.to_json()) == unsigned


@given(operations, st.data())
def test_a_cut_operation_is_refused(operation: Operation, data: st.DataObject) -> None:
    whole = operation.to_bytes()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    # A cut within the open-ended tail of a number may leave something well formed, no less.
    with contextlib.suppress(ForgeError):
        assert Operation.from_bytes(cut).to_bytes() == cut
    with pytest.raises(ForgeError):
        Operation.from_bytes(whole[:96])


@given(operations, st.data())
def test_changed_bytes_are_refused_or_kept(operation: Operation, data: st.DataObject) -> None:
    whole = bytearray(operation.to_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        changed = Operation.from_bytes(bytes(whole))
    except ForgeError:
        return
    assert changed.to_bytes() == bytes(whole)
    assert changed != operation


@given(st.binary(max_size=300))
def test_noise_is_refused_or_kept(data: bytes) -> None:
    for read in (Operation.from_bytes, InlinedConsensus.from_bytes, ProtocolData.from_bytes):
        with contextlib.suppress(ForgeError):
            assert read(data).to_bytes() == data


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(operations, json_values, st.data())
def test_any_json_in_place_of_a_part_is_refused_or_read(
    operation: Operation, noise: Any, data: st.DataObject
) -> None:
    value = json.loads(json.dumps(operation.to_json()))
    part: Any = value
    while True:
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
        if not isinstance(part[key], dict | list) or not part[key] or data.draw(st.booleans()):
            break
        part = part[key]
    part[key] = noise
    with contextlib.suppress(ForgeError):
        assert isinstance(Operation.from_json(value), Operation)
