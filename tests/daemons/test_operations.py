"""Operations of one's own making."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import attrs
import pytest

from accuser import (
    BOOTSTRAP,
    SANDBOX,
    ConsensusOperation,
    Endpoint,
    Node,
    Protocol,
    RpcError,
    SigningUnavailable,
    init_with_protocol,
    open_node,
)
from accuser._mavryk.codec import keys
from tests.support.independent import (
    Signed,
    base58check,
    operation_hash,
    unbase58check,
)

PENDING = "/chains/main/mempool/pending_operations?version=2"


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    arguments = ("--connections 0", "--synchronisation-threshold 0")
    async with open_node(toolchain=SANDBOX, arguments=arguments) as node:
        client = await init_with_protocol(node, Protocol.BOREAS)
        await client.bake_for_and_wait()
        client.remove()
        yield node


async def about_the_head(node: Node) -> tuple[ConsensusOperation, list[int]]:
    """An attestation of the head for bootstrap1, and all the slots that it has there."""
    header = await node.rpc("get", "/chains/main/blocks/head/header")
    path = f"/chains/main/blocks/head/helpers/validators?delegate={BOOTSTRAP[0].pkh}"
    (rights,) = await node.rpc("get", path)
    operation = ConsensusOperation(
        kind="attestation",
        branch=header["hash"],
        slot=rights["slots"][0],
        level=header["level"],
        round=int(header["fitness"][4], 16),
        block_payload_hash=header["payload_hash"],
    )
    return operation, rights["slots"]


async def test_what_is_injected_is_what_was_said(node: Node) -> None:
    operation, _ = await about_the_head(node)
    chain_id = await node.rpc("get", "/chains/main/chain_id")
    for tag, said in ((21, operation), (20, attrs.evolve(operation, kind="preattestation"))):
        signed = Signed.decode(await said.sign(node, BOOTSTRAP[0]))
        assert base58check(b"\x01\x34", signed.branch) == said.branch
        assert (signed.tag, signed.slot, signed.level, signed.round) == (tag, said.slot, 2, said.round)
        assert signed.payload == unbase58check(said.block_payload_hash, 3)
        assert signed.signed_by("bootstrap1", chain_id)
        assert not signed.signed_by("bootstrap2", chain_id)
        async with node.expect_request("inject"):
            # Its signature is the same each time, and so is its hash.
            assert await said.inject(node, BOOTSTRAP[0]) == signed.hash
    attestation, preattestation = (await node.rpc("get", PENDING))["validated"]
    assert ConsensusOperation.from_json(attestation, "attestation") == operation
    assert preattestation["contents"] == [{**attestation["contents"][0], "kind": "preattestation"}]


async def test_a_node_that_somebody_else_runs_will_do(node: Node) -> None:
    operation, _ = await about_the_head(node)
    endpoint = Endpoint(node.rpc_endpoint)
    assert await operation.inject(endpoint, BOOTSTRAP[0]) == operation_hash(
        await operation.sign(endpoint, BOOTSTRAP[0])
    )


async def test_what_conflicts_is_refused_unless_forced(node: Node) -> None:
    operation, slots = await about_the_head(node)
    first = await operation.inject(node, BOOTSTRAP[0])
    conflicting = attrs.evolve(operation, branch=await node.rpc("get", "/chains/main/blocks/head~1/hash"))
    with pytest.raises(RpcError, match="operation_conflict") as caught:
        await conflicting.inject(node, BOOTSTRAP[0])
    assert caught.value.status == 500

    forced = await conflicting.inject(node, BOOTSTRAP[0], force=True)
    other_slot = await attrs.evolve(operation, slot=slots[1]).inject(node, BOOTSTRAP[0])
    pending = await node.rpc("get", PENDING)
    assert [entry["hash"] for entry in pending["validated"]] == [first, other_slot]
    (delayed,) = pending["branch_delayed"]
    assert delayed["hash"] == forced
    assert delayed["error"][0]["new_hash"] == forced


async def test_a_signature_of_somebody_else_is_refused(node: Node) -> None:
    operation, _ = await about_the_head(node)
    with pytest.raises(RpcError, match="invalid_signature"):
        await operation.inject(node, BOOTSTRAP[1])


async def test_what_cannot_be_forged(node: Node) -> None:
    operation, _ = await about_the_head(node)
    with pytest.raises(RpcError) as caught:
        await attrs.evolve(operation, block_payload_hash="vhNothing").forge(node)
    assert caught.value.status == 400


async def test_signing_needs_a_package_that_is_not_always_there(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation, _ = await about_the_head(node)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    keys._ed25519.cache_clear()
    with pytest.raises(SigningUnavailable, match=r"sign for bootstrap1.*pip install 'accuser\[sandbox\]'"):
        await operation.inject(node, BOOTSTRAP[0])
    assert (await node.rpc("get", PENDING))["validated"] == []
