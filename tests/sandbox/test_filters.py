"""The filters of the node's RPCs, each as upstream's query fields have it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.operations import Operation
from tests.support.forger import (
    activated,
    double_baking,
    header,
    slots,
    vote,
)
from tests.support.nodes import (
    B1,
    Stand,
    standing,
    two_bakings,
)

B2: Final = BOOTSTRAP[1]
NOBODY: Final = "mv1XLiKa1vywAuPWuLF9WEYB3BPvRRQ8oCsp"
"""The activator: a public key hash like any other, without rights."""

HELPERS: Final = "/chains/main/blocks/head/helpers"
PENDING: Final = "/chains/main/mempool/pending_operations"


@pytest.mark.parametrize("helper", ["validators?", "baking_rights?max_round=64&"])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"delegate={B1.pkh}", {B1.pkh}),
        (f"consensus_key={B1.pkh}", {B1.pkh}),
        (f"delegate={B1.pkh}&delegate={B2.pkh}", {B1.pkh, B2.pkh}),
        (f"delegate={B1.pkh}&consensus_key={B1.pkh}", {B1.pkh}),
        (f"delegate={B1.pkh}&consensus_key={B2.pkh}", set()),
        (f"delegate={NOBODY}", set()),
        ("", {key.pkh for key in BOOTSTRAP}),
    ],
)
async def test_delegates_and_consensus_keys(helper: str, query: str, expected: set[str]) -> None:
    async with standing(chain=activated()) as stand:
        head = await stand.bake()
        rights = await stand.get(f"{HELPERS}/{helper}{query}")
        assert {right["delegate"] for right in rights} == expected
        assert {right["consensus_key"] for right in rights} == expected
        assert {right["level"] for right in rights} <= {head.level, head.level + 1}


async def test_levels_come_once_and_in_order() -> None:
    async with standing(chain=activated()) as stand:
        await stand.bake()
        query = f"level=3&level=2&level=3&delegate={B1.pkh}"
        for helper in ("validators", "baking_rights"):
            rights = await stand.get(f"{HELPERS}/{helper}?{query}")
            assert [right["level"] for right in rights] == [2, 3]
        (default,) = await stand.get(f"{HELPERS}/validators?delegate={B1.pkh}")
        assert default["level"] == 2
        whole = await stand.get(f"{HELPERS}/validators")
        assert sorted(slot for each in whole for slot in each["slots"]) == list(range(256))


@pytest.mark.parametrize("query", ["delegate=mv1nobody", "consensus_key=x", "level=", "level=2147483648"])
async def test_filters_that_cannot_be(query: str) -> None:
    async with standing(chain=activated()) as stand:
        for helper in ("validators", "baking_rights"):
            response = await stand.client.request("GET", f"{HELPERS}/{helper}?{query}")
            assert response.status == 400


async def one_of_each(stand: Stand) -> dict[str, Operation]:
    """Operations in four classes of the mempool; the validated one is an evidence."""
    root, block, sibling, third = await two_bakings(stand)
    head = stand.node.chain.head
    slot = slots(head, B1.pkh)[0]
    operations = {
        "validated": double_baking(block, sibling, root.hash),
        "branch_refused": double_baking(block, third, root.hash),
        "refused": double_baking(block, block, root.hash),
        "vote": vote(stand.node.chain, head, slot),
        "branch_delayed": vote(
            stand.node.chain, head, slot, payload=stand.node.chain.predecessor(head).payload_hash
        ),
    }
    for operation in operations.values():
        await stand.post("/private/injection/operation", operation.to_bytes().hex())
    return operations


def hashes(answer: Any) -> dict[str, list[str]]:
    return {name: [entry["hash"] for entry in entries] for name, entries in answer.items() if entries}


async def test_pending_operations_by_class() -> None:
    async with standing(chain=activated()) as stand:
        made = {name: operation.hash for name, operation in (await one_of_each(stand)).items()}
        classes = ("refused", "branch_refused", "branch_delayed")
        everything = {
            "validated": [made["validated"], made["vote"]],
            **{name: [made[name]] for name in classes},
        }
        assert hashes(await stand.get(PENDING)) == everything
        for name in everything:
            without = hashes(await stand.get(f"{PENDING}?{name}=no"))
            assert without == {each: found for each, found in everything.items() if each != name}
        assert hashes(await stand.get(f"{PENDING}?outdated=no")) == everything
        for word in ("yes", "true", "t", "Y", ""):
            assert hashes(await stand.get(f"{PENDING}?refused={word}")) == everything


async def test_pending_operations_by_validation_pass() -> None:
    async with standing(chain=activated()) as stand:
        made = {name: operation.hash for name, operation in (await one_of_each(stand)).items()}
        votes = {"validated": [made["vote"]], "branch_delayed": [made["branch_delayed"]]}
        evidence = {name: [made[name]] for name in ("validated", "refused", "branch_refused")}
        assert hashes(await stand.get(f"{PENDING}?validation_pass=0")) == votes
        assert hashes(await stand.get(f"{PENDING}?validation_pass=2")) == evidence
        both = hashes(await stand.get(f"{PENDING}?validation_pass=0&validation_pass=2"))
        assert both == hashes(await stand.get(PENDING))
        assert hashes(await stand.get(f"{PENDING}?validation_pass=3")) == {}


async def test_versions_of_pending_operations() -> None:
    """1 and 2; the default is 2 (``block_services.ml``, ``pending_operations_versions``)."""
    async with standing(chain=activated()) as stand:
        await one_of_each(stand)
        new, old = [await stand.get(f"{PENDING}?version={version}") for version in (2, 1)]
        assert await stand.get(PENDING) == new
        assert [name for name in old if name not in new] == ["applied"]
        assert [name for name in new if name not in old] == ["validated"]
        kinds = {
            name: {
                content["kind"]
                for entries in answer.values()
                for each in entries
                for content in each["contents"]
            }
            for name, answer in (("new", new), ("old", old))
        }
        assert kinds == {
            "new": {"attestation", "double_baking_evidence"},
            "old": {"endorsement", "double_baking_evidence"},
        }
        # An error stands beside each that has one, and the protocol only there.
        for name, entries in new.items():
            for entry in entries:
                assert ("error" in entry) == ("protocol" in entry) == (name != "validated")
        for version in ("0", "3", "x"):
            response = await stand.client.request("GET", f"{PENDING}?version={version}")
            assert response.status == 400
            assert b"version" in response.body


@pytest.mark.parametrize("path", ["/injection/operation", "/private/injection/operations"])
async def test_async_does_not_wait_for_the_verdict(path: str) -> None:
    """The hash is the answer, whatever the mempool then thinks; bytes that are no operation still fail."""
    async with standing(chain=activated()) as stand:
        root, block, sibling, _ = await two_bakings(stand)
        good, bad = double_baking(block, sibling, root.hash), double_baking(block, block, root.hash)

        def body(data: bytes) -> object:
            return [data.hex()] if path.endswith("s") else data.hex()

        for operation in (good, bad):
            answer = await stand.post(f"{path}?async", body(operation.to_bytes()))
            assert answer in (operation.hash, [operation.hash])
        assert hashes(await stand.get(PENDING)) == {"validated": [good.hash]}
        assert stand.recorder.names()[-1] == "request_failed"
        for query in ("", "?async=no"):
            response = await stand.send("POST", path + query, body(bad.to_bytes()))
            assert response.status == 500
        assert (await stand.send("POST", f"{path}?async", body(b"\0"))).status == 500


async def test_async_blocks() -> None:
    async with standing(chain=activated()) as stand:
        late = header(stand.node.chain, round=40_000)
        body = {"data": late.to_bytes().hex(), "operations": [[], [], [], []]}
        assert (await stand.send("POST", "/injection/block", body)).status == 500
        assert await stand.post("/injection/block?async", body) == late.hash
        assert late.hash not in stand.node.chain.blocks
        nonsense = {"data": "00", "operations": []}
        assert (await stand.send("POST", "/injection/block?async", nonsense)).status == 500
