"""Signatures, base58, fitness and time."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
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
    fitness,
    fitness_key,
    fitness_round,
    parse_timestamp,
    rfc3339,
)
from tests.support.codec import (
    KEYS,
    ZEROS,
)

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
    Kind.BLINDED: ("bmv1", 37),
    Kind.PEER: ("id", 30),
    Kind.ED25519_PUBLIC: ("edpk", 54),
    Kind.ED25519_SEED: ("edsk", 54),
    Kind.ED25519_SECRET: ("edsk", 98),
    Kind.SIGNATURE: ("sig", 96),
    Kind.ED25519_SIGNATURE: ("edsig", 99),
    Kind.SECP256K1_SIGNATURE: ("spsig1", 99),
    Kind.P256_SIGNATURE: ("p2sig", 98),
    Kind.SECP256K1_PUBLIC: ("sppk", 55),
    Kind.SECP256K1_SECRET: ("spsk", 54),
    Kind.P256_PUBLIC: ("p2pk", 55),
    Kind.P256_SECRET: ("p2sk", 54),
    Kind.BLS_PUBLIC: ("BLpk", 76),
    Kind.BLS_SIGNATURE: ("BLsig", 142),
}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
def test_base58_texts_look_as_upstream_declares(kind: Kind, fill: bytes) -> None:
    text = encode(kind, fill * kind.size)
    prefix, length = PREFIXES[kind]
    assert text.startswith(prefix)
    assert len(text) == length
    assert decode(kind, text) == fill * kind.size


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
def test_time_round_trip(seconds: int) -> None:
    assert parse_timestamp(rfc3339(seconds)) == seconds


def test_times_of_few_digits_have_four_digit_years() -> None:
    assert rfc3339(-62135596800) == "0001-01-01T00:00:00Z"
    assert rfc3339(-62135596801) == "-62135596801"
    assert rfc3339(253402300799) == "9999-12-31T23:59:59Z"
