"""The warden's script in the shells that other machines have."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from accuser._hosts.remote.script import script
from tests.support.proc import state_of

SHELLS = [["dash"], ["bash", "--posix"], ["bash"], ["busybox", "sh"]]


@pytest.fixture(params=SHELLS, ids=lambda words: " ".join(words))
def warden(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"there is no {request.param[0]}")
    text = script("warden", {"token": "T", "patience": 1}, {}, ())
    command = [*request.param, "-c", text]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as running:
        assert line(running) == "T ready"
        yield running
        assert running.stdin is not None
        running.stdin.close()
        assert running.wait() == -signal.SIGKILL  # of its whole group, by itself


def line(warden: subprocess.Popen[str]) -> str:
    assert warden.stdout is not None
    return warden.stdout.readline().strip()


def say(warden: subprocess.Popen[str], words: str) -> None:
    assert warden.stdin is not None
    warden.stdin.write(f"{words}\n")
    warden.stdin.flush()


def test_what_is_held_is_removed_at_the_end_and_not_before(
    warden: subprocess.Popen[str], tmp_path: Path
) -> None:
    held, dropped = tmp_path / "held", tmp_path / "dropped"
    for folder in (held, dropped):
        folder.mkdir()
        say(warden, f"hold {folder}")
        assert line(warden) == f"T held {folder}"
    # What a timer sends that was just about to end, while the warden waits for the next word.
    for _ in range(50):
        while state_of(warden.pid) not in ("S", "Z"):
            os.sched_yield()
        os.kill(warden.pid, signal.SIGUSR1)
    say(warden, f"drop {dropped}")
    say(warden, f"hold {held}")
    assert line(warden) == f"T held {held}"
    assert held.exists()
    assert warden.stdin is not None
    warden.stdin.close()
    warden.wait()
    assert (held.exists(), dropped.exists()) == (False, True)


def test_one_that_holds_nothing_ends_when_nobody_speaks(warden: subprocess.Popen[str]) -> None:
    assert line(warden) == ""
    assert warden.wait() == -signal.SIGKILL
