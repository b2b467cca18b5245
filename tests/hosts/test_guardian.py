"""The guardian, from its owner's side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from accuser import SpawnFailed
from accuser._hosts.owner import child
from accuser._hosts.owner.command import run_command
from accuser._hosts.owner.guardian import GRACE_VARIABLE, guardian
from accuser._hosts.owner.guardian_main import (
    VARIABLE,
    has_key,
    process,
)
from accuser._hosts.owner.workspace import Workspace
from accuser.testing import ScriptedDaemon
from tests.support.guardians import NEVER, lives, watched
from tests.support.proc import descriptors
from tests.support.scripts import FOLLOWS_SIGTERM

ROOT = Path(__file__).parent.parent.parent


OWNER = """
import json, os, signal, sys
from functools import partial
from pathlib import Path
import trio
from accuser import Accuser, Protocol
from accuser._hosts.owner.guardian import Guard, guardian
from accuser.testing import NO_NODE

def say(**facts):
    print(json.dumps(facts), flush=True)

async def daemon(nursery, path):
    return await Accuser.init(nursery, Protocol.BOREAS, NO_NODE, path=path, unknown_events=True)

"""


class Owner:
    def __init__(self, child: trio.Process) -> None:
        self.process = child
        self._said = b""

    async def says(self) -> Any:
        assert self.process.stdout is not None
        while b"\n" not in self._said:
            more = await self.process.stdout.receive_some()
            assert more, "the owner ended"
            self._said += bytes(more)
        line, self._said = self._said.split(b"\n", 1)
        return json.loads(line)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def owner(tmp_path: Path, program: str, *arguments: object, grace: float) -> AsyncIterator[Owner]:
    """Run a program that owns daemons."""
    (tmp_path / "owner.py").write_text(OWNER + textwrap.dedent(program))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), GRACE_VARIABLE: str(grace)}
    command = [sys.executable, str(tmp_path / "owner.py"), *map(str, arguments)]
    child = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    try:
        yield Owner(child)
    finally:
        with trio.CancelScope(shield=True):
            child.kill()
            await child.wait()
            for stream in (child.stdin, child.stdout):
                assert stream is not None
                await trio.aclose_forcefully(stream)


async def all_ended(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        await trio.lowlevel.wait_readable(descriptor)


# The owner is killed.


async def test_fault_19_no_daemon_outlives_a_killed_owner(tmp_path: Path) -> None:
    # A stopped group gets SIGHUP from the kernel when its owner goes.
    follows = """
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        ready()
        until_term()
        open(os.path.join(os.path.dirname(sys.argv[0]), f"heard-{os.getpid()}"), "x")
    """
    ignores = "ready()\nwhile True: signal.pause()"
    (tmp_path / "follows").mkdir()
    (tmp_path / "ignores").mkdir()
    program = """
        async def main():
            async with trio.open_nursery() as nursery:
                stopped = [await daemon(nursery, sys.argv[1]) for _ in range(5)]
                followers = [await daemon(nursery, sys.argv[1]) for _ in range(10)]
                stubborn = [await daemon(nursery, sys.argv[2]) for _ in range(5)]
                for one in stopped:
                    one.pause()
                say(
                    follow=[one.pid for one in (*stopped, *followers)],
                    ignore=[one.pid for one in stubborn],
                    pipes=[str(one.event_pipe) for one in (*stopped, *followers, *stubborn)],
                    guardian=guardian.pid,
                )
                await trio.sleep_forever()
        trio.run(main)
    """
    paths = (
        ScriptedDaemon(follows).write(tmp_path / "follows"),
        ScriptedDaemon(ignores).write(tmp_path / "ignores"),
    )
    async with owner(tmp_path, program, *paths, grace=4) as owning:
        facts = await owning.says()
        assert len(facts["follow"] + facts["ignore"]) == 20
        assert all(Path(pipe).is_fifo() for pipe in facts["pipes"])
        with watched([*facts["follow"], *facts["ignore"], facts["guardian"]]) as ends:
            await owning.kill()
            await all_ended(ends)
    heard = {path.name for path in (tmp_path / "follows").glob("heard-*")}
    assert heard == {f"heard-{pid}" for pid in facts["follow"]}
    assert not any(Path(pipe).parent.exists() for pipe in facts["pipes"])


async def test_an_owner_that_is_killed_before_it_knows_of_the_process(tmp_path: Path) -> None:
    program = """
        def started(self, child):
            say(pids=[child.pid, guardian.pid])
            os.kill(os.getpid(), signal.SIGKILL)
        Guard.started = started
        async def main():
            async with trio.open_nursery() as nursery:
                await daemon(nursery, sys.argv[1])
        trio.run(main)
    """
    path = ScriptedDaemon("ready()\nsys.exit(until_term())").write(tmp_path)
    # It may be blocked in opening its pipe, which has no reader any more, with SIGTERM blocked too.
    async with owner(tmp_path, program, path, grace=0.1) as owning:
        for pid in (await owning.says())["pids"]:
            with suppress(ProcessLookupError), watched([pid]) as ends:
                await all_ended(ends)
        assert await owning.process.wait() == -signal.SIGKILL


async def test_a_command_ends_with_its_owner(tmp_path: Path) -> None:
    program = """
        from accuser._hosts.owner.command import run_command
        async def main():
            sleeper = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(1000)"
            await run_command((sys.executable, "-c", sleeper, sys.argv[1]), name="n", color="")
        trio.run(main)
    """
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with owner(tmp_path, program, fifo, grace=NEVER) as owning:
        pid = int(await trio.to_thread.run_sync(fifo.read_text))
        with watched([pid]) as ends:
            await owning.kill()
            await all_ended(ends)


async def test_what_is_kept_is_not_removed(tmp_path: Path) -> None:
    program = """
        from accuser._hosts.owner.workspace import Workspace
        kept, other = Workspace("kept"), Workspace("other")
        kept.path, other.path, kept.keep()
        say(kept=str(kept.path), other=str(other.path), guardian=guardian.pid)
        sys.stdin.read()
    """
    async with owner(tmp_path, program, grace=NEVER) as owning:
        facts = await owning.says()
        with watched([facts["guardian"]]) as ends:
            await owning.kill()
            await all_ended(ends)
    assert not Path(facts["other"]).exists()
    Path(facts["kept"]).rmdir()


async def test_a_forked_child_keeps_no_daemon_alive_and_has_a_guardian_of_its_own(tmp_path: Path) -> None:
    program = """
        from accuser._hosts.owner.workspace import Workspace
        async def main():
            async with trio.open_nursery() as nursery:
                one = await daemon(nursery, sys.argv[1])
                say(pids=[one.pid, guardian.pid])
                if os.fork() == 0:
                    inherited = guardian.pid
                    own = Workspace("own")
                    say(child=os.getpid(), inherited=inherited, own=str(own.path), guardian=guardian.pid)
                    while True:
                        signal.pause()
                await trio.sleep_forever()
        trio.run(main)
    """
    path = ScriptedDaemon("ready()\nsys.exit(until_term())").write(tmp_path)
    async with owner(tmp_path, program, path, grace=NEVER) as owning:
        daemon, forked = await owning.says(), await owning.says()
        assert forked["inherited"] is None
        pids = [*daemon["pids"], forked["child"], forked["guardian"]]
        with watched(pids) as (*ends, child, childs_guardian):
            await owning.kill()
            await all_ended(ends)
            assert lives(child)
            assert lives(childs_guardian)
            assert Path(forked["own"]).is_dir()
            os.kill(forked["child"], signal.SIGKILL)
            await all_ended([child, childs_guardian])
    assert not Path(forked["own"]).exists()


async def test_a_normal_end_leaves_no_guardian(tmp_path: Path) -> None:
    program = """
        async def main():
            async with trio.open_nursery() as nursery:
                one = await daemon(nursery, sys.argv[1])
                await one.terminate()
            say(guardian=guardian.pid)
            sys.stdin.read()
        trio.run(main)
    """
    path = ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path)
    async with owner(tmp_path, program, path, grace=NEVER) as owning:
        facts = await owning.says()
        with watched([facts["guardian"]]) as ends:
            assert lives(*ends)
            assert owning.process.stdin is not None
            await owning.process.stdin.aclose()
            assert await owning.process.wait() == 0
            assert not lives(*ends)


# The guardian is killed, or does not read.


async def test_a_killed_guardian_is_replaced_by_one_that_knows_everything(tmp_path: Path) -> None:
    program = """
        async def main():
            async with trio.open_nursery() as nursery:
                one = await daemon(nursery, sys.argv[1])
                first = guardian.pid
                end = os.pidfd_open(first)
                os.kill(first, signal.SIGKILL)
                await trio.lowlevel.wait_readable(end)
                two = await daemon(nursery, sys.argv[1])
                assert guardian.pid != first
                directories = [str(one.directory), str(two.directory)]
                say(pids=[one.pid, two.pid, guardian.pid], directories=directories)
                await trio.sleep_forever()
        trio.run(main)
    """
    path = ScriptedDaemon("ready()\nsys.exit(until_term())").write(tmp_path)
    async with owner(tmp_path, program, path, grace=NEVER) as owning:
        facts = await owning.says()
        with watched(facts["pids"]) as ends:
            await owning.kill()
            await all_ended(ends)
    assert not any(Path(directory).exists() for directory in facts["directories"])


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_guardian_that_is_lost_while_daemons_run_is_replaced(
    tmp_path: Path, signum: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "LOOK", 0.05)
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        first = guardian.pid
        assert first is not None
        with watched([first]) as ends:
            os.kill(first, signum)
            await all_ended(ends)
            while guardian.pid == first:  # noqa: ASYNC110 - nobody could set an event
                await trio.sleep(0.01)
        assert guardian.pid is not None
        assert process(guardian.pid) is not None
        assert accuser.running


async def test_a_guardian_that_does_not_read_is_replaced_and_harms_nobody(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        first = guardian.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        with watched([first]) as ends:
            keys: list[str] = []
            while guardian.pid == first and len(keys) < 10_000:
                keys.append(guardian.add_path(tmp_path / "mavkit-accuser-PtBoreas"))
            assert guardian.pid != first
            await all_ended(ends)
        for key in keys:
            guardian.forget(key)
        assert accuser.running
        assert accuser.pid is not None
        assert process(accuser.pid) is not None


def test_what_was_dropped_is_told_with_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bytes] = []
    write = guardian._write

    def write_down(record: bytes) -> bool:
        told.append(record)
        return write(record)

    keys = [guardian.add_path(tmp_path) for _ in range(200)]
    monkeypatch.setattr(guardian, "_write", write_down)
    for key in keys:
        guardian.drop(key)
    assert told == []
    last = guardian.add_path(tmp_path)
    *dropped, new = told
    words = [record for one in dropped for record in one.split(b"\0")]
    assert words == [f"forget {key}".encode() for key in keys]
    # What a pipe takes as a whole, or not at all.
    assert max(map(len, dropped)) < 4096
    assert new.startswith(f"path {last} ".encode())
    guardian.forget(last)


async def test_without_a_guardian_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await end_guardian()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(SpawnFailed, match="No such file"):
        await run_command(("true",), name="n", color="")
    monkeypatch.undo()


async def test_a_grace_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    await end_guardian()
    monkeypatch.setenv(GRACE_VARIABLE, "soon")
    with pytest.raises(SpawnFailed, match="ACCUSER_GUARDIAN_GRACE is a number of seconds, not 'soon'"):
        await run_command(("true",), name="n", color="")


async def test_the_guardian_of_an_owner_that_is_guarded_is_not_taken_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await end_guardian()
    monkeypatch.setenv(VARIABLE, "outer")
    workspace = Workspace("any")
    assert workspace.path.is_dir()
    assert guardian.pid is not None
    assert not has_key(guardian.pid, "outer")
    workspace.remove()


async def end_guardian() -> None:
    workspace = Workspace("any")
    assert workspace.path.is_dir()
    workspace.remove()
    assert guardian.pid is not None
    with watched([guardian.pid]) as ends:
        os.kill(guardian.pid, signal.SIGKILL)
        await all_ended(ends)


async def test_no_daemon_has_the_lifeline(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        ours = os.readlink(f"/proc/self/fd/{guardian.lifeline}")
        assert accuser.pid is not None
        theirs = {target for _, target in descriptors(accuser.pid)}
        assert ours.startswith("pipe:")
        assert ours not in theirs
        assert guardian.lifeline is not None
        assert not os.get_inheritable(guardian.lifeline)
