"""The sandbox's codec, against what the real accuser sent and a mock node answered."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accuser._mavryk.codec import crypto
from accuser._mavryk.codec.base58 import (
    Base58Error,
    Kind,
    decode,
    encode,
)
from accuser._mavryk.codec.crypto import (
    ACTIVATOR,
    BOOTSTRAP,
    CHAIN_ID,
    Key,
    Watermark,
)
from accuser._mavryk.codec.fields import ForgeError
from accuser._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    ShellHeader,
    fitness,
    fitness_key,
    fitness_round,
    full_header_from_json,
    full_header_json,
    parse_timestamp,
    rfc3339,
)
from accuser._mavryk.codec.operations import (
    Consensus,
    DoubleBaking,
    DoubleConsensus,
    InlinedConsensus,
    Operation,
)

RUNS = Path(__file__).parent.parent / "data" / "recorded-runs"
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
ANSWER_FIELDS = ("protocol", "chain_id", "hash")
ZEROS = bytes(64)
SMALL = settings(max_examples=60, deadline=None, database=None)

KEYS = pytest.mark.parametrize("key", [*BOOTSTRAP, ACTIVATOR], ids=lambda key: key.alias)
RUN = pytest.mark.parametrize("name", NAMES)


def exchanges(name: str) -> list[dict[str, Any]]:
    with (RUNS / f"{name}.http.jsonl").open() as lines:
        return [json.loads(line) for line in lines]


def stream_items(name: str, path: str) -> Iterator[Any]:
    for exchange in exchanges(name):
        if exchange["path"].startswith(path):
            for chunk in exchange["chunks"]:
                yield json.loads(chunk["body"])


def answers(name: str, path_end: str) -> Iterator[Any]:
    for exchange in exchanges(name):
        if exchange["path"].endswith(path_end) and exchange["status"] == 200:
            yield json.loads(exchange["response_body"])


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
                if item["contents"][0]["kind"] == "transaction":
                    with pytest.raises(ForgeError, match="/contents/0/kind: 'transaction'"):
                        Operation.from_json(item, ignore=(*ANSWER_FIELDS, "error"))
                    continue
                operation = Operation.from_json(item, ignore=(*ANSWER_FIELDS, "error"))
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


# Signatures.


@KEYS
def test_a_signature_is_good_for_its_data_key_and_watermark_only(key: Key) -> None:
    data = b"what is signed"
    mark = crypto.watermark(Watermark.BLOCK, CHAIN_ID)
    signature = key.sign(data, watermark=mark)
    assert len(signature) == 64
    assert crypto.verify(key.public_key, signature, data, watermark=mark)
    for bit in (0, 7, 255, 256, 511):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not crypto.verify(key.public_key, bytes(flipped), data, watermark=mark)
    other = BOOTSTRAP[0] if key is not BOOTSTRAP[0] else ACTIVATOR
    assert not crypto.verify(other.public_key, signature, data, watermark=mark)
    assert not crypto.verify(key.public_key, signature, data + b"!", watermark=mark)
    assert not crypto.verify(key.public_key, signature[:-1], data, watermark=mark)
    assert not crypto.verify(key.public_key, ZEROS, data, watermark=mark)
    for kind in (Watermark.PREATTESTATION, Watermark.ATTESTATION, Watermark.GENERIC):
        assert not crypto.verify(key.public_key, signature, data, watermark=crypto.watermark(kind, CHAIN_ID))


def test_watermark_bytes() -> None:
    assert crypto.watermark(Watermark.GENERIC) == b"\x03"
    assert crypto.watermark(Watermark.GENERIC, CHAIN_ID) == b"\x03"
    chain = decode(Kind.CHAIN, CHAIN_ID)
    assert crypto.watermark(Watermark.BLOCK, CHAIN_ID) == b"\x11" + chain
    assert crypto.watermark(Watermark.PREATTESTATION, CHAIN_ID) == b"\x12" + chain
    assert crypto.watermark(Watermark.ATTESTATION, CHAIN_ID) == b"\x13" + chain
    with pytest.raises(ValueError, match="ATTESTATION needs a chain id"):
        crypto.watermark(Watermark.ATTESTATION)


# Base58check.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NetXXAAR1wWQhhf", "wrong checksum"),
        ("NetXXAAR1wWQhh", "wrong checksum"),
        ("NetXXAAR1wWQhh0", "bad character '0' at position 14"),
        ("NetXXAAR1wWQhhé", "bad character 'é' at position 14"),
        ("1NetXXAAR1wWQhhe", "wrong checksum"),
        ("", "wrong checksum"),
        ("1", "wrong checksum"),
        (crypto.GENESIS_BLOCK, "not of kind CHAIN"),
        ("z" * 10_000, "10000 characters are too long"),
    ],
)
def test_base58_refuses(text: str, reason: str) -> None:
    with pytest.raises(Base58Error) as caught:
        decode(Kind.CHAIN, text)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 250


def test_base58_refuses_another_length_behind_the_right_prefix() -> None:
    # The prefix of an operation hash begins no other kind, so a longer text is made by hand.
    payload = Kind.OPERATION.prefix + bytes(33)
    checksum = sha256(sha256(payload).digest()).digest()[:4]
    number = int.from_bytes(payload + checksum, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + text
    with pytest.raises(Base58Error, match="33 bytes where OPERATION has 32"):
        decode(Kind.OPERATION, text)


def test_base58_refuses_to_encode_another_size() -> None:
    with pytest.raises(ValueError, match="CHAIN takes 4 bytes, not 5"):
        encode(Kind.CHAIN, bytes(5))


PREFIXES = {
    Kind.BLOCK: ("B", 51),
    Kind.OPERATION: ("o", 51),
    Kind.PROTOCOL: ("P", 51),
    Kind.CONTEXT: ("Co", 52),
    Kind.OPERATION_LIST: ("Lo", 52),
    Kind.OPERATION_LIST_LIST: ("LLo", 53),
    Kind.PAYLOAD: ("vh", 52),
    Kind.NONCE: ("nce", 53),
    Kind.CHAIN: ("Net", 15),
    Kind.MV1: ("mv1", 36),
    Kind.MV2: ("mv2", 36),
    Kind.MV3: ("mv3", 36),
    Kind.MV4: ("mv4", 36),
    Kind.CONTRACT: ("KT1", 36),
    Kind.ROLLUP: ("sr1", 36),
    Kind.ROLLUP_COMMITMENT: ("src1", 54),
    Kind.SCRIPT_EXPR: ("expr", 54),
    Kind.STATE: ("rng", 53),
    Kind.BLOCK_METADATA: ("bm", 52),
    Kind.OPERATION_METADATA: ("r", 51),
    Kind.OPERATION_METADATA_LIST: ("Lr", 52),
    Kind.OPERATION_METADATA_LIST_LIST: ("LLr", 53),
    Kind.PEER: ("id", 30),
    Kind.ED25519_PUBLIC: ("edpk", 54),
    Kind.ED25519_SEED: ("edsk", 54),
    Kind.ED25519_SECRET: ("edsk", 98),
    Kind.SIGNATURE: ("sig", 96),
    Kind.ED25519_SIGNATURE: ("edsig", 99),
    Kind.SECP256K1_SIGNATURE: ("spsig1", 99),
    Kind.P256_SIGNATURE: ("p2sig", 98),
}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
def test_base58_texts_look_as_upstream_declares(kind: Kind, fill: bytes) -> None:
    text = encode(kind, fill * kind.size)
    prefix, length = PREFIXES[kind]
    assert text.startswith(prefix)
    assert len(text) == length
    assert decode(kind, text) == fill * kind.size


@SMALL
@given(st.sampled_from(list(Kind)), st.data())
def test_base58_round_trip_and_one_wrong_character(kind: Kind, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=kind.size, max_size=kind.size))
    text = encode(kind, raw)
    assert decode(kind, text) == raw
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("123zZ").filter(lambda character: character != text[position]))
    with pytest.raises(Base58Error):
        decode(kind, text[:position] + other + text[position + 1 :])


# Fitness and time.


def test_fitness_bytes() -> None:
    assert [item.hex() for item in fitness(9, None, 0, 0)] == ["02", "00000009", "", "ffffffff", "00000000"]
    assert [item.hex() for item in fitness(10, 1, 2, 3)] == [
        "02",
        "0000000a",
        "00000001",
        "fffffffd",
        "00000003",
    ]
    assert fitness_round(fitness(10, 1, 2, 3)) == 3
    with pytest.raises(ForgeError, match="locked round 3 is not below round 3"):
        fitness(10, 3, 0, 3)


def test_fitness_round_of_the_genesis_protocol_is_zero() -> None:
    assert fitness_round(()) == 0
    assert fitness_round((b"\x01", (5).to_bytes(8, "big"))) == 0


@pytest.mark.parametrize(
    "value",
    [
        (b"\x02",),
        (b"\x02", bytes(8)),
        (b"\x03", *fitness(1, None, 0, 0)[1:]),
        (*fitness(1, None, 0, 0)[:4], b"\x00\x00\x01"),
        (*fitness(1, None, 0, 0)[:4], b"\xff\xff\xff\xff"),
    ],
)
def test_fitness_round_refuses(value: tuple[bytes, ...]) -> None:
    with pytest.raises(ForgeError, match=r"^fitness: "):
        fitness_round(value)


def test_fitness_order() -> None:
    ascending = [
        (),
        (b"\x01", bytes(8)),
        (b"\x01", (1).to_bytes(8, "big")),
        fitness(1, None, 0, 0),
        fitness(2, None, 1, 0),
        fitness(2, None, 0, 0),
        fitness(2, None, 0, 1),
        fitness(2, 0, 0, 1),
        fitness(3, None, 5, 0),
    ]
    for lower, higher in pairwise(ascending):
        assert fitness_key(lower) < fitness_key(higher)
    assert fitness_key((b"\xff",)) < fitness_key((b"\x00\x00",))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2025-08-15T12:00:09Z", 1755259209),
        ("2025-08-15T12:00:09.999Z", 1755259209),
        ("2025-08-15T12:00:09-00:00", 1755259209),
        ("2025-08-15T12:00:09+00:00", 1755259209),
        ("2025-08-15T14:30:09+02:30", 1755259209),
        ("2025-08-15T10:00:09-02:00", 1755259209),
        ("1969-12-31T23:59:59Z", -1),
        ("1755259209", 1755259209),
        ("-1", -1),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_parse_timestamp(text: str, seconds: int) -> None:
    assert parse_timestamp(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2025-08-15",
        "2025-08-15T12:00:09",
        "2025-02-30T12:00:09Z",
        "2025-08-15T24:00:00Z",
        "2025-08-15T12:60:00Z",
        "9223372036854775808",
        "٣",
        "1755259209\n",
    ],
)
def test_parse_timestamp_refuses(text: str) -> None:
    with pytest.raises(ForgeError, match=r"^timestamp: "):
        parse_timestamp(text)


@given(st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**12), 10**12))
@SMALL
def test_time_round_trip(seconds: int) -> None:
    assert parse_timestamp(rfc3339(seconds)) == seconds


def test_times_of_few_digits_have_four_digit_years() -> None:
    assert rfc3339(-62135596800) == "0001-01-01T00:00:00Z"
    assert rfc3339(-62135596801) == "-62135596801"
    assert rfc3339(253402300799) == "9999-12-31T23:59:59Z"


# Round trips of invented values.


def hashes(kind: Kind) -> st.SearchStrategy[str]:
    return st.binary(min_size=kind.size, max_size=kind.size).map(lambda raw: encode(kind, raw))


naturals = st.integers(0, 2**31 - 1)
signatures = st.binary(min_size=64, max_size=64)
votes = st.sampled_from(["on", "off", "pass"])
shells = st.builds(
    ShellHeader,
    level=st.integers(-(2**31), 2**31 - 1),
    proto=st.integers(0, 255),
    predecessor=hashes(Kind.BLOCK),
    timestamp=st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**32),
    validation_pass=st.integers(0, 255),
    operations_hash=hashes(Kind.OPERATION_LIST_LIST),
    fitness=st.lists(st.binary(max_size=9), max_size=6).map(tuple),
    context=hashes(Kind.CONTEXT),
)
protocol_data = st.builds(
    ProtocolData,
    payload_hash=hashes(Kind.PAYLOAD),
    payload_round=naturals,
    proof_of_work_nonce=st.binary(min_size=8, max_size=8),
    seed_nonce_hash=st.none() | hashes(Kind.NONCE),
    liquidity_baking_toggle_vote=votes,
    adaptive_issuance_vote=votes,
    signature=signatures,
)
full_headers = st.builds(lambda shell, data: BlockHeader(shell, data.to_bytes()), shells, protocol_data)


def contents(*kinds: str) -> st.SearchStrategy[Consensus]:
    numbers = st.integers(0, 300) | st.integers(-(2**70), 2**70)
    return st.sampled_from(kinds).flatmap(
        lambda kind: st.builds(
            Consensus,
            kind=st.just(kind),
            slot=st.integers(0, 0xFFFF),
            level=naturals,
            round=naturals,
            payload_hash=hashes(Kind.PAYLOAD),
            dal_attestation=numbers if kind == "attestation_with_dal" else st.none(),
        )
    )


def inlined(*kinds: str) -> st.SearchStrategy[InlinedConsensus]:
    return st.builds(
        InlinedConsensus, branch=hashes(Kind.BLOCK), content=contents(*kinds), signature=signatures
    )


attested = ("attestation", "attestation_with_dal")
all_contents = st.one_of(
    contents("preattestation", *attested),
    st.builds(DoubleBaking, full_headers, full_headers),
    st.builds(
        DoubleConsensus, st.just("double_attestation_evidence"), inlined(*attested), inlined(*attested)
    ),
    st.builds(
        DoubleConsensus,
        st.just("double_preattestation_evidence"),
        inlined("preattestation"),
        inlined("preattestation"),
    ),
)
operations = st.builds(Operation, hashes(Kind.BLOCK), st.tuples(all_contents), signatures)


@given(shells, st.binary(max_size=40))
@SMALL
def test_any_header_round_trips(shell: ShellHeader, data: bytes) -> None:
    header = BlockHeader(shell, data)
    assert BlockHeader.from_bytes(header.to_bytes()) == header
    assert BlockHeader.from_shell_json(json.loads(json.dumps(header.shell_json()))) == header
    assert ShellHeader.from_json(shell.to_json()) == shell
    assert header.hash == encode(Kind.BLOCK, crypto.blake2b(header.to_bytes()))


@given(protocol_data)
@SMALL
def test_any_protocol_data_round_trips(data: ProtocolData) -> None:
    assert ProtocolData.from_bytes(data.to_bytes()) == data
    assert ProtocolData.from_json(json.loads(json.dumps(data.to_json()))) == data
    assert data.to_bytes() == data.unsigned_bytes() + data.signature


@given(full_headers)
@SMALL
def test_any_full_header_round_trips(header: BlockHeader) -> None:
    assert full_header_from_json(json.loads(json.dumps(full_header_json(header)))) == header


@given(operations)
@SMALL
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
@SMALL
def test_a_cut_operation_is_refused(operation: Operation, data: st.DataObject) -> None:
    whole = operation.to_bytes()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    # A cut within the open-ended tail of a number may leave something well formed, no less.
    with contextlib.suppress(ForgeError):
        assert Operation.from_bytes(cut).to_bytes() == cut
    with pytest.raises(ForgeError):
        Operation.from_bytes(whole[:96])


@given(operations, st.data())
@SMALL
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
@SMALL
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
@SMALL
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


# What is refused.


def recorded_evidence(name: str) -> dict[str, Any]:
    for exchange in exchanges(name):
        if exchange["path"].endswith("/helpers/forge/operations"):
            value: dict[str, Any] = json.loads(exchange["request_body"])
            return value
    raise AssertionError(name)


BAKING = "01-double-baking"
ATTESTATION = "03-double-attestation"
MISSING = object()


@pytest.mark.parametrize(
    ("name", "path", "value", "message"),
    [
        (BAKING, "branch", MISSING, "/branch: missing"),
        (BAKING, "branch", 3, "/branch: not a string"),
        (BAKING, "branch", CHAIN_ID, "/branch: 'NetXXAAR1wWQhhe': not of kind BLOCK"),
        (BAKING, "contents", {}, "/contents: not a list"),
        (BAKING, "contents", [], "/contents: 0 contents where one must be"),
        (BAKING, "more", 1, "/more: unexpected field"),
        (BAKING, "signature", "sig", "/signature: 'sig': wrong checksum"),
        (BAKING, "signature", "BLsig", "/signature: not a signature of a supported curve"),
        (BAKING, "contents/0", None, "/contents/0: not an object"),
        (BAKING, "contents/0/kind", "delegation", "/contents/0/kind: 'delegation' is no kind of operation"),
        (BAKING, "contents/0/bh3", {}, "/contents/0/bh3: unexpected field"),
        (BAKING, "contents/0/bh1/level", True, "/contents/0/bh1/level: not an integer"),
        (BAKING, "contents/0/bh1/level", 2**31, "/contents/0/bh1/level: 2147483648 is not between"),
        (BAKING, "contents/0/bh1/proto", 256, "/contents/0/bh1/proto: 256 is not between 0 and 255"),
        (BAKING, "contents/0/bh1/timestamp", "noon", "/contents/0/bh1/timestamp: 'noon' is neither"),
        (BAKING, "contents/0/bh2/fitness/4", "0", "/contents/0/bh2/fitness/4: not hexadecimal"),
        (BAKING, "contents/0/bh2/fitness/4", "00 00", "/contents/0/bh2/fitness/4: not hexadecimal"),
        (BAKING, "contents/0/bh2/hash", "B", "/contents/0/bh2/hash: unexpected field"),
        (BAKING, "contents/0/bh2/proof_of_work_nonce", "00", "1 bytes instead of 8"),
        (BAKING, "contents/0/bh2/seed_nonce_hash", None, "/contents/0/bh2/seed_nonce_hash: not a string"),
        (BAKING, "contents/0/bh2/adaptive_issuance_vote", "yes", "'yes' is none of on, off, pass"),
        (ATTESTATION, "contents/0/op1/operations/kind", "preattestation", "op1: preattestation in a double"),
        (ATTESTATION, "contents/0/op1/operations/kind", "reveal", "'reveal' is no consensus operation"),
        (ATTESTATION, "contents/0/op1/operations/slot", 65536, "/contents/0/op1/operations/slot: 65536"),
        (ATTESTATION, "contents/0/op1/operations/dal_attestation", "1", "dal_attestation: unexpected field"),
        (ATTESTATION, "contents/0/op2/signature", MISSING, "/contents/0/op2/signature: missing"),
        (ATTESTATION, "contents/0/op2/contents", [], "/contents/0/op2/contents: unexpected field"),
    ],
)
def test_wrong_json_is_refused_with_its_place(name: str, path: str, value: object, message: str) -> None:
    body = recorded_evidence(name)
    Operation.from_json(body)
    part: Any = body
    *way, last = [int(word) if word.isdecimal() else word for word in path.split("/")]
    for word in way:
        part = part[word]
    if value is MISSING:
        del part[last]
    else:
        part[last] = value
    with pytest.raises(ForgeError) as caught:
        Operation.from_json(body)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "x", "1.0", "+1", "9" * 2001, "\u0661"])
def test_a_dal_attestation_is_a_number_in_a_string(text: str) -> None:
    value = {
        "branch": crypto.GENESIS_BLOCK,
        "contents": [
            {
                "kind": "attestation_with_dal",
                "slot": 0,
                "level": 1,
                "round": 0,
                "block_payload_hash": encode(Kind.PAYLOAD, bytes(32)),
                "dal_attestation": "300",
            }
        ],
    }
    content = Operation.from_json(value).content
    assert isinstance(content, Consensus)
    assert content.to_bytes().endswith(b"\xac\x04")
    value["contents"][0]["dal_attestation"] = text  # type: ignore[index]
    with pytest.raises(ForgeError, match="/contents/0/dal_attestation: not a number in a string"):
        Operation.from_json(value)


@pytest.mark.parametrize("number", ["80", "8000", "40", "c000"])
def test_a_number_has_one_binary_form(number: str) -> None:
    content = b"\x17" + bytes(2 + 4 + 4 + 32) + bytes.fromhex(number)
    with pytest.raises(ForgeError, match="dal_attestation"):
        Operation.from_bytes(bytes(32) + content, signed=False)


def test_former_names_are_taken_and_not_written() -> None:
    body = recorded_evidence(ATTESTATION)
    operation = Operation.from_json(body)
    former = json.loads(json.dumps(body).replace("attestation", "endorsement"))
    assert former["contents"][0]["kind"] == "double_endorsement_evidence"
    assert former["contents"][0]["op1"]["operations"]["kind"] == "endorsement"
    assert Operation.from_json(former) == operation
    assert operation.to_json() == body
    pre = recorded_evidence("04-double-preattestation")
    former = json.loads(json.dumps(pre).replace("preattestation", "preendorsement"))
    assert Operation.from_json(former).to_json() == pre


def test_signatures_of_other_texts_are_the_same_bytes() -> None:
    raw = bytes(range(64))
    body = recorded_evidence(BAKING)
    for kind in (Kind.SIGNATURE, Kind.ED25519_SIGNATURE, Kind.SECP256K1_SIGNATURE, Kind.P256_SIGNATURE):
        body["signature"] = encode(kind, raw)
        operation = Operation.from_json(body)
        assert operation.signature == raw
        assert operation.to_json()["signature"] == encode(Kind.SIGNATURE, raw)


def test_values_without_a_binary_form_are_refused() -> None:
    header = full_header_from_json(next(answers(BAKING, "/header")), ignore=ANSWER_FIELDS)
    data = ProtocolData.from_bytes(header.protocol_data)
    for shell, what in (
        (attrs.evolve(header.shell, level=2**31), "level"),
        (attrs.evolve(header.shell, proto=-1), "proto"),
        (attrs.evolve(header.shell, predecessor=CHAIN_ID), "predecessor"),
        (attrs.evolve(header.shell, timestamp=2**63), "timestamp"),
    ):
        with pytest.raises(ForgeError) as caught:
            shell.to_bytes()
        assert caught.value.what == what
    for wrong, what in (
        (attrs.evolve(data, signature=bytes(63)), "signature"),
        (attrs.evolve(data, proof_of_work_nonce=b""), "proof_of_work_nonce"),
        (attrs.evolve(data, adaptive_issuance_vote="maybe"), "adaptive_issuance_vote"),
    ):
        with pytest.raises(ForgeError) as caught:
            wrong.to_bytes()
        assert caught.value.what == what
    unsigned = Operation(header.shell.predecessor, (DoubleBaking(header, header),))
    with pytest.raises(ForgeError, match="signature: missing"):
        unsigned.to_bytes()
    with pytest.raises(ForgeError, match="dal_attestation: does not fit the kind attestation"):
        Consensus("attestation", 0, 0, 0, data.payload_hash, dal_attestation=0)
    with pytest.raises(ForgeError, match=r"protocol_data/payload_hash: ends 9 bytes early"):
        full_header_json(BlockHeader(header.shell, b"of the genesis protocol"))


def test_an_evidence_whose_headers_have_other_protocol_data_is_refused() -> None:
    header = full_header_from_json(next(answers(BAKING, "/header")), ignore=ANSWER_FIELDS)
    short = BlockHeader(header.shell, header.protocol_data[:-1])
    evidence = Operation(header.shell.predecessor, (DoubleBaking(header, short),), ZEROS)
    with pytest.raises(ForgeError, match="signature: 63 bytes instead of 64"):
        Operation.from_bytes(evidence.to_bytes())


def test_the_seed_nonce_hash_and_the_votes_have_one_binary_form() -> None:
    header = full_header_from_json(next(answers(BAKING, "/header")), ignore=ANSWER_FIELDS)
    data = bytearray(header.protocol_data)
    presence, vote = 32 + 4 + 8, 32 + 4 + 8 + 1
    assert (data[presence], data[vote]) == (0, 0b0110)
    for position, value, what in (
        (presence, 1, "seed_nonce_hash"),
        (vote, 0b11, "votes"),
        (vote, 16, "votes"),
    ):
        wrong = bytearray(data)
        wrong[position] = value
        with pytest.raises(ForgeError) as caught:
            ProtocolData.from_bytes(bytes(wrong))
        assert caught.value.what == f"protocol_data/{what}"


def test_bytes_after_an_operation_are_refused() -> None:
    operation = Operation.from_json(recorded_evidence(BAKING))
    with pytest.raises(ForgeError, match="operation: 64 bytes too many"):
        Operation.from_bytes(operation.unsigned_bytes() + ZEROS, signed=False)
    with pytest.raises(ForgeError, match="signature: 65 bytes instead of 64"):
        Operation.from_bytes(operation.unsigned_bytes() + ZEROS + b"\x00")
