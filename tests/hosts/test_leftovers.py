"""What is made is made only when needed, and removed by whom it belongs to."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from accuser import DaemonExited, EventPipeError
from accuser._hosts.local.pipe import EventPipe
from accuser.testing import ScriptedDaemon
from tests.support.scripts import FOLLOWS_SIGTERM


async def test_no_directory_is_made_where_none_is_needed(tmp_path: Path) -> None:
    temporary = Path(os.environ["TMPDIR"])
    pipe = temporary / "pipe"
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(
        folder=tmp_path, event_pipe=pipe, base_dir=tmp_path / "base"
    ):
        assert list(temporary.iterdir()) == [pipe]
    with pytest.raises(DaemonExited) as caught:
        async with ScriptedDaemon("ready(); sys.exit(3)").open(
            folder=tmp_path, event_pipe=pipe, base_dir=tmp_path / "base"
        ):
            await trio.sleep_forever()
    assert caught.value.directory is None
    assert not any("are kept in" in note for note in getattr(caught.value, "__notes__", ()))
    assert list(temporary.iterdir()) == []


async def test_a_folder_that_became_something_else_does_not_fail_an_end_in_order(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        folder = accuser.event_pipe.parent
        shutil.rmtree(folder)
        folder.write_text("")
        await accuser.terminate()
        assert accuser.exit_status == 127
    folder.unlink()


FORKS = """
import os, sys
from accuser._hosts.owner.workspace import Workspace

workspace = Workspace("w")
path = workspace.path
child = os.fork()
if child == 0:
    sys.exit()  # runs exit handlers
os.waitpid(child, 0)
assert path.is_dir()
child = os.fork()
if child == 0:
    workspace.remove()
    os._exit(0)
os.waitpid(child, 0)
assert path.is_dir()
print(path)
"""


def test_a_forked_child_does_not_remove_the_directory_of_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not Path(done.stdout.strip()).exists()


@pytest.mark.parametrize("spare", [0, 1])
def test_a_pipe_that_cannot_be_opened_is_removed(spare: int) -> None:
    path = Path(os.environ["TMPDIR"]) / "pipe"
    free = [os.dup(0) for _ in range(spare + 1)]
    for descriptor in free:
        os.close(descriptor)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(free), hard))
    try:
        with pytest.raises(EventPipeError, match="cannot be opened: Too many open files"):
            EventPipe.make(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not path.exists()
