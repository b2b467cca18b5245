"""The program of the guardian."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from accuser._hosts.owner import guardian_main as _guardian_main
from accuser._hosts.owner.guardian_main import (
    VARIABLE,
    now,
    parse_ps,
    process,
    processes,
)
from accuser._hosts.proc import parse_stat
from tests.support.guardians import NEVER, lives, watched

# The program of the guardian.

WITHOUT_PROC = f"""
import sys
sys.path.insert(0, {str(Path(_guardian_main.__file__).parent)!r})
import guardian_main
guardian_main.HAS_PROC = guardian_main.BY_TIME = False
guardian_main.main(int(sys.argv[1]), float(sys.argv[2]))
"""


async def guard(*records: bytes, grace: float = NEVER, has_proc: bool = True) -> None:
    """Run the guardian for an owner that tells it ``records`` and is gone."""
    program = [_guardian_main.__file__] if has_proc else ["-c", WITHOUT_PROC]
    reader, writer = os.pipe()
    os.write(writer, b"".join(record + b"\0" for record in records))
    os.close(writer)
    command = [sys.executable, "-I", "-S", *program, str(reader), str(grace)]
    try:
        await trio.run_process(command, pass_fds=(reader,), capture_stderr=True)
    finally:
        os.close(reader)


@asynccontextmanager
async def group(program: str, key: str = "key") -> AsyncIterator[tuple[trio.Process, list[int]]]:
    """Run a program in a group of its own; give it and the pids that it prints."""
    command = [sys.executable, "-ISc", textwrap.dedent(program)]
    child = await trio.lowlevel.open_process(
        command, stdout=subprocess.PIPE, process_group=0, env={VARIABLE: key}
    )
    assert child.stdout is not None
    try:
        yield child, [int(pid) for pid in (await child.stdout.receive_some()).split()]
    finally:
        with trio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
            await trio.aclose_forcefully(child.stdout)


PAUSES = "import os, signal\nprint(os.getpid(), flush=True)\nsignal.pause()"


LEAVES_A_CHILD = """
    import os, signal
    child = os.fork()
    if child == 0:
        signal.pause()
    os.write(1, b"%d" % child)
"""


@pytest.mark.parametrize("is_paused", [True, False])
@pytest.mark.parametrize("has_proc", [True, False])
async def test_a_group_is_stopped(has_proc: bool, is_paused: bool) -> None:
    async with group(PAUSES) as (_, (leader,)):
        with watched([leader]) as ends:
            if is_paused:
                os.kill(leader, signal.SIGSTOP)
            await guard(f"group key {leader} {now() if has_proc else '-'}".encode(), has_proc=has_proc)
            assert not lives(*ends)


CLEARS_UP = """
    import os, time
    print(os.getpid(), flush=True)
    time.sleep(1)
    os._exit(7)
"""


@pytest.mark.parametrize("grace", [0, NEVER])
async def test_a_patient_group_gets_more_than_the_grace_and_no_signal(grace: float) -> None:
    async with group(CLEARS_UP) as (child, pids):
        row = process(pids[0])
        assert row is not None
        await guard(f"patient key {pids[0]} {row[2]}".encode(), grace=grace)
        assert await child.wait() == 7


async def test_a_group_whose_id_was_used_again_is_left_alone() -> None:
    async with group(PAUSES) as (_, (leader,)):
        with watched([leader]) as ends:
            row = process(leader)
            assert row is not None
            await guard(f"group key {leader} {int(row[2]) - 1}".encode())
            assert lives(*ends)


async def test_the_time_that_is_told_is_that_of_start_times() -> None:
    before = int(now())
    async with group(PAUSES) as (_, (leader,)):
        row = process(leader)
        assert row is not None
        assert before <= int(row[2]) <= int(now())


@pytest.mark.parametrize("key", ["key", "other"])
async def test_a_group_without_leader_is_known_by_the_environment(key: str) -> None:
    async with group(LEAVES_A_CHILD, key) as (leader, (member,)):
        await leader.wait()
        with watched([member]) as ends:
            await guard(f"group key {leader.pid} 1".encode())
            assert lives(*ends) == (key == "other")


async def test_what_was_forgotten_is_left_alone(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    inode = fifo.stat().st_ino
    async with group(PAUSES) as (_, (leader,)):
        with watched([leader]) as ends:
            row = process(leader)
            assert row is not None
            await guard(
                f"group key {leader} {row[2]}".encode(),
                f"path file {inode} {fifo}".encode(),
                b"spawn key2",
                b"forget key",
                b"forget key2",
                b"forget file",
            )
            assert lives(*ends)
            assert fifo.exists()


@pytest.mark.parametrize("name", ["plain", "with blanks\nand lines"])
async def test_fifos_and_directories_go_and_other_things_of_their_names_stay(
    tmp_path: Path, name: str
) -> None:
    fifo, file, folder, changed = (tmp_path / f"{name}-{word}" for word in ("fifo", "file", "dir", "changed"))
    os.mkfifo(fifo)
    file.touch()
    folder.mkdir()
    (folder / "inner").touch()
    os.mkfifo(changed)
    paths = (fifo, file, folder, changed)
    inodes = [path.stat().st_ino + (path is changed) for path in paths]
    await guard(
        *(
            f"path {number} {inode} {path}".encode()
            for number, (inode, path) in enumerate(zip(inodes, paths, strict=True))
        )
    )
    assert [path.exists() for path in paths] == [False, True, False, True]


def test_processes_are_read_whatever_their_names() -> None:
    rest = "S 7 42 40 0 -1 4194304 1 0 0 0 1 2 3 4 20 0 1 0 987654 1 2"
    assert parse_stat(f"43 (a) b (c)) {rest}\n") == (43, 7, 42, "S", "987654", 10, 2)
    assert parse_stat("cat: /proc/11/stat: No such process\n") is None
    assert parse_ps("  43    42 S+   Mon Nov 23 03:16:13 2026\n 1 1 Ss Sun Nov  1 00:00:00 2026\n") == {
        43: (42, "S", "Mon_Nov_23_03:16:13_2026"),
        1: (1, "S", "Sun_Nov_1_00:00:00_2026"),
    }
    row = processes()[os.getpid()]
    assert row == process(os.getpid())
    assert row[0] == os.getpgrp()
