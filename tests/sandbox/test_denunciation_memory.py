"""What an accuser forgets, shows and asks for."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from accuser import Protocol
from accuser._mavryk.codec.crypto import (
    BOOTSTRAP,
    operation_hash,
)
from accuser._mavryk.codec.forge import (
    BlockHeader,
)
from accuser._mavryk.codec.operations import Operation
from accuser.sandbox.accuser.denunciation import (
    DEFAULT_PRESERVED_LEVELS,
    Denunciator,
    SeenBlock,
)
from accuser.sandbox.rpc.request import Request, RpcFailed, Undecodable
from accuser.sandbox.sink.uri import Level
from tests.support.denunciations import (
    ALICE,
    ATTESTATION,
    BAKING,
    BOREAS,
    CHAIN,
    ERROR,
    PROCESSED,
    SAW,
    Node,
    header,
    node,
    operation,
)
from tests.support.replay import RUNS

__all__ = ["node"]  # fixtures of this module

# Cleaning


def test_entries_go_when_a_cleaning_comes() -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=2))
    for level in (9, 10):
        node.block("a", level)
    # The second block has cleaned; level 9 stays until a cleaning at level 12 or higher.
    for level in (11, 12):
        node.block("a", level)
    assert node.block("b", 9) == [SAW, PROCESSED]


def test_between_cleanings_an_old_sibling_is_found() -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=2))
    for level in (9, 10, 20):
        node.block("a", level)
    assert node.block("b", 9) == [SAW, *BAKING, PROCESSED]


def test_cleaning_takes_operations_too() -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=10))
    node.block("a", 9)
    node.batch(operation(9))
    node.block("a", 20)
    node.denunciator.highest_level = 19
    assert node.batch(operation(9, payload="b")) == [], "level 9 has gone"


def test_a_failed_denunciation_does_not_count_towards_a_cleaning() -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=2))
    node.block("a", 9)
    node.fails = lambda path: path.endswith("/header")
    assert node.block("b", 9) == [SAW, ERROR]
    node.fails = lambda path: False
    # This would be the third block: the second that counts, which cleans.
    node.block("a", 20)
    assert node.block("c", 9) == [SAW, PROCESSED]


@pytest.mark.parametrize(("preserved", "blocks"), [(0, 2), (19, 2), (20, 3), (100, 11), (200, 21), (209, 21)])
def test_how_many_blocks_make_a_cleaning(preserved: int, blocks: int) -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=preserved))
    node.denunciator.highest_level = 1000
    node.block("a", 9)
    for _ in range(blocks - 2):
        node.block("far", 1000)
    assert node.block("b", 9) == [SAW, *BAKING, PROCESSED], "which cleans, after that"
    assert node.block("c", 9) == [SAW, PROCESSED]


def test_default_preserved_levels() -> None:
    """As upstream: 200, so that the 21st block cleans."""
    assert DEFAULT_PRESERVED_LEVELS == 200
    node = Node(Denunciator(BOREAS, "002-PtBoreas"))
    node.block("a", 210)
    aged = [operation(level) for level in (9, 10)]
    assert node.batch(*aged) == ["consensus_operation_too_old"]


def cleaned(*levels: int, highest: int) -> Node:
    """A block and an attestation came at each of these levels, and then a cleaning."""
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=2))
    for level in levels:
        node.block("a", level)
        node.denunciator.highest_level = level
        node.batch(operation(level))
    node.block("cleans", highest)
    return node


@pytest.mark.parametrize("level", [10, 11])
def test_the_last_preserved_level_stays(level: int) -> None:
    stays = level == 11
    node = cleaned(level, highest=13)
    assert node.block("b", level) == [SAW, *(BAKING if stays else []), PROCESSED]
    node = cleaned(level, highest=13)
    node.denunciator.highest_level = level
    assert node.batch(operation(level, payload="b")) == (ATTESTATION if stays else [])


def test_nothing_goes_while_the_chain_is_short() -> None:
    node = cleaned(0, highest=1)
    assert node.block("b", 0) == [SAW, *BAKING, PROCESSED]
    node = cleaned(0, highest=1)
    assert node.batch(operation(0, payload="b")) == ATTESTATION


def test_the_round_does_not_matter_for_a_cleaning() -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=2))
    node.block("a", 9, at_round=99)
    node.batch(operation(9, at_round=99))
    node.block("a", 20)
    node.denunciator.highest_level = 9
    assert node.block("b", 9, at_round=99) == [SAW, PROCESSED]
    assert node.batch(operation(9, at_round=99, payload="b")) == []


def test_memory_is_bounded_by_the_preserved_levels() -> None:
    """Whatever the length of the chain: 256 slots a level, and no more levels than between cleanings."""
    preserved, kept = 20, []
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=preserved))
    node.rights = {slot: BOOTSTRAP[slot % 5].pkh for slot in range(10)}
    for level in range(1, 201):
        node.block("a", level)
        node.batch(*(operation(level, slot=slot) for slot in range(5)))
        denunciator = node.denunciator
        kept.append((len(denunciator._blocks), len(denunciator._consensus), len(denunciator._rights)))
        assert all(len(seen) == 1 for seen in denunciator._blocks.values())
        assert all(len(seen) == 5 for seen in denunciator._consensus.values())
    # Between two cleanings, which are three blocks apart, as many levels come on top.
    assert [max(sizes) for sizes in zip(*kept, strict=True)] == [preserved + 3, preserved + 3, preserved + 2]
    assert kept[100:150] == kept[103:153], "and it stays so"


# What is shown and asked


def shown(node: Node) -> dict[str, tuple[Level, Any, str]]:
    assert all(each.section == ("002-PtBoreas", "delegate", "denunciation") for each in node.emitted)
    return {each.name: (each.level, each.value, each.text) for each in node.emitted}


def test_words_about_blocks(node: Node) -> None:
    for name in "aab":
        node.block(name)
    block, [evidence] = header("b", 9).hash, node.injected
    denounced = operation_hash(bytes.fromhex(evidence))
    same = "double baking detected but block hashes are equivalent; skipping"
    assert shown(node) == {
        "accuser_saw_block": (Level.DEBUG, {"level": 9, "hash": block}, "block level: 9"),
        "accuser_processed_block": (Level.NOTICE, block, f"block {block} registered"),
        "double_baking_but_not": (Level.DEBUG, {}, same),
        "double_baking_detected": (Level.NOTICE, {}, "double baking detected"),
        "double_baking_denounced": (
            Level.NOTICE,
            {"hash": denounced, "bytes": evidence},
            f"double baking evidence injected {denounced}",
        ),
    }
    assert len(Operation.from_bytes(bytes.fromhex(evidence)).signature or b"") == 64


def test_words_about_blocks_that_are_odd(node: Node) -> None:
    block = header("a", 9).hash
    node.pruned.add(block)
    node.operations[block] = None
    node.block("a")
    node.block("b", next_protocol=Protocol.ALPHA.hash)
    node.fails = lambda path: path.endswith("?version=1")
    node.block("a")
    failure = [{"kind": "temporary", "id": "failure", "msg": "no"}]
    told = shown(node)
    del told["accuser_saw_block"], told["accuser_processed_block"]
    changing = "protocol changing detected; skipping the block"
    assert told == {
        "unexpected_pruned_block": (Level.ERROR, block, f"unexpected pruned block: {block}"),
        "fetch_operations_error": (
            Level.ERROR,
            block,
            f"error while fetching operations of block {block}",
        ),
        "protocol_change_detected": (Level.ERROR, {}, changing),
        "accuser_block_error": (
            Level.ERROR,
            {"hash": block, "errors": failure},
            f"error while processing block {block} no",
        ),
    }
    assert str(RpcFailed(failure, "no")) == "no"


def test_words_about_a_fitness_that_is_none(node: Node) -> None:
    made = header("a", 9)
    short = BlockHeader(attrs.evolve(made.shell, fitness=(b"\2",)), made.protocol_data)
    node.headers[short.hash], node.bakers[short.hash] = short, ALICE
    node.drive(node.denunciator.block(SeenBlock(short.hash, CHAIN, 9, BOREAS, BOREAS)))
    assert (
        node.emitted[-1].text == f"error while processing block {short.hash} Invalid\N{NO-BREAK SPACE}fitness"
    )


@pytest.mark.parametrize("word", ["attestation", "preattestation"])
def test_words_about_operations(node: Node, word: str) -> None:
    node.block("a", 12)
    node.emitted.clear()
    old, new, another = (operation(kind=word, payload=payload) for payload in "abc")
    node.batch(old, new, another)
    first, second = (operation_hash(bytes.fromhex(each)) for each in node.injected)
    hashes = {f"existing_{word}": another.hash, f"new_{word}": new.hash}
    again = f"double consensus operation already denounced in {first}"
    assert shown(node) == {
        f"double_{word}_detected": (Level.NOTICE, hashes, f"double {word} detected"),
        f"double_{word}_denounced": (
            Level.NOTICE,
            {"hash": second, "bytes": node.injected[1]},
            f"double {word} evidence injected: {second}",
        ),
        "double_consensus_already_denounced": (Level.DEBUG, first, again),
    }


def test_words_about_ages() -> None:
    node = Node(Denunciator(BOREAS, "002-PtBoreas", preserved_levels=1))
    node.block("a", 12)
    node.emitted.clear()
    old, new = operation(9), operation(20)
    node.batch(old, new)
    assert shown(node) == {
        "consensus_operation_too_old": (
            Level.DEBUG,
            old.hash,
            f"operation {old.hash} is too old to be handled",
        ),
        "consensus_operation_too_far_in_future": (
            Level.DEBUG,
            new.hash,
            f"operation {new.hash} too far in the future",
        ),
    }


def test_methods(node: Node) -> None:
    node.block("a")
    node.block("b")
    node.batch(operation(), operation(payload="b"))
    posted = {each.path.partition("?")[0] for each in node.asked if each.method == "POST"}
    assert posted == {
        f"/chains/{CHAIN}/blocks/head~5/helpers/forge/operations",
        "/injection/operation",
        "/private/injection/operation",
    }
    assert {each.method for each in node.asked} == {"GET", "POST"}


def recorded_block(**metadata: Any) -> Any:
    """A block of Boreas, recorded, with other metadata."""
    for line in (RUNS / "01-double-baking.http.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["path"].endswith("?version=1"):
            value = json.loads(entry["response_body"])
            value["metadata"].update(metadata)
            return value
    raise AssertionError


@pytest.mark.parametrize("dal", [True, False, None])
def test_blocks_are_of_the_accusers_own_protocol(dal: bool | None) -> None:
    value, options = recorded_block(), {} if dal is None else {"dal": dal}
    request = next(
        step
        for step in Denunciator(BOREAS, "002-PtBoreas", **options)._block(
            SeenBlock(value["hash"], CHAIN, 2, BOREAS, BOREAS)
        )
        if isinstance(step, Request)
    )
    assert request.decode(value).hash == value["hash"]
    with pytest.raises(Undecodable):
        request.decode({**value, "protocol": Protocol.ALPHA.hash})
    del value["metadata"]["dal_attestation"]
    if dal is False:
        assert request.decode(value)
    else:
        with pytest.raises(Undecodable):
            request.decode(value)
