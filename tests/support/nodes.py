"""Nodes in memory, for tests of the sandbox: a node, its client, its peers, and what it tells."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio
import trio.testing

from accuser import Protocol
from accuser._http.client import HttpClient, Response
from accuser._http.server import Handler, serve_connection
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.forge import BlockHeader
from accuser.sandbox.chain.block import NO_OPERATIONS, Block, Operations
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.node import routes
from accuser.sandbox.node.node import Node
from accuser.sandbox.node.p2p import PeerNetwork
from accuser.sandbox.node.points import Point
from accuser.sandbox.node.synchronisation import Synchronisation
from accuser.sandbox.sink.sink import Level
from tests.support.forger import header

RUNS = Path(__file__).parent.parent / "data" / "recorded-runs"
EVENTS = Path(__file__).parent.parent / "data" / "recorded-events"
NOW = 1_800_000_000.0
B1 = BOOTSTRAP[0]
MONITOR = "/chains/main/mempool/monitor_operations?version=1&validated=yes&refused=no&branch_delayed=yes"


@attrs.define(eq=False)
class Recorder:
    """An emitter that keeps events."""

    events: list[tuple[str, object]] = attrs.field(factory=list)
    details: list[tuple[tuple[str, ...], str, Level, object, str | None]] = attrs.field(factory=list)

    async def emit(
        self, section: tuple[str, ...], name: str, level: Level, value: object, text: str | None = None
    ) -> None:
        await trio.lowlevel.checkpoint()
        self.events.append((name, value))
        self.details.append((section, name, level, value, text))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


@attrs.define(eq=False)
class Stand:
    """A node, its peers and a client of it, over streams in memory."""

    node: Node
    network: PeerNetwork
    recorder: Recorder
    client: HttpClient
    nursery: trio.Nursery

    async def get(self, path: str) -> Any:
        response = await self.client.request("GET", path)
        assert response.status == 200, (path, response)
        assert response.media_type == "application/json"
        return response.json()

    async def send(self, method: str, path: str, value: object) -> Response:
        return await self.client.request(method, path, body=json.dumps(value).encode())

    async def post(self, path: str, value: object) -> Any:
        response = await self.send("POST", path, value)
        assert response.status == 200, (path, response)
        return response.json()

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncGenerator[AsyncIterator[bytes]]:
        async with self.client.stream("GET", path) as response:
            assert response.status == 200
            yield response.chunks

    async def take(self, header: BlockHeader, operations: Operations = NO_OPERATIONS) -> str:
        """Inject a block made elsewhere."""
        return await self.node.inject_block(header.to_bytes(), operations, force=True)

    async def bake(self, **options: Any) -> Block:
        """Inject the next block."""
        operations = options.get("operations", NO_OPERATIONS)
        made = header(self.node.chain, **options)
        return self.node.chain.blocks[await self.take(made, operations)]


def serve_memory(handler: Handler, nursery: trio.Nursery) -> Callable[[], Any]:
    async def connect() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(serve_connection, theirs, handler)
        return ours

    return connect


PEERS: dict[int, Stand] = {}


def peer_id(number: int) -> str:
    return encode(Kind.PEER, bytes([number]) * 16)


@asynccontextmanager
async def standing(
    number: int = 1,
    *,
    chain: Chain | None = None,
    threshold: int = 0,
    private: bool = False,
    others: dict[Point, Stand] | None = None,
) -> AsyncGenerator[Stand]:
    others = {} if others is None else others
    point = Point("127.0.0.1", number)

    async def open_stream(wanted: Point) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if wanted not in others:
            raise OSError("refused")
        ours, theirs = trio.testing.memory_stream_pair()
        other = others[wanted]
        other.nursery.start_soon(other.network.accept, theirs)
        return ours

    recorder = Recorder()
    async with trio.open_nursery() as nursery:
        node = Node(
            peer_id(number),
            chain or Chain(),
            recorder,
            clock=lambda: NOW,
            synchronisation=Synchronisation(threshold),
        )
        network = PeerNetwork(node, nursery, number, private, open_stream)
        connect = serve_memory(routes.router(node, network), nursery)
        stand = Stand(node, network, recorder, HttpClient("http://node", connect=connect), nursery)
        others[point] = stand
        with trio.fail_after(60):
            await trio.lowlevel.checkpoint()
            yield stand
        others.pop(point)
        nursery.cancel_scope.cancel()


async def status(stand: Stand, path: str) -> int:
    """The status of the answer to a GET."""
    return (await stand.client.request("GET", path)).status


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not condition():
            await trio.testing.wait_all_tasks_blocked()


# Shapes of recorded answers


def shape(value: Any) -> Any:
    """Names, types and nesting; of lists, the set of the items' shapes."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        kinds = []
        for item in value:
            kind = shape(item)
            if kind not in kinds:
                kinds.append(kind)
        return kinds
    return type(value).__name__


NO_SIGNATURE: Final = encode(Kind.SIGNATURE, bytes(64))


def as_from_bytes(value: Any) -> Any:
    """A recorded value as a node tells it that has blocks and operations as bytes.

    The nodes of the recordings had them as JSON, and showed two things that cannot be told from their
    absence: no balance updates, and a signature of zeros.
    """
    if isinstance(value, list):
        return [as_from_bytes(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: as_from_bytes(item)
        for name, item in value.items()
        if (name, item) not in (("balance_updates", []), ("signature", NO_SIGNATURE))
    }


def recorded(run: str, part: str) -> Any:
    """The first recorded answer or stream item of a request whose path has ``part``."""
    for line in (RUNS / f"{run}.http.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if part in entry["path"] and entry["status"] == 200:
            bodies = [chunk["body"] for chunk in entry.get("chunks", [])] or [entry.get("response_body")]
            for body in bodies:
                if body and body != "[]\n":
                    return as_from_bytes(json.loads(body))
    raise AssertionError((run, part))


BOREAS = Protocol.BOREAS.hash
EMPTY = '{"operations":[[]]}'


# Events


def recorded_values(file: str) -> dict[str, tuple[list[str], object]]:
    values = {}
    for line in (EVENTS / file).read_text().splitlines():
        item = json.loads(line)["fd-sink-item.v0"]
        if isinstance(item["event"], dict):
            for name, value in item["event"].items():
                values[name.removesuffix(".v0")] = (item["section"], value)
    return values


async def until_level(stand: Stand, level: int) -> None:
    with trio.fail_after(30):
        async with stand.stream("/monitor/heads/main") as heads:
            async for item in heads:
                if json.loads(item)["level"] >= level:
                    return


async def two_bakings(stand: Stand) -> tuple[Block, BlockHeader, BlockHeader, BlockHeader]:
    """A block and three siblings on top of it, by bootstrap1; the chain's head is the first."""
    root = await stand.bake()
    siblings = [header(stand.node.chain, root, vote=vote) for vote in ("pass", "on", "off")]
    for sibling in siblings:
        await stand.take(sibling)
    return root, siblings[0], siblings[1], siblings[2]
