"""Nodes of the sandbox among themselves."""

from __future__ import annotations

import attrs
import pytest
import trio
import trio.testing

from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser.sandbox.chain.block import NO_OPERATIONS
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.trace import NodeError
from accuser.sandbox.node.peer_connection import Lines
from accuser.sandbox.node.peer_messages import (
    BlockIs,
    Fetch,
    FetchDone,
    Hello,
    OperationsAre,
    PeerMessageError,
    Refusal,
    Welcome,
    head_message,
    read,
    write,
)
from accuser.sandbox.node.points import Point
from tests.support.forger import (
    activated,
    bake,
    double_baking,
    header,
    slots,
    vote,
)
from tests.support.nodes import (
    B1,
    Stand,
    peer_id,
    standing,
    two_bakings,
    until,
    until_level,
)

# Peers


async def test_two_nodes_synchronise_both_ways() -> None:
    others: dict[Point, Stand] = {}
    start = activated()
    other = activated()
    assert start.head.hash == other.head.hash
    async with standing(1, chain=start, others=others) as one, standing(2, chain=other, others=others) as two:
        for _ in range(3):
            await one.bake()
        await two.bake(vote="on")
        response = await two.send("PUT", "/network/points/127.0.0.1:1?timeout=2.5", {})
        assert (response.status, response.json()) == (200, {})
        await until_level(two, 4)
        assert two.node.chain.head.hash == one.node.chain.head.hash
        assert "branch_switch" in two.recorder.names()
        (connection,) = await two.get("/network/connections")
        assert (connection["incoming"], connection["peer_id"]) == (False, peer_id(1))
        (connection,) = await one.get("/network/connections")
        assert connection["id_point"] == {"addr": "127.0.0.1", "port": 2}
        made = await two.bake()
        await until_level(one, made.level)
        assert one.node.chain.head.hash == made.hash
        point = await two.get("/network/points/127.0.0.1:1")
        assert point["state"] == {"event_kind": "running", "p2p_peer_id": peer_id(1)}
        await two.send("DELETE", f"/network/connections/{peer_id(1)}", {})
        await until(lambda: "disconnection" in one.recorder.names())
        assert await one.get("/network/connections") == []


async def test_a_long_chain_and_a_late_node() -> None:
    others: dict[Point, Stand] = {}
    chain = activated()
    bake(chain, count=40)
    async with standing(1, chain=chain, others=others), standing(2, others=others) as two:
        await two.network.connect(Point("127.0.0.1", 1))
        await until_level(two, 41)
        assert two.node.chain.head.hash == chain.head.hash
        with pytest.raises(NodeError) as caught:
            await two.network.connect(Point("127.0.0.1", 1))
        assert caught.value.trace[0]["id"] == "node.p2p_pool.connected"


async def test_operations_are_gossiped_both_ways() -> None:
    others: dict[Point, Stand] = {}
    async with standing(1, chain=activated(), others=others) as one, standing(2, others=others) as two:
        root, block, sibling, _ = await two_bakings(one)
        operation = double_baking(block, sibling, root.hash)
        await one.post("/injection/operation", operation.to_bytes().hex())
        await two.network.connect(Point("127.0.0.1", 1))
        await until(lambda: operation.hash in two.node.mempool.entries)
        head = two.node.chain.head
        about = vote(two.node.chain, head, slots(head, B1.pkh)[0])
        await two.post("/injection/operation", about.to_bytes().hex())
        await until(lambda: about.hash in one.node.mempool.entries)
        requests = [
            value["view"]["request"]  # type: ignore[index]  # a JSON value
            for name, value in one.recorder.events
            if name == "request_completed_debug"
        ]
        assert requests == ["notify", "arrived"]
        made = await two.bake(operations=((about,), (), (operation,), ()))
        await until(lambda: one.node.chain.head.hash == made.hash)
        assert one.node.mempool.entries == {}


async def test_private_nodes_take_trusted_points_only() -> None:
    others: dict[Point, Stand] = {}
    async with (
        standing(1, private=True, others=others) as one,
        standing(2, private=True, others=others) as two,
    ):
        response = await one.send("PUT", "/network/points/127.0.0.1:2?timeout=10", {})
        assert response.status == 500
        assert response.json() == [{"kind": "permanent", "id": "node.p2p_pool.private_mode"}]
        trusted = await one.send("PATCH", "/network/points/127.0.0.1:2", {"acl": "trust"})
        assert trusted.json() == {"trusted": True, "state": {"event_kind": "disconnected"}}
        response = await one.send("PUT", "/network/points/127.0.0.1:2", {})
        assert response.json()[0]["id"] == "node.p2p_socket.rejected_by_nack"
        assert "private mode" in response.json()[1]["msg"]
        assert ("peer_rejected", {}) in two.recorder.events
        await two.send("PATCH", "/network/points/127.0.0.1:1", {"acl": "trust"})
        assert (await one.send("PUT", "/network/points/127.0.0.1:2", {})).json() == {}
        assert await two.get("/network/points/127.0.0.1:1/banned") is False
        await two.send("PATCH", "/network/points/127.0.0.1:1", {"acl": "ban"})
        await until(lambda: not one.network.connections)
        response = await two.send("PUT", "/network/points/127.0.0.1:1", {})
        assert response.json()[0]["id"] == "node.p2p_pool.point_banned"


async def test_connections_that_cannot_be(autojump_clock: trio.testing.MockClock) -> None:
    others: dict[Point, Stand] = {}
    async with standing(1, others=others) as one:
        response = await one.send("PUT", "/network/points/127.0.0.1:9", {})
        assert response.json()[0]["id"] == "node.p2p_pool.connection_failed"
        response = await one.send("PUT", "/network/points/127.0.0.1:1", {})
        assert response.status == 500
        assert (await one.send("PUT", "/network/points/nonsense", {})).status == 400
        assert (await one.send("PATCH", "/network/points/127.0.0.1:9", {"acl": "love"})).status == 400
        deaf, _ = trio.testing.memory_stream_pair()

        async def open_deaf(point: Point) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return deaf

        one.network.open_stream = open_deaf
        response = await one.send("PUT", "/network/points/127.0.0.1:8?timeout=3", {})
        assert response.json()[0]["id"] == "utils.Timeout"


async def test_nodes_of_different_chains_do_not_connect() -> None:
    others: dict[Point, Stand] = {}
    network = attrs.evolve(Chain().network, chain_name="OTHER")
    async with standing(1, chain=Chain(network), others=others) as one, standing(2, others=others):
        with pytest.raises(NodeError) as caught:
            await one.network.connect(Point("127.0.0.1", 2))
        assert caught.value.trace[0]["motive"] == 2


@pytest.mark.parametrize(
    "noise",
    [
        b"\n",
        b"garbage\n",
        b"[]\n",
        b'{"type":"Nothing"}\n',
        b'{"type":"HeadIs","hash":1}\n',
        b'{"type":"BlockIs","header":"00","operations":[]}\n',
        b'{"type":"BlockIs","header":"00","operations":[[],[],[],[],[]]}\n',
        b'{"type":"OperationsAre","operations":["00"]}\n',
        b'{"type":"Hello"}\n',
        b'{"type":"Welcome"}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
)
async def test_malformed_peers_lose_their_connection_only(noise: bytes) -> None:
    async with standing(1, chain=activated()) as stand:
        ours, theirs = trio.testing.memory_stream_pair()
        stand.nursery.start_soon(stand.network.accept, theirs)
        hello = Hello(peer_id(7), "MAVRYK", stand.node.chain.network.genesis_block, 7, False, False)
        await ours.send_all(write(hello) + b'{"type":"Welcome"}\n')
        await until(lambda: bool(stand.network.connections))
        await ours.send_all(noise)
        with trio.fail_after(5):
            while await ours.receive_some():
                pass
        await until(lambda: not stand.network.connections)
        assert (await stand.get("/chains/main/blocks/head/hash")) == stand.node.chain.head.hash
        assert stand.recorder.names()[-1] == "disconnection"


async def test_a_peer_with_an_invalid_block() -> None:
    async with standing(1, chain=activated()) as stand:
        thief = header(stand.node.chain, key=BOOTSTRAP[4])

        ours, theirs = trio.testing.memory_stream_pair()
        stand.nursery.start_soon(stand.network.accept, theirs)
        hello = Hello(peer_id(7), "MAVRYK", stand.node.chain.network.genesis_block, 7, False, False)
        block = BlockIs(thief, NO_OPERATIONS)
        await ours.send_all(write(hello) + b'{"type":"Welcome"}\n' + write(block))
        with trio.fail_after(5):
            while await ours.receive_some():
                pass
        await until(lambda: not stand.network.connections)
        assert "validation_failed" in stand.recorder.names()
        assert stand.node.chain.head.level == 1


async def test_half_a_handshake(autojump_clock: trio.testing.MockClock) -> None:
    async with standing(1) as stand:
        for data in (b"", b"{", b"GET / HTTP/1.1\r\n\r\n", b'{"type":"Welcome"}\n'):
            ours, theirs = trio.testing.memory_stream_pair()
            stand.nursery.start_soon(stand.network.accept, theirs)
            await ours.send_all(data)
            while await ours.receive_some():
                pass
        assert stand.network.connections == {}


async def test_an_endless_line() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    lines = Lines(theirs)

    async def flood() -> None:
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await ours.send_all(b"x" * 1_000_000)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        with pytest.raises(PeerMessageError, match="exceeds"):
            await lines.next()
        await theirs.aclose()


def test_messages_round_trip() -> None:
    chain = activated()
    block = bake(chain)
    about = vote(chain, block, slots(block, B1.pkh)[0])

    for message in (
        Hello(peer_id(3), "MAVRYK", block.hash, 0, True, False),
        Welcome(),
        Refusal("why"),
        head_message(block),
        Fetch(block.hash, (block.hash,)),
        BlockIs(block.header, ((about,), (), (), ())),
        FetchDone(),
        OperationsAre((about,)),
    ):
        line = write(message)
        assert line.endswith(b"\n")
        assert read(line[:-1]) == message


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("localhost:80", "127.0.0.1", 80),
        ("[::1]:80", "::1", 80),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1", 80),
        (":80", "127.0.0.1", 80),
    ],
)
def test_points(text: str, host: str, port: int) -> None:
    assert Point.parse(text) == Point(host, port)


@pytest.mark.parametrize("text", ["", "host", "host:", "host:x", "host:99999", "::1"])
def test_points_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="not an address with a port"):
        Point.parse(text)
