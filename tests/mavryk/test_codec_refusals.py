"""What the codec refuses."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from accuser._mavryk.codec import crypto
from accuser._mavryk.codec.base58 import (
    Kind,
    encode,
)
from accuser._mavryk.codec.crypto import (
    CHAIN_ID,
)
from accuser._mavryk.codec.fields import ForgeError
from accuser._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    full_header_from_json,
    full_header_json,
)
from accuser._mavryk.codec.operations import (
    Consensus,
    DoubleBaking,
    Operation,
)
from tests.support.codec import (
    ANSWER_FIELDS,
    ZEROS,
    answers,
    exchanges,
)

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
        (BAKING, "contents/0/kind", "transfer", "/contents/0/kind: 'transfer' is no kind of operation"),
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
    value["contents"][0]["dal_attestation"] = text  # type: ignore[index]  # a JSON value
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
