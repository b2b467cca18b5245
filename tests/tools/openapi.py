"""Ask a sandbox node every GET that upstream's OpenAPI specifications name, and judge the answers.

``python -m tests.tools.openapi DIR`` reads ``{shell,boreas,boreas-mempool}-openapi.json`` in DIR, prints what
is right, missing and wrong, and writes the table in ``docs/sandbox.md``; with ``--check`` it writes
nothing. The exit status is 1 if an answer is wrong.

The specifications were dumped from a node whose chain had its activation block alone. A schema that
knows only the protocol of the genesis block is asked of that block, every other one of the head.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio
import trio.testing

from accuser import Client, Node, Protocol, open_client, open_node, open_sandbox
from accuser._http.client import HttpClient
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import BOOTSTRAP, Watermark, watermark
from accuser._mavryk.codec.manager import (
    Body,
    Call,
    Delegation,
    Manager,
    SetDepositsLimit,
    Transaction,
    UpdateConsensusKey,
)
from accuser._mavryk.codec.operations import Operation
from accuser._mavryk.protocol import GENESIS_PROTOCOL

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "sandbox.md"
BEGIN: Final = "<!-- openapi: begin; written by `nox -s openapi -- DIR` -->"
END: Final = "<!-- openapi: end -->"
PREFIXES: Final = {
    "shell": "",
    "boreas": "/chains/main/blocks/{block}",
    "boreas-mempool": "/chains/main/mempool",
}
"""What the paths of each specification are below of."""

ALONE: Final = ("--connections 0", "--synchronisation-threshold 0")
SILENCE: Final = 5.0
"""Seconds of the sandbox's time after which a stream counts as one with nothing to tell."""

CHANGING: Final = ("/ban", "/unban", "/trust", "/untrust", "/clear")
"""Ends of paths that change what others tell; they are asked last."""

NONSENSE: Final = "%3F%21"
"""No type of a query takes these characters."""


@attrs.frozen
class Rpc:
    """One GET of a specification."""

    specification: str
    path: str
    queries: tuple[str, ...]
    schema: Mapping[str, Any]
    """With the specification's definitions."""

    @property
    def at_activation(self) -> bool:
        """Whether the schema is that of a block of the genesis protocol."""
        return f'["{GENESIS_PROTOCOL}"]' in json.dumps(self._used(self.schema["own"], set()))

    def _used(self, schema: object, seen: set[str]) -> list[object]:
        """A schema, and the definitions that it refers to."""
        used = [schema]
        for name in re.findall(r'"#/definitions/([^"]*)"', json.dumps(schema)):
            if name not in seen:
                seen.add(name)
                used += self._used(self.schema["definitions"][name], seen)
        return used

    @property
    def is_stream(self) -> bool:
        """Whether the answer comes in items."""
        return self.path.startswith("/monitor/") and self.path != "/monitor/commit_hash"


@attrs.frozen
class Verdict:
    """What became of one RPC: ``right``, ``missing`` or ``wrong``, and why."""

    rpc: Rpc
    word: str
    note: str = ""


def specified(folder: Path) -> Iterator[Rpc]:
    """The RPCs of the specifications in a folder."""
    for name, prefix in PREFIXES.items():
        value = json.loads((folder / f"{name}-openapi.json").read_text())
        definitions = {key: strict(one) for key, one in value["components"]["schemas"].items()}
        for path, methods in value["paths"].items():
            if "get" not in methods:
                continue
            rpc = methods["get"]
            content = rpc["responses"]["200"]["content"]["application/json"]["schema"]
            queries = tuple(one["name"] for one in rpc.get("parameters", []) if one["in"] == "query")
            schema = {"own": strict(content), "definitions": definitions}
            yield Rpc(name, (prefix + path).rstrip("/") or "/", queries, schema)


def strict(schema: Any) -> Any:
    """A schema of OpenAPI as one of JSON, in which an object has no fields but those that are named."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    # A value may be of several cases of a union: texts of time stamps and of numbers, say.
    words = {"oneOf": "anyOf"}
    value = {words.get(name, name): strict(one) for name, one in schema.items() if name != "nullable"}
    if isinstance(schema.get("enum"), list) and re.fullmatch(r"P\w{50}", str(schema["enum"][0])):
        # Boreas had the hash of a development version then.
        value["enum"] = [one if one == GENESIS_PROTOCOL else Protocol.BOREAS.hash for one in schema["enum"]]
    if "$ref" in value:
        value["$ref"] = value["$ref"].replace("#/components/schemas/", "#/definitions/")
    if isinstance(schema.get("properties"), dict):
        # The names of fields are not words of the schema.
        value["properties"] = {name: strict(one) for name, one in schema["properties"].items()}
        value.setdefault("additionalProperties", False)
    return {"anyOf": [{"type": "null"}, value]} if schema.get("nullable") is True else value


def complaint(rpc: Rpc, value: object) -> str | None:
    """Why a value is not of the RPC's schema."""
    jsonschema = importlib.import_module("jsonschema")
    schema = {**rpc.schema["own"], "definitions": rpc.schema["definitions"]}
    error = jsonschema.exceptions.best_match(jsonschema.Draft7Validator(schema).iter_errors(value))
    return None if error is None else f"{error.json_path}: {error.message[:200]}"


@attrs.define(eq=False)
class Judge:
    """Asks a node. ``values`` are what stands for the variable parts of paths."""

    client: HttpClient
    baker: Client
    values: Mapping[str, str]

    async def judge(self, rpc: Rpc) -> Verdict:
        """Ask one RPC, without a query and with nonsense in each of its fields."""
        block = "1" if rpc.at_activation else "head"
        path = rpc.path.format_map({**self.values, "block": block})
        if (await self.client.request("OPTIONS", path)).status == 404:
            return Verdict(rpc, "missing")
        try:
            note = await (self._stream if rpc.is_stream else self._answer)(rpc, path)
            for query in rpc.queries:
                status = (await self.client.request("GET", f"{path}?{query}={NONSENSE}")).status
                assert status == 400, f"the query field {query} is ignored"
        except AssertionError as error:
            return Verdict(rpc, "wrong", str(error))
        return Verdict(rpc, "right", note)

    async def _answer(self, rpc: Rpc, path: str) -> str:
        response = await self.client.request("GET", path)
        if response.status == 404:
            return "404: nothing there"
        if response.status == 500 and (errors := response.json())[0]["id"].startswith("proto."):
            return f"500: {errors[0]['id']}"
        assert response.status == 200, f"{response.status}: {response.body.decode()[:200]}"
        wrong = complaint(rpc, response.json())
        assert wrong is None, wrong
        return ""

    async def _stream(self, rpc: Rpc, path: str) -> str:
        async with self.client.stream("GET", path) as response:
            assert response.status == 200, str(response.status)
            await self.baker.bake_for()
            with trio.move_on_after(SILENCE):
                async for item in response.chunks:
                    wrong = complaint(rpc, json.loads(item))
                    assert wrong is None, wrong
                    return ""
        return "nothing to tell"


async def ask(folder: Path) -> list[Verdict]:
    """Ask everything of a node that has baked, attested, and is connected with another one."""
    async with (
        open_sandbox() as sandbox,
        open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node,
        open_node(toolchain=sandbox.toolchain, arguments=ALONE) as other,
        open_client(node) as client,
    ):
        await client.activate_protocol(Protocol.BOREAS)
        await client.bake_for(count=10)
        await inject_orders(node)
        await client.bake_for(count=2)
        await client.submit_proposals(Protocol.ALPHA.hash)
        await inject_orders(node)
        await client.attest_for("bootstrap1", force=True)
        await client.bake_for(count=2)
        await client.connect_address(other)
        connect = node._host.connect_to(node.rpc_endpoint)
        judge = Judge(HttpClient(node.rpc_endpoint, connect=connect), client, await values(node, other))
        rpcs = sorted(specified(folder), key=lambda rpc: rpc.path.endswith(CHANGING))
        return [await judge.judge(rpc) for rpc in rpcs]


async def inject_orders(node: Node) -> None:
    """Inject manager operations of all kinds: so many that the next block has some that fail."""
    head = await node.rpc("get", "/chains/main/blocks/head/hash")
    stranger = encode(Kind.MV1, bytes(20))
    bodies: list[list[Body]] = [
        [Transaction(1_000_000, stranger), Delegation(None), Transaction(1, stranger)],
        [Transaction(0, BOOTSTRAP[1].pkh, Call("unstake")), Transaction(2_000_000, stranger)],
        [SetDepositsLimit(1_000_000_000_000), UpdateConsensusKey(BOOTSTRAP[4].public_key)],
    ]
    for key, own in zip(BOOTSTRAP, bodies, strict=False):
        counter = int(await node.rpc("get", f"/chains/main/blocks/head/context/contracts/{key.pkh}/counter"))
        contents = tuple(
            Manager(key.pkh, 10_000, counter + at, 10_000, 257, body) for at, body in enumerate(own, start=1)
        )
        data = Operation(head, contents).unsigned_bytes()
        signature = key.sign(data, watermark=watermark(Watermark.GENERIC))
        await node.rpc("post", "/injection/operation", Operation(head, contents, signature).to_bytes().hex())


async def values(node: Node, other: Node) -> dict[str, str]:
    """What stands for the variable parts of paths."""
    head = await node.rpc("get", "/chains/main/blocks/head/header")
    pkh = BOOTSTRAP[0].pkh
    return {
        "chain_id": "main",
        "block_hash": head["hash"],
        "block_level": str(head["level"]),
        "Protocol_hash": Protocol.BOREAS.hash,
        "peer_id": await other.rpc("get", "/network/self"),
        "point": other.net_address,
        "contract_id": pkh,
        "pkh": pkh,
        "staker1_pkh": pkh,
        "staker2_pkh": BOOTSTRAP[1].pkh,
        "entrypoint": "default",
        "big_map_id": "0",
        "sapling_state_id": "0",
        "script_expr": encode(Kind.SCRIPT_EXPR, bytes(32)),
        "smart_rollup_address": encode(Kind.ROLLUP, bytes(20)),
        "smart_rollup_commitment_hash": encode(Kind.ROLLUP_COMMITMENT, bytes(32)),
        "list_offset": "0",
        "operation_offset": "0",
        "prefix": "BL",
    }


def judged(folder: Path) -> list[Verdict]:
    """The verdict on every RPC of the specifications in a folder."""
    return trio.run(ask, folder, clock=trio.testing.MockClock(autojump_threshold=0))


def table(verdicts: list[Verdict]) -> str:
    """The table of the documents, and the list of what is missing."""
    lines = [
        "| specification | RPCs | right | of these without an example | missing | wrong |",
        "|---|---|---|---|---|---|",
    ]
    for name in PREFIXES:
        own = [one for one in verdicts if one.rpc.specification == name]
        right = [one for one in own if one.word == "right"]
        counts = [sum(one.word == word for one in own) for word in ("missing", "wrong")]
        noted = sum(bool(one.note) for one in right)
        lines.append(f"| `{name}` | {len(own)} | {len(right)} | {noted} | {counts[0]} | {counts[1]} |")
    missing = [f"`{one.rpc.path}`" for one in verdicts if one.word == "missing"]
    return "\n".join((*lines, "", f"Missing: {', '.join(missing)}.", ""))


def write(text: str) -> None:
    """Put the table into the page."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main() -> int:
    """Judge, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the specifications are")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    verdicts = judged(options.folder)
    for one in verdicts:
        print(f"{one.word:8}{one.rpc.path}{': ' if one.note else ''}{one.note}")
    print(f"\n{table(verdicts)}")
    if not options.check:
        write(table(verdicts))
    return int(any(one.word == "wrong" for one in verdicts))


if __name__ == "__main__":
    sys.exit(main())
