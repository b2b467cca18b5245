"""Streams, pacing and events of the node."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing

from accuser import Protocol
from accuser.sandbox.node.feeds import Pacing
from accuser.sandbox.node.points import Point
from accuser.sandbox.node.synchronisation import Synchronisation
from accuser.sandbox.sink.sink import Level
from tests.support.forger import (
    activated,
    double_baking,
    header,
)
from tests.support.nodes import (
    BOREAS,
    MONITOR,
    Stand,
    recorded_values,
    shape,
    standing,
    two_bakings,
    until,
    until_level,
)

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
        view = stand.recorder.events[1][1]["view"]  # type: ignore[index]  # a JSON value
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
        view = stand.recorder.events[1][1]["view"]  # type: ignore[index]  # a JSON value
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
