"""Daemons on another machine."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import trio

from accuser import (
    DaemonExited,
    SSHRunner,
    TerminatedBeforeEvent,
)
from accuser._hosts.remote.script import run_there, script
from accuser.testing import ScriptedDaemon
from tests.support.proc import wait_for_exit
from tests.support.remote import runner, server
from tests.support.scripts import FOLLOWS_SIGTERM
from tests.support.sshd import (
    SSHD,
    Server,
    serve,
)

__all__ = ["runner", "server"]  # fixtures of this module

pytestmark = pytest.mark.skipif(SSHD is None, reason="needs OpenSSH's server: install openssh-server")


async def test_a_daemon_there_is_controlled_as_one_here(runner: SSHRunner, tmp_path: Path) -> None:
    body = """
    ready()
    event("started.v0", '{"pid": %d}' % os.getpid())
    line("out")
    line("err", 2)
    sys.exit(until_term())
    """
    async with ScriptedDaemon(body).open(folder=tmp_path, runner=runner) as accuser:
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
    async with ScriptedDaemon(body).open(folder=tmp_path, runner=runner) as accuser:
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
        async with ScriptedDaemon(body).open(folder=tmp_path, runner=runner):
            await trio.sleep_forever()
    assert caught.value.status == status
    assert caught.value.tail == ("the reason",)
    assert caught.value.directory is not None
    await run_away(runner, caught.value.directory)


async def run_away(runner: SSHRunner, directory: Path) -> None:
    async with runner:
        assert await runner.exists(directory)
        await run_there(runner.transport, ("rm", "-r", str(directory)), {})


async def test_kill_reaches_the_whole_group(runner: SSHRunner, tmp_path: Path) -> None:
    body = """
    ready()
    child = os.fork()
    if child:
        event("child.v0", str(child))
    signal.pause()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path, runner=runner) as accuser:
        child = await accuser.wait_for("child.v0", since=accuser.start_mark())
        await accuser.kill()
        assert accuser.exit_status == -signal.SIGKILL
        wait_for_exit(child)


async def test_a_daemon_that_ignores_sigterm_is_killed_after_the_grace(
    runner: SSHRunner, tmp_path: Path
) -> None:
    async with ScriptedDaemon("ready()\nsignal.pause()").open(folder=tmp_path, runner=runner) as accuser:
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
    async with ScriptedDaemon(body).open(folder=tmp_path, runner=runner) as accuser:
        child = await accuser.wait_for("child.v0", since=accuser.start_mark())
        await accuser.terminate()
        assert accuser.exit_status == 127
    os.kill(child, signal.SIGKILL)


async def test_pause_stops_the_daemon_there(runner: SSHRunner, tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner) as accuser:
        assert accuser.pid is not None
        accuser.pause()
        while process_state(accuser.pid) != "T":  # noqa: ASYNC110 - nothing tells it
            await trio.lowlevel.checkpoint()
        accuser.resume()
        while process_state(accuser.pid) == "T":  # noqa: ASYNC110 - nothing tells of it
            await trio.lowlevel.checkpoint()


def process_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


async def test_any_word_and_value_arrives_as_it_is(runner: SSHRunner) -> None:
    word = "a 'b' \"c\" $HOME `id` \\ * \n ! # é ~ ; & | -n"
    show = ("sh", "-c", 'printf %s "$1|$VALUE"', "sh", word)
    async with runner:
        assert await run_there(runner.transport, show, {"VALUE": word}) == f"{word}|{word}"


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
            name = await run_there(runner.transport, ("sh", "-c", "readlink /proc/$$/exe; true"), {})
            assert name.strip() == str(Path(program).resolve())
            async with ScriptedDaemon(body).open(folder=tmp_path, runner=runner) as accuser:
                # What is left of the shell's script must not reach the daemon.
                assert await accuser.wait_for("input.v0", since=accuser.start_mark()) == 0
                assert (await accuser.stats()).processes == 1
                accuser.pause()
                accuser.resume()
                await accuser.terminate()
                assert accuser.exit_status == 127
            async with ScriptedDaemon("ready()\nsignal.pause()").open(
                folder=tmp_path, runner=runner
            ) as accuser:
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
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner) as accuser:
            (first,) = await accuser.expect_line("", count=1, since=accuser.start_mark())
            assert first.string == "Waiting for protocol 002-PtBoreas to start..."
            assert await accuser.wait_for("started.v0", since=accuser.start_mark()) == {}
            await accuser.terminate()
            with pytest.raises(TerminatedBeforeEvent):
                await accuser.wait_for_line("", stream="stderr", since=accuser.start_mark())
            assert accuser._session.malformed == 0


async def test_daemons_share_one_connection(runner: SSHRunner, server: Server, tmp_path: Path) -> None:
    async with (
        ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner),
        ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner) as second,
    ):
        await second.restart()
    assert server.connections() == 1


async def test_more_daemons_than_a_connection_takes(runner: SSHRunner, tmp_path: Path) -> None:
    ended = []

    async def one() -> None:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner) as accuser:
            await accuser.terminate()
            ended.append(accuser.exit_status)

    ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path)
    async with runner, trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(one)
    assert ended == [127] * 8
