"""The sandbox in this process, under a clock that jumps: nothing here takes time but computing."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from accuser import (
    SANDBOX,
    Accuser,
    BinaryNotFound,
    Client,
    CommandFailed,
    DaemonExited,
    EventPipeError,
    EventTimeout,
    Node,
    NodeUnreachable,
    PortTaken,
    Protocol,
    RestartPolicy,
    RpcError,
    Sandbox,
    ScenarioFailed,
    SpawnFailed,
    SSHRunner,
    StatsUnavailable,
    TerminatedBeforeEvent,
    Toolchain,
    open_accuser,
    open_client,
    open_node,
    open_sandbox,
)
from accuser._hosts.owner.guardian import guardian
from accuser._mavryk.parameters import write_parameter_file
from accuser.sandbox.accuser.loop import Accuser as AccuserLoop
from accuser.sandbox.chain.parameters import Calendar
from accuser.sandbox.programs import MODULES
from accuser.sandbox.surroundings.network import Network
from accuser.sandbox.surroundings.task import ProgramTask
from accuser.scenarios import SCENARIOS
from tests.support.kept import remove_kept

ALONE = ("--connections 0", "--synchronisation-threshold 0")
HEAD = "head_increment.v0"

EVERY_SCENARIO = pytest.mark.parametrize(
    ("name", "protocol"),
    [
        (name, protocol)
        for name, scenario in SCENARIOS.items()
        for protocol in scenario.protocols
        if not scenario.needs_runner
    ],
    ids=lambda value: value.tag if isinstance(value, Protocol) else value,
)

FORBIDDEN = (
    *("os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "subprocess.Popen"),
    *("socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo"),
)
"""Audit events of what this form of the sandbox does without."""

_watching: list[list[str]] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event in FORBIDDEN:
        _watching[-1].append(f"{event}{arguments}")


# A hook cannot be taken away again; it does nothing while nobody watches.
sys.addaudithook(_audit)


@contextlib.contextmanager
def nothing_of_the_system(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail if the block uses a thread, a process, a socket or a named pipe."""

    used: list[str] = []

    def refuse(*_: object, **__: object) -> None:
        used.append("a thread or a named pipe")
        raise OSError("not here")

    guarded = guardian.pid
    with monkeypatch.context() as patch:
        # trio hands work to threads that wait for some, so that not every use starts one.
        patch.setattr(trio.to_thread, "run_sync", refuse)
        patch.setattr(threading.Thread, "start", refuse)
        patch.setattr(os, "mkfifo", refuse)
        _watching.append(used)
        try:
            yield
        finally:
            _watching.pop()
    assert (used, guardian.pid) == ([], guarded)


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Sandbox]:
    with nothing_of_the_system(monkeypatch):
        async with open_sandbox() as opened:
            yield opened


@asynccontextmanager
async def alone(sandbox: Sandbox, **options: Any) -> AsyncGenerator[tuple[Node, Client]]:
    """A node without peers, its protocol active at level 1, and a client of it."""
    async with (
        open_node(toolchain=sandbox.toolchain, arguments=ALONE, **options) as node,
        open_client(node) as client,
    ):
        await client.activate_protocol(Protocol.BOREAS)
        yield node, client


@asynccontextmanager
async def watched(sandbox: Sandbox, **options: Any) -> AsyncGenerator[tuple[Node, Client, Accuser]]:
    """The same with an accuser that sees every block from now on."""
    async with alone(sandbox) as (node, client), open_accuser(Protocol.BOREAS, node, **options) as accuser:
        await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
        yield node, client, accuser


def test_the_watch_sees_threads_processes_and_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    import subprocess

    async def in_a_thread() -> None:
        await trio.to_thread.run_sync(int)

    for use in (
        lambda: threading.Thread(target=int).start(),
        lambda: trio.run(in_a_thread),
        lambda: subprocess.run(["true"], check=True),
        lambda: socket.socket().close(),
        lambda: os.mkfifo("/nowhere"),
    ):
        with pytest.raises(AssertionError), nothing_of_the_system(monkeypatch):
            with contextlib.suppress(OSError):
                use()


# The same scenarios.


@EVERY_SCENARIO
async def test_a_scenario(autojump_clock: MockClock, sandbox: Sandbox, name: str, protocol: Protocol) -> None:
    steps: list[str] = []
    result = await SCENARIOS[name].run(sandbox.toolchain, protocol, report=steps.append)
    assert steps[0].startswith("toolchain: sandbox in this process; protocol")
    assert protocol.long_name in steps[0]
    assert len(steps) >= 5
    # Of trio's clock: a scenario has only to compute.
    assert result.seconds == 0.0
    assert result.outcome in {
        "denounced and included",
        "denounced, and denounced again",
        "seen, and passed over",
        "denounced, forbidden and slashed",
        "taken over, denounced and included",
        "adopted, overridden and taken over",
    }


TWINS = {
    "double-baking": (
        ScenarioFailed,
        r"Double baking evidence was not found: o\w+ is not in validation pass 2 of block B\w+ of level 5, "
        r"whose operations are \['o\w+'\]\n",
    ),
    "double-attestation": (
        EventTimeout,
        r"^accuser1: no double_consensus_already_denounced.v0 / double_attestation_denounced.v0 "
        r"where it is about the injected operation within 60 s\n",
    ),
    "double-preattestation": (
        EventTimeout,
        r"double_preattestation_denounced.v0 where it is about the injected operation",
    ),
    "adaptive-issuance": (
        ScenarioFailed,
        r"bootstrap2 \(mv1\w+\) is not forbidden after block B\w+ of level 8, which was to have evidence",
    ),
    "migration": (ScenarioFailed, r"Expected the accuser to find B\w{50}, found B\w{50}\n"),
    "voting-override": (ScenarioFailed, r"Expected to find period kind cooldown but found proposal"),
    "operation-too-old": (EventTimeout, r"consensus_operation_too_old.v0 where the operation is o\w+"),
    "operation-too-far-in-the-future": (
        EventTimeout,
        r"consensus_operation_too_far_in_future.v0 where the operation is o\w+",
    ),
}
"""What a user reads when a scenario fails."""


@EVERY_SCENARIO
async def test_the_twin_of_a_scenario_fails(
    autojump_clock: MockClock, sandbox: Sandbox, name: str, protocol: Protocol
) -> None:
    error, message = TWINS[name.partition("-wrong-")[0]]
    with pytest.raises(error, match=message) as caught:
        await SCENARIOS[name].run(sandbox.toolchain, protocol, twin=True)
    remove_kept(caught.value, count=len([note for note in caught.value.__notes__ if "are kept in" in note]))


async def told(toolchain: Toolchain) -> list[object]:
    """What the programs say on a chain of two blocks, but for times, ports, hashes and identities."""
    lines: list[str] = []
    names: list[str] = []

    def listen(daemon: Node | Accuser) -> None:
        daemon.on_event(lambda event: names.append(event.name))
        daemon.on_stdout(lines.append)
        daemon.on_stderr(lines.append)

    async with open_node(toolchain=toolchain, arguments=ALONE) as node, open_client(node) as client:
        # What is said until it is ready may come before or after that is known: so, once more.
        await node.terminate()
        listen(node)
        await node.restart()
        await client.activate_protocol(Protocol.BOREAS)
        async with open_accuser(Protocol.BOREAS, node) as accuser:
            await accuser.terminate()
            listen(accuser)
            await accuser.restart()
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            async with accuser.expect("accuser_processed_block.v0", count=2):
                await client.bake_for("bootstrap1", count=2)
            known = await client.command("list", "known", "addresses")
            with pytest.raises(CommandFailed) as refused:
                await client.command("bake", "with", "love")
            await accuser.terminate()
        await node.terminate()
    changing = r"^\w{3} \d\d [\d:.]{12}|\bB\w{50}|\bid\w{28}|127\.0\.0\.1:\d+"
    # An accuser that has to wait for the answer says so after a while.
    shown = [
        re.sub(changing, "", line) for line in lines if not re.search("Waiting for the node|Current", line)
    ]
    facts = (node.exit_status, accuser.exit_status, known, refused.value.status, refused.value.stderr)
    return [sorted(shown), sorted(names), *facts]


def test_both_forms_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> list[object]:
        async with open_sandbox() as sandbox:
            return await told(sandbox.toolchain)

    ours = trio.run(inside, clock=MockClock(autojump_threshold=0))
    theirs = trio.run(told, SANDBOX)
    assert ours == theirs
    assert "TERM: triggering shutdown." in str(ours)
    assert "block_injected" not in str(ours)


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
                accuser.signal(signal.SIGWINCH)
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
        with trio.move_on_after(100) as waiting:
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


# Its own small world.


async def test_what_another_sandbox_or_process_listens_to_is_not_there(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with alone(sandbox) as (node, _), open_sandbox() as other:
        stranger = Node(toolchain=other.toolchain, rpc_port=node.rpc_port)
        with pytest.raises(NodeUnreachable):
            await stranger.rpc("get", "/version")
        for toolchain in (other.toolchain, SANDBOX):
            with pytest.raises(ValueError, match=r"reach|sandbox"):
                Accuser(Protocol.BOREAS, node, toolchain=toolchain)
            with pytest.raises(ValueError, match=r"reach|sandbox"):
                Client(node, toolchain=toolchain)


@pytest.mark.parametrize("port", ["rpc_port", "net_port"])
async def test_a_port_that_is_taken_is_told(autojump_clock: MockClock, sandbox: Sandbox, port: str) -> None:
    async with alone(sandbox) as (node, _):
        with pytest.raises(PortTaken) as caught:
            async with open_node(toolchain=sandbox.toolchain, **{port: getattr(node, port)}):
                pass
        assert str(getattr(node, port)) in caught.value.address
        remove_kept(caught.value)


async def test_what_cannot_run_here_is_refused(
    autojump_clock: MockClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="sandbox in this process, whose programs cannot run on there"):
        Node(toolchain=sandbox.toolchain, runner=SSHRunner("there"))
    async with alone(sandbox) as (node, client):
        with pytest.raises(SpawnFailed, match="leave the path out"):
            async with open_accuser(Protocol.BOREAS, node, path="/bin/true"):
                pass
        with pytest.raises(BinaryNotFound, match="mavkit-baker"):
            await client.command("run", binary="mavkit-baker")
        with pytest.raises(StatsUnavailable, match="a task of this process"):
            await node.stats()
        pipe = tmp_path / "pipe"
        async with open_accuser(Protocol.BOREAS, node, event_pipe=pipe):
            assert not pipe.exists()
            with pytest.raises(EventPipeError, match="in use"):
                async with open_accuser(Protocol.BOREAS, node, event_pipe=pipe):
                    pass
        # The path is free again.
        async with open_accuser(Protocol.BOREAS, node, event_pipe=pipe):
            pass


async def test_the_process_id_is_nobodys(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with watched(sandbox) as (node, _, accuser):
        assert node.pid != accuser.pid
        for daemon in (node, accuser):
            assert daemon.pid is not None
            with pytest.raises(ProcessLookupError):
                os.kill(daemon.pid, 0)


async def test_a_command_that_is_cancelled_ends_at_once(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with alone(sandbox) as (node, client):
        now = sandbox.clock()
        with trio.move_on_after(0.5):
            # The next round is later: the chain begins a day ago, and its rounds get longer.
            await client.bake_for("bootstrap1", minimal_timestamp=False)
        assert sandbox.clock() == pytest.approx(now + 0.5)
        assert node.level == 1


async def test_bake_for_refuses_to_bake_nothing(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with alone(sandbox) as (_, client):
        with pytest.raises(ValueError, match="count must be at least 1, and is 0"):
            await client.bake_for("bootstrap1", count=0)


# Time.


START = 1_900_000_000.0


async def timestamp(node: Node, block: str = "head") -> float:
    header = await node.rpc("get", f"/chains/main/blocks/{block}/header")
    return datetime.datetime.fromisoformat(header["timestamp"]).timestamp()


async def test_blocks_and_events_follow_the_clock(autojump_clock: MockClock) -> None:
    def clock() -> float:
        return START + trio.current_time()

    async with open_sandbox(clock=clock) as sandbox, alone(sandbox) as (node, client):
        begun = trio.current_time()
        assert await timestamp(node) == pytest.approx(START - 24 * 3600 + begun, abs=1)
        await trio.sleep(7 * 24 * 3600)
        times: list[float] = []
        node.on_event(lambda event: times.append(event.timestamp))
        await client.bake_for("bootstrap1", "bootstrap2", minimal_timestamp=False)
        # The round of that time began before, the next one was waited for.
        assert await timestamp(node) == pytest.approx(clock(), abs=1.1)
        assert clock() >= START + 7 * 24 * 3600
        assert times
        assert times == pytest.approx([clock()] * len(times), abs=1.1)


async def test_by_default_time_goes_on_from_now_by_trios_clock(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    now = sandbox.clock()
    real = datetime.datetime.now(datetime.UTC).timestamp()
    assert abs(now - real) < 60
    await trio.sleep(10_000)
    assert sandbox.clock() == pytest.approx(now + 10_000)


async def test_a_block_of_the_future_is_refused_until_its_time(autojump_clock: MockClock) -> None:
    at = START

    async with open_sandbox(clock=lambda: at) as sandbox, alone(sandbox) as (node, client):
        at -= 3 * 24 * 3600
        with pytest.raises(CommandFailed, match="Block in the future"):
            await client.bake_for("bootstrap1")
        at = START
        # The watermark says that this level was signed.
        await client.bake_for("bootstrap1", options=("--force",))
        assert await node.wait_for_level(2) == 2


async def times_of_blocks(toolchain: Toolchain) -> list[float]:
    when = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    async with open_node(toolchain=toolchain, arguments=ALONE) as node, open_client(node) as client:
        await client.activate_protocol(Protocol.ALPHA, timestamp=when)
        assert await timestamp(node) == when.timestamp()
        assert await client.bake_for_and_wait(count=10) == 11
        return [await timestamp(node, str(level)) for level in range(1, 12)]


def test_an_activation_sets_the_clock_of_a_chain_in_both_forms() -> None:
    async def inside() -> list[float]:
        async with open_sandbox() as sandbox:
            return await times_of_blocks(sandbox.toolchain)

    ours = trio.run(inside, clock=MockClock(autojump_threshold=0))
    assert ours == trio.run(times_of_blocks, SANDBOX)
    # Every round is the first one that somebody has, and begins a second later.
    assert ours == [ours[0] + number for number in range(11)]


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
async def test_a_clock_that_is_none(autojump_clock: MockClock, wrong: float) -> None:
    with pytest.raises(ValueError, match="seconds since the epoch"):
        async with open_sandbox(clock=lambda: wrong):
            pass


async def test_what_never_comes_fails_at_once(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with watched(sandbox) as (_, _, accuser):
        begun = trio.current_time()
        with pytest.raises(EventTimeout):
            await accuser.wait_for("double_baking_denounced.v0")
        assert trio.current_time() == begun + 60


async def test_many_cycles_with_an_accuser(
    autojump_clock: MockClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    changes = {"blocks_per_cycle": 2, "nonce_revelation_threshold": 1, "blocks_per_commitment": 2}
    file = write_parameter_file(Protocol.BOREAS, tmp_path / "parameters.json", changes)
    async with open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node, open_client(node) as client:
        await client.activate_protocol(Protocol.BOREAS, parameter_file=file)
        async with open_accuser(Protocol.BOREAS, node) as accuser:
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            processed = accuser.expect("accuser_processed_block.v0", count=50)
            await client.bake_for("bootstrap1", count=50)
            assert len(set(await processed)) == 50
            level = await node.rpc("get", "/chains/main/blocks/head/helpers/current_level")
            assert (level["level"], level["cycle"]) == (51, 25)


async def test_without_a_mock_clock_time_is_the_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    with nothing_of_the_system(monkeypatch):
        async with open_sandbox() as sandbox, watched(sandbox) as (_, client, accuser):
            async with accuser.expect("accuser_processed_block.v0"):
                await client.bake_for("bootstrap1")


async def test_what_an_rpc_stumbles_over_is_on_the_nodes_standard_error(
    autojump_clock: MockClock,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("in an RPC")

    async with alone(sandbox) as (node, _):
        lines: list[str] = []
        node.on_stderr(lines.append)
        with monkeypatch.context() as patch:
            patch.setattr(Calendar, "slots", fail)
            with pytest.raises(RpcError, match="in an RPC") as caught:
                await node.rpc("get", "/chains/main/blocks/head/helpers/validators")
        assert caught.value.status == 500
        await node.terminate()
        assert "ZeroDivisionError: in an RPC" in lines
    assert capfd.readouterr() == ("", "")
