"""The toolchain whose programs are tasks of whatever trio runs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import trio
from trio.testing import MockClock

from accuser import (
    MEMORY,
    SANDBOX,
    Baker,
    DaemonExited,
    Node,
    Protocol,
    init_with_protocol,
    open_accuser,
    open_client,
    open_node,
    open_sandbox,
)
from accuser.scenarios import SCENARIOS

from ..support.kept import remove_kept

ALONE = ("--synchronisation-threshold 0",)


async def bake_one() -> tuple[str, int]:
    async with (
        open_node(toolchain=MEMORY, arguments=ALONE) as node,
        open_accuser(Protocol.BOREAS, node) as accuser,
    ):
        client = await init_with_protocol(node, Protocol.BOREAS)
        processed = accuser.expect("accuser_processed_block.v0")
        await client.bake_for("bootstrap1")
        client.remove()
        block: str = await processed
        await accuser.terminate()
        assert accuser.exit_status == 127
        return block, node.rpc_port


def test_each_run_of_trio_is_a_world_of_its_own() -> None:
    ready_made = Node(toolchain=MEMORY)  # outside of any run
    first, second = trio.run(bake_one), trio.run(bake_one, clock=MockClock(autojump_threshold=0))
    assert first[1] != second[1] != ready_made.rpc_port


async def test_worlds_do_not_reach_each_other() -> None:
    async with open_node(toolchain=MEMORY, arguments=ALONE) as node:
        for other in (SANDBOX, None):
            with pytest.raises(ValueError, match="take the toolchain of the node"):
                async with open_accuser(Protocol.BOREAS, node, toolchain=other or SANDBOX):
                    pytest.fail("it cannot run")


async def test_a_baker_bakes_on_no_node_of_another_world() -> None:
    async with open_sandbox() as one, open_sandbox() as two:
        async with (
            open_node(toolchain=one.toolchain, arguments=ALONE) as node,
            open_node(toolchain=two.toolchain, arguments=ALONE) as other,
            open_client(other) as client,
        ):
            with pytest.raises(ValueError, match="take the toolchain of the node"):
                Baker(Protocol.BOREAS, node, client)
            with pytest.raises(ValueError, match="cannot reach a node elsewhere"):
                Baker(Protocol.BOREAS, other.rpc_endpoint, client, remotely=True)


async def test_there_are_ports_for_any_number_of_nodes() -> None:
    async with open_sandbox() as sandbox:
        host = sandbox.toolchain.host
        assert host is not None
        given = [host.reserve_port() for _ in range(40_000)]
        assert min(given) > 1024
        assert max(given) < 49_152
        async with open_node(toolchain=sandbox.toolchain, arguments=ALONE):
            pass


async def test_a_program_that_fails_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from accuser.sandbox.node import daemon

    async def broken(*_: object, **__: object) -> None:  # noqa: RUF029 - the interface
        raise RuntimeError("a fault of the sandbox")

    monkeypatch.setattr(daemon, "serve", broken)
    with pytest.raises(DaemonExited) as caught:
        async with open_node(toolchain=MEMORY, arguments=ALONE):
            pytest.fail("it cannot run")
    remove_kept(caught.value)
    await trio.lowlevel.checkpoint()


HERE = sorted(name for name, scenario in SCENARIOS.items() if not scenario.needs_runner)


@pytest.mark.parametrize("name", HERE)
async def test_every_scenario_runs_in_it(name: str, autojump_clock: MockClock) -> None:
    found = await SCENARIOS[name].run(MEMORY, Protocol.BOREAS)
    assert found.outcome


def test_the_demo_runs_in_it() -> None:
    words = [sys.executable, "-m", "accuser", "demo", "--toolchain", "memory"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "toolchain: sandbox in this process" in done.stdout
    assert "denounced and included" in done.stdout
