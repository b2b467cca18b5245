"""The scripts of the warden and of the keeper in the shells that other machines have."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from accuser._hosts.proc import read_stats
from accuser._hosts.remote.script import script
from tests.support.proc import command_of, state_of

SHELLS = [["dash"], ["bash", "--posix"], ["bash"], ["busybox", "sh"]]
LONG = 3600
"""Seconds that no test lasts."""


@pytest.fixture(params=SHELLS, ids=lambda words: " ".join(words))
def shell(request: pytest.FixtureRequest) -> list[str]:
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"there is no {request.param[0]}")
    words: list[str] = request.param
    return words


@contextmanager
def running(shell: list[str], name: str, **settings: object) -> Iterator[subprocess.Popen[str]]:
    command = [*shell, "-c", script(name, {"token": "T", **settings}, {}, ())]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as process:
        assert line(process) == "T ready"
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == -signal.SIGKILL  # of its whole group, by itself


@pytest.fixture
def warden(shell: list[str]) -> Iterator[subprocess.Popen[str]]:
    with running(shell, "warden", patience=1) as process:
        yield process


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{words}\n")
    process.stdin.flush()


async def timers_of(process: subprocess.Popen[str]) -> list[int]:
    """Those that sleep in its group, once there is only one; each of more would end it in time."""
    with trio.move_on_after(10):
        while len(sleeping := sleeping_in(process.pid)) != 1:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.01)
    return sleeping


def sleeping_in(group: int) -> list[int]:
    ours = [stat.pid for stat in read_stats() if stat.group == group]
    return [pid for pid in ours if str(LONG) in command_of(pid)]


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


async def test_no_word_leaves_a_timer_of_before_behind(shell: list[str]) -> None:
    with running(shell, "warden", patience=LONG) as warden:
        for _ in range(100):
            say(warden, "ping")
        say(warden, "hold /nowhere")
        assert line(warden) == "T held /nowhere"
        say(warden, "drop /nowhere")
        assert len(await timers_of(warden)) == 1


async def test_no_ping_leaves_a_timer_of_before_behind(shell: list[str], tmp_path: Path) -> None:
    settings = {"folder": tmp_path / "keeper", "pipe": tmp_path / "pipe", "workspace": "", "grace": 0}
    with running(shell, "keeper", patience=LONG, **settings) as keeper:
        for _ in range(100):
            say(keeper, "ping")
        for _ in range(100):
            assert line(keeper) == "T pong"
        assert len(await timers_of(keeper)) == 1
