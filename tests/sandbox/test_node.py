"""Answers of the node, held against recorded ones."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from accuser._mavryk.codec.crypto import (
    BOOTSTRAP,
)
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.sink.sink import Level
from tests.support.forger import (
    activated,
    double_baking,
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
    as_from_bytes,
    recorded,
    shape,
    standing,
    two_bakings,
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


@attrs.define
class Held:
    """An emitter that waits at one event until it may go on."""

    name: str
    told: list[str] = attrs.field(factory=list)
    may_go_on: trio.Event = attrs.field(factory=trio.Event)

    async def emit(
        self, section: tuple[str, ...], name: str, level: Level, value: object, text: str | None = None
    ) -> None:
        if name == self.name:
            await self.may_go_on.wait()
        self.told.append(name)


async def test_a_node_that_is_to_end_first_tells_of_its_head_to_the_end() -> None:
    async with standing(chain=activated()) as stand, trio.open_nursery() as nursery:
        held = Held("head_increment")
        stand.node.events = attrs.evolve(stand.node.events, emitter=held)
        settled: list[list[str]] = []

        async def settle() -> None:
            await stand.node.settle()
            settled.append(held.told.copy())

        nursery.start_soon(stand.bake)
        await wait_all_tasks_blocked()
        nursery.start_soon(settle)
        await wait_all_tasks_blocked()
        assert (held.told[0], settled) == ("set_head", [])
        held.may_go_on.set()
        await wait_all_tasks_blocked()
        assert settled[0][-2:] == ["head_increment", "block_info"]
