"""What an accuser makes of blocks."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from accuser import Protocol
from accuser._mavryk.codec.base58 import Kind, decode
from accuser._mavryk.codec.crypto import (
    operation_hash,
)
from accuser._mavryk.codec.forge import (
    BlockHeader,
    full_header_json,
)
from accuser.sandbox.accuser.denunciation import (
    Denunciator,
    SeenBlock,
    branch_offset,
)
from tests.support.denunciations import (
    ALICE,
    ATTESTATION,
    BAKING,
    BOB,
    BOREAS,
    CHAIN,
    ERROR,
    OTHER_CHAIN,
    PROCESSED,
    SAW,
    Node,
    a_hash,
    contents,
    header,
    node,
    operation,
)

__all__ = ["node"]  # fixtures of this module

# Blocks


def test_two_blocks_of_one_baker(node: Node) -> None:
    assert node.block("a") == [SAW, PROCESSED]
    assert node.block("b") == [SAW, *BAKING, PROCESSED]
    [body] = node.forged
    [content] = body["contents"]
    hashes = [header("a", 9).hash, header("b", 9).hash]
    in_order = sorted(hashes, key=lambda each: decode(Kind.BLOCK, each))
    assert [content["bh1"], content["bh2"]] == [full_header_json(node.headers[each]) for each in in_order]
    assert body["branch"] == a_hash(Kind.BLOCK, "head")
    [evidence] = node.injected
    assert evidence.endswith("00" * 64)
    _, denounced = node.events[-2]
    assert denounced == {"hash": operation_hash(bytes.fromhex(evidence)), "bytes": evidence}
    assert node.requests[-5:] == [
        f"/chains/{CHAIN}/blocks/{hashes[0]}/header",
        f"/chains/{CHAIN}/blocks/{hashes[1]}/header",
        f"/chains/{CHAIN}/blocks/head~5/hash",
        f"/chains/{CHAIN}/blocks/head~5/helpers/forge/operations",
        f"/injection/operation?chain={CHAIN}",
    ]


def test_the_same_block_again(node: Node) -> None:
    node.block("a")
    assert node.block("a") == [SAW, "double_baking_but_not", PROCESSED]


def test_evidence_against_blocks_is_given_again_and_against_the_latest(node: Node) -> None:
    for name in ("a", "b", "c", "a"):
        node.block(name)
    pairs = [{content["bh1"]["context"], content["bh2"]["context"]} for content in contents(node)]
    context = {name: a_hash(Kind.CONTEXT, name) for name in "abc"}
    assert pairs == [{context[x], context[y]} for x, y in ("ab", "bc", "ca")]


def test_headers_stand_in_the_order_of_their_hashes_whichever_block_came_first() -> None:
    pairs = []
    for names in ("ab", "ba"):
        node = Node(Denunciator(BOREAS, "002-PtBoreas"))
        for name in names:
            node.block(name)
        [content] = contents(node)
        pairs.append((content["bh1"], content["bh2"]))
    assert pairs[0] == pairs[1]


def test_blocks_of_another_chain_do_not_collide(node: Node) -> None:
    node.block("a")
    node.chain = OTHER_CHAIN
    assert node.block("b") == [SAW, PROCESSED]


@pytest.mark.parametrize("other", [{"at_round": 1}, {"baker": BOB}, {"level": 10}])
def test_blocks_that_do_not_collide(node: Node, other: dict[str, Any]) -> None:
    node.block("a")
    assert node.block("b", **other) == [SAW, PROCESSED]


def test_protocol_change(node: Node) -> None:
    other = Protocol.ALPHA.hash
    assert node.block("a", next_protocol=other) == ["protocol_change_detected", PROCESSED]
    assert node.requests == []
    assert node.denunciator.highest_level == 0


def test_pruned_block_still_has_its_operations_processed(node: Node) -> None:
    made = header("a", 9).hash
    node.pruned.add(made)
    node.operations[made] = (operation(payload="a"), operation(payload="b"))
    assert node.block("a") == [SAW, "unexpected_pruned_block", *ATTESTATION, PROCESSED]
    assert node.block("b") == [SAW, PROCESSED]


def test_block_without_lists_of_operations(node: Node) -> None:
    node.operations[header("a", 9).hash] = None
    assert node.block("a") == [SAW, "fetch_operations_error", PROCESSED]


def test_block_that_cannot_be_had_counts_as_processed(node: Node) -> None:
    node.fails = lambda path: path.endswith("?version=1")
    assert node.block("a") == [SAW, ERROR, PROCESSED]
    _, value = node.events[1]
    assert value["errors"] == [{"kind": "temporary", "id": "failure", "msg": "no"}]
    assert node.denunciator.highest_level == 9


@pytest.mark.parametrize(
    ("failing", "names"),
    [
        ("/header", [SAW, ERROR]),
        ("/hash", [SAW, ERROR]),
        ("forge/operations", [SAW, ERROR]),
        ("/injection/", [SAW, "double_baking_detected", ERROR]),
    ],
)
def test_what_cannot_be_denounced_is_forgotten(node: Node, failing: str, names: list[str]) -> None:
    node.block("a")
    made = header("b", 9).hash
    node.operations[made] = (operation(payload="a"), operation(payload="b"))
    node.fails = lambda path: failing in path
    assert node.block("b") == names, "its operations are not looked at"
    node.fails = lambda path: False
    assert node.block("c") == [SAW, *BAKING, PROCESSED]
    assert {contents(node)[-1][each]["context"] for each in ("bh1", "bh2")} == {
        a_hash(Kind.CONTEXT, "a"),
        a_hash(Kind.CONTEXT, "c"),
    }


def test_fitness_that_is_none(node: Node) -> None:
    made = header("a", 9)
    short = BlockHeader(attrs.evolve(made.shell, fitness=(b"\2",)), made.protocol_data)
    node.headers[short.hash], node.bakers[short.hash] = short, ALICE
    seen = SeenBlock(short.hash, CHAIN, 9, BOREAS, BOREAS)
    assert node.drive(node.denunciator.block(seen)) == [SAW, ERROR]
    _, value = node.events[-1]
    assert value["errors"] == [{"kind": "permanent", "id": "proto.002-PtBoreas.invalid_fitness"}]


@pytest.mark.parametrize(("level", "offset"), [(0, 0), (1, 0), (2, 1), (4, 3), (5, 5), (9, 5), (100, 5)])
def test_branch_offset(level: int, offset: int) -> None:
    assert branch_offset(level) == offset


def test_head_itself_is_written_without_offset(node: Node) -> None:
    node.block("a", 1)
    node.block("b", 1)
    assert f"/chains/{CHAIN}/blocks/head/hash" in node.requests
