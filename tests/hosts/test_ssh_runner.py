"""Runners, their addresses and their scripts."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import pytest
import trio

from accuser import (
    NotRunning,
    SSHRunner,
)
from accuser._hosts.local.machine import THIS_MACHINE
from accuser._hosts.remote.runner import address_from
from accuser._hosts.remote.script import script
from accuser.testing import ScriptedDaemon
from tests.support.remote import runner, server
from tests.support.sshd import (
    SSHD,
    Server,
)

__all__ = ["runner", "server"]  # fixtures of this module

pytestmark = pytest.mark.skipif(SSHD is None, reason="needs OpenSSH's server: install openssh-server")


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


@pytest.mark.parametrize("name", ["keeper", "warden", "launcher", "command"])
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
    async with ScriptedDaemon(body).open(folder=tmp_path, runner=runner) as accuser:
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
