"""Every kind of operation in JSON and in binary."""

from __future__ import annotations

import random
from typing import Any

import pytest

from accuser._mavryk.codec.anonymous import SeedNonceRevelation
from accuser._mavryk.codec.base58 import Base58Error
from accuser._mavryk.codec.crypto import (
    BOOTSTRAP,
    Watermark,
    key_of_secret,
    public_key_hash,
    verify,
    watermark,
)
from accuser._mavryk.codec.fields import ForgeError
from accuser._mavryk.codec.keys import curve_of_hash, verify_digest
from accuser._mavryk.codec.manager import Call, Delegation, Manager, Reveal, Transaction
from accuser._mavryk.codec.operations import Operation
from tests.support.drawn import KINDS, Drawn

BRANCH = "BLockGenesisGenesisGenesisGenesisGenesis23a82evMK9F"
SOURCE, OTHER = BOOTSTRAP[0], BOOTSTRAP[1]

SECRETS = {
    "spsk": "spsk1zkqrmst1yg2c4xi3crWcZPqgdc9KtPtb9SAZWYHAdiQzdHy7j",
    "p2sk": "p2sk3PM77YMR99AvD3fSSxeLChMdiQ6kkEzqoPuSwQqhPsh29irGLC",
}


def manager(body: Any, **changes: int) -> Manager:
    numbers = {"fee": 1000, "counter": 1, "gas_limit": 1040, "storage_limit": 257, **changes}
    return Manager(SOURCE.pkh, body=body, **numbers)


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_of_every_kind_there_and_back(kind: str) -> None:
    drawn = Drawn(29)
    for _ in range(1000):
        value = drawn.operation(kind)
        operation = Operation.from_json(value)
        assert operation.to_json() == value
        data = operation.unsigned_bytes()
        assert Operation.from_bytes(data, signed=False) == operation
        signed = Operation.from_bytes(data + bytes(range(64)))
        assert (signed.contents, signed.signature) == (operation.contents, bytes(range(64)))


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_are_cut_or_changed_are_refused_or_another_operation(kind: str) -> None:
    drawn, chance = Drawn(7), random.Random(7)
    for _ in range(50):
        data = Operation.from_json(drawn.operation(kind)).unsigned_bytes()
        changed = bytearray(data)
        changed[chance.randrange(32, len(data))] ^= 1 << chance.randrange(8)
        for altered in (data[:-1], bytes(changed)):
            try:
                read = Operation.from_bytes(altered, signed=False)
            except ForgeError:
                continue
            assert read.unsigned_bytes() == altered


# Layouts, written out by hand


def test_a_gift_byte_by_byte() -> None:
    gift = manager(Transaction(128, OTHER.pkh)).to_bytes()
    assert gift[0] == 108
    assert gift[1:2] == b"\0"
    assert gift[22:] == (bytes.fromhex("e807019008810280010000") + gift[33:53] + bytes.fromhex("00"))


def test_stake_byte_by_byte() -> None:
    stake = Transaction(0, SOURCE.pkh, Call("stake"))
    assert stake.to_bytes()[-7:].hex() == "0600000002030b"
    assert stake.to_bytes()[-8] == 0xFF
    assert stake.to_json()["parameters"] == {"entrypoint": "stake", "value": {"prim": "Unit"}}


def test_a_gift_that_is_spelled_out_keeps_its_bytes() -> None:
    plain = Operation(BRANCH, (manager(Transaction(1, OTHER.pkh)),))
    spelled = Operation(BRANCH, (manager(Transaction(1, OTHER.pkh, Call())),))
    assert plain.to_json() == spelled.to_json()
    assert plain.unsigned_bytes() != spelled.unsigned_bytes()
    assert Operation.from_bytes(spelled.unsigned_bytes(), signed=False) == spelled
    assert Operation.from_json(spelled.to_json()) == plain


def test_the_pass_of_a_kind() -> None:
    drawn = Drawn(1)
    passes = {kind: Operation.from_json(drawn.operation(kind)).validation_pass for kind in KINDS}
    assert {passes[kind] for kind in ("attestation", "preattestation", "attestation_with_dal")} == {0}
    assert {passes[kind] for kind in ("ballot", "proposals")} == {1}
    assert {passes[kind] for kind in ("seed_nonce_revelation", "activate_account", "drain_delegate")} == {2}
    assert {passes[kind] for kind in ("reveal", "transaction", "delegation")} == {3}


def test_only_managers_come_in_batches() -> None:
    nonce = SeedNonceRevelation(4, bytes(32))
    with pytest.raises(ForgeError, match="only contain manager operations"):
        Operation(BRANCH, (nonce, nonce))
    with pytest.raises(ForgeError, match="0 contents"):
        Operation(BRANCH, ())
    batch = Operation(BRANCH, (manager(Reveal(SOURCE.public_key)), manager(Delegation(None), counter=2)))
    assert [one.kind for one in batch.managed] == ["reveal", "delegation"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"fee": "-1"}, "/contents/0/fee"),
        ({"fee": 1}, "/contents/0/fee"),
        ({"fee": str(2**63)}, "/contents/0/fee"),
        ({"counter": str(2**70)}, "/contents/0/counter"),
        ({"source": "mv1nobody"}, "/contents/0/source"),
        ({"destination": "KT1x"}, "/contents/0/destination"),
        ({"parameters": {"entrypoint": "x" * 32, "value": {"prim": "Unit"}}}, "/parameters/entrypoint"),
        ({"parameters": {"entrypoint": "x", "value": {"prim": "Unity"}}}, "/parameters/value/prim"),
        ({"more": 1}, "/contents/0/more"),
    ],
)
def test_json_that_stands_for_nothing(change: dict[str, Any], where: str) -> None:
    content = {**manager(Transaction(1, OTHER.pkh)).to_json(), **change}
    with pytest.raises(ForgeError) as caught:
        Operation.from_json({"branch": BRANCH, "contents": [content]})
    assert where in caught.value.what


# Keys of the other curves


@pytest.mark.parametrize("name", SECRETS)
def test_keys_of_other_curves_sign(name: str) -> None:
    key = key_of_secret("unencrypted:" + SECRETS[name])
    assert key.public_key.startswith({"spsk": "sppk", "p2sk": "p2pk"}[name])
    assert key.pkh == public_key_hash(key.public_key)
    assert curve_of_hash(key.pkh).public.size == 33
    mark = watermark(Watermark.GENERIC)
    for number in range(20):
        data = bytes([number]) * 40
        signature = key.sign(data, watermark=mark)
        assert len(signature) == 64
        assert verify(key.public_key, signature, data, watermark=mark)
        assert not verify(key.public_key, signature, data + b"x", watermark=mark)
        assert not verify(SOURCE.public_key, signature, data, watermark=mark)


def test_the_greater_of_two_signatures_is_refused_on_secp256k1() -> None:
    key = key_of_secret(SECRETS["spsk"])
    signature = key.sign(b"data", watermark=b"")
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    greater = (order - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    assert verify(key.public_key, signature, b"data", watermark=b"")
    assert not verify(key.public_key, signature[:32] + greater, b"data", watermark=b"")


def test_what_is_no_key() -> None:
    drawn = Drawn(3)
    bls = next(key for key in (drawn.key() for _ in range(100)) if key.startswith("BLpk"))
    assert not verify_digest(bls, bytes(64), bytes(32))
    for text in ("edpk", "sppk7x", "nothing"):
        with pytest.raises(Base58Error):
            public_key_hash(text)
