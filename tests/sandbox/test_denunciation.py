"""The accuser's algorithm, condition by condition, without a node."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from accuser import Protocol
from accuser._mavryk.codec.base58 import Kind, decode, encode
from accuser._mavryk.codec.crypto import (
    BOOTSTRAP,
    GENESIS_BLOCK,
    blake2b,
    operation_hash,
)
from accuser._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    ShellHeader,
    fitness,
    full_header_json,
)
from accuser._mavryk.codec.operations import Consensus, InlinedConsensus, Operation
from accuser.sandbox.accuser import answers
from accuser.sandbox.accuser.denunciation import (
    DEFAULT_PRESERVED_LEVELS,
    Denunciator,
    Emit,
    SeenBlock,
    Steps,
    branch_offset,
)
from accuser.sandbox.rpc.request import Request, RpcFailed, Undecodable
from accuser.sandbox.sink.uri import Level
from tests.support.replay import RUNS

CHAIN = "NetXXAAR1wWQhhe"
OTHER_CHAIN = encode(Kind.CHAIN, b"\1\2\3\4")
BOREAS = Protocol.BOREAS.hash
ALICE, BOB = BOOTSTRAP[0].pkh, BOOTSTRAP[1].pkh


def a_hash(kind: Kind, text: str) -> str:
    return encode(kind, blake2b(text.encode()))


def header(name: str, level: int, at_round: int = 0) -> BlockHeader:
    shell = ShellHeader(
        level=level,
        proto=1,
        predecessor=GENESIS_BLOCK,
        timestamp=1_755_000_000 + level,
        validation_pass=4,
        operations_hash=a_hash(Kind.OPERATION_LIST_LIST, name),
        fitness=fitness(level, None, 0, at_round),
        context=a_hash(Kind.CONTEXT, name),
    )
    data = ProtocolData(a_hash(Kind.PAYLOAD, name), at_round, bytes(8), None, "pass", "pass", bytes(64))
    return BlockHeader(shell, data.to_bytes())


def operation(
    level: int = 9,
    *,
    slot: int = 0,
    at_round: int = 0,
    payload: str = "a",
    branch: str = "a",
    signature: int = 0,
    kind: Any = "attestation",
) -> InlinedConsensus:
    content = Consensus(
        kind,
        slot,
        level,
        at_round,
        a_hash(Kind.PAYLOAD, payload),
        dal_attestation=0 if kind == "attestation_with_dal" else None,
    )
    return InlinedConsensus(a_hash(Kind.BLOCK, branch), content, bytes([signature]) * 64)


@attrs.define
class Node:
    """Answers the requests of one denunciator, and remembers them and the events."""

    denunciator: Denunciator
    bakers: dict[str, str] = attrs.Factory(dict)
    headers: dict[str, BlockHeader] = attrs.Factory(dict)
    operations: dict[str, tuple[InlinedConsensus, ...] | None] = attrs.Factory(dict)
    pruned: set[str] = attrs.Factory(set)
    fails: Callable[[str], bool] = lambda path: False
    rights: dict[int, str] = attrs.Factory(lambda: {0: ALICE, 1: ALICE, 2: BOB})
    chain: str = CHAIN
    requests: list[str] = attrs.Factory(list)
    asked: list[Request] = attrs.Factory(list)
    events: list[tuple[str, Any]] = attrs.Factory(list)
    emitted: list[Emit] = attrs.Factory(list)
    forged: list[Any] = attrs.Factory(list)
    injected: list[str] = attrs.Factory(list)

    def drive(self, steps: Steps) -> list[str]:
        """Run the steps; the names of the events."""
        before = len(self.events)
        answer: Any = None
        failure: RpcFailed | None = None
        try:
            while True:
                step = steps.send(answer) if failure is None else steps.throw(failure)
                answer = failure = None
                if isinstance(step, Emit):
                    self.events.append((step.name, step.value))
                    self.emitted.append(step)
                    continue
                self.requests.append(step.path)
                self.asked.append(step)
                if self.fails(step.path):
                    failure = RpcFailed([{"kind": "temporary", "id": "failure", "msg": "no"}], "no")
                else:
                    answer = self.answer(step)
        except StopIteration:
            return [name for name, _ in self.events[before:]]

    def block(
        self,
        name: str,
        level: int = 9,
        at_round: int = 0,
        baker: str = ALICE,
        next_protocol: str = BOREAS,
    ) -> list[str]:
        made = header(name, level, at_round)
        self.headers[made.hash] = made
        self.bakers[made.hash] = baker
        seen = SeenBlock(made.hash, self.chain, level, BOREAS, next_protocol)
        return self.drive(self.denunciator.block(seen))

    def batch(self, *operations: InlinedConsensus) -> list[str]:
        return self.drive(self.denunciator.operations(operations, CHAIN))

    def answer(self, request: Request) -> Any:
        path = request.path
        if path.endswith("/hash"):
            return a_hash(Kind.BLOCK, "head")
        if "/helpers/validators" in path:
            return dict(self.rights)
        if path.endswith("/helpers/forge/operations"):
            self.forged.append(request.body)
            return Operation.from_json(request.body).unsigned_bytes()
        if "/injection/operation" in path:
            assert isinstance(request.body, str)
            self.injected.append(request.body)
            return operation_hash(bytes.fromhex(request.body))
        name = path.split("/")[4].partition("?")[0]
        if path.endswith("/header"):
            return self.headers[name]
        assert path == f"/chains/{self.chain}/blocks/{name}?version=1"
        made = self.headers[name]
        baked = answers.Baked(self.bakers[name], made.shell.level)
        return answers.Block(
            hash=name,
            chain_id=self.chain,
            fitness=made.shell.fitness,
            baked=None if name in self.pruned else baked,
            consensus=self.operations.get(name, ()),
        )


@pytest.fixture
def node() -> Node:
    return Node(Denunciator(BOREAS, "002-PtBoreas"))


SAW, PROCESSED, ERROR = "accuser_saw_block", "accuser_processed_block", "accuser_block_error"
BAKING = ["double_baking_detected", "double_baking_denounced"]
ATTESTATION = ["double_attestation_detected", "double_attestation_denounced"]


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


def contents(node: Node) -> list[Any]:
    return [content for body in node.forged for content in body["contents"]]


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
