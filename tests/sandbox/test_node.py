"""The sandbox's node through its RPCs, streams and events."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs
import pytest
import trio
import trio.testing

from accuser import Protocol
from accuser._mavryk.codec.crypto import (
    ACTIVATOR,
    BOOTSTRAP,
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
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.node.feeds import Pacing
from accuser.sandbox.node.points import Point
from accuser.sandbox.node.synchronisation import Synchronisation
from accuser.sandbox.sink.sink import Level
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
    EMPTY,
    MONITOR,
    RUNS,
    Stand,
    as_from_bytes,
    recorded,
    recorded_values,
    shape,
    standing,
    two_bakings,
    until,
    until_level,
)


def undecided() -> Chain:
    """A chain that never decides about adaptive issuance, as the recorded one."""
    return activated(adaptive_issuance_activation_vote_enable=False)


async def test_every_answer_has_the_shape_of_the_recorded_one() -> None:
    async with standing(chain=undecided()) as stand:
        async with (
            stand.stream(f"/monitor/heads/main?next_protocol={BOREAS}") as heads,
            stand.stream(f"/monitor/applied_blocks?next_protocol={BOREAS}&chain=main") as applied,
        ):
            first = json.loads(await anext(heads))
            assert first["level"] == 1
            await stand.bake()
            block = await stand.bake()
            shown = {"/monitor/heads": json.loads(await anext(heads))}
            shown["/monitor/applied_blocks"] = json.loads(await anext(applied))
        sibling = header(stand.node.chain, stand.node.chain.predecessor(block), vote="on")
        await stand.take(sibling)
        chain_id = await stand.get("/chains/main/chain_id")
        root = f"/chains/{chain_id}/blocks"
        shown["/monitor/bootstrapped"] = await stand.get("/monitor/bootstrapped")
        shown["/chain_id"] = chain_id
        shown["/protocols"] = await stand.get(f"{root}/{block.hash}/protocols")
        shown["?version=1"] = await stand.get(f"{root}/{block.hash}?version=1")
        shown["/header"] = await stand.get(f"{root}/{block.hash}/header")
        shown["/hash"] = await stand.get(f"{root}/head~2/hash")
        operation = double_baking(block.header, sibling, shown["/hash"])
        shown["/forge/operations"] = await stand.post(
            f"{root}/head~2/helpers/forge/operations",
            attrs.evolve(operation, signature=None).to_json(),
        )
        assert shown["/forge/operations"] + bytes(64).hex() == operation.to_bytes().hex()
        shown["/injection/operation"] = await stand.post(
            f"/injection/operation?chain={chain_id}", operation.to_bytes().hex()
        )
        assert shown["/injection/operation"] == operation.hash
        for part, value in shown.items():
            assert shape(value) == shape(recorded("01-double-baking", part)), part
        assert len(shown["/monitor/applied_blocks"]["operations"]) == 4


async def test_attestations_have_the_recorded_shapes() -> None:
    async with standing(chain=activated()) as stand:
        await stand.bake()
        head = await stand.bake()
        about = vote(stand.node.chain, head, slots(head, B1.pkh)[0])
        async with stand.stream(MONITOR) as operations:
            assert await anext(operations) == b"[]\n"
            await stand.post("/injection/operation", about.to_bytes().hex())
            (item,) = json.loads(await anext(operations))
        assert item["hash"] == about.hash
        expected = recorded("03-double-attestation", "monitor_operations")[0]
        assert shape(item) == shape(expected)
        validators = await stand.get(f"/chains/main/blocks/head/helpers/validators?level={head.level}")
        assert shape(validators) == shape(recorded("03-double-attestation", "validators"))
        assert [v["delegate"] for v in validators] == sorted((k.pkh for k in BOOTSTRAP), reverse=True)
        block = await stand.bake(operations=((about,), (), (), ()))
        full = await stand.get(f"/chains/main/blocks/{block.hash}?version=1")
        (in_block,) = full["operations"][0]
        for line in (RUNS / "05-attestations-in-a-block-and-with-dal.http.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if "?version=1" in entry["path"] and (
                found := json.loads(entry.get("response_body") or EMPTY)["operations"][0]
            ):
                assert shape(in_block) == shape(found[0])
                break
        else:
            raise AssertionError("no recorded block with attestations")


def fits(ours: Any, theirs: Any) -> bool:
    """Whether a recorded value could have been ours: the same fields and types, all the way down."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(fits(ours[name], theirs[name]) for name in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return not ours or all(any(fits(one, item) for one in ours) for item in theirs)
    return type(ours) is type(theirs)


REQUESTS = (
    "/monitor/bootstrapped",
    "/monitor/heads/",
    "/monitor/applied_blocks",
    "monitor_operations",
    "/chain_id",
    "/protocols",
    "?version=1",
    "/validators",
    "/header",
    "/hash",
    "/forge/operations",
    "/injection/operation",
)
"""How to tell recorded requests apart; the first part that a path holds counts."""


RECORDED = sorted(path.name.removesuffix(".http.jsonl") for path in RUNS.glob("*.http.jsonl"))
UNLIKE_OURS: Final = {
    "11d-head-with-an-unknown-field": (1, "on purpose"),
    "13g-bootstrapped-item-with-an-unknown-field": (1, "on purpose"),
    "14-block-fields": (62, "on purpose: each of these blocks has one field less, more or other"),
    "15-stream-chunks": (4, "values in pieces, on purpose"),
    "15b-two-items-in-a-chunk": (1, "on purpose"),
    "15c-white-space-around-items": (1, "a chunk of white space, on purpose"),
    "15d-chunk-with-the-end-of-an-item-and-the-begin-of-the-next": (3, "on purpose"),
    "16-applied-block-without-operations": (1, "on purpose"),
    "16b-applied-block-unknown-field": (1, "on purpose"),
    "16c-applied-block-truncated-then-garbage": (2, "on purpose"),
    "16d-applied-block-unknown-field-then-end-of-stream": (1, "on purpose"),
    "17-mempool-item-without-hash": (1, "on purpose"),
    "17b-mempool-other-operations-and-errors": (2, "transactions, which the sandbox has not"),
    "17c-mempool-item-unknown-field-then-end-of-stream": (1, "on purpose"),
    "20-other-answers-wrong": (5, "on purpose"),
    "20b-malformed-chain-id": (1, "on purpose"),
}
"""How many answers of a run could not be ours, and why."""


def could_be(body: str, ours: list[Any]) -> bool:
    try:
        value = as_from_bytes(json.loads(body))
    except ValueError:
        return False
    return any(fits(one, value) for one in ours)


async def test_every_recorded_answer_could_be_ours() -> None:
    ours = await all_answers()
    unlike: dict[str, int] = {}
    compared = 0
    for run in RECORDED:
        for line in (RUNS / f"{run}.http.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["status"] != 200:
                continue
            if run != "18-content-type-with-charset":
                assert entry["response_content_type"] == "application/json"
            part = next(part for part in REQUESTS if part in entry["path"])
            bodies = [chunk["body"] for chunk in entry["chunks"]] if "chunks" in entry else None
            for body in [entry["response_body"]] if bodies is None else bodies:
                compared += 1
                good = could_be(body, ours[part])
                if part == "/chain_id":
                    # The only answer that is the same on every chain of this genesis.
                    good = json.loads(body) == ours[part][0]
                if not good:
                    unlike[run] = unlike.get(run, 0) + 1
    assert unlike == {run: count for run, (count, _) in UNLIKE_OURS.items()}
    assert compared > 1000


async def test_every_recorded_forge_request_gets_the_recorded_answer() -> None:
    """The one request whose answer is all in its body: the same bytes, by the RPC."""
    compared = 0
    async with standing(chain=activated()) as stand:
        for _ in range(6):
            await stand.bake()
        for run in RECORDED:
            for line in (RUNS / f"{run}.http.jsonl").read_text().splitlines():
                entry = json.loads(line)
                if entry["status"] == 200 and entry["path"].endswith("/helpers/forge/operations"):
                    ours = await stand.post(entry["path"], json.loads(entry["request_body"]))
                    if run != "20-other-answers-wrong":
                        assert ours == json.loads(entry["response_body"])
                        compared += 1
    assert compared > 20


def test_every_recorded_refusal_is_of_the_form_of_ours() -> None:
    """A list of errors of a kind and an id; a 404 has no body, and 500 is the only other status."""
    compared = 0
    for run in RECORDED:
        for line in (RUNS / f"{run}.http.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["status"] == 404:
                assert not entry.get("response_body")
            elif entry["status"] != 200:
                assert entry["status"] == 500
                assert entry["response_content_type"] == "application/json"
                for error in json.loads(entry["response_body"]):
                    assert list(error)[:2] == (
                        ["kind", "error"] if error["kind"] == "generic" else ["kind", "id"]
                    )
                compared += 1
    assert compared > 8


async def all_answers() -> dict[str, list[Any]]:
    """Our answers to each kind of request, with operations of each kind in them."""
    async with standing(chain=undecided()) as stand:
        chain = stand.node.chain
        await stand.bake()
        await stand.bake()
        head = await stand.bake()
        first, second = slots(head, B1.pkh)[0], slots(head, BOOTSTRAP[1].pkh)[0]
        plain = vote(chain, head, first)
        with_dal = vote(chain, head, second, kind="attestation_with_dal", dal=3)
        early = vote(chain, head, first, kind="preattestation")
        async with (
            stand.stream(MONITOR) as operations,
            stand.stream("/monitor/heads/main") as heads,
            stand.stream("/monitor/applied_blocks") as applied,
        ):
            mempool = [json.loads(await anext(operations))]
            for operation in (plain, with_dal, early):
                await stand.post("/injection/operation", operation.to_bytes().hex())
                mempool[0] += json.loads(await anext(operations))
            await anext(heads)
            block = await stand.bake(operations=((plain, with_dal), (), (), ()))
            shown = {
                "/monitor/heads/": [json.loads(await anext(heads))],
                "/monitor/applied_blocks": [json.loads(await anext(applied))],
            }
        root = f"/chains/{await stand.get('/chains/main/chain_id')}/blocks"
        return {
            **shown,
            "monitor_operations": mempool,
            "/monitor/bootstrapped": [await stand.get("/monitor/bootstrapped")],
            "/chain_id": [await stand.get("/chains/main/chain_id")],
            "/protocols": [await stand.get(f"{root}/{block.hash}/protocols")],
            "?version=1": [await stand.get(f"{root}/{block.hash}?version=1")],
            "/validators": [await stand.get("/chains/main/blocks/head/helpers/validators?level=3")],
            "/header": [await stand.get(f"{root}/{block.hash}/header")],
            "/hash": [await stand.get(f"{root}/head~1/hash")],
            "/forge/operations": ["00"],
            "/injection/operation": [plain.hash],
        }


async def test_refusals_have_the_recorded_shape() -> None:
    async with standing(chain=activated()) as stand:
        root, block, sibling, third = await two_bakings(stand)
        good = double_baking(block, sibling, root.hash)
        other = double_baking(block, third, root.hash)
        await stand.post("/injection/operation", good.to_bytes().hex())
        response = await stand.send("POST", "/injection/operation", other.to_bytes().hex())
        assert response.status == 500
        for line in (RUNS / "08-refused.http.jsonl").read_text().splitlines():
            entry = json.loads(line)
            if entry["status"] == 500 and "conflicting" in entry["response_body"]:
                expected = json.loads(entry["response_body"])
                break
        assert shape(response.json()) == shape(expected)
        assert response.json()[0]["conflict"] == {"existing": good.hash, "new_operation": other.hash}
        assert stand.recorder.names()[-1] == "request_failed"


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
        mark = watermark(Watermark.BLOCK, stand.node.chain.network.chain_id)
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


# Streams


async def test_monitor_operations_ends_at_each_new_head() -> None:
    async with standing(chain=activated()) as stand:
        root, block, sibling, _ = await two_bakings(stand)
        operation = double_baking(block, sibling, root.hash)
        await stand.post("/injection/operation", operation.to_bytes().hex())
        async with stand.stream(MONITOR) as operations, stand.stream(MONITOR + "&validation_pass=0") as votes:
            (first,) = json.loads(await anext(operations))
            assert first["hash"] == operation.hash
            assert json.loads(await anext(votes)) == []
            await stand.bake()
            assert [chunk async for chunk in operations] == []
            assert [chunk async for chunk in votes] == []
        async with stand.stream(MONITOR) as operations:
            assert json.loads(await anext(operations))[0]["hash"] == operation.hash


async def test_applied_blocks_tells_all_branches_but_nothing_of_before() -> None:
    async with standing(chain=activated()) as stand:
        root = await stand.bake()
        async with (
            stand.stream(f"/monitor/applied_blocks?next_protocol={BOREAS}&chain=main") as applied,
            stand.stream(f"/monitor/applied_blocks?next_protocol={Protocol.ATLAS.hash}") as others,
        ):
            head = await stand.bake()
            sibling = header(stand.node.chain, root, vote="on")
            await stand.take(sibling)
            seen = [json.loads(await anext(applied))["hash"] for _ in range(2)]
            assert seen == [head.hash, sibling.hash]
            with trio.move_on_after(0.05) as scope:
                await anext(others)
            assert scope.cancelled_caught


async def test_bootstrapped_waits_for_peers() -> None:
    async with (
        standing(threshold=1, chain=activated()) as stand,
        stand.stream("/monitor/bootstrapped") as heads,
    ):
        assert json.loads(await anext(heads))["block"] == stand.node.chain.head.hash
        head = await stand.bake()
        assert json.loads(await anext(heads))["block"] == head.hash
        assert await stand.get("/chains/main/is_bootstrapped") == {
            "bootstrapped": False,
            "sync_state": "unsynced",
        }
        stand.node.synchronisation.latency = 10**9
        await stand.node.peer_has("peer", head)
        assert [chunk async for chunk in heads] == []
        assert await stand.get("/chains/main/is_bootstrapped") == {
            "bootstrapped": True,
            "sync_state": "synced",
        }
        assert stand.recorder.names()[-2:] == ["synchronisation_status", "bootstrapped"]


@pytest.mark.parametrize(
    ("threshold", "ages", "status"),
    [
        (0, [], "synced"),
        (-1, [0, 0, 0], "unsynced"),
        (1, [], "unsynced"),
        (1, [40], "synced"),
        (1, [60], "unsynced"),
        (2, [40], "unsynced"),
        (2, [40, 45], "synced"),
        (2, [40, 60], "unsynced"),
        (2, [60, 60], "stuck"),
        (2, [40, 45, 60], "synced"),
    ],
)
def test_synchronisation(threshold: int, ages: list[int], status: str) -> None:
    synchronisation = Synchronisation(threshold)
    for number, age in enumerate(ages):
        synchronisation.validated(str(number), 1000 - age, 1000)
    assert synchronisation.status(1000) == status
    assert synchronisation.is_bootstrapped == (status != "unsynced")


# Pacing


async def test_pacing_waits_for_heads_after_bootstrapped(autojump_clock: trio.testing.MockClock) -> None:
    others: dict[Point, Stand] = {}
    async with standing(1, chain=activated(), others=others) as one, standing(2, others=others) as two:
        for _ in range(3):
            await one.bake()
        async with two.stream("/monitor/bootstrapped") as bootstrapped:
            assert len([item async for item in bootstrapped]) == 1
        await two.network.connect(Point("127.0.0.1", 1))
        await trio.sleep(4)
        assert two.node.chain.head.level == 0
        async with two.stream(f"/monitor/heads/main?next_protocol={BOREAS}") as heads:
            assert json.loads(await anext(heads))["level"] == 1
            path = f"/monitor/applied_blocks?next_protocol={BOREAS}&chain=main"
            async with two.stream(path) as applied:
                levels = [json.loads(await anext(applied))["header"]["level"] for _ in range(3)]
            assert levels == [2, 3, 4]
        assert trio.current_time() < 5


async def test_pacing_does_not_wait_for_those_who_only_ask_whether_it_is_bootstrapped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    others: dict[Point, Stand] = {}
    async with standing(1, chain=activated(), others=others) as one, standing(2, others=others) as two:
        await one.bake()
        for _ in range(3):
            async with two.stream("/monitor/bootstrapped") as bootstrapped:
                assert len([item async for item in bootstrapped]) == 1
        start = trio.current_time()
        await two.network.connect(Point("127.0.0.1", 1))
        await until_level(two, 2)
        assert 4 < trio.current_time() - start < 6
        async with two.stream("/monitor/bootstrapped") as bootstrapped:
            assert len([item async for item in bootstrapped]) == 1
        await one.bake()
        await until_level(two, 3)
        assert trio.current_time() - start < 6


async def test_pacing_waits_for_the_subscription(autojump_clock: trio.testing.MockClock) -> None:
    others: dict[Point, Stand] = {}
    async with standing(1, chain=activated(), others=others) as one, standing(2, others=others) as two:
        for _ in range(3):
            await one.bake()
        async with two.stream(f"/monitor/heads/main?next_protocol={BOREAS}") as heads:
            await trio.testing.wait_all_tasks_blocked()
            await two.network.connect(Point("127.0.0.1", 1))
            assert json.loads(await anext(heads))["level"] == 1
            await trio.testing.wait_all_tasks_blocked()
            assert two.node.chain.head.level == 1
            path = f"/monitor/applied_blocks?next_protocol={BOREAS}&chain=main"
            async with two.stream(path) as applied:
                levels = [json.loads(await anext(applied))["header"]["level"] for _ in range(3)]
            assert levels == [2, 3, 4]
        assert trio.current_time() < 1


async def test_pacing_gives_up_and_forgets_those_who_left(autojump_clock: trio.testing.MockClock) -> None:
    others: dict[Point, Stand] = {}
    for leave in (False, True):
        start = trio.current_time()
        async with standing(1, chain=activated(), others=others) as one, standing(2, others=others) as two:
            await one.bake()
            async with two.stream(f"/monitor/heads/main?next_protocol={BOREAS}") as heads:
                await trio.testing.wait_all_tasks_blocked()
                await two.network.connect(Point("127.0.0.1", 1))
                await anext(heads)
                if not leave:
                    await until_level(two, 2)
            await until_level(two, 2)
        assert (trio.current_time() - start >= 5) is not leave
    pacing = Pacing()
    await pacing.wait()


# Events


async def test_events_of_blocks_in_upstreams_order() -> None:
    async with standing(chain=activated()) as stand:
        root = await stand.bake()
        assert stand.recorder.names() == [
            "set_head",
            "request_completed_info",
            "head_increment",
            "block_info",
        ]
        assert stand.recorder.events[0][1] == [root.hash, 2]
        view = stand.recorder.events[1][1]["view"]  # type: ignore[index]
        assert view == {"request": "flush", "block": root.hash, "event": "increment"}
        assert stand.recorder.events[2][1] == {"view": {"hash": root.hash}, "level": 2}
        one = await stand.bake()
        stand.recorder.events.clear()
        await stand.take(header(stand.node.chain, root, vote="on"))
        assert stand.recorder.names() == ["ignore_head", "block_info"]
        stand.recorder.events.clear()
        await stand.take(header(stand.node.chain, root, round=1))
        names = ["set_head", "request_completed_info", "branch_switch", "block_info"]
        assert stand.recorder.names() == names
        view = stand.recorder.events[1][1]["view"]  # type: ignore[index]
        assert view["event"] == "branch"
        assert one.level == 3


async def test_events_of_operations() -> None:
    async with standing(chain=activated()) as stand:
        root, block, sibling, _ = await two_bakings(stand)
        stand.recorder.events.clear()
        operation = double_baking(block, sibling, root.hash)
        await stand.post("/injection/operation", operation.to_bytes().hex())
        assert stand.recorder.names() == ["operation_injected", "request_completed_info"]
        assert stand.recorder.events[0][1] == operation.hash
        value: Any = stand.recorder.events[1][1]
        raw = operation.raw_json()
        assert value["view"] == {"request": "inject", "operation": raw, "force": False}
        assert value["worker_status"] == dict.fromkeys(
            ("pushed", "treated", "completed"), "2027-01-15T08:00:00.000-00:00"
        )


async def test_events_have_the_recorded_sections_and_shapes() -> None:
    known = recorded_values("30-node.events")
    others: dict[Point, Stand] = {}
    async with standing(1, chain=activated(), others=others) as one, standing(2, others=others) as two:
        await one.bake()
        await two.network.connect(Point("127.0.0.1", 1))
        await until_level(two, 2)
        await one.take(header(one.node.chain, one.node.chain.predecessor(one.node.chain.head), round=1))
        await until(lambda: "branch_switch" in two.recorder.names())
        compared = set()
        for section, name, _, value, text in one.recorder.details + two.recorder.details:
            if name in known:
                assert list(section) == known[name][0], name
                assert shape(value) == shape(known[name][1]), name
                assert text
                compared.add(name)
        assert compared >= {"set_head", "head_increment", "branch_switch", "connection", "block_info"}
        levels = {name: level for _, name, level, _, _ in two.recorder.details}
        assert levels["set_head"] is Level.INFO
        assert levels["branch_switch"] is Level.NOTICE
        assert levels["connection"] is Level.INFO
