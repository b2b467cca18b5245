"""What fails on the way to another machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from accuser import (
    BinaryNotFound,
    DirectoryError,
    EventPipeError,
    Protocol,
    Restart,
    RestartPolicy,
    RunnerError,
    RunnerFault,
    SSHRunner,
    TerminatedBeforeEvent,
    open_accuser,
)
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.proc import command_of, parent_of, wait_for_exit
from tests.support.remote import runner, server
from tests.support.scripts import FOLLOWS_SIGTERM
from tests.support.sshd import (
    SSHD,
    Server,
    serve,
)

__all__ = ["runner", "server"]  # fixtures of this module

pytestmark = pytest.mark.skipif(SSHD is None, reason="needs OpenSSH's server: install openssh-server")


# Faults.


@pytest.mark.parametrize("address", ["no-such-host.invalid"])
async def test_an_unknown_host(address: str, tmp_path: Path) -> None:
    await fails(SSHRunner(address, config="none"), RunnerFault.UNKNOWN_HOST, tmp_path)


async def fails(runner: SSHRunner, fault: RunnerFault, folder: Path) -> RunnerError:
    with pytest.raises(RunnerError, match=fault.value) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=folder, runner=runner):
            pytest.fail("it runs")
    assert caught.value.reason is fault
    assert caught.value.host == str(runner)
    return caught.value


async def test_nobody_listens(server: Server, tmp_path: Path) -> None:
    await fails(server.runner(port=1), RunnerFault.REFUSED, tmp_path)


async def test_a_server_that_says_nothing(server: Server, tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, say_nothing, 0)
        port = listeners[0].socket.getsockname()[1]
        runner = server.runner(port=port, connect_timeout=1)
        await fails(runner, RunnerFault.TIMED_OUT, tmp_path)
        nursery.cancel_scope.cancel()


async def say_nothing(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def test_a_host_key_that_nobody_knows(server: Server, tmp_path: Path) -> None:
    (server.folder / "known_hosts").write_text("")
    await fails(server.runner(), RunnerFault.UNKNOWN_KEY, tmp_path)


async def test_a_host_key_that_has_changed(server: Server, tmp_path: Path) -> None:
    known = server.folder / "known_hosts"
    other = (server.folder / "user.pub").read_text().split()[:2]
    known.write_text(" ".join([known.read_text().split()[0], *other]) + "\n")
    await fails(server.runner(), RunnerFault.CHANGED_KEY, tmp_path)


async def test_no_permission_and_no_question(server: Server, tmp_path: Path) -> None:
    (server.folder / "authorized").write_text("")
    error = await fails(server.runner(), RunnerFault.NO_PERMISSION, tmp_path)
    assert "publickey" in error.detail


async def test_a_server_that_agrees_to_nothing_is_told_in_the_words_of_ssh(
    server: Server, tmp_path: Path
) -> None:
    with (server.folder / "config").open("a") as config:
        config.write("HostKeyAlgorithms ecdsa-sha2-nistp256\n")
    error = await fails(server.runner(), RunnerFault.NOT_CONNECTED, tmp_path)
    assert "no matching host key type found" in error.detail
    config_text = (server.folder / "config").read_text()
    (server.folder / "config").write_text(
        config_text.replace("HostKeyAlgorithms ecdsa-sha2-nistp256", "Nonsense yes")
    )
    error = await fails(server.runner(), RunnerFault.NOT_CONNECTED, tmp_path)
    assert "ad configuration option: nonsense" in error.detail


async def test_a_server_of_something_else(server: Server, tmp_path: Path) -> None:
    async def speak(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, speak, 0)
        port = listeners[0].socket.getsockname()[1]
        error = await fails(server.runner(port=port), RunnerFault.NOT_CONNECTED, tmp_path)
        assert "kex_exchange_identification" in error.detail
        nursery.cancel_scope.cancel()


async def test_a_reason_that_nobody_tells_is_called_unknown(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh").write_text("#!/bin/sh\nexit 255\n")
    (tmp_path / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    error = await fails(server.runner(), RunnerFault.UNKNOWN, tmp_path)
    assert "for an unknown reason" in str(error)


@pytest.mark.parametrize("said", ["This account is not available.", "x: Permission denied (for you)", ""])
async def test_no_usable_shell_though_the_connection_stands(
    server: Server, tmp_path: Path, said: str
) -> None:
    authorized = server.folder / "authorized"
    authorized.write_text(f"command=\"echo '{said}' >&2; exit 1\" {authorized.read_text()}")
    error = await fails(server.runner(), RunnerFault.UNUSABLE, tmp_path)
    assert error.detail == said


async def test_no_ssh_here(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    await fails(server.runner(), RunnerFault.NO_CLIENT, tmp_path)


async def test_no_such_executable_there(runner: SSHRunner, tmp_path: Path) -> None:
    with pytest.raises(BinaryNotFound, match=r"127\.0\.0\.1") as caught:
        async with open_accuser(Protocol.BOREAS, NO_NODE, runner=runner, path=tmp_path / "nothing"):
            pytest.fail("it runs")
    assert caught.value.binary == str(tmp_path / "nothing")


async def test_no_folder_there(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    runner = server.runner(temp_dir=str(tmp_path / "file"))
    with pytest.raises(DirectoryError, match=r"on 127\.0\.0\.1: .*Not a directory; temp_dir="):
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner):
            pytest.fail("it runs")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to mount a small file system")
async def test_no_space_there(tmp_path: Path) -> None:
    for name in ("ssh", "small"):
        (tmp_path / name).mkdir()
    mount = f'mount -t tmpfs -o nr_inodes=2 none {tmp_path / "small"} && exec "$@"'
    with serve(tmp_path / "ssh", prefix=("unshare", "-m", "sh", "-c", mount, "sh")) as server:
        runner = server.runner(temp_dir=str(tmp_path / "small"))
        with pytest.raises(DirectoryError, match="No space left on device"):
            async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner):
                pytest.fail("it runs")


async def test_an_event_pipe_there_replaces_nothing(runner: SSHRunner, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    with pytest.raises(EventPipeError, match="File exists"):
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(
            folder=tmp_path, runner=runner, event_pipe=tmp_path / "precious"
        ):
            pytest.fail("it runs")
    assert (tmp_path / "precious").read_text() == "data"


async def test_a_connection_that_is_lost(runner: SSHRunner, server: Server, tmp_path: Path) -> None:
    with pytest.raises(RunnerError) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner) as accuser:
            pid = accuser.pid
            server.cut()
            await accuser.wait_for("never.v0")
    assert caught.value.reason is RunnerFault.LOST
    assert pid is not None
    wait_for_exit(pid)


async def test_a_supervised_daemon_comes_back_over_a_new_connection(
    runner: SSHRunner, server: Server, tmp_path: Path
) -> None:
    policy = RestartPolicy(first_delay=0, jitter=0)
    heard: list[Restart] = []
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(
        folder=tmp_path, runner=runner, restart=policy
    ) as accuser:
        accuser.on_restart(heard.append)
        first = accuser.pid
        gone = accuser.expect("never.v0")
        server.cut()
        with pytest.raises(TerminatedBeforeEvent):
            await gone
        await accuser.wait_for_ready()
        assert accuser.pid != first
        assert [(restart.status, restart.attempt) for restart in heard] == [(None, 1)]
        await accuser.terminate()
        assert accuser.exit_status == 127
    # A master that has not noticed yet is asked in vain; then `ssh` makes a connection of its own.
    assert server.connections() in (2, 3)


async def test_a_keeper_that_is_killed(runner: SSHRunner, server: Server, tmp_path: Path) -> None:
    runner = server.runner(temp_dir=str(runner.temp_dir), lost_after=5)
    with pytest.raises(RunnerError) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner) as accuser:
            pid, pipe = accuser.pid, str(accuser.event_pipe)
            (copying,) = [other for other in server.processes() if command_of(other) == ["cat", pipe]]
            keeper = parent_of(parent_of(copying))
            os.kill(keeper, signal.SIGKILL)
            await accuser.wait_for("never.v0")
    assert caught.value.reason is RunnerFault.LOST
    assert pid is not None
    wait_for_exit(pid)
    # What the keeper had of its own stays: nobody is left to know of it.
    (left,) = Path(runner.temp_dir).iterdir()
    shutil.rmtree(left)


@pytest.mark.parametrize("signum", [signal.SIGPROF, signal.SIGXCPU, signal.SIGALRM])
async def test_a_signal_that_the_daemon_handles_ends_nothing(
    runner: SSHRunner, tmp_path: Path, signum: signal.Signals
) -> None:
    body = f"""
    # Not `pause`: it would not hear of a signal that came just before.
    heard, come = os.pipe()
    os.set_blocking(come, False)
    signal.set_wakeup_fd(come)
    signal.signal({int(signum)}, lambda *_: event("signal.v0"))
    ready()
    while True:
        os.read(heard, 1)
    """
    async with ScriptedDaemon(body).open(folder=tmp_path, runner=runner) as accuser:
        heard = accuser.expect("signal.v0")
        accuser.signal(signum)
        await heard
        await accuser.kill()


OWNER = """\
import sys, trio
sys.path.insert(0, {root!r})
from accuser import SSHRunner
from accuser.testing import ScriptedDaemon
from tests.support.scripts import FOLLOWS_SIGTERM

async def main():
    runner = SSHRunner("127.0.0.1", config={config!r}, temp_dir={temp!r})
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder={folder!r}, runner=runner) as accuser:
        print(accuser.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


BETWEEN = """\
import sys, trio
sys.path.insert(0, {root!r})
from accuser import RestartPolicy, SSHRunner
from accuser.testing import FaultyDaemon, await_go, exit_with, go, ready

async def before_the_first(runner):
    async with runner:
        workspace = runner.workspace("daemon")
        await runner.make_folder(workspace.folder("base"))
        print(workspace.path, flush=True)
        await trio.sleep_forever()

async def between_two(runner):
    daemon = FaultyDaemon(ready(), await_go(), exit_with(1))
    policy = RestartPolicy(first_delay=1000)
    async with daemon.open(folder={folder!r}, runner=runner, restart=policy) as accuser:
        accuser.on_restart(lambda restart: print(accuser.directory, flush=True))
        go(accuser)
        await trio.sleep_forever()

trio.run({when}, SSHRunner("127.0.0.1", config={config!r}, temp_dir={temp!r}))
"""


@pytest.mark.parametrize("when", ["before_the_first", "between_two"])
def test_no_directory_there_outlives_an_owner_that_is_killed_while_no_session_runs(
    runner: SSHRunner, server: Server, tmp_path: Path, when: str
) -> None:
    root, config = Path(__file__).resolve().parents[2], server.folder / "config"
    text = BETWEEN.format(
        root=str(root), config=str(config), temp=str(runner.temp_dir), folder=str(tmp_path), when=when
    )
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert Path(owner.stdout.readline().strip(), "" if when == "between_two" else "base").is_dir()
        owner.kill()
    # That nothing is left is seen when the runner of the test has ended.


def test_a_daemon_there_does_not_outlive_its_owner(runner: SSHRunner, server: Server, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parent.parent.parent
    text = OWNER.format(
        root=str(root), config=str(server.folder / "config"), temp=str(runner.temp_dir), folder=str(tmp_path)
    )
    wait_for_exit(run_and_kill(text))


def run_and_kill(program: str) -> int:
    """Run a program until it prints a process id, then kill it; return the id."""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
    return pid
