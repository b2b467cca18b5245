"""Daemons on another machine: a real OpenSSH server, on the loopback interface."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from accuser import (
    BinaryNotFound,
    DaemonExited,
    DirectoryError,
    EventPipeError,
    NotRunning,
    Protocol,
    Restart,
    RestartPolicy,
    RunnerError,
    RunnerFault,
    SSHRunner,
    TerminatedBeforeEvent,
    open_accuser,
)
from accuser._hosts.local.machine import THIS_MACHINE
from accuser._hosts.ssh.runner import address_from
from accuser._hosts.ssh.script import run_there, script
from tests.support.sshd import (
    SSHD,
    Server,
    serve,
    wait_for_exit,
)
from tests.support.standin import (
    FOLLOWS_SIGTERM,
    NODE,
    open_standin,
    write_standin,
)

pytestmark = pytest.mark.skipif(SSHD is None, reason="needs OpenSSH's server: install openssh-server")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "ssh"
    folder.mkdir()
    with serve(folder) as running:
        yield running


@pytest.fixture
def runner(server: Server, tmp_path: Path) -> Iterator[SSHRunner]:
    """A runner whose temporary directories end up in a folder that has to be empty at the end."""
    temp = tmp_path / "there"
    temp.mkdir()
    yield server.runner(temp_dir=str(temp))
    server.wait_for_the_end()
    assert list(temp.iterdir()) == []


async def test_a_daemon_there_is_controlled_as_one_here(runner: SSHRunner, tmp_path: Path) -> None:
    body = """
    ready()
    event("started.v0", '{"pid": %d}' % os.getpid())
    line("out")
    line("err", 2)
    sys.exit(until_term())
    """
    async with open_standin(tmp_path, body, runner=runner) as accuser:
        assert await accuser.wait_for("started.v0", since=accuser.start_mark()) == {"pid": accuser.pid}
        assert await accuser.wait_for_line("out", since=accuser.start_mark())
        assert await accuser.wait_for_line("err", stream="stderr", since=accuser.start_mark())
        await accuser.restart()
        await accuser.terminate()
        assert accuser.exit_status == 127


async def test_what_is_written_last_arrives(runner: SSHRunner, tmp_path: Path) -> None:
    body = """
    ready()
    signal.sigwait([signal.SIGTERM])
    for number in range(1000):
        event("last.v0", str(number))
    """
    numbers: list[object] = []
    async with open_standin(tmp_path, body, runner=runner) as accuser:
        accuser.on_event(lambda event: numbers.append(event.value))
        await accuser.terminate()
    assert numbers == list(range(1000))


@pytest.mark.parametrize(
    ("how", "status"),
    [("sys.exit(3)", 3), ("sys.exit(255)", 255), ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL)],
)
async def test_the_status_of_an_exit_is_told(
    runner: SSHRunner, tmp_path: Path, how: str, status: int
) -> None:
    body = f"""
    ready()
    line("the reason", 2)
    {how}
    """
    with pytest.raises(DaemonExited) as caught:
        async with open_standin(tmp_path, body, runner=runner):
            await trio.sleep_forever()
    assert caught.value.status == status
    assert caught.value.tail == ("the reason",)
    assert caught.value.directory is not None
    await run_away(runner, caught.value.directory)


async def run_away(runner: SSHRunner, directory: Path) -> None:
    async with runner:
        assert await runner.exists(directory)
        await run_there(runner._connection, ("rm", "-r", str(directory)), {})


async def test_kill_reaches_the_whole_group(runner: SSHRunner, tmp_path: Path) -> None:
    body = """
    ready()
    child = os.fork()
    if child:
        event("child.v0", str(child))
    signal.pause()
    """
    async with open_standin(tmp_path, body, runner=runner) as accuser:
        child = await accuser.wait_for("child.v0", since=accuser.start_mark())
        await accuser.kill()
        assert accuser.exit_status == -signal.SIGKILL
        wait_for_exit(child)


async def test_a_daemon_that_ignores_sigterm_is_killed_after_the_grace(
    runner: SSHRunner, tmp_path: Path
) -> None:
    async with open_standin(tmp_path, "ready()\nsignal.pause()", runner=runner) as accuser:
        await accuser.terminate(timeout=0.1)
        assert accuser.exit_status == -signal.SIGKILL


async def test_a_grandchild_that_holds_the_output_delays_nothing(runner: SSHRunner, tmp_path: Path) -> None:
    body = """
    ready()
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.pause()
    event("child.v0", str(child))
    sys.exit(until_term())
    """
    async with open_standin(tmp_path, body, runner=runner) as accuser:
        child = await accuser.wait_for("child.v0", since=accuser.start_mark())
        await accuser.terminate()
        assert accuser.exit_status == 127
    os.kill(child, signal.SIGKILL)


async def test_pause_stops_the_daemon_there(runner: SSHRunner, tmp_path: Path) -> None:
    async with open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner) as accuser:
        assert accuser.pid is not None
        accuser.pause()
        while process_state(accuser.pid) != "T":  # noqa: ASYNC110 - nothing tells it
            await trio.lowlevel.checkpoint()
        accuser.resume()
        while process_state(accuser.pid) == "T":  # noqa: ASYNC110
            await trio.lowlevel.checkpoint()


def process_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


async def test_any_word_and_value_arrives_as_it_is(runner: SSHRunner) -> None:
    word = "a 'b' \"c\" $HOME `id` \\ * \n ! # é ~ ; & | -n"
    show = ("sh", "-c", 'printf %s "$1|$VALUE"', "sh", word)
    async with runner:
        assert await run_there(runner._connection, show, {"VALUE": word}) == f"{word}|{word}"


def test_what_no_shell_can_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        script("command", {}, {}, ("a\0b",))
    with pytest.raises(ValueError, match="a-b"):
        script("command", {}, {"a-b": ""}, ("true",))


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
async def test_any_posix_shell_will_do(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"needs {shell}: install it")
    for name in ("ssh", "bin", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "sh").symlink_to(program)
    body = """
    ready()
    os.set_blocking(0, False)
    event("input.v0", "%d" % len(sys.stdin.buffer.raw.read(99) or b""))
    sys.exit(until_term())
    """
    path = f"SetEnv PATH={tmp_path / 'bin'}:/usr/bin:/bin ACCUSER_TEST_SERVER={tmp_path / 'ssh'}\n"
    with serve(tmp_path / "ssh", more=path) as server:
        runner = server.runner(temp_dir=str(tmp_path / "there"))
        async with runner:
            name = await run_there(runner._connection, ("sh", "-c", "readlink /proc/$$/exe; true"), {})
            assert name.strip() == str(Path(program).resolve())
            async with open_standin(tmp_path, body, runner=runner) as accuser:
                # What is left of the shell's script must not reach the daemon.
                assert await accuser.wait_for("input.v0", since=accuser.start_mark()) == 0
                assert (await accuser.stats()).processes == 1
                accuser.pause()
                accuser.resume()
                await accuser.terminate()
                assert accuser.exit_status == 127
            async with open_standin(tmp_path, "ready()\nsignal.pause()", runner=runner) as accuser:
                await accuser.kill()
    assert list((tmp_path / "there").iterdir()) == []


NOISY = (
    "ForceCommand echo noise; echo -n noise without an end; echo noise >&2; "
    'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
)


async def test_what_a_login_shell_prints_is_no_output(tmp_path: Path) -> None:
    for name in ("ssh", "there"):
        (tmp_path / name).mkdir()
    with serve(tmp_path / "ssh", more=NOISY) as server:
        runner = server.runner(temp_dir=str(tmp_path / "there"))
        async with open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner) as accuser:
            (first,) = await accuser.expect_line("", count=1, since=accuser.start_mark())
            assert first.string == "Waiting for protocol 002-PtBoreas to start..."
            assert await accuser.wait_for("started.v0", since=accuser.start_mark()) == {}
            await accuser.terminate()
            with pytest.raises(TerminatedBeforeEvent):
                await accuser.wait_for_line("", stream="stderr", since=accuser.start_mark())
            assert accuser._session.malformed == 0


async def test_daemons_share_one_connection(runner: SSHRunner, server: Server, tmp_path: Path) -> None:
    async with (
        open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner),
        open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner) as second,
    ):
        await second.restart()
    assert server.connections() == 1


async def test_more_daemons_than_a_connection_takes(runner: SSHRunner, tmp_path: Path) -> None:
    ended = []

    async def one() -> None:
        async with open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner) as accuser:
            await accuser.terminate()
            ended.append(accuser.exit_status)

    write_standin(tmp_path, FOLLOWS_SIGTERM)
    async with runner, trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(one)
    assert ended == [127] * 8


# Faults.


@pytest.mark.parametrize("address", ["no-such-host.invalid"])
async def test_an_unknown_host(address: str, tmp_path: Path) -> None:
    await fails(SSHRunner(address, config="none"), RunnerFault.UNKNOWN_HOST, tmp_path)


async def fails(runner: SSHRunner, fault: RunnerFault, folder: Path) -> RunnerError:
    with pytest.raises(RunnerError, match=fault.value) as caught:
        async with open_standin(folder, FOLLOWS_SIGTERM, runner=runner):
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


async def test_no_ssh_here(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    await fails(server.runner(), RunnerFault.NO_CLIENT, tmp_path)


async def test_no_such_executable_there(runner: SSHRunner, tmp_path: Path) -> None:
    with pytest.raises(BinaryNotFound, match=r"127\.0\.0\.1") as caught:
        async with open_accuser(Protocol.BOREAS, NODE, runner=runner, path=tmp_path / "nothing"):
            pytest.fail("it runs")
    assert caught.value.binary == str(tmp_path / "nothing")


async def test_no_folder_there(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    runner = server.runner(temp_dir=str(tmp_path / "file"))
    with pytest.raises(DirectoryError, match=r"on 127\.0\.0\.1: .*Not a directory; temp_dir="):
        async with open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner):
            pytest.fail("it runs")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to mount a small file system")
async def test_no_space_there(tmp_path: Path) -> None:
    for name in ("ssh", "small"):
        (tmp_path / name).mkdir()
    mount = f'mount -t tmpfs -o nr_inodes=2 none {tmp_path / "small"} && exec "$@"'
    with serve(tmp_path / "ssh", prefix=("unshare", "-m", "sh", "-c", mount, "sh")) as server:
        runner = server.runner(temp_dir=str(tmp_path / "small"))
        with pytest.raises(DirectoryError, match="No space left on device"):
            async with open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner):
                pytest.fail("it runs")


async def test_an_event_pipe_there_replaces_nothing(runner: SSHRunner, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    with pytest.raises(EventPipeError, match="File exists"):
        async with open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner, event_pipe=tmp_path / "precious"):
            pytest.fail("it runs")
    assert (tmp_path / "precious").read_text() == "data"


async def test_a_connection_that_is_lost(runner: SSHRunner, server: Server, tmp_path: Path) -> None:
    with pytest.raises(RunnerError) as caught:
        async with open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner) as accuser:
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
    async with open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner, restart=policy) as accuser:
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
        async with open_standin(tmp_path, FOLLOWS_SIGTERM, runner=runner) as accuser:
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


def command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


@pytest.mark.parametrize("signum", [signal.SIGPROF, signal.SIGXCPU, signal.SIGALRM])
async def test_a_signal_that_the_daemon_handles_ends_nothing(
    runner: SSHRunner, tmp_path: Path, signum: signal.Signals
) -> None:
    body = f"""
    signal.signal({int(signum)}, lambda *_: event("signal.v0"))
    ready()
    while True:
        signal.pause()
    """
    async with open_standin(tmp_path, body, runner=runner) as accuser:
        heard = accuser.expect("signal.v0")
        accuser.signal(signum)
        await heard
        await accuser.kill()


OWNER = """\
import sys, trio
from pathlib import Path
sys.path.insert(0, {root!r})
from accuser import SSHRunner
from tests.support.standin import FOLLOWS_SIGTERM, open_standin

async def main():
    runner = SSHRunner("127.0.0.1", config={config!r}, temp_dir={temp!r})
    async with open_standin(Path({folder!r}), FOLLOWS_SIGTERM, runner=runner) as accuser:
        print(accuser.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


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


# Addresses.


def test_addresses() -> None:
    one, same, other = SSHRunner("h1", local_address="l"), SSHRunner("h1"), SSHRunner("h2")
    assert address_from(None, None) == "127.0.0.1"
    assert address_from(None, one) == "h1"
    assert address_from(one, None) == "l"
    assert address_from(one, same) == "127.0.0.1"
    assert address_from(one, other) == "h2"


def test_a_runner_opens_nothing_and_checks_what_it_can() -> None:
    with pytest.raises(ValueError, match="no name of a host"):
        SSHRunner("-oProxyCommand=id")
    with pytest.raises(ValueError, match="lost_after"):
        SSHRunner("h", lost_after=1)
    with pytest.raises(ValueError, match="absolute"):
        SSHRunner("h").absolute("folder")
    for folder in ("there", "/a b"):
        with pytest.raises(ValueError, match="temp_dir must be absolute, of"):
            SSHRunner("h", temp_dir=folder)


def test_both_kinds_of_host_answer_the_same_questions() -> None:
    questions = {name for name in dir(THIS_MACHINE) if not name.startswith("_")}
    assert questions <= set(dir(SSHRunner("h")))


@pytest.mark.parametrize("name", ["keeper", "launcher", "command"])
def test_the_scripts_are_posix(name: str) -> None:
    text = script(name, {}, {}, ())
    for shell in ("dash", "bash"):
        done = subprocess.run([shell, "-n"], input=textwrap.dedent(text), text=True, check=False)
        assert done.returncode == 0


async def test_a_runner_may_be_held_by_several(runner: SSHRunner, server: Server, tmp_path: Path) -> None:
    go, gone = trio.Event(), trio.Event()

    async def hold(task_status: trio.TaskStatus[None]) -> None:
        async with runner:
            task_status.started()
            await go.wait()
        gone.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(hold)
        async with runner:
            go.set()
            await gone.wait()
            assert await runner.exists(tmp_path)
    assert server.connections() == 1


async def test_what_a_daemon_there_uses(runner: SSHRunner, tmp_path: Path) -> None:
    body = """
    ready()
    while time.process_time() < 0.05:
        pass
    event("started.v0")
    sys.exit(until_term())
    """
    async with open_standin(tmp_path, body, runner=runner) as accuser:
        await accuser.wait_for("started.v0", since=accuser.start_mark())
        first, second = await accuser.stats(), await accuser.stats()
        assert first.processes == second.processes == 1
        assert first.resident_bytes > 1_000_000
        assert first.open_descriptors >= 4
        assert 0 < first.cpu_seconds <= second.cpu_seconds
        assert (first.events, first.lines) == (1, 1)
        await accuser.terminate()
        with pytest.raises(NotRunning):
            await accuser.stats()
