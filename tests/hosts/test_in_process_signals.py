"""Ends and signals of daemons that are tasks."""

from __future__ import annotations

import shutil
import signal

import pytest
import trio
from trio.testing import MockClock

from accuser import (
    CommandFailed,
    DaemonExited,
    Node,
    NodeUnreachable,
    Protocol,
    RestartPolicy,
    Sandbox,
    SpawnFailed,
    TerminatedBeforeEvent,
    open_accuser,
    open_node,
    open_sandbox,
)
from accuser.sandbox.accuser.loop import Accuser as AccuserLoop
from accuser.sandbox.programs import MODULES
from accuser.sandbox.surroundings.network import Network
from accuser.sandbox.surroundings.task import ProgramTask
from tests.support.in_process import ALONE, START, alone, nothing_of_the_system, sandbox, watched
from tests.support.kept import remove_kept

__all__ = ["sandbox"]  # fixtures of this module

HEAD = "head_increment.v0"


# Ends, and what signals do.


async def test_a_node_ends_in_upstreams_manner_and_keeps_its_chain(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with alone(sandbox) as (node, client):
        lines: list[str] = []
        node.on_stderr(lines.append)
        await client.bake_for("bootstrap1", count=3)
        bye = node.expect("bye.v0")
        await node.terminate()
        assert (await bye, node.exit_status) == (127, 127)
        assert "(mavkit-node) TERM: triggering shutdown." in lines
        with pytest.raises(NodeUnreachable, match="Connection refused"):
            await node.rpc("get", "/version")
        with pytest.raises(CommandFailed):
            await client.bake_for("bootstrap1")
        await node.restart()
        assert (await node.rpc("get", "/chains/main/blocks/head/header"))["level"] == 4
        assert await client.bake_for_and_wait("bootstrap1", count=2) == 2 + 4


async def test_an_accuser_ends_in_upstreams_manner(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with watched(sandbox) as (_, _, accuser):
        said: list[str] = []
        accuser.on_stdout(said.append)
        accuser.on_stderr(said.append)
        await accuser.terminate()
        assert accuser.exit_status == 127
        assert sorted(said) == sorted(
            [
                "(mavkit-accuser-PtBoreas) TERM: triggering shutdown.",
                "Fatal error:",
                "  Lwt.Resolution_loop.Canceled",
                "Shutting down the accuser...",
            ]
        )
        await accuser.restart()
        assert accuser.running


async def test_sigint_is_as_sigterm_and_what_nobody_handles_ends_it(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with watched(sandbox) as (node, _, accuser):
        for signum, status in ((signal.SIGINT, 127), (signal.SIGHUP, -1), (signal.SIGUSR2, -12)):
            async with accuser.expect_exit() as exited:
                for ignored in (signal.SIGWINCH, signal.SIGPIPE, signal.SIGXFSZ):
                    accuser.signal(ignored)
                accuser.signal(signum)
            assert exited.value == status
            await accuser.restart()
        # The node got none of them.
        assert node.running


async def test_a_killed_daemon_ends_at_once_and_says_no_more(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with watched(sandbox) as (node, client, accuser):
        events: list[str] = []
        node.on_event(lambda event: events.append(event.name))
        async with accuser.expect("accuser_processed_block.v0"):
            await client.bake_for("bootstrap1")
        pending = accuser.expect("never.v0", unknown=True)
        await accuser.kill()
        assert accuser.exit_status == -signal.SIGKILL
        with pytest.raises(TerminatedBeforeEvent):
            await pending
        await node.kill()
        assert node.exit_status == -signal.SIGKILL
        assert not {"bye.v0", "shutting_down_node.v0"} & set(events)
        await node.restart()
        assert (await node.rpc("get", "/chains/main/blocks/head/header"))["level"] == 2


async def test_what_was_written_before_a_kill_is_delivered(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with alone(sandbox) as (node, client):
        levels: list[int] = []
        mark = node.mark()
        node.on_event(lambda event: levels.append(event.value["level"]) if event.name == HEAD else None)
        last = node.expect(HEAD, lambda value: value["level"] == 31 or None)
        await client.bake_for("bootstrap1", count=30)
        await node.kill()
        assert await last
        assert levels == list(range(2, 32))
        again = [await node.wait_for(HEAD, nth=number, since=mark) for number in (1, 30)]
        assert [value["level"] for value in again] == [2, 31]


async def test_a_lost_node_ends_the_accuser(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with watched(sandbox) as (node, _, accuser):
        async with accuser.expect_exit() as exited:
            await node.kill()
        assert exited.value == 1


async def test_a_paused_accuser_reads_and_writes_nothing(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with watched(sandbox) as (_, client, accuser):
        processed = accuser.expect("accuser_processed_block.v0", count=2, timeout=1000)
        events: list[str] = []
        accuser.on_event(lambda event: events.append(event.name))
        accuser.pause()
        await client.bake_for("bootstrap1", count=2)
        before = trio.current_time()
        await trio.sleep(500)
        assert trio.current_time() == before + 500
        assert events == []
        accuser.resume()
        assert len(await processed) == 2
        assert trio.current_time() == before + 500


async def test_a_paused_node_answers_later(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with alone(sandbox) as (node, _):
        node.pause()
        with trio.move_on_after(50) as waiting:
            await node.rpc("get", "/version")
        assert waiting.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.rpc, "get", "/version")
            await trio.sleep(10)
            node.resume()


@pytest.mark.parametrize("kill", [False, True])
async def test_a_paused_daemon_can_be_ended(autojump_clock: MockClock, sandbox: Sandbox, kill: bool) -> None:
    async with watched(sandbox) as (_, _, accuser):
        accuser.pause()
        before = trio.current_time()
        await (accuser.kill() if kill else accuser.terminate())
        assert accuser.exit_status == (-9 if kill else 127)
        assert trio.current_time() == before


async def test_a_signal_waits_while_it_is_paused(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with watched(sandbox) as (_, _, accuser):
        exited = accuser.expect_exit()
        accuser.pause()
        accuser.signal(signal.SIGTERM)
        await trio.sleep(10)
        assert accuser.running
        accuser.resume()
        assert await exited == 127


async def test_restarts_wait_in_virtual_time(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    policy = RestartPolicy(first_delay=3600, max_delay=3600, jitter=0)
    async with watched(sandbox, restart=policy) as (_, client, accuser):
        begun = trio.current_time()
        accuser.signal(signal.SIGKILL)
        with pytest.raises(TerminatedBeforeEvent):
            await accuser.wait_for("double_baking_denounced.v0")
        await accuser.wait_for("daemon_start.v0", timeout=None)
        assert trio.current_time() == begun + 3600
        assert accuser.restarts == 1
        async with accuser.expect("accuser_processed_block.v0"):
            await client.bake_for("bootstrap1")


async def test_a_program_that_fails_is_a_daemon_that_exits(
    autojump_clock: MockClock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError("by the program")

    async with alone(sandbox) as (node, _):
        monkeypatch.setattr(AccuserLoop, "run", fail)
        with pytest.raises(DaemonExited) as caught:
            async with open_accuser(Protocol.BOREAS, node):
                pass
        assert caught.value.status == 1
        assert "ZeroDivisionError: by the program" in caught.value.tail
        remove_kept(caught.value)
        assert await node.rpc("get", "/chains/main/chain_id") == "NetXXAAR1wWQhhe"


async def test_a_program_that_cannot_be_loaded_fails_as_a_process_would(
    autojump_clock: MockClock, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODULES, "mavkit-node", "nowhere")
    with pytest.raises(CommandFailed) as caught:
        async with open_node(toolchain=sandbox.toolchain):
            pass
    assert caught.value.status == 1
    assert "No module named 'accuser.sandbox.nowhere'" in caught.value.stderr


async def test_what_is_killed_before_it_starts_does_nothing(autojump_clock: MockClock) -> None:
    task = ProgramTask("mavkit-node", ("--version",), {}, lambda: START, Network(), lambda _: None, 7)
    task.kill()
    await task.run()
    assert (task.status, await task.stdout.receive_some()) == (-signal.SIGKILL, b"")
    again = ProgramTask("mavkit-node", ("--version",), {}, lambda: START, Network(), lambda _: None, 8)
    await again.run()
    assert (again.status, b"sandbox" in await again.stdout.receive_some()) == (0, True)
    # Nobody is there any more who could hear it.
    for signum in (signal.SIGKILL, signal.SIGTERM, signal.SIGCONT):
        again.send(signum)
    assert again.status == 0


# Nothing is left.


async def test_cancelling_at_every_step_leaves_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th step of any task is the one after which the block is cancelled."""
    living = trio.lowlevel.current_statistics().tasks_living
    with nothing_of_the_system(monkeypatch):
        for count in [*range(40), *range(40, 4000, 7)]:
            instrument = CancelAfter(count)
            with trio.CancelScope() as instrument.scope:
                trio.lowlevel.add_instrument(instrument)
                try:
                    async with open_sandbox() as sandbox, watched(sandbox) as (_, client, accuser):
                        async with accuser.expect("accuser_processed_block.v0"):
                            await client.bake_for("bootstrap1")
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            assert trio.lowlevel.current_statistics().tasks_living == living
            if instrument.left > 0:
                break
        else:
            pytest.fail("there are more steps than expected")
    assert count > 100


class CancelAfter(trio.abc.Instrument):
    """Cancels its scope after so many steps of tasks."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.scope = trio.CancelScope()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == -1:
            self.scope.cancel()


async def test_a_cancelled_daemon_gets_its_time_to_end(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    events: list[str] = []
    with trio.CancelScope() as scope:
        async with alone(sandbox) as (node, _):
            node.on_event(lambda event: events.append(event.name))
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert node.exit_status == 127
    assert events[-1] == "bye.v0"


async def test_the_end_of_the_sandbox_kills_what_still_runs(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(DaemonExited, check=lambda error: error.status == -9)):
        async with trio.open_nursery() as nursery:
            async with open_sandbox() as sandbox:
                node = await Node.init(nursery, toolchain=sandbox.toolchain, arguments=ALONE)
    assert not node.running
    shutil.rmtree(node.directory)
    with pytest.raises(SpawnFailed, match="the block of its open_sandbox has ended"):
        async with open_node(toolchain=sandbox.toolchain):
            pass


async def test_the_error_of_the_block_comes_bare(autojump_clock: MockClock) -> None:
    with pytest.raises(LookupError):
        async with open_sandbox():
            raise LookupError
