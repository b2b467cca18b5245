"""What clients ask the sandbox's node before they inject an operation."""

from __future__ import annotations

from typing import Any

import attrs

from accuser._mavryk.codec.anonymous import SeedNonceRevelation
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.manager import Reveal
from accuser._mavryk.codec.operations import Operation
from tests.support.drawn import KINDS, Drawn
from tests.support.forger import (
    NULL_SIGNATURE,
    activated,
    bake,
    slots,
    vote,
)
from tests.support.nodes import Stand, standing
from tests.support.orders import gift, include, key, order, results, revelation

HEAD = "/chains/main/blocks/head"
ONE, TWO, NEW = BOOTSTRAP[0], BOOTSTRAP[1], key(11)


def body(operation: Operation) -> dict[str, Any]:
    return {"protocol": "PtBoreasK2KPuKbeYtXeEdudEHS7YcMFHE9amwheUc4kejTxgRi", **operation.to_json()}


async def identifiers(stand: Stand, path: str, value: object) -> list[str]:
    answer = await stand.send("POST", HEAD + path, value)
    assert answer.status == 500
    return [error["id"].removeprefix("proto.002-PtBoreas.") for error in answer.json()]


async def test_a_preapplied_operation_tells_what_the_block_will() -> None:
    async with standing(chain=activated()) as stand:
        chain = stand.node.chain
        operation = order(chain, ONE, gift(5, NEW.pkh), gift(6, NEW.pkh))
        (answer,) = await stand.post(f"{HEAD}/helpers/preapply/operations", [body(operation)])
        assert set(answer) == {"contents", "signature"}
        block = include(chain, operation)
        assert [one["metadata"] for one in answer["contents"]] == list(block.results[operation.hash])
        assert [one["metadata"]["operation_result"]["status"] for one in answer["contents"]] == [
            "applied"
        ] * 2
        shown = await stand.get(f"{HEAD}/operations/3/0")
        assert shown["hash"] == operation.hash
        assert shown["contents"] == answer["contents"]
        # A failed application is an answer, and a failed validation an error.
        failing = order(chain, ONE, gift(10**13, NEW.pkh))
        (answer,) = await stand.post(f"{HEAD}/helpers/preapply/operations", [body(failing)])
        result = answer["contents"][0]["metadata"]["operation_result"]
        assert (result["status"], len(result["errors"])) == ("failed", 1)
        path = "/helpers/preapply/operations"
        late = order(chain, ONE, gift(1, TWO.pkh), counter=9)
        assert await identifiers(stand, path, [body(late)]) == ["contract.counter_in_the_future"]
        wrong = order(chain, ONE, gift(1, TWO.pkh), signature=bytes(range(64)))
        assert await identifiers(stand, path, [body(wrong)]) == ["operation.invalid_signature"]
        twice = [body(order(chain, ONE, gift(amount, TWO.pkh))) for amount in (1, 2)]
        assert await identifiers(stand, path, twice) == ["validate.operation.manager_restriction"]


async def test_a_simulation_needs_no_signature() -> None:
    async with standing(chain=activated()) as stand:
        chain = stand.node.chain
        operation = attrs.evolve(order(chain, ONE, gift(5, TWO.pkh)), signature=bytes(range(64)))
        asked = {"operation": operation.to_json(), "chain_id": chain.network.chain_id}
        for path, more in (
            ("run_operation", {}),
            ("simulate_operation", {"latency": 3, "blocks_before_activation": -1}),
            ("simulate_operation?successor_level", {}),
        ):
            answer = await stand.post(f"{HEAD}/helpers/scripts/{path}", {**asked, **more})
            metadata = answer["contents"][0]["metadata"]
            assert metadata["operation_result"]["status"] == "applied"
            assert metadata["operation_result"]["consumed_milligas"] == "168655"
        counter = order(chain, ONE, gift(5, TWO.pkh), counter=5).to_json()
        path = "/helpers/scripts/run_operation"
        assert await identifiers(stand, path, {**asked, "operation": counter}) == [
            "contract.counter_in_the_future"
        ]
        block = bake(chain)
        attestation = vote(chain, block, slots(block, ONE.pkh)[0]).to_json()
        assert await identifiers(stand, path, {**asked, "operation": attestation}) == [
            "run_operation_does_not_support_consensus_operations"
        ]
        refused = await stand.send("POST", HEAD + path, {"operation": counter})
        assert refused.status == 400


async def test_forging_and_parsing_are_each_others_inverse() -> None:
    async with standing(chain=activated()) as stand:
        drawn = Drawn(3)
        for kind in KINDS:
            value = drawn.operation(kind)
            forged = await stand.post(f"{HEAD}/helpers/forge/operations", value)
            data = forged[64:] + bytes(range(64)).hex()
            asked = {"operations": [{"branch": value["branch"], "data": data}], "check_signature": False}
            (parsed,) = await stand.post(f"{HEAD}/helpers/parse/operations", asked)
            assert {name: parsed[name] for name in ("branch", "contents")} == value
            assert parsed["signature"].startswith("sig")
        broken = {"operations": [{"branch": value["branch"], "data": "00"}]}
        assert (await stand.send("POST", f"{HEAD}/helpers/parse/operations", broken)).status == 500


async def test_headers_are_parsed_and_forged() -> None:
    async with standing(chain=activated()) as stand:
        block = await stand.bake()
        raw = block.header.shell_json()
        assert block.protocol_data is not None
        assert await stand.post(f"{HEAD}/helpers/parse/block", raw) == block.protocol_data.to_json()
        forged = await stand.post(f"{HEAD}/helpers/forge_block_header", raw)
        assert forged == {"block": block.header.to_bytes().hex()}


async def test_an_operation_goes_through_the_mempool_into_a_block() -> None:
    async with standing(chain=activated(issuance=True)) as stand:
        chain = stand.node.chain
        include(chain, order(chain, ONE, gift(10**7, NEW.pkh)))
        stand.node.mempool.restart()
        operation = order(chain, NEW, Reveal(NEW.public_key), gift(1, TWO.pkh))
        injected = await stand.post("/injection/operation", operation.to_bytes().hex())
        assert injected == operation.hash
        pending = await stand.get("/chains/main/mempool/pending_operations")
        assert [one["hash"] for one in pending["validated"]] == [operation.hash]
        block = await stand.bake(operations=stand.node.mempool.payload())
        assert [one["status"] for one in results(block, operation)] == ["applied", "applied"]
        pending = await stand.get("/chains/main/mempool/pending_operations")
        assert pending["validated"] == []
        metadata = await stand.get(f"{HEAD}/metadata")
        categories = {one.get("category", "contract") for one in metadata["balance_updates"]}
        assert {"block fees", "baking rewards", "deposits"} <= categories
        (subsidy,) = metadata["implicit_operations_results"]
        assert [one["change"] for one in subsidy["balance_updates"]] == ["-83333", "83333"]
        assert {one["origin"] for one in subsidy["balance_updates"]} == {"subsidy"}


async def test_a_revelation_pays_its_proposer() -> None:
    chain = activated(issuance=True, blocks_per_cycle=4, blocks_per_commitment=4)
    nonce = bytes(range(32))
    while (chain.head.level - 1) % 4 != 3:
        bake(chain, nonce=nonce)
    level = chain.head.level
    operation = revelation(chain, level, nonce)
    async with standing(chain=chain) as stand:
        path = f"{HEAD}/helpers/preapply/operations"
        early = Operation(chain.head.hash, (SeedNonceRevelation(level + 4, nonce),), NULL_SIGNATURE)
        assert await identifiers(stand, path.removeprefix(HEAD), [body(early)]) == [
            "nonce.too_early_revelation"
        ]
        wrong = revelation(chain, level, bytes(32))
        assert await identifiers(stand, path.removeprefix(HEAD), [body(wrong)]) == ["nonce.inconsistent"]
        (answer,) = await stand.post(path, [body(operation)])
        updates = answer["contents"][0]["metadata"]["balance_updates"]
        assert sum(int(one["change"]) for one in updates if one["kind"] == "minted") == -260
        block = bake(chain, operations=((), (), (operation,), ()))
        assert block.results[operation.hash][0]["balance_updates"]
        assert await identifiers(stand, path.removeprefix(HEAD), [body(revelation(chain, level, nonce))]) == [
            "nonce.already_revealed"
        ]
