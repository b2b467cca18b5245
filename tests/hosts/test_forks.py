"""Programs of the sandbox that are forked from a process that imports what they need."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from accuser import SANDBOX, CommandFailed, Node, Protocol, SpawnFailed, init_with_protocol, open_node
from accuser._hosts.owner import forks as starts
from accuser._hosts.owner.forks import VARIABLE, CannotFork, forks
from accuser._hosts.owner.guardian import guardian
from accuser.testing import ScriptedDaemon

from ..support.forked import FORMS, scripts_are
from ..support.proc import children_of, descriptors, state_of, wait_for_end
from ..support.scripts import FOLLOWS_SIGTERM

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux makes a process the child of another one"
)

NODE = ("--synchronisation-threshold 0", "--private-mode")


@pytest.fixture(autouse=True)
def _may_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@asynccontextmanager
async def running_node() -> AsyncIterator[tuple[Node, int]]:
    async with open_node(toolchain=SANDBOX, arguments=NODE) as node:
        assert node.pid is not None
        yield node, node.pid


def facts(pid: int, name: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


async def test_a_program_is_a_child_of_this_process_and_leads_a_group() -> None:
    async with running_node() as (node, pid):
        assert forks.pid is not None
        status = facts(pid, "status")
        assert status["PPid"] == str(os.getpid())
        assert status["Threads"] == "1"
        assert os.getpgid(pid) == pid != os.getpgid(forks.pid)
        assert forks.pid is not None
        assert children_of(forks.pid) == []
        await node.terminate()
        assert node.exit_status == 127
        assert state_of(pid) == "Z"


async def test_it_has_the_name_and_the_command_line_of_the_executable() -> None:
    async with running_node() as (node, pid):
        assert Path(f"/proc/{pid}/comm").read_text() == "mavkit-node\n"
        shown = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        assert shown[:3] == [b"mavkit-node", b"run", b"--data-dir"]
        assert os.fsencode(node.data_dir) in shown
        assert Path(f"/proc/{forks.pid}/cmdline").read_bytes().startswith(forks_title())


def forks_title() -> bytes:
    from accuser.sandbox.forks import TITLE

    return TITLE.encode()


async def test_it_has_no_descriptor_of_somebody_else() -> None:
    async with running_node(), running_node() as (_, pid):
        held = {name for _, name in descriptors(pid)}
        assert not {name for name in held if "memfd" in name}
        ours = {name for number, name in descriptors("self") if "socket" in name or "pipe" in name}
        sockets_of_server = {name for _, name in descriptors(forks.pid or 0) if "socket" in name}
        assert not held & sockets_of_server
        # Its standard streams and its event pipe alone lead here.
        assert len(held & ours) == 4


@pytest.fixture
def circumstances(tmp_path: Path) -> Iterator[Path]:
    """Change what a process inherits, for the length of a test."""
    folder, mask = os.getcwd(), os.umask(0o027)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir(tmp_path)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    os.chdir(folder)
    signal.signal(signal.SIGHUP, handler)
    os.umask(mask)


async def test_what_it_inherits_is_that_of_the_moment(circumstances: Path) -> None:
    async with running_node():  # so that the server is older than the changes
        os.umask(0o022)
        os.chdir("/")
        async with running_node() as (_, pid):
            status = facts(pid, "status")
            assert os.readlink(f"/proc/{pid}/cwd") == "/"
            assert status["Umask"] == "0022"
            assert int(status["SigIgn"], 16) & 1 << (signal.SIGHUP - 1)
            assert status["SigBlk"] == facts(os.getpid(), "status")["SigBlk"]
            (core,) = (line for line in facts(pid, "limits") if line.startswith("Max core file size"))
            assert core.split()[4] == "0"
        os.chdir(circumstances)


async def test_what_a_server_inherited_is_not_passed_on(circumstances: Path) -> None:
    forks.end()
    async with running_node() as (_, pid):  # of a server that was started while SIGHUP was ignored
        assert int(facts(pid, "status")["SigIgn"], 16) & 1 << (signal.SIGHUP - 1)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    async with running_node() as (_, pid):
        assert not int(facts(pid, "status")["SigIgn"], 16) & 1 << (signal.SIGHUP - 1)


@pytest.mark.parametrize("form", FORMS)
async def test_a_client_does_the_same_in_both_forms(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "no" if form == "executed" else "yes")
    async with running_node() as (node, pid):
        assert (facts(pid, "comm") == {"mavkit-node": ""}) == (form == "forked")
        client = await init_with_protocol(node, Protocol.BOREAS)
        await client.bake_for("bootstrap1")
        with pytest.raises(CommandFailed) as caught:
            await client.command("bake", "with", "love")
        assert caught.value.status == 1
        assert "Unrecognized command." in caught.value.stderr
        assert await client.rpc("get", "/chains/main/blocks/head/header") is not None
        client.remove()


@pytest.mark.parametrize("form", FORMS)
async def test_a_scripted_daemon_runs_in_both_forms(form: str, tmp_path: Path) -> None:
    with scripts_are(form):
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
            assert accuser.pid is not None
            name = Path(f"/proc/{accuser.pid}/comm").read_text().strip()
            assert (name == Protocol.BOREAS.accuser_binary[:15]) == (form == "forked")


async def test_a_cancelled_command_leaves_nothing() -> None:
    async with running_node() as (node, _):
        client = await init_with_protocol(node, Protocol.BOREAS)
        for steps in range(40):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(client.bake_for, "bootstrap1")
                    for _ in range(steps):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
        # What is left would be found when the test ends.
        client.remove()


async def test_the_server_may_die_and_nothing_else_does() -> None:
    async with running_node() as (_, first):
        server = forks.pid
        assert server is not None
        os.kill(server, signal.SIGKILL)
        async with running_node() as (_, second):
            assert forks.pid not in (None, server)
            assert state_of(first) != "Z" != state_of(second)


async def test_a_server_that_does_not_answer_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_refusal", None)  # another one may not load in that time
    async with running_node():
        server = forks.pid
        assert server is not None
        monkeypatch.setattr(forks, "_patience", 0.5)
        os.kill(server, signal.SIGSTOP)
        async with running_node():
            assert forks.pid != server
        assert state_of(server) == "Z"
    monkeypatch.setattr(forks, "_patience", 10)


async def test_what_no_server_can_make_is_told_and_leaves_no_process() -> None:
    without_a_name = ("entry",)
    with guardian.announced() as guard:
        with pytest.raises(CannotFork, match="two servers in a row forked nothing"):
            await forks.start(without_a_name, dict(os.environ), guard)
        guard.forget()


async def test_where_it_is_refused_programs_are_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_refusal", "the system refuses to clone: no")
    async with running_node() as (_, pid):
        assert Path(f"/proc/{pid}/comm").read_text() != "mavkit-node\n"
    assert forks.refusal == "the system refuses to clone: no"


async def test_other_variables_of_python_mean_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_node():
        server = forks.pid
        monkeypatch.setenv("PYTHONDEVMODE", "")
        monkeypatch.setenv("LC_ALL", "POSIX")
        async with running_node():
            assert forks.pid != server
            environment = Path(f"/proc/{forks.pid}/environ").read_bytes().split(b"\0")
            assert b"LC_ALL=POSIX" in environment


async def test_no_descriptor_is_left_when_there_are_too_few() -> None:
    async with running_node() as (node, _):
        client = await init_with_protocol(node, Protocol.BOREAS)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        spare = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
            with contextlib.suppress(OSError):
                while True:
                    spare.append(os.open(os.devnull, os.O_RDONLY))
            refused = 0
            for count in range(1, 14):
                os.close(spare.pop())
                with contextlib.suppress(SpawnFailed):
                    await client.command("--version")
                    continue
                refused = count
            assert 0 < refused < 13
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in spare:
                os.close(descriptor)
            client.remove()


async def test_a_fork_that_cannot_become_the_program_is_no_zombie(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_node() as (node, _):
        client = await init_with_protocol(node, Protocol.BOREAS)
        with monkeypatch.context() as patch:
            patch.setattr(starts, "working_directory", lambda: os.open(os.devnull, os.O_RDONLY))
            assert "sandbox" in await client.command("--version")  # it was executed
        client.remove()
    # A child that nobody reaps would be found when the test ends.


OWNER = """
import os, sys, trio
from accuser import SANDBOX, Endpoint, open_client

async def main():
    async with open_client(Endpoint("http://127.0.0.1:1"), toolchain=SANDBOX) as client:
        from accuser._hosts.owner.forks import forks
        while True:
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(client.command, "--version")
            print(forks.pid, flush=True)

trio.run(main)
"""


async def test_the_owner_may_be_killed_at_any_moment() -> None:
    for number in range(10):
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        server = int((await process.stdout.receive_some()).split()[0])
        for _ in range(number):
            await process.stdout.receive_some()
        process.kill()
        await process.wait()
        await wait_for_end(server)
        with trio.fail_after(60):
            # The guardian removes the client's directory; nothing but the directory tells when.
            while any(Path(tempfile.gettempdir()).iterdir()):  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.01)
        await trio.aclose_forcefully(process.stdout)
