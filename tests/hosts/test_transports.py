"""Daemons behind transports of one's own: the example of the documents, with namespaces."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import attrs
import pytest
import trio

from accuser import DaemonExited, RunnerError, RunnerFault, Transport, TransportRunner
from accuser.testing import ScriptedDaemon
from tests.support.proc import children_of, command_of, parent_of, wait_for_exit
from tests.support.scripts import FOLLOWS_SIGTERM

pytestmark = [
    pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare: install util-linux"),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root to make namespaces"),
]


@attrs.frozen
class Unshared(Transport):
    """A shell that sees another name of the machine, in a namespace of its own."""

    words: tuple[str, ...] = ("unshare", "--uts", "sh", "-s")
    label: str = "unshared"

    def command(self) -> tuple[str, ...]:
        """As told."""
        return self.words

    def meaning(self, text: str) -> RunnerFault:
        """By what `unshare` and `nsenter` say."""
        return RunnerFault.NO_PERMISSION if "failed" in text else RunnerFault.LOST


@pytest.fixture
def there(tmp_path: Path) -> Path:
    folder = tmp_path / "there"
    folder.mkdir()
    return folder


async def test_a_daemon_in_a_namespace_is_controlled_as_any(tmp_path: Path, there: Path) -> None:
    runner = TransportRunner(Unshared(), temp_dir=str(there))
    body = """
    ready()
    event("space.v0", '"%s"' % os.readlink("/proc/self/ns/uts"))
    line("out")
    sys.exit(until_term())
    """
    async with ScriptedDaemon(body).open(folder=tmp_path, runner=runner) as accuser:
        space = await accuser.wait_for("space.v0", since=accuser.start_mark())
        assert space != os.readlink("/proc/self/ns/uts")
        assert await accuser.wait_for_line("out", since=accuser.start_mark())
        accuser.pause()
        accuser.resume()
        assert (await accuser.stats()).processes == 1
        await accuser.restart()
        await accuser.terminate()
        assert accuser.exit_status == 127
    assert list(there.iterdir()) == []


async def test_nsenter_leads_to_the_namespaces_of_a_process(tmp_path: Path, there: Path) -> None:
    one = TransportRunner(Unshared(), temp_dir=str(there))
    where = """
    ready()
    event("space.v0", '"%s"' % os.readlink("/proc/self/ns/uts"))
    sys.exit(until_term())
    """
    async with ScriptedDaemon(where).open(folder=tmp_path, runner=one) as first:
        space = await first.wait_for("space.v0", since=first.start_mark())
        words = ("nsenter", "--target", str(first.pid), "--uts", "sh", "-s")
        two = TransportRunner(Unshared(words), temp_dir=str(there))
        async with ScriptedDaemon(where).open(folder=tmp_path, runner=two) as second:
            assert await second.wait_for("space.v0", since=second.start_mark()) == space


async def test_the_status_of_a_daemon_there(tmp_path: Path, there: Path) -> None:
    runner = TransportRunner(Unshared(), temp_dir=str(there))
    body = "ready()\nos.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(DaemonExited) as caught:
        async with ScriptedDaemon(body).open(folder=tmp_path, runner=runner):
            await trio.sleep_forever()
    assert caught.value.status == -signal.SIGKILL


async def test_a_command_that_refuses_is_told_in_its_words(tmp_path: Path, there: Path) -> None:
    runner = TransportRunner(Unshared(("nsenter", "--uts=/nowhere", "sh", "-s")), temp_dir=str(there))
    with pytest.raises(RunnerError, match="/nowhere") as caught:
        async with ScriptedDaemon("ready()").open(folder=tmp_path, runner=runner):
            raise AssertionError
    assert caught.value.reason is RunnerFault.LOST
    assert caught.value.host == "unshared"


async def test_a_keeper_that_is_killed_takes_its_daemon_with_it(tmp_path: Path, there: Path) -> None:
    runner = TransportRunner(Unshared(), temp_dir=str(there), lost_after=5)
    with pytest.raises(RunnerError) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner) as accuser:
            pid, pipe = accuser.pid, str(accuser.event_pipe)
            (copying,) = [one for one in children(os.getpid()) if command_of(one) == ["cat", pipe]]
            os.kill(parent_of(parent_of(copying)), signal.SIGKILL)
            await accuser.wait_for("never.v0")
    assert caught.value.reason is RunnerFault.LOST
    assert pid is not None
    wait_for_exit(pid)
    # What the keeper had of its own stays: nobody is left to know of it.
    (left,) = there.iterdir()
    shutil.rmtree(left)


def children(pid: int) -> list[int]:
    """Whatever descends from a process."""
    found = children_of(pid)
    return found + [other for child in found for other in children(child)]
