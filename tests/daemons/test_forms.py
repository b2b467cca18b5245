"""Forms of waiting over several daemons and in vain, and what may be given by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from accuser import (
    Absence,
    Accuser,
    Client,
    EventTimeout,
    Node,
    Protocol,
    RpcError,
    TerminatedBeforeEvent,
    UnexpectedEvent,
    open_accuser,
    open_client,
    open_node,
    retry,
    wait_for_any,
)

ALONE = ("--connections 0", "--synchronisation-threshold 0")


@asynccontextmanager
async def chain() -> AsyncIterator[tuple[Node, Client, Accuser]]:
    """A node, a client and an accuser, all said by names."""
    async with open_node(toolchain="memory", arguments=ALONE) as node, open_client(node) as client:
        await client.activate_protocol("boreas")
        async with open_accuser("boreas", node) as accuser:
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            yield node, client, accuser


async def test_a_block_that_is_late_with_its_wait_ends_first(autojump_clock: MockClock) -> None:
    """As of a scope within another; each time, though both are due in one turn."""
    never = "double_baking_denounced.v0"
    async with chain() as (node, _, accuser):
        for _ in range(10):
            with trio.move_on_after(60) as block:
                await accuser.wait_for(never, timeout=60)
            assert block.cancelled_caught
            with pytest.raises(EventTimeout, match=f"{accuser.name} / {node.name}: no {never} within 60 s"):
                await wait_for_any(
                    {accuser: accuser.expect(never), node: node.expect("never.v0", unknown=True)}
                )


async def test_names_of_protocols_and_toolchains(autojump_clock: MockClock) -> None:
    async with chain() as (node, _, accuser):
        assert accuser.protocol is Protocol.BOREAS
        assert node.toolchain is accuser.toolchain
        with pytest.raises(ValueError, match="neither 'sandbox' nor 'memory'"):
            Node(toolchain="no such thing")
        by_url = Accuser("alpha", node.rpc_endpoint, toolchain="sandbox")
        assert by_url.node.rpc_endpoint == node.rpc_endpoint
        with pytest.raises(ValueError, match="no URL of an RPC server"):
            Accuser("alpha", "node1")


async def test_mistakes_get_a_sentence(autojump_clock: MockClock) -> None:
    async with chain() as (_, client, _):
        with pytest.raises(TypeError, match="given one by one"):
            await client.bake_for(["bootstrap1"])  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(TypeError, match="did you mean 'rpc_port'"):
        Node(rpcport=1)  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(TypeError, match=r"there are arguments, .*, data_dir, .*, wait_timeout"):
        Node(zzz=1)  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(TypeError, match="did you mean 'preserved_levels'"):
        Accuser(Protocol.BOREAS, "http://127.0.0.1:9", preserved_level=1)  # type: ignore[call-arg]  # wrong on purpose


async def test_public_objects_are_told_in_a_short_line(autojump_clock: MockClock) -> None:
    async with chain() as (node, client, accuser):
        assert repr(node) == f"<Node {node.name} running, pid {node.pid}, {node.rpc_endpoint}>"
        assert repr(accuser) == f"<Accuser {accuser.name} running, pid {accuser.pid}>"
        assert repr(client) == f"<Client {client.name} of {node.name}>"
        expectation = accuser.expect("accuser_processed_block.v0", where="any")
        assert (
            repr(expectation) == f"<Expectation of accuser_processed_block.v0 where any from {accuser.name}>"
        )
        absence = accuser.expect_no("accuser_processed_block.v0", within=2)
        assert repr(absence) == f"<Absence for 2 s of accuser_processed_block.v0 from {accuser.name}>"
        assert isinstance(absence, Absence)
        assert len(repr(accuser.mark())) < 60


async def test_an_absence_around_what_must_not_cause_it(autojump_clock: MockClock) -> None:
    async with chain() as (_, client, accuser):
        begun = trio.current_time()
        async with accuser.expect_no("double_baking_denounced.v0", within=5):
            await client.bake_for()
        assert trio.current_time() - begun >= 5
        with pytest.raises(UnexpectedEvent):
            async with accuser.expect_no("accuser_processed_block.v0", within=5):
                await client.bake_for()
        with pytest.raises(ZeroDivisionError):
            async with accuser.expect_no("double_baking_denounced.v0", within=5):
                1 / 0  # noqa: B018 - the error is wanted


async def test_the_first_of_several_daemons(autojump_clock: MockClock) -> None:
    async with chain() as (node, client, accuser):
        processed = accuser.expect("accuser_processed_block.v0")
        await client.bake_for()
        denounced = "double_baking_denounced.v0"
        # An expectation counts from where it was made, a name from now on.
        first, value = await wait_for_any({node: "connection.v0", accuser: processed})
        assert first is accuser
        assert value == await node.rpc("get", "/chains/main/blocks/head/hash")
        waits = {node: node.expect("set_head.v0", since=node.start_mark()), accuser: processed}
        assert (await wait_for_any(waits))[0] is node
        with pytest.raises(EventTimeout, match=f"{accuser.name} / {node.name}: no {denounced} within 3 s"):
            await wait_for_any({accuser: denounced, node: "connection.v0"}, timeout=3)
        with pytest.raises(ValueError, match="at least one"):
            await wait_for_any({})
        await accuser.terminate()
        # One that has ended leaves the others; all of them, none.
        with pytest.raises(EventTimeout):
            await wait_for_any({accuser: denounced, node: "connection.v0"}, timeout=3)
        with pytest.raises(TerminatedBeforeEvent):
            await wait_for_any({accuser: denounced}, timeout=3)


async def test_asking_until_the_answer_is_good(autojump_clock: MockClock) -> None:
    async with chain() as (node, client, _):

        async def level() -> int:
            return int((await node.rpc("get", "/chains/main/blocks/head/header"))["level"])

        async def bake() -> None:
            await trio.sleep(1)
            await client.bake_for()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(bake)
            assert await retry(level, lambda found: found >= 2) == 2
        with pytest.raises(EventTimeout, match=r"no good answer where level 9 within 1 s") as never:
            await retry(level, lambda found: found >= 9, timeout=1, where="level 9")
        assert "the last answer was 2" in never.value.__notes__[0]
        with pytest.raises(EventTimeout) as failed:
            await retry(lambda: node.rpc("get", "/nope"), timeout=1)
        assert isinstance(failed.value.__cause__, RpcError)
        with pytest.raises(ZeroDivisionError):
            await retry(level, lambda _: 1 / 0)


async def test_a_sequence_says_what_met_the_steps_before(autojump_clock: MockClock) -> None:
    async with chain() as (node, client, accuser):
        await client.bake_for()
        hash_ = await node.rpc("get", "/chains/main/blocks/head/hash")
        steps = ["accuser_processed_block.v0", "double_baking_denounced.v0"]
        with pytest.raises(EventTimeout, match="it is step 2 of 2") as caught:
            await accuser.wait_for_sequence(steps, since=accuser.start_mark(), timeout=2)
    assert caught.value.report is not None
    assert caught.value.report.met == (f'step 1 was met by "{hash_}"',)
