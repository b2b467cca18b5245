"""Blocks of the chain."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accuser import Protocol
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    ShellHeader,
    fitness,
)
from accuser.sandbox.chain.block import NO_OPERATIONS
from accuser.sandbox.chain.chain import Chain, HeadChange, UnknownBlock
from accuser.sandbox.chain.preapply import NO_PAYLOAD, construct
from accuser.sandbox.chain.state import Fitness
from tests.support.chains import (
    altered,
    economic,
    identifier,
    refused,
)
from tests.support.forger import (
    KEYS,
    NULL_SIGNATURE,
    activated,
    activation,
    bake,
    header,
)

# Blocks


def test_an_honest_chain_grows() -> None:
    chain = activated()
    blocks = [bake(chain) for _ in range(20)]
    assert chain.head is blocks[-1]
    assert chain.head.level == 21
    assert [block.hash for block in chain.branch(chain.head)][-1] == chain.genesis.hash
    for block in blocks:
        assert block.hash == block.header.hash
        parsed = Fitness.parse(block.header.shell.fitness)
        assert parsed == Fitness(block.level, None, 0, 0)
    assert len({block.header.shell.context for block in blocks}) == 20


def test_every_node_finds_the_same() -> None:
    one, other = activated(), Chain()
    bake(one, count=5)
    for block in list(one.branch(one.head))[-2::-1]:
        other.advance(other.add(block.header, block.operations))
    assert other.head.hash == one.head.hash
    assert other.head.resulting_context == one.head.resulting_context


def test_forks_and_heads_by_fitness() -> None:
    chain = activated()
    root = bake(chain)
    one = bake(chain)
    sibling = chain.add(header(chain, root, vote="on"), NO_OPERATIONS)
    assert chain.advance(sibling) is HeadChange.IGNORED
    assert chain.head is one
    later = chain.add(header(chain, root, round=1), NO_OPERATIONS)
    assert chain.advance(later) is HeadChange.SWITCH
    again = chain.add(header(chain, one), NO_OPERATIONS)
    assert chain.advance(again) is HeadChange.SWITCH
    assert chain.advance(chain.add(header(chain, again), NO_OPERATIONS)) is HeadChange.INCREMENT


def test_a_known_block_is_no_news() -> None:
    chain = activated()
    block = bake(chain)
    assert chain.add(block.header, block.operations) is block


def test_unknown_predecessor() -> None:
    other = activated(Protocol.ATLAS)
    (error,) = refused(activated(), header(other))
    assert "Unknown predecessor" in str(error["msg"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"level": 9}, {"error": "invalid_level", "expected": 2, "found": 9}),
        ({"timestamp": 0}, {"error": "non_increasing_timestamp"}),
        ({"fitness": ()}, {"error": "non_increasing_fitness"}),
        ({"validation_pass": 3}, {"error": "unexpected_number_of_passes", "found": 3}),
        ({"proto": 2}, {"error": "invalid_proto_level", "expected": 1, "found": 2}),
    ],
)
def test_shell_checks(changes: dict[str, Any], reason: dict[str, object]) -> None:
    chain = activated()
    candidate = header(chain, **changes)
    assert refused(chain, candidate) == (
        {
            "kind": "permanent",
            "id": "validator.invalid_block",
            "invalid_block": candidate.hash,
            "error": reason,
        },
    )


def test_operations_hash_and_context_are_checked() -> None:
    chain = activated()
    wrong = header(chain, operations_hash=chain.genesis.header.shell.operations_hash)
    assert refused(chain, wrong)[0]["id"] == "validator.inconsistent_operations_hash"
    wrong = header(chain, context=chain.genesis.header.shell.context)
    assert refused(chain, wrong)[0]["id"] == "node.state.block.inconsistent_context_hash"


def test_only_the_rounds_baker_may_bake() -> None:
    chain = activated()
    calendar = chain.head.state.calendar
    assert calendar is not None
    baker = calendar.baker(2, 0)
    assert baker is not None
    thief = next(key for key in BOOTSTRAP if key.pkh != baker.pkh)
    candidate = header(chain, key=thief)
    error = economic(chain, candidate)
    assert identifier(error) == "block_header.invalid_block_signature"
    assert (error["block"], error["expected"]) == (candidate.hash, baker.pkh)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fitness": fitness(3, None, 0, 0)}, "wrong_fitness"),
        ({"fitness": fitness(2, None, 1, 0)}, "wrong_fitness"),
        ({"fitness": (b"\x02", *fitness(2, None, 0, 0))}, "invalid_fitness"),
        ({"fitness": fitness(2, 0, 0, 1)}, "block_header.wrong_timestamp"),
    ],
)
def test_fitness_is_checked(changes: dict[str, Any], expected: str) -> None:
    chain = activated()
    at_round = 1 if expected == "block_header.wrong_timestamp" else 0
    calendar = chain.head.state.calendar
    assert calendar is not None
    baker = calendar.baker(2, at_round)
    assert baker is not None
    candidate = header(chain, key=KEYS[baker.pkh], **changes)
    assert identifier(economic(chain, candidate)) == expected


def test_protocol_data_is_checked() -> None:
    chain = activated()
    good = header(chain)
    payload = encode(Kind.PAYLOAD, bytes(32))
    for changes, expected in (
        ({"payload_hash": payload}, "validate.block.invalid_payload_hash"),
        ({"payload_round": 1}, "block_header.invalid_payload_round"),
        ({"seed_nonce_hash": encode(Kind.NONCE, bytes(32))}, "block_header.invalid_commitment"),
    ):
        assert identifier(economic(chain, altered(chain, good, **changes))) == expected
    assert chain.add(altered(chain, good), NO_OPERATIONS).level == 2


def test_missing_commitment_and_missing_work() -> None:
    chain = activated()
    bake(chain, count=2)
    wrong = altered(chain, header(chain), seed_nonce_hash=None)
    assert identifier(economic(chain, wrong)) == "block_header.invalid_commitment"
    chain = activated(proof_of_work_threshold="0")
    other = activated()
    data = ProtocolData.from_bytes(header(other).protocol_data)
    candidate = BlockHeader(header_shell(chain), data.to_bytes())
    assert identifier(economic(chain, candidate)) == "block_header.invalid_stamp"


def header_shell(chain: Chain) -> ShellHeader:
    """The shell header of the next block, which nobody can sign here."""
    data = ProtocolData(NO_PAYLOAD, 0, bytes(8), None, "pass", "off", NULL_SIGNATURE)
    calendar = chain.head.state.calendar
    assert calendar is not None
    at = calendar.parameters.timestamp(chain.head.header.shell.timestamp, 0, 0)
    return construct(chain, chain.head, data, at, ()).shell


def test_protocol_data_that_is_none() -> None:
    chain = activated()
    candidate = BlockHeader(header(chain).shell, b"nothing")
    assert refused(chain, candidate)[-1]["error"] == {"error": "cannot_parse_block_header"}


def test_user_activated_upgrade() -> None:
    chain = Chain(attrs.evolve(Chain().network, upgrades={4: Protocol.BOREAS.hash}))
    chain.advance(chain.add(activation(chain, Protocol.ATLAS), ()))
    bake(chain, count=2)
    migration = bake(chain)
    assert (migration.protocol, migration.state.protocol) == (Protocol.ATLAS.hash, Protocol.BOREAS.hash)
    assert migration.header.shell.proto == 2
    after = bake(chain)
    assert (after.protocol, after.header.shell.proto) == (Protocol.BOREAS.hash, 2)


# Finding blocks


def test_block_specifiers() -> None:
    chain = activated()
    bake(chain, count=4)
    head, second = chain.head, chain.ancestor(chain.head, 3)
    for text, block in (
        ("head", head),
        ("head~0", head),
        ("head~3", second),
        ("head-3", second),
        ("2", second),
        ("5", head),
        ("genesis", chain.genesis),
        ("genesis+2", second),
        (head.hash, head),
        (f"{head.hash}~3", second),
        (f"{second.hash}+3", head),
        ("4~2", second),
    ):
        assert chain.resolve(text) is block, text
    unknown = encode(Kind.BLOCK, bytes(32))
    for text in ("6", "head~6", unknown, f"{second.hash}+9", "4~9"):
        with pytest.raises(UnknownBlock):
            chain.resolve(text)
    for text in ("", "nonsense", "head~", "head~x", "head+1", "-1", "head~1~1", "9" * 30):
        with pytest.raises(ValueError, match=r".*"):
            chain.resolve(text)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(0, 60))
def test_locators_find_the_common_ancestor(long: int, common: int) -> None:
    common = min(common, long)
    one, other = LONG_CHAIN, activated()
    for block in list(one.branch(one.ancestor(one.head, one.head.level - 1 - common)))[-3::-1]:
        other.advance(other.add(block.header, block.operations))
    target = one.ancestor(one.head, one.head.level - 1 - long)
    missing = one.since(other.locator(), target)
    assert [block.level for block in missing][-1:] == [target.level][: len(missing)]
    for block in missing:
        other.add(block.header, block.operations)
    assert target.hash in other.blocks


LONG_CHAIN = activated()
bake(LONG_CHAIN, count=60)
