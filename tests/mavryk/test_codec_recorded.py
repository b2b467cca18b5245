"""Recorded headers, operations and hashes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from accuser._mavryk.codec import crypto
from accuser._mavryk.codec.base58 import (
    Kind,
    decode,
    encode,
)
from accuser._mavryk.codec.crypto import (
    BOOTSTRAP,
    CHAIN_ID,
    Key,
)
from accuser._mavryk.codec.forge import (
    BlockHeader,
    full_header_from_json,
    full_header_json,
    rfc3339,
)
from accuser._mavryk.codec.operations import (
    Consensus,
    DoubleBaking,
    DoubleConsensus,
    Operation,
)
from tests.support.codec import (
    ANSWER_FIELDS,
    KEYS,
    ZEROS,
    answers,
    exchanges,
)

NAMES = (
    "01-double-baking",
    "01b-double-baking-level-2-of-3",
    "02-double-baking-third-block-and-same-block",
    "03-double-attestation",
    "03b-double-attestation-levels-1-2-5",
    "04-double-preattestation",
    "05-attestations-in-a-block-and-with-dal",
    "08-refused",
    "17b-mempool-other-operations-and-errors",
)


RUN = pytest.mark.parametrize("name", NAMES)


def stream_items(name: str, path: str) -> Iterator[Any]:
    for exchange in exchanges(name):
        if exchange["path"].startswith(path):
            for chunk in exchange["chunks"]:
                yield json.loads(chunk["body"])


# Recorded headers.


@RUN
def test_recorded_applied_blocks_hash_right(name: str) -> None:
    items = list(stream_items(name, "/monitor/applied_blocks"))
    assert items
    for item in items:
        header = BlockHeader.from_shell_json(item["header"])
        assert header.hash == item["hash"]
        assert header.shell_json() == item["header"]
        assert list(header.shell_json()) == list(item["header"])
        assert BlockHeader.from_bytes(header.to_bytes()) == header


@RUN
def test_recorded_heads_hash_right(name: str) -> None:
    items = list(stream_items(name, "/monitor/heads/main"))
    assert items
    for item in items:
        assert BlockHeader.from_shell_json(item, ignore=("hash",)).hash == item["hash"]


@RUN
def test_recorded_full_headers_round_trip(name: str) -> None:
    values = list(answers(name, "/header"))
    for block in answers(name, "?version=1"):
        values.append({"hash": block["hash"], **block["header"]})
    assert values
    for value in values:
        header = full_header_from_json(value, ignore=ANSWER_FIELDS)
        assert header.hash == value["hash"]
        written = full_header_json(BlockHeader.from_bytes(header.to_bytes()))
        wanted = {field: value[field] for field in value if field not in ANSWER_FIELDS}
        assert written == wanted
        assert list(written) == list(wanted)


# Recorded operations.


@RUN
def test_recorded_forge_bodies_encode_to_the_recorded_answer(name: str) -> None:
    forged = 0
    for exchange in exchanges(name):
        if exchange["path"].endswith("/helpers/forge/operations"):
            operation = Operation.from_json(json.loads(exchange["request_body"]))
            assert operation.to_json() == json.loads(exchange["request_body"])
            assert Operation.from_bytes(operation.unsigned_bytes(), signed=False) == operation
            if exchange["status"] == 200:
                assert operation.unsigned_bytes().hex() == json.loads(exchange["response_body"])
                forged += 1
    assert forged


@RUN
def test_recorded_injections_hash_to_the_recorded_answer(name: str) -> None:
    injected = 0
    for exchange in exchanges(name):
        if "/injection/operation" in exchange["path"]:
            data = bytes.fromhex(json.loads(exchange["request_body"]))
            operation = Operation.from_bytes(data)
            assert operation.signature == ZEROS
            assert operation.validation_pass == 2
            assert operation.to_bytes() == data
            assert Operation.from_json(operation.to_json()) == operation
            if exchange["status"] == 200:
                assert operation.hash == json.loads(exchange["response_body"])
                injected += 1
    assert injected


def test_recorded_evidence_is_ordered_by_hash() -> None:
    seen = set()
    for name in NAMES:
        for exchange in exchanges(name):
            if exchange["path"].endswith("/helpers/forge/operations"):
                content = Operation.from_json(json.loads(exchange["request_body"])).content
                assert isinstance(content, DoubleBaking | DoubleConsensus)
                seen.add(content.kind)
                if isinstance(content, DoubleBaking):
                    first, second = content.bh1.hash, content.bh2.hash
                    assert decode(Kind.BLOCK, first) < decode(Kind.BLOCK, second)
                else:
                    first, second = content.op1.hash, content.op2.hash
                    assert decode(Kind.OPERATION, first) < decode(Kind.OPERATION, second)
    assert seen == {"double_baking_evidence", "double_attestation_evidence", "double_preattestation_evidence"}


def test_recorded_mempool_operations_hash_right() -> None:
    kinds = set()
    for name in NAMES:
        for batch in stream_items(name, "/chains/main/mempool/monitor_operations"):
            for item in batch:
                operation = Operation.from_json(item, ignore=(*ANSWER_FIELDS, "error"))
                if item["contents"][0]["kind"] == "transaction":
                    # Its hash was made up by the mock.
                    assert operation.to_json()["contents"] == item["contents"]
                    continue
                assert operation.hash == item["hash"]
                assert operation.inlined is not None
                assert operation.inlined.hash == item["hash"]
                assert operation.to_json() == {
                    field: item[field] for field in ("branch", "contents", "signature")
                }
                assert isinstance(operation.content, Consensus)
                kinds.add(operation.content.kind)
    assert kinds == {"preattestation", "attestation", "attestation_with_dal"}


def test_recorded_operations_of_a_block_are_the_same_in_both_forms() -> None:
    name = "05-attestations-in-a-block-and-with-dal"
    raw = {item["hash"]: item["operations"] for item in stream_items(name, "/monitor/applied_blocks")}
    compared = 0
    for block in answers(name, "?version=1"):
        for binary, value in zip(raw[block["hash"]][0], block["operations"][0], strict=True):
            operation = Operation.from_json(value, ignore=(*ANSWER_FIELDS, "metadata"))
            assert operation.hash == value["hash"]
            assert operation.raw_json() == binary
            data = decode(Kind.BLOCK, binary["branch"]) + bytes.fromhex(binary["data"])
            assert Operation.from_bytes(data) == operation
            compared += 1
    assert compared == 4


# Constants and hashes.


def test_chain_id_is_that_of_the_genesis() -> None:
    assert crypto.chain_id(crypto.GENESIS_BLOCK) == CHAIN_ID
    assert crypto.chain_id("BLockGenesisGenesisGenesisGenesisGenesisf79b5d1CoW2") == "NetXdQprcVkpaWU"


def test_genesis_time() -> None:
    assert rfc3339(crypto.GENESIS_TIME) == "2025-08-14T11:18:23Z"


@KEYS
def test_well_known_keys_belong_together(key: Key) -> None:
    assert crypto.public_key_hash(key.public_key) == key.pkh
    assert crypto.key_of_secret(key.secret_key, key.alias) == key
    assert crypto.key_of_secret(f"unencrypted:{key.secret_key}", key.alias) == key
    assert key.secret_key not in repr(key)


def test_the_long_form_of_a_secret_key_is_the_same_key() -> None:
    key = BOOTSTRAP[0]
    seed = decode(Kind.ED25519_SEED, key.secret_key)
    long = encode(Kind.ED25519_SECRET, seed + decode(Kind.ED25519_PUBLIC, key.public_key))
    assert (len(long), long[:4]) == (98, "edsk")
    assert crypto.key_of_secret(long).pkh == key.pkh


def test_operations_hash_of_a_block_without_lists_is_the_well_known_one() -> None:
    assert crypto.operation_list_list_hash([]) == "LLoZS2LW3rEi7KYU4ouBQtorua37aWWCtpDmv1n2x3xoKi6sVXLWp"


def merkle(elements: list[bytes]) -> bytes:
    """The same tree by definition: the last leaf repeated up to a power of two, then halves."""
    if not elements:
        return crypto.blake2b(b"")
    size = 1
    while size < len(elements):
        size *= 2
    leaves = [crypto.blake2b(element) for element in elements]
    leaves += leaves[-1:] * (size - len(leaves))

    def root(part: list[bytes]) -> bytes:
        if len(part) == 1:
            return part[0]
        half = len(part) // 2
        return crypto.blake2b(root(part[:half]) + root(part[half:]))

    return root(leaves)


@pytest.mark.parametrize("size", range(20))
def test_operation_list_hash_is_a_merkle_tree(size: int) -> None:
    elements = [crypto.blake2b(bytes([i])) for i in range(size)]
    hashes = [encode(Kind.OPERATION, element) for element in elements]
    assert decode(Kind.OPERATION_LIST, crypto.operation_list_hash(hashes)) == merkle(elements)


def test_operations_hash_is_a_tree_of_trees() -> None:
    hashes = [encode(Kind.OPERATION, crypto.blake2b(bytes([i]))) for i in range(3)]
    passes = [hashes[:1], [], hashes[1:], []]
    wanted = merkle([merkle([decode(Kind.OPERATION, text) for text in one]) for one in passes])
    assert crypto.operation_list_list_hash(passes) == encode(Kind.OPERATION_LIST_LIST, wanted)
    assert crypto.operation_list_list_hash([hashes, []]) != crypto.operation_list_list_hash([[], hashes])


def test_payload_hash_depends_on_each_part() -> None:
    operation = encode(Kind.OPERATION, bytes(32))
    block = encode(Kind.BLOCK, bytes(32))
    base = crypto.payload_hash(block, 0, [])
    assert base == encode(Kind.PAYLOAD, crypto.blake2b(bytes(36) + crypto.blake2b(b"")))
    others = {
        crypto.payload_hash(block, 1, []),
        crypto.payload_hash(block, 0, [operation]),
        crypto.payload_hash(crypto.GENESIS_BLOCK, 0, []),
    }
    assert len(others | {base}) == 4
