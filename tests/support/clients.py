"""What the tests of the client share."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio
import trio.testing

from accuser._http.server import serve_connection
from accuser._mavryk.codec.crypto import (
    ACTIVATOR,
    BOOTSTRAP,
    GENESIS_TIME,
)
from accuser._mavryk.codec.forge import ProtocolData
from accuser._mavryk.protocol import Protocol
from accuser.sandbox.client import main as client
from accuser.sandbox.node import routes
from accuser.sandbox.node.node import Node
from accuser.sandbox.node.p2p import PeerNetwork

STARTED = GENESIS_TIME + 1000
"""Time of the first block."""

SILENT = {client.DISCLAIMER_VARIABLE: "Y"}

PEER_ID = "idqcxV37FD1DYHwNa3g32uACvsg3S8"

PARAMETERS = {
    "bootstrap_accounts": [[key.public_key, "4000000000000"] for key in BOOTSTRAP],
    "consensus_threshold": 0,
}

OTHER_SECRET = "edsk3RFgDiCt7tWB2oe96w1eRw72iYiiqZPLu9nnEY23MYRp2d8Kkx"


@attrs.frozen
class Outcome:
    """What a command left."""

    status: int
    stdout: str
    stderr: str


@attrs.define(eq=False)
class World:
    """A node, and a client with a wallet."""

    node: Node
    connect: Callable[[], Any]
    base_dir: Path
    wall: Callable[[], float]
    environ: dict[str, str] = attrs.Factory(lambda: dict(SILENT))

    async def run(self, *arguments: str, program: str = "mavkit-client") -> Outcome:
        stdout, stderr = io.StringIO(), io.StringIO()
        status = await client.run(
            ["--base-dir", str(self.base_dir), *arguments],
            program=program,
            stdout=stdout,
            stderr=stderr,
            environ=self.environ,
            connect_to=lambda _: self.connect,
            wall=self.wall,
        )
        return Outcome(status, stdout.getvalue(), stderr.getvalue())

    async def ok(self, *arguments: str, program: str = "mavkit-client") -> str:
        outcome = await self.run(*arguments, program=program)
        assert (outcome.status, outcome.stderr) == (0, "")
        return outcome.stdout

    async def activate(self, **overrides: object) -> str:
        file = self.base_dir / "parameters.json"
        file.write_text(json.dumps({**PARAMETERS, **overrides}))
        return await self.ok(
            *("activate", "protocol", Protocol.BOREAS.hash, "with", "fitness", "1"),
            *("and", "key", "activator", "and", "parameters", str(file)),
            *("--timestamp", "2025-08-14T11:35:03Z"),
        )

    @property
    def head(self) -> Any:
        return self.node.chain.head

    @property
    def data(self) -> ProtocolData:
        return ProtocolData.from_bytes(self.head.header.protocol_data)

    def pending(self) -> list[Any]:
        return [entry.operation for entry in self.node.mempool.entries.values()]


def write_wallet(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    keys = (ACTIVATOR, *BOOTSTRAP)
    for name, values in {
        "public_key_hashs": [key.pkh for key in keys],
        "public_keys": [f"unencrypted:{key.public_key}" for key in keys],
        "secret_keys": [f"unencrypted:{key.secret_key}" for key in keys],
    }.items():
        entries = [{"name": key.alias, "value": value} for key, value in zip(keys, values, strict=True)]
        (folder / name).write_text(json.dumps(entries))


@asynccontextmanager
async def world(
    tmp_path: Path, wall: Callable[[], float] = lambda: STARTED + 86400.0
) -> AsyncIterator[World]:
    node = Node(PEER_ID, clock=wall)
    async with trio.open_nursery() as nursery:
        handler = routes.router(node, PeerNetwork(node, nursery, 9732, False))

        async def connect() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(serve_connection, theirs, handler)
            return ours

        write_wallet(tmp_path / "client")
        yield World(node, connect, tmp_path / "client", wall)
        nursery.cancel_scope.cancel()


# Baking


async def bake(w: World, *words: str) -> Outcome:
    outcome = await w.run("bake", "for", *words)
    assert outcome.status == 0, outcome.stderr
    return outcome
