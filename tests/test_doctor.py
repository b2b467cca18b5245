"""What the doctor finds, on machines that are well and others."""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest
import trio
from trio.testing import MockClock

from accuser import _doctor, installed
from accuser._doctor import Finding, examine, leftover_directories, leftover_processes


async def doctor(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "accuser", "doctor", *arguments]
    done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode()


async def findings(**options: object) -> dict[str, Finding]:
    return {finding.topic: finding async for finding in examine(**options)}  # type: ignore[arg-type]


async def test_a_machine_that_is_well() -> None:
    status, said = await doctor("--toolchain", "sandbox", "--json")
    report = json.loads(said)
    assert (status, report["good"]) == (0, True)
    found = {finding["topic"]: finding for finding in report["findings"]}
    assert found["pipes"]["verdict"] == "good"
    assert found["sandbox mavkit-node"]["text"].startswith("of this package: sandbox")
    assert "mavkit mavkit-node" not in found


async def test_every_finding_says_what_to_do(tmp_path: Path) -> None:
    silent = tmp_path / "mavkit-node"
    silent.write_text("#!/bin/sh\nexit 3\n")
    silent.chmod(0o755)
    status, said = await doctor("--toolchain", str(tmp_path))
    assert status == 1
    lines = said.splitlines()
    place = next(i for i, line in enumerate(lines) if "mavkit mavkit-client" in line)
    assert lines[place : place + 2] == [
        "bad   mavkit mavkit-client: not found",
        "      do: put it into the PATH, or name its folder by --toolchain or MAVKIT_BIN_DIR",
    ]
    assert f"bad   mavkit mavkit-node: {silent}: it does not tell its version" in lines
    assert lines[-1].startswith("5 of ")


async def test_an_executable_that_never_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def never(*_: object, **__: object) -> NoReturn:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "run_process", never)
    for name in _doctor._BINARIES:
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    found = await findings(toolchain=installed(tmp_path))
    assert found["mavkit mavkit-node"].verdict == "bad"
    assert found["mavkit mavkit-node"].fix == f"run it: {tmp_path}/mavkit-node"


async def test_a_folder_that_is_no_good(tmp_path: Path) -> None:
    status, said = await doctor("--toolchain", str(tmp_path / "nosuch"))
    assert status == 2
    assert "is neither 'sandbox' nor a folder" in said


async def no_version(command: list[str]) -> str | None:
    await trio.lowlevel.checkpoint()
    return "1.0"


async def test_a_machine_that_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> NoReturn:
        raise importlib.metadata.PackageNotFoundError(name)

    folder = tmp_path / "a folder"
    folder.mkdir()
    lock = tmp_path / "lock"
    lock.mkdir()
    monkeypatch.setattr(_doctor, "_first_line", no_version)
    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(folder))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(2**30, 2**30, 2**20))
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 4096))
    monkeypatch.setattr(_doctor, "lock_file", lambda: lock)
    found = await findings()
    said = {topic: (finding.verdict, finding.text) for topic, finding in found.items()}
    assert said["trio"] == ("bad", "not installed: the sandbox, and operations of one's own, need it")
    assert said["space"] == ("bad", f"1 MiB free in {folder}")
    assert said["files"] == ("bad", "256 open files at once, of 4096")
    assert said["ports"] == ("bad", f"{lock}: Is a directory")
    assert said["ssh"] == ("note", "no ssh: daemons run on this machine alone")
    assert said["pipes"][0] == "note"
    assert said["mavkit mavkit-node"] == ("note", "not found")
    assert all(finding.fix for finding in found.values() if finding.verdict == "bad")


async def test_a_folder_that_takes_no_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doctor, "_first_line", no_version)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/proc")
    finding = (await findings())["pipes"]
    assert (finding.verdict, finding.fix) == (
        "bad",
        "set TMPDIR to a folder of a local file system, such as /tmp",
    )


def process(proc: Path, pid: int, parent: int, environment: bytes, *words: bytes) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} (a (b) c) S {parent} {pid} 0 0")
    (folder / "environ").write_bytes(environment)
    (folder / "cmdline").write_bytes(b"\0".join(words) + b"\0")


def test_daemons_without_their_owner(tmp_path: Path) -> None:
    process(tmp_path, 7, 1, b"A=1\0ACCUSER_GUARD=k-1\0", b"mavkit-node", b"run")
    process(tmp_path, 8, 7, b"ACCUSER_GUARD=k-2\0", b"mavkit-accuser-alpha")
    process(tmp_path, 9, 1, b"NOT_ACCUSER_GUARD=k-2\0", b"init")
    (tmp_path / "10").mkdir()
    (finding,) = leftover_processes(tmp_path)
    assert finding == Finding(
        "leftovers", "bad", "process 7 runs without its owner: mavkit-node run", "kill 7"
    )


def test_directories_that_no_daemon_uses(tmp_path: Path) -> None:
    proc, folder = tmp_path / "proc", tmp_path / "tmp"
    used, left = folder / "accuser-node1-abcd1234", folder / "accuser-accuser1-0_z9yxw8"
    for path in (used, left, folder / "accuser-mine"):
        path.mkdir(parents=True)
    (folder / "accuser-file-abcd1234").write_text("")
    process(proc, 7, 1, b"", b"mavkit-node", b"--data-dir", os.fsencode(used / "data"))
    (finding,) = leftover_directories(folder, proc)
    assert (finding.verdict, finding.fix) == ("note", f"rm -r {left}")
