"""What is stopped ends, what clears up a machine does no harm, and no directory is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from accuser import Accuser, AccuserError, Endpoint, Protocol, RestartPolicy, open_daemon
from accuser._engine import session
from accuser._hosts.owner import child
from accuser._hosts.owner.workspace import Workspace
from accuser.testing import FaultyDaemon, exit_with, ready

NODE = Endpoint("http://127.0.0.1:9")


async def test_a_daemon_that_cannot_be_signalled_is_left_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int, signum: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    daemon = Accuser(Protocol.BOREAS, NODE, path=FaultyDaemon(ready()).write(tmp_path), stop_grace=0.0)
    monkeypatch.setattr(session, "UNKILLABLE", 0.05)
    monkeypatch.setattr(child, "KILLED", 0.05)
    with pytest.raises(
        AccuserError, match="cannot be stopped, and is left: it cannot be signalled: Operation"
    ):
        async with open_daemon(daemon):
            left = daemon._session._child
            with monkeypatch.context() as patched:
                patched.setattr(os, "killpg", refuse)
                await daemon.terminate()
    assert daemon.pid is not None
    os.killpg(daemon.pid, signal.SIGKILL)
    assert isinstance(left, child.Child)
    await left.reap()
    shutil.rmtree(daemon.directory, ignore_errors=True)


async def test_a_cleaner_of_temporary_files_does_not_keep_it_from_being_restarted(tmp_path: Path) -> None:
    path = FaultyDaemon(ready(), exit_with(3)).write(tmp_path)
    daemon = Accuser(Protocol.BOREAS, NODE, path=path, restart=RestartPolicy(limit=2, first_delay=0))
    removed: list[Path] = []

    def clean(_: object) -> None:
        removed.append(daemon.directory)
        shutil.rmtree(daemon.directory)

    daemon.on_restart(clean)
    await daemon.run(may_exit=True)
    assert daemon.restarts == 2
    assert removed[0] != removed[1]


async def test_a_start_that_fails_after_an_exit_is_followed_by_another(tmp_path: Path) -> None:
    path = FaultyDaemon(ready(), exit_with(3)).write(tmp_path)
    daemon = Accuser(Protocol.BOREAS, NODE, path=path, restart=RestartPolicy(limit=3, first_delay=0))
    statuses: list[int | None] = []

    def move(restart: object) -> None:
        statuses.append(restart.status)  # type: ignore[attr-defined]  # never None here
        if len(statuses) == 1:
            path.rename(tmp_path / "away")
        elif not path.exists():
            (tmp_path / "away").rename(path)

    daemon.on_restart(move)
    await daemon.run(may_exit=True)
    assert statuses == [3, None, 3]


def test_a_directory_that_was_removed_is_made_anew() -> None:
    workspace = Workspace("it")
    first = workspace.path
    shutil.rmtree(first)
    assert workspace.path.is_dir()
    assert workspace.path != first
    workspace.remove()
    assert not first.exists()


def test_an_owner_that_is_killed_as_it_makes_a_directory_leaves_none(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from accuser._hosts.owner.workspace import Workspace
make = Path.mkdir
def made(self, *rest, **more):
    make(self, *rest, **more)
    os.kill(os.getpid(), signal.SIGKILL)
Path.mkdir = made
Workspace("it").path
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    # The guardian sees the end of its owner in a moment of real time.
    for _ in range(1000):
        if not list(tmp_path.iterdir()):
            break
        time.sleep(0.01)
    assert not list(tmp_path.iterdir())
