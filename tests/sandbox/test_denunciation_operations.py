"""What an accuser makes of consensus operations."""

from __future__ import annotations

from typing import Any

import pytest

from accuser._mavryk.codec.base58 import Kind, decode
from accuser._mavryk.codec.crypto import (
    operation_hash,
)
from accuser.sandbox.accuser.denunciation import (
    Denunciator,
)
from accuser.sandbox.rpc.request import RpcFailed
from tests.support.denunciations import (
    ATTESTATION,
    BOREAS,
    CHAIN,
    OTHER_CHAIN,
    Node,
    a_hash,
    contents,
    node,
    operation,
)

__all__ = ["node"]  # fixtures of this module

# Consensus operations


def test_two_payloads_of_one_slot(node: Node) -> None:
    node.block("a")
    first, second = operation(payload="a"), operation(payload="b")
    assert node.batch(first) == []
    assert node.batch(second) == ATTESTATION
    detected, denounced = node.events[-2:]
    assert detected[1] == {"existing_attestation": second.hash, "new_attestation": first.hash}, "swapped"
    [evidence] = node.injected
    assert denounced[1] == {"hash": operation_hash(bytes.fromhex(evidence)), "bytes": evidence}
    assert node.requests[-1] == f"/private/injection/operation?chain={CHAIN}"
    [content] = contents(node)
    assert content["kind"] == "double_attestation_evidence"
    ordered = sorted((first, second), key=lambda each: decode(Kind.OPERATION, each.hash))
    assert [content["op1"], content["op2"]] == [each.to_json() for each in ordered]


@pytest.mark.parametrize("other", [{"payload": "b"}, {"slot": 1}, {"branch": "b"}])
def test_what_is_double_signing(node: Node, other: dict[str, Any]) -> None:
    node.block("a")
    node.batch(operation())
    assert node.batch(operation(**other)) == ATTESTATION


@pytest.mark.parametrize(
    "other",
    [
        {"signature": 1},
        {"payload": "b", "at_round": 1},
        {"payload": "b", "level": 10},
        {"payload": "b", "slot": 2},
        {"payload": "b", "kind": "preattestation"},
        {"kind": "attestation_with_dal"},
    ],
)
def test_what_is_not(node: Node, other: dict[str, Any]) -> None:
    node.block("a")
    node.batch(operation())
    assert node.batch(operation(**other)) == []


def test_an_attestation_with_dal_is_an_attestation(node: Node) -> None:
    node.block("a")
    node.batch(operation())
    assert node.batch(operation(payload="b", kind="attestation_with_dal")) == ATTESTATION
    [content] = contents(node)
    kinds = {content[each]["operations"]["kind"] for each in ("op1", "op2")}
    assert content["kind"] == "double_attestation_evidence"
    assert kinds == {"attestation", "attestation_with_dal"}


def test_preattestations(node: Node) -> None:
    node.block("a")
    node.batch(operation(kind="preattestation"))
    names = node.batch(operation(kind="preattestation", payload="b"))
    assert names == ["double_preattestation_detected", "double_preattestation_denounced"]
    assert set(node.events[-2][1]) == {"existing_preattestation", "new_preattestation"}


def test_operations_of_another_chain_do_not_collide(node: Node) -> None:
    node.block("a")
    node.batch(operation())
    assert node.drive(node.denunciator.operations([operation(payload="b")], OTHER_CHAIN)) == []


def test_already_denounced_is_denounced_again(node: Node) -> None:
    node.block("a")
    node.batch(operation(payload="a"), operation(payload="b"))
    first = node.events[-1][1]["hash"]
    names = node.batch(operation(payload="c"))
    assert names == [ATTESTATION[0], "double_consensus_already_denounced", ATTESTATION[1]]
    assert node.events[-2][1] == first
    assert len(node.injected) == 2
    payloads = {contents(node)[-1][each]["operations"]["block_payload_hash"] for each in ("op1", "op2")}
    assert payloads == {a_hash(Kind.PAYLOAD, "b"), a_hash(Kind.PAYLOAD, "c")}, "against the latest"


def test_slot_that_nobody_owns(node: Node) -> None:
    node.block("a")
    assert node.batch(operation(slot=7000), operation(slot=7000, payload="b")) == []


def test_rights_are_asked_for_once(node: Node) -> None:
    node.block("a")
    node.batch(operation(), operation(slot=2), operation(slot=3))
    node.batch(operation(slot=3))
    asked = [path for path in node.requests if "validators" in path]
    assert asked == ["/chains/main/blocks/head/helpers/validators?level=9"]


def test_rights_that_failed_are_asked_for_again(node: Node) -> None:
    node.block("a")
    node.fails = lambda path: "validators" in path
    with pytest.raises(RpcFailed):
        node.batch(operation())
    node.fails = lambda path: False
    node.batch(operation())
    assert sum("validators" in path for path in node.requests) == 2


def test_rights_of_two_levels_ahead_are_kept_beside_the_preserved_ones() -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=0))
    node.block("a", 9)
    for level in (9, 10, 9, 10):
        node.batch(operation(level))
    assert sum("validators" in path for path in node.requests) == 2


def test_the_oldest_rights_leave_a_full_cache() -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=0))
    node.block("a", 9)
    for level in (9, 10, 11, 9):
        node.batch(operation(level))
    asked = [path.partition("level=")[2] for path in node.requests if "validators" in path]
    assert asked == ["9", "10", "11", "9"]


@pytest.mark.parametrize(
    ("level", "names"),
    [
        (8, ["consensus_operation_too_old"]),
        (9, []),
        (11, []),
        (14, []),
        (15, ["consensus_operation_too_far_in_future"]),
    ],
)
def test_ages(level: int, names: list[str]) -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=3))
    node.block("a", 12)
    aged = operation(level)
    assert node.batch(aged) == names
    assert all(value == aged.hash for _, value in node.events[2:])


@pytest.mark.parametrize("level", [8, 15])
def test_what_is_too_old_or_too_new_is_not_remembered(level: int) -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=3))
    node.block("a", 12)
    names = node.batch(operation(level, payload="a"), operation(level, payload="b"))
    assert len(names) == 2
    assert not set(names) & set(ATTESTATION)
    assert not any("validators" in path for path in node.requests)


def test_before_the_first_block_almost_all_is_the_future(node: Node) -> None:
    assert node.batch(operation(2)) == []
    assert node.batch(operation(3)) == ["consensus_operation_too_far_in_future"]


@pytest.mark.parametrize("failing", ["/hash", "forge/operations", "/injection/"])
def test_a_failure_ends_the_batch_and_is_forgotten(node: Node, failing: str) -> None:
    node.block("a")
    node.batch(operation(payload="a"), operation(slot=2, payload="a"))
    node.fails = lambda path: failing in path
    with pytest.raises(RpcFailed):
        node.batch(operation(payload="b"), operation(slot=2, payload="b"))
    node.fails = lambda path: False
    names = node.batch(operation(payload="c"))
    assert names == ATTESTATION, "against the first one, and not already denounced"
    payloads = {contents(node)[-1][each]["operations"]["block_payload_hash"] for each in ("op1", "op2")}
    assert payloads == {a_hash(Kind.PAYLOAD, "a"), a_hash(Kind.PAYLOAD, "c")}
    assert node.batch(operation(slot=2, payload="c")) == ATTESTATION, "the rest of the batch was dropped"
