"""Upstream's specifications and recorded answers, where they are beside this folder."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Final

import pytest

from accuser import CommandFailed, Node, Protocol, open_client, open_node, open_sandbox
from accuser._mavryk.codec.crypto import ACTIVATOR, BOOTSTRAP
from accuser._mavryk.codec.manager import Delegation, Reveal, SetDepositsLimit, UpdateConsensusKey
from accuser.sandbox.node import routes
from accuser.sandbox.node.node import Node as SandboxNode
from accuser.sandbox.node.p2p import PeerNetwork
from accuser.sandbox.node.router import Directory
from tests.support.forger import activated, bake
from tests.support.nodes import peer_id, standing
from tests.support.orders import gift, key, order, stake

from ..tools.openapi import ALONE, PAGE, PREFIXES, Rpc, complaint, judged, strict, table

ROOT: Final = Path(__file__).parent.parent.parent
RECORDED: Final = Path(os.environ.get("RECORDED_RPC", ROOT.parent / "shared" / "recorded-rpc"))

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason=f"upstream's files are not in {RECORDED}")

PROTOCOLS: Final = pytest.mark.parametrize(
    "protocol", [Protocol.ATLAS, Protocol.BOREAS], ids=lambda one: one.tag
)


def test_every_answer_is_of_the_specified_schema() -> None:
    pytest.importorskip("jsonschema")
    verdicts = judged(RECORDED)
    assert [(one.rpc.path, one.note) for one in verdicts if one.word == "wrong"] == []
    assert sum(one.word == "missing" for one in verdicts) <= 20
    assert table(verdicts) in PAGE.read_text(), "nox -s openapi writes it"


def place(root: Directory, path: str) -> Directory | None:
    """Where a path of a specification leads in the tree of ours."""
    found: Directory | None = root
    for part in path.split("/")[1:]:
        if found is None or not part:
            return found
        found = found.below if part.startswith("{") else found.names.get(part, found.below)
    return found


def test_every_query_field_of_the_specifications_is_declared() -> None:
    node = SandboxNode(peer_id(1))
    router = routes.router(node, PeerNetwork(node, None))  # type: ignore[arg-type]  # nothing is connected
    compared = 0
    for name, prefix in PREFIXES.items():
        paths = json.loads((RECORDED / f"{name}-openapi.json").read_text())["paths"]
        for path, methods in paths.items():
            found = place(router.root, (prefix + path).replace("main", "{chain}"))
            for method, rpc in methods.items():
                route = None if found is None else found.routes.get(method.upper())
                if route is not None:
                    fields = {one["name"] for one in rpc.get("parameters", []) if one["in"] == "query"}
                    assert {one.name for one in route.parameters} == fields, path
                    compared += bool(fields)
    assert compared > 30


# What clients ask before they inject


def answered(path: str, value: object) -> str | None:
    """Why an answer to something that was posted is not of the specified schema."""
    specification = json.loads((RECORDED / "boreas-openapi.json").read_text())
    content = specification["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]
    definitions = {name: strict(one) for name, one in specification["components"]["schemas"].items()}
    own = strict(content["schema"])
    return complaint(Rpc("boreas", path, (), {"own": own, "definitions": definitions}), value)


async def test_what_operations_would_do_is_of_the_specified_schema() -> None:
    pytest.importorskip("jsonschema")
    chain = activated(issuance=True, adaptive_issuance_force_activation=True)
    bake(chain)
    one, new = BOOTSTRAP[0], key(11)
    asked = [
        order(chain, one, gift(5, new.pkh), gift(10**14, new.pkh), gift(1, new.pkh)),
        order(chain, one, Reveal(one.public_key), gift(5, new.pkh)),
        order(chain, one, stake(one, 10**6), stake(one, 10**5, "unstake")),
        order(chain, one, SetDepositsLimit(None)),
        order(chain, one, UpdateConsensusKey(new.public_key), Delegation(None)),
    ]
    head, chain_id = "/chains/main/blocks/head", chain.network.chain_id
    async with standing(chain=chain) as stand:
        for operation in asked:
            value = operation.to_json()
            raw = {"branch": operation.branch, "data": operation.to_bytes()[32:].hex()}
            for path, body in (
                ("/helpers/preapply/operations", [{"protocol": chain.head.state.protocol, **value}]),
                ("/helpers/scripts/run_operation", {"operation": value, "chain_id": chain_id}),
                ("/helpers/scripts/simulate_operation", {"operation": value, "chain_id": chain_id}),
                ("/helpers/parse/operations", {"operations": [raw]}),
            ):
                assert answered(path, await stand.post(head + path, body)) is None


# Recorded answers


def questions(protocol: Protocol, part: str) -> list[tuple[str, str]]:
    """The paths of a recording, and what was answered."""
    text = (RECORDED / f"{protocol.tag}-{part}.txt").read_text()
    asked = re.split(r"^\./mavkit-client rpc get '?([^'\n]*)'?\n", text, flags=re.M)
    return list(zip(asked[1::2], asked[2::2], strict=True))


def masked(text: str) -> str:
    """A text with the kinds of keys and addresses in their places, and white space put together."""
    text = re.sub(r"\bmv[1-4]\w{33}\b", "[PUBLIC_KEY_HASH]", text)
    text = re.sub(r"\bKT1\w{33}\b", "[CONTRACT_HASH]", text)
    return re.sub(r"\s+", " ", text).strip()


def with_pkh(path: str, pkh: str) -> str:
    return path.replace("[PUBLIC_KEY_HASH]", pkh)


async def compare(node: Node, client: Any, asked: list[tuple[str, str]], pkh: str) -> None:
    """Ask anew, and compare."""
    for path, answer in asked:
        if answer.startswith("Fatal error:"):
            with pytest.raises(CommandFailed) as caught:
                await client.command("rpc", "get", with_pkh(path, pkh))
            assert masked(caught.value.stderr) == masked(answer), path
        else:
            ours = masked(json.dumps(await node.rpc("get", with_pkh(path, pkh))))
            assert json.loads(ours) == json.loads(masked(answer)), path


@PROTOCOLS
async def test_recorded_answers_after_the_activation(protocol: Protocol) -> None:
    async with (
        open_sandbox() as sandbox,
        open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node,
        open_client(node) as client,
    ):
        await client.activate_protocol(protocol)
        await compare(node, client, questions(protocol, "adaptive_issuance"), BOOTSTRAP[0].pkh)
        asked = questions(protocol, "delegates")
        refused = [one for one in asked if one[1].startswith("Fatal error")]
        await compare(node, client, [one for one in asked if one not in refused], BOOTSTRAP[0].pkh)
        await compare(node, client, refused, ACTIVATOR.pkh)
        assert len(refused) > 5


@PROTOCOLS
async def test_recorded_answers_about_votes(protocol: Protocol) -> None:
    noops = "ProtoDemoNoopsDemoNoopsDemoNoopsDemoNoopsDemo6XBoYp"
    constants = {"blocks_per_cycle": 4, "cycles_per_voting_period": 1, "nonce_revelation_threshold": 3}
    async with (
        open_sandbox() as sandbox,
        open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node,
        open_client(node) as client,
    ):
        await client.activate_protocol(protocol, parameters=constants)
        asked = questions(protocol, "votes")
        await client.submit_proposals(noops)
        await client.bake_for("bootstrap1")
        await compare(node, client, asked[:9], BOOTSTRAP[0].pkh)
        await client.bake_for("bootstrap1", count=2)
        paid = 4_000_000_000_000 + await earned(node)
        for delegate, ballot in zip(BOOTSTRAP, ("yay", "nay", "pass"), strict=False):
            await client.submit_ballot(noops, ballot, delegate=delegate.alias)  # type: ignore[arg-type]  # a ballot, by a parameter
        await client.bake_for("bootstrap1")
        # Upstream draws other rights: there, it had 114 slots in two levels.
        theirs = {"4000001679643": str(paid), "20000001679643": str(paid + 16_000_000_000_000)}
        told = [
            (path, re.sub(r"\d{13,}", lambda one: theirs.get(one[0], one[0]), answer))
            for path, answer in asked[9:]
        ]
        await compare(node, client, told, BOOTSTRAP[0].pkh)


async def earned(node: Node) -> int:
    """What bootstrap1 is paid for the first cycle, of four levels, whose three blocks it made alone."""
    attested = 0
    for level in (2, 3):
        path = f"/chains/main/blocks/head/helpers/validators?level={level}&delegate={BOOTSTRAP[0].pkh}"
        (rights,) = await node.rpc("get", path)
        attested += len(rights["slots"])
    # Three blocks, attestations in two of them, and a fifth of the slots of the cycle.
    return 3 * 333_333 + attested * 1302 + 4 * 256 // 5 * 2604
