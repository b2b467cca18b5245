"""The life of a daemon, by the same tests on every kind of place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
import trio.testing

from accuser import DaemonExited, RestartPolicy, SSHRunner, TerminatedBeforeEvent
from accuser._hosts.remote.runner import Runner
from accuser.testing import ScriptedDaemon
from tests.support.containers import (
    IMAGE,
    ROOT,
    container,
    docker_container,
    docker_of_the_run,
    engine,
    engine_of_the_run,
)
from tests.support.forked import FORMS, scripts_are
from tests.support.remote import runner, server
from tests.support.scripts import FOLLOWS_SIGTERM
from tests.support.sshd import SSHD

# Fixtures of this module.
__all__ = [
    "container",
    "docker_container",
    "docker_of_the_run",
    "engine",
    "engine_of_the_run",
    "runner",
    "server",
]


@attrs.frozen
class Place:
    """Where a daemon runs, and a folder that both sides have."""

    folder: Path
    runner: Runner | None

    def open(self, body: str, **options: Any) -> Any:
        """Run a script there."""
        where: dict[str, Any] = {} if self.runner is None else {"runner": self.runner}
        return ScriptedDaemon(body).open(folder=self.folder, **where, **options)


@pytest.fixture(params=["executed", "forked", "ssh", "container", "docker"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param in FORMS:
        with scripts_are(request.param):
            yield Place(tmp_path, None)
    elif request.param == "ssh":
        if SSHD is None:
            pytest.skip("needs OpenSSH's server: install openssh-server")
        yield Place(tmp_path, request.getfixturevalue("runner"))
    else:
        one = request.getfixturevalue("container" if request.param == "container" else "docker_container")
        yield Place(one.folder(), one)


async def test_a_daemon_is_controlled(place: Place) -> None:
    body = """
    ready()
    event("started.v0", '{"pid": %d}' % os.getpid())
    line("out")
    line("err", 2)
    sys.exit(until_term())
    """
    async with place.open(body) as accuser:
        assert await accuser.wait_for("started.v0", since=accuser.start_mark()) == {"pid": accuser.pid}
        assert await accuser.wait_for_line("out", since=accuser.start_mark())
        assert await accuser.wait_for_line("err", stream="stderr", since=accuser.start_mark())
        stats = await accuser.stats()
        assert (stats.processes, stats.events) == (1, 1)
        assert stats.resident_bytes > 1_000_000
        await accuser.restart()
        await accuser.terminate()
        assert accuser.exit_status == 127


async def test_what_is_written_last_arrives(place: Place) -> None:
    body = """
    ready()
    signal.sigwait([signal.SIGTERM])
    for number in range(1000):
        event("last.v0", str(number))
    """
    numbers: list[object] = []
    async with place.open(body) as accuser:
        accuser.on_event(lambda event: numbers.append(event.value))
        await accuser.terminate()
    assert numbers == list(range(1000))


@pytest.mark.parametrize(
    ("how", "status"),
    [("sys.exit(3)", 3), ("sys.exit(255)", 255), ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL)],
)
async def test_an_exit_is_told(place: Place, how: str, status: int) -> None:
    with pytest.raises(DaemonExited) as caught:
        async with place.open(f"ready()\nline('the reason', 2)\n{how}"):
            await trio.sleep_forever()
    assert caught.value.status == status
    assert caught.value.tail == ("the reason",)
    assert caught.value.directory is not None
    shutil.rmtree(caught.value.directory)


async def test_kill_reaches_the_whole_group(place: Place) -> None:
    body = """
    ready()
    if os.fork():
        event("forked.v0")
    signal.pause()
    """
    async with place.open(body) as accuser:
        await accuser.wait_for("forked.v0", since=accuser.start_mark())
        assert (await accuser.stats()).processes == 2
        await accuser.kill()
        assert accuser.exit_status == -signal.SIGKILL


async def test_a_paused_daemon_writes_nothing(place: Place) -> None:
    body = """
    ready()
    number = 0
    while True:
        number += 1
        event("tick.v0", str(number))
        time.sleep(0.01)
    """
    async with place.open(body) as accuser:
        await accuser.wait_for("tick.v0")
        accuser.pause()
        await trio.testing.wait_all_tasks_blocked(0.3)
        mark = accuser.mark()
        with trio.move_on_after(0.2) as quiet:
            await accuser.wait_for("tick.v0", since=mark)
        assert quiet.cancelled_caught
        accuser.resume()
        await accuser.wait_for("tick.v0", since=mark)
        await accuser.kill()


async def test_a_daemon_that_ignores_sigterm_is_killed_after_the_grace(place: Place) -> None:
    async with place.open("ready()\nsignal.pause()") as accuser:
        await accuser.terminate(timeout=0.1)
        assert accuser.exit_status == -signal.SIGKILL


async def test_a_supervised_daemon_is_started_anew(place: Place) -> None:
    async with place.open(FOLLOWS_SIGTERM, restart=RestartPolicy(first_delay=0.01)) as accuser:
        first = accuser.pid
        gone = accuser.expect("never.v0")
        accuser.signal(signal.SIGKILL)
        with pytest.raises(TerminatedBeforeEvent):
            await gone
        await accuser.wait_for_ready()
        assert accuser.pid != first
        await accuser.terminate()


STEPS: Final = (1, 2, 3, 5, 8, 12, 17, 25, 40, 60, 90, 140, 1_000_000)
"""Turns of the task that opens the daemon, after which it is cancelled."""


class CancelAt(trio.abc.Instrument):
    """Cancels the scope at the n-th step of the task that made it."""

    def __init__(self, step: int) -> None:
        self.scope = trio.CancelScope()
        self._left = step
        self._task = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count."""
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self.scope.cancel()


async def test_cancelling_at_any_step_leaves_nothing(place: Place) -> None:
    """The fixtures see what is left: processes, pipes, folders, containers."""
    for step in STEPS:
        counter = CancelAt(step)
        trio.lowlevel.add_instrument(counter)
        try:
            with counter.scope:
                async with place.open(FOLLOWS_SIGTERM) as accuser:
                    await accuser.terminate()
        finally:
            trio.lowlevel.remove_instrument(counter)
    # Few starts take as many steps as the last: some were not cut off.
    assert not counter.scope.cancelled_caught


OWNER = """\
import sys, trio
sys.path.insert(0, {root!r})
from accuser import ContainerRunner, Daemon, ReadyLine, SSHRunner, open_daemon

async def main():
    words = ("-c", "exec 3>{fifo}; echo ready; sleep 99")
    daemon = Daemon("sh", path="/bin/sh", arguments=words, ready=ReadyLine("ready"), runner={runner})
    async with open_daemon(daemon):
        print("up", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def test_a_daemon_does_not_outlive_its_owner(place: Place) -> None:
    fifo = place.folder / "held"
    os.mkfifo(fifo)
    fifo.chmod(0o666)  # who it is in a container is another one
    where_to = repr(None)
    if isinstance(place.runner, SSHRunner):
        where = (str(place.runner.config), str(place.runner.temp_dir))
        where_to = "SSHRunner({!r}, config={!r}, temp_dir={!r})".format(place.runner.address, *where)
    elif place.runner is not None:
        options = {"engine": getattr(place.runner, "engine", ""), "mounts": [str(place.folder)]}
        where_to = f"ContainerRunner({IMAGE!r}, pull='never', **{options})"
    program = OWNER.format(root=str(ROOT), fifo=fifo, runner=where_to)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as owner:
            assert owner.stdout is not None
            assert owner.stdout.readline() == b"up\n"
            os.set_blocking(held, True)
            owner.kill()
            # The end of all that has it open.
            assert os.read(held, 1) == b""
    finally:
        os.close(held)
    # What removes the files is nobody's, so that no event tells it.
    temp = Path(tempfile.gettempdir())
    kept = set() if place.runner is None else set(temp.iterdir()) & {place.folder.parent}
    for _ in range(600):
        if set(temp.iterdir()) <= kept:
            break
        time.sleep(0.05)
    assert set(temp.iterdir()) <= kept
