"""Operations through RPCs."""

from __future__ import annotations

import json

import attrs
import pytest

from accuser._mavryk.codec.crypto import (
    ACTIVATOR,
    Watermark,
    watermark,
)
from accuser._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    ShellHeader,
    rfc3339,
)
from accuser.sandbox.chain.activation import Activation
from tests.support.forger import (
    activated,
    activation,
    double_baking,
    double_consensus,
    header,
    slots,
    vote,
)
from tests.support.nodes import (
    B1,
    BOREAS,
    MONITOR,
    as_from_bytes,
    standing,
    two_bakings,
)

# Operations through RPCs


async def test_evidence_is_pending_then_in_pass_2() -> None:
    async with standing(chain=activated()) as stand:
        root, block, sibling, _ = await two_bakings(stand)
        operation = double_baking(block, sibling, root.hash)
        assert await stand.post("/injection/operation", operation.to_bytes().hex()) == operation.hash
        pending = await stand.get("/chains/main/mempool/pending_operations?version=2")
        assert list(pending) == [
            "validated",
            "refused",
            "outdated",
            "branch_refused",
            "branch_delayed",
            "unprocessed",
        ]
        (entry,) = pending["validated"]
        assert entry == as_from_bytes({"hash": operation.hash, **operation.to_json()})
        assert "signature" not in entry
        old = await stand.get("/chains/main/mempool/pending_operations?version=1")
        assert [one["hash"] for one in old["applied"]] == [operation.hash]
        only = await stand.get("/chains/main/mempool/pending_operations?validation_pass=0")
        assert only["validated"] == []
        without = await stand.get("/chains/main/mempool/pending_operations?validated=no")
        assert without["validated"] == []
        baked = await stand.bake(operations=((), (), (operation,), ()))
        hashes = await stand.get("/chains/main/blocks/head/operation_hashes")
        assert hashes == [[], [], [operation.hash], []]
        (shown,) = await stand.get("/chains/main/blocks/head/operations/2")
        assert shown["hash"] == operation.hash
        assert shown["contents"][0]["metadata"] == {"forbidden_delegate": B1.pkh}
        assert (await stand.get("/chains/main/mempool/pending_operations"))["validated"] == []
        assert baked.level == 4


async def test_accusers_are_shown_votes_that_conflict() -> None:
    async with standing(chain=activated()) as stand:
        await stand.bake()
        chain, head = stand.node.chain, await stand.bake()
        slot = slots(head, B1.pkh)[0]
        first = vote(chain, head, slot)
        other = vote(chain, head, slot, payload=chain.predecessor(head).payload_hash)
        async with stand.stream(MONITOR) as items:
            assert json.loads(await anext(items)) == []
            for operation in (first, other):
                path = "/private/injection/operation"
                assert await stand.post(path, operation.to_bytes().hex()) == operation.hash
                (shown,) = json.loads(await anext(items))
                assert shown["hash"] == operation.hash
        pending = await stand.get("/chains/main/mempool/pending_operations")
        assert [one["hash"] for one in pending["validated"]] == [first.hash]
        assert [one["hash"] for one in pending["branch_delayed"]] == [other.hash]
        response = await stand.send("POST", "/injection/operation", first.to_bytes().hex())
        assert response.status == 200


@pytest.mark.parametrize("helper", ["baking_rights?max_round=0&", "validators?", "attestation_rights?"])
async def test_rights_are_known_for_a_few_cycles(helper: str) -> None:
    async with standing(chain=activated()) as stand:
        head, path = await stand.bake(), f"/chains/main/blocks/head/helpers/{helper}"
        near = await stand.get(f"{path}level={head.level + 1}&level={head.level + 2}")
        if helper != "validators?":
            assert near[1]["estimated_time"] == rfc3339(head.header.shell.timestamp + 2)
        # Those of the first cycle, and of the three that follow it.
        assert (await stand.get(f"{path}level=32"))[0]["level"] == 32
        for level in (33, 100_000_000):
            response = await stand.client.request("GET", f"{path}level={level}")
            assert response.status == 500
            (error,) = response.json()
            assert error["id"] == "proto.002-PtBoreas.seed.unknown_seed"
            assert (error["oldest"], error["requested"], error["latest"]) == (0, (level - 1) // 8, 3)
        # No cycle has these, and the protocol does not bear it.
        for level in (0, -1):
            assert (await stand.client.request("GET", f"{path}level={level}")).status == 500
        if helper == "validators?":
            return
        whole = await stand.get(f"{path}cycle=2")
        assert [right["level"] for right in whole if right.get("round", 0) == 0] == list(range(17, 25))
        both = await stand.get(f"{path}cycle=2&level=3")
        assert [right["level"] for right in both if right.get("round", 0) == 0] == [3, *range(17, 25)]
        response = await stand.client.request("GET", f"{path}cycle=4")
        assert (response.status, response.json()[0]["requested"]) == (500, 4)


async def test_preapply_makes_the_block_that_is_then_injected() -> None:
    async with standing(chain=activated()) as stand:
        root, block, sibling, third = await two_bakings(stand)
        chain = stand.node.chain
        operation = double_baking(block, sibling, root.hash)
        conflicting = double_baking(block, third, root.hash)
        made = header(chain, operations=((), (), (operation,), ()))
        data = ProtocolData.from_bytes(made.protocol_data)
        body = {
            "protocol_data": {"protocol": BOREAS, **data.to_json()},
            "operations": [
                [],
                [],
                [{"protocol": BOREAS, **one.to_json()} for one in (operation, conflicting)],
                [],
            ],
        }
        when = made.shell.timestamp
        answer = await stand.post(
            f"/chains/main/blocks/head/helpers/preapply/block?sort=false&timestamp={when}", body
        )
        assert ShellHeader.from_json(answer["shell_header"]) == made.shell
        passed = answer["operations"][2]
        raw = operation.raw_json()
        assert passed["applied"] == [{"hash": operation.hash, **raw}]
        assert [one["hash"] for one in passed["branch_refused"]] == [conflicting.hash]
        injected = await stand.post(
            "/injection/block", {"data": made.to_bytes().hex(), "operations": [[], [], [raw], []]}
        )
        assert injected == made.hash == await stand.get("/chains/main/blocks/head/hash")
        again = await stand.send(
            "POST", "/injection/block", {"data": made.to_bytes().hex(), "operations": []}
        )
        assert again.json() == made.hash


async def test_an_activation_that_cannot_be_read() -> None:
    async with standing() as stand:
        command = Activation.from_bytes(activation(stand.node.chain).protocol_data).to_json()
        command["content"]["fitness"] = ["zz"]
        body = {"protocol_data": command, "operations": []}
        response = await stand.send("POST", "/chains/main/blocks/head/helpers/preapply/block", body)
        assert response.status == 400
        assert b"/content/fitness/0" in response.body


async def test_activation_through_rpcs() -> None:
    async with standing() as stand:
        made = activation(stand.node.chain)

        command = Activation.from_bytes(made.protocol_data)
        body = {"protocol_data": command.to_json(), "operations": []}
        when = made.shell.timestamp
        path = f"/chains/main/blocks/genesis/helpers/preapply/block?timestamp={when}"
        answer = await stand.post(path, body)
        shell = ShellHeader.from_json(answer["shell_header"])
        mark = watermark(Watermark.ACTIVATION, stand.node.chain.network.chain_id)
        signature = ACTIVATOR.sign(command.signed_part(shell), watermark=mark)
        data = shell.to_bytes() + attrs.evolve(command, signature=signature).to_bytes()
        block = await stand.post("/injection/block", {"data": data.hex(), "operations": []})
        assert await stand.get("/chains/main/blocks/head/hash") == block
        assert (await stand.get("/chains/main/blocks/1/protocols"))["next_protocol"] == BOREAS
        full = await stand.get("/chains/main/blocks/head")
        assert full["header"]["content"]["hash"] == BOREAS
        assert full["metadata"]["max_operations_ttl"] == 1
        assert (await stand.get("/chains/main/blocks/head/context/constants"))["blocks_per_cycle"] == 8


async def test_injection_refuses_and_force_does_not() -> None:
    async with standing(chain=activated()) as stand:
        root, block, _, _ = await two_bakings(stand)
        wrong = double_baking(block, block, root.hash)
        response = await stand.send("POST", "/injection/operation", wrong.to_bytes().hex())
        assert response.status == 500
        (error,) = json.loads(response.body, object_pairs_hook=list)
        assert error[:2] == [
            ["kind", "permanent"],
            ["id", "proto.002-PtBoreas.validate.block.invalid_double_baking_evidence"],
        ] or error[:2] == [
            ("kind", "permanent"),
            ("id", "proto.002-PtBoreas.validate.block.invalid_double_baking_evidence"),
        ]
        forced = await stand.post("/private/injection/operation", wrong.to_bytes().hex())
        assert forced == wrong.hash
        pending = await stand.get("/chains/main/mempool/pending_operations")
        assert [one["hash"] for one in pending["refused"]] == [wrong.hash]
        assert pending["refused"][0]["error"] == response.json()
        assert await stand.post("/injection/operation", wrong.to_bytes().hex()) == wrong.hash
        many = await stand.post("/private/injection/operations?force=true", [wrong.to_bytes().hex()])
        assert many == [wrong.hash]


async def test_kind_is_written_twice_where_upstream_does() -> None:
    async with standing(chain=activated()) as stand:
        await stand.bake()
        head = await stand.bake()
        pair = [vote(stand.node.chain, head, slots(head, B1.pkh)[0], round=at) for at in (0, 1)]
        wrong = double_consensus(pair[0], pair[1], head.hash)
        response = await stand.send("POST", "/injection/operation", wrong.to_bytes().hex())
        assert response.body.startswith(
            b'[{"kind":"permanent","id":"proto.002-PtBoreas.validate.operation.block.invalid_denunciation",'
            b'"kind":"attestation"}]'
        )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"{}", 400),
        (b'"zz"', 400),
        (b'"00"', 500),
        (b'"' + b"00" * 97 + b'"', 500),
    ],
)
async def test_injections_of_nonsense(body: bytes, status: int) -> None:
    async with standing(chain=activated()) as stand:
        response = await stand.client.request("POST", "/injection/operation", body=body)
        assert response.status == status
        if status == 500:
            assert "Can't parse the operation" in response.json()[0]["msg"]


async def test_blocks_of_nonsense() -> None:
    async with standing(chain=activated()) as stand:
        values: list[object] = [[], {}, {"data": "00"}, {"data": "00", "operations": [1]}]
        for value in values:
            assert (await stand.send("POST", "/injection/block", value)).status == 400
        response = await stand.send("POST", "/injection/block", {"data": "00", "operations": []})
        assert (response.status, response.json()[0]["msg"]) == (500, "Cannot parse block header.")
        late = header(stand.node.chain, round=40_000)
        body = {"data": late.to_bytes().hex(), "operations": [[], [], [], []]}
        assert (await stand.send("POST", "/injection/block", body)).json()[0]["msg"] == "Block in the future."
        await stand.bake()
        low = header(stand.node.chain, stand.node.chain.predecessor(stand.node.chain.head), vote="on")
        body = {"data": low.to_bytes().hex(), "operations": [[], [], [], []]}
        assert (await stand.send("POST", "/injection/block", body)).json()[0]["msg"] == "Fitness too low"
        assert (await stand.send("POST", "/injection/block?force=true", body)).json() == low.hash


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/chains/main/blocks/99", 404),
        ("/chains/main/blocks/99/header", 404),
        ("/chains/main/blocks/BLsNepJaJZEuG6SRYQY41cMfyReL7WmQqMTSLFimkpkH3Gwmucw", 404),
        ("/chains/main/blocks/no_block", 400),
        ("/chains/NetXmtMsNf69w1w/chain_id", 404),
        ("/chains/test/blocks/head", 404),
        ("/chains/nonsense/blocks/head", 400),
        ("/chains/main/blocks/head/operations/7", 404),
        ("/chains/main/blocks/head/operations/x", 400),
        ("/chains/main/blocks/head?version=9", 400),
        ("/chains/main/blocks/head/helpers/validators?level=x", 400),
        ("/monitor/heads/main?next_protocol=nonsense", 400),
        ("/chains/main/mempool/pending_operations?validated=maybe", 400),
        ("/no/such/path", 404),
        ("/", 404),
        ("/injection/operation", 405),
        ("/chains/main/blocks/genesis/helpers/validators", 404),
    ],
)
async def test_paths_that_fail(path: str, status: int) -> None:
    async with standing(chain=activated()) as stand:
        response = await stand.client.request("GET", path)
        assert response.status == status
        if status == 404:
            assert response.body == b""


async def test_helpers() -> None:
    async with standing(chain=activated()) as stand:
        head = await stand.bake()
        rights = await stand.get("/chains/main/blocks/head/helpers/baking_rights?max_round=8&all=true")
        assert [right["round"] for right in rights] == list(range(9))
        assert (rights[0]["level"], rights[0]["delegate"]) == (3, B1.pkh)
        assert list(rights[0]) == ["level", "delegate", "round", "estimated_time", "consensus_key"]
        first = await stand.get(f"/chains/main/blocks/head/helpers/baking_rights?delegate={B1.pkh}")
        assert [(right["round"], right["delegate"]) for right in first] == [(0, B1.pkh)]
        past = await stand.get("/chains/main/blocks/head/helpers/baking_rights?level=2&max_round=0")
        assert "estimated_time" not in past[0]
        own = await stand.get(
            f"/chains/main/blocks/head/helpers/validators?delegate={B1.pkh}&level=2&level=3"
        )
        assert [entry["level"] for entry in own] == [2, 3]
        assert own[0]["slots"] == slots(head, B1.pkh)
        level = await stand.get("/chains/main/blocks/head/helpers/current_level?offset=1")
        assert (level["level"], level["cycle"]) == (3, 0)
        assert await stand.get("/chains/main/blocks/head/header/shell") == head.header.shell.to_json()
        raw = await stand.get("/chains/main/blocks/head/header/raw")
        assert BlockHeader.from_bytes(bytes.fromhex(raw)).hash == head.hash
        assert await stand.get("/chains/main/blocks?length=2") == [[head.hash, head.predecessor]]
        assert (await stand.get("/version"))["version"]["additional_info"] == "dev"
        assert BOREAS in await stand.get("/protocols")
