"""``accuser doctor``, as a user types it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from accuser import MEMORY, Node, Protocol, retry
from accuser._hosts.owner import forks
from accuser._hosts.owner.child import POLL
from accuser._hosts.owner.forks import VARIABLE
from accuser.commands.containers import containers
from accuser.commands.findings import forking, limits, sandbox, ssh
from accuser.commands.leftovers import Process, orphans, processes, unused_directories
from tests.support.cli import COMMAND, accuser
from tests.support.proc import wait_for_end

BINARIES = ("mavkit-node", "mavkit-client", "mavkit-admin-client", *(p.accuser_binary for p in Protocol))


async def findings(*words: str, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    done = await accuser("doctor", "--json", *words, stdin=b"", **environment)
    assert done.stderr == ""
    report = json.loads(done.stdout)
    found: list[dict[str, Any]] = report["findings"]
    assert all(finding["fix"] for finding in found if finding["grade"] != "ok")
    assert report["problems"] == sum(finding["grade"] == "problem" for finding in found)
    assert done.returncode == (1 if report["problems"] else 0)
    return done.returncode, found


def grades(found: list[dict[str, Any]], subject: str) -> list[str]:
    return [finding["grade"] for finding in found if finding["subject"] == subject]


def write_binaries(folder: Path, **bodies: str) -> None:
    """Write executables that tell a version, but for some that do something else."""
    for name in BINARIES:
        path = folder / name
        path.write_text(bodies.get(name.replace("-", "_"), "#!/bin/sh\necho 'abc (Mavkit 1.0)'\n"))
        path.chmod(0o755)


async def test_a_machine_that_is_well() -> None:
    status, found = await findings(PATH=f"{Path(sys.executable).parent}")
    assert status == 0
    for subject in ("python", "sandbox", "FIFO", "pidfd", "/proc", "TMPDIR", "ports", "open files"):
        assert grades(found, subject) == ["ok"], subject
    assert grades(found, "binaries") == ["warning"]
    assert grades(found, "ssh") == ["warning"]


async def test_programs_that_are_executed_are_told_with_what_to_do() -> None:
    status, found = await findings(PATH="/nowhere", **{VARIABLE: "no"})
    (told,) = [finding for finding in found if finding["subject"] == "forks"]
    assert (status, told["grade"], told["fix"]) == (0, "warning", f"unset {VARIABLE}")


async def test_a_reason_that_may_pass_is_told_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(forks, "working_directory", refuse)
    told = await forking(60)
    assert told.grade == "warning"
    assert told.text.endswith(": the working directory cannot be opened: Permission denied")


async def test_what_it_prints_for_people(tmp_path: Path) -> None:
    write_binaries(tmp_path)
    done = await accuser("doctor", "--toolchain", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    told = f"abc (Mavkit 1.0), {tmp_path}/mavkit-node"
    assert [line for line in lines if line.startswith("ok      mavkit-node ") and line.endswith(told)]
    assert lines[-1].startswith("0 problems, ")


async def test_binaries_that_were_asked_for_and_are_not_there(tmp_path: Path) -> None:
    status, found = await findings("--toolchain", str(tmp_path), PATH="/nowhere")
    assert (status, grades(found, "binaries")) == (1, ["problem"])


async def test_one_accuser_is_enough(tmp_path: Path) -> None:
    write_binaries(tmp_path)
    (tmp_path / Protocol.ATLAS.accuser_binary).unlink()
    status, found = await findings("--toolchain", str(tmp_path), PATH="/nowhere")
    assert (status, grades(found, "binaries")) == (0, ["warning"])
    assert [finding["text"] for finding in found if "not found" in finding["text"]] == [
        f"mavkit in {tmp_path}: not found: mavkit-accuser-PtAtLas"
    ]


@pytest.mark.parametrize(
    ("body", "grade", "text"),
    [
        # It may be the machine that is slow.
        ("#!/bin/sh\nexec sleep 1000\n", "warning", "no version within 0.5 s"),
        ("#!/bin/sh\necho broken >&2; exit 3\n", "problem", "exit status 3: broken"),
        ("#!/no/such/interpreter\n", "problem", "No such file or directory"),
        ("\x7fELF nonsense", "problem", "Exec format error"),
    ],
)
async def test_a_binary_that_does_not_work(tmp_path: Path, body: str, grade: str, text: str) -> None:
    write_binaries(tmp_path, mavkit_client=body)
    seconds = "0.5" if "sleep" in body else "60"
    status, found = await findings("--toolchain", str(tmp_path), "--timeout", seconds)
    assert status == (1 if grade == "problem" else 0)
    (finding,) = [finding for finding in found if finding["subject"] == "mavkit-client"]
    assert finding["grade"] == grade
    assert text in finding["text"]


async def test_binaries_of_several_versions(tmp_path: Path) -> None:
    write_binaries(tmp_path, mavkit_node="#!/bin/sh\necho 'abc (Mavkit 2.0)'\n")
    status, found = await findings("--toolchain", str(tmp_path))
    assert status == 0
    assert [finding["text"] for finding in found if finding["subject"] == "binaries"] == [
        "they are of several versions, which may not understand each other"
    ]


async def test_folders_for_temporary_files(tmp_path: Path) -> None:
    status, found = await findings(TMPDIR=str(tmp_path / "missing"))
    assert (status, grades(found, "TMPDIR")) == (1, ["problem"])
    (tmp_path / "with blank").mkdir()
    status, found = await findings(TMPDIR=str(tmp_path / "with blank"))
    assert (status, grades(found, "TMPDIR")) == (0, ["warning"])


async def test_no_more_processes_and_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_thread(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("can't start new thread")

    def no_process(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    for name in ("ssh", "podman"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(trio.to_thread, "run_sync", no_thread)
    monkeypatch.setattr(subprocess, "run", no_process)
    found = [await sandbox(60), await ssh(60), *containers(remove=False)]
    assert [(finding.subject, finding.grade) for finding in found] == [
        ("sandbox", "problem"),
        ("ssh", "warning"),
        ("podman", "warning"),
    ]
    assert all("ulimit -u" in finding.fix for finding in found)


def test_a_system_without_descriptors_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    (told,) = [finding for finding in limits() if finding.subject == "pidfd"]
    assert (told.grade, told.text) == ("warning", f"not there: exits are looked for every {POLL * 1000:g} ms")


async def test_exit_statuses_that_are_not_kept() -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    words = [sys.executable, "-c", ignoring, *COMMAND, "doctor", "--json"]
    done = await trio.run_process(words, capture_stdout=True, check=False)
    assert grades(json.loads(done.stdout)["findings"], "signals") == ["warning"]


async def test_too_few_open_files() -> None:
    command = 'ulimit -n "$0" && exec "$@"'
    for number, grade in (("200", "problem"), ("512", "warning")):
        words = ["bash", "-c", command, number, *COMMAND, "doctor", "--json"]
        done = await trio.run_process(words, capture_stdout=True, check=False)
        assert grades(json.loads(done.stdout)["findings"], "open files") == [grade]
        assert done.returncode == (1 if grade == "problem" else 0)


async def test_a_process_without_its_owner() -> None:
    # Its parent, the shell, is gone when the output has come.
    start = "ACCUSER_GUARD=gone-1 setsid sleep 1000 >/dev/null 2>&1 & echo $!"
    done = await trio.run_process(["sh", "-c", start], capture_stdout=True)
    pid = int(done.stdout)
    try:
        running = await trio.to_thread.run_sync(_until_it_sleeps, pid)
        assert running

        async def leftovers() -> Any:
            _, found = await findings()
            (finding,) = (finding for finding in found if finding["subject"] == "leftovers")
            return finding

        def is_told(finding: Any) -> bool:
            text = finding["text"]
            named = f"process {pid} has lost its owner: sleep 1000" in text or " more" in text
            return named and pid in {process.pid for process in orphans(processes())}

        # Tests beside this one kill owners, too: of many processes only the first are named; and while a
        # guardian of theirs clears up, its new parent, which is that of this process, seems to be an owner.
        finding = await retry(leftovers, is_told)
        assert finding["fix"].startswith("accuser doctor --clear")
    finally:
        os.kill(pid, signal.SIGKILL)
    await wait_for_end(pid)


def _until_it_sleeps(pid: int) -> bool:
    while Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0] != b"sleep":
        os.sched_yield()
    return True


@pytest.mark.parametrize(
    "arguments", [("--timeout", "0"), ("--timeout", "nan"), ("--toolchain", "/no/such/folder"), ("more",)]
)
async def test_wrong_arguments(arguments: tuple[str, ...]) -> None:
    done = await accuser("doctor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")


# Whose is what.

GUARD = b"A=b\0ACCUSER_GUARD=0123-1\0"
GUARDIAN = b"python\0-I\0-S\0/x/_guardian_main.py\0" + b"3\0"


def process(pid: int, parent: int, group: int, command: bytes = b"x", environment: bytes = b"") -> Process:
    return Process(pid, parent, group, 1000.0 + pid, command, environment)


def test_daemons_whose_owner_is_there_are_no_orphans() -> None:
    owner, guardian = process(10, 1, 10), process(11, 10, 11, GUARDIAN)
    daemon, child = process(12, 10, 12, b"x", GUARD), process(13, 12, 12, b"x", GUARD)
    assert orphans([owner, guardian, daemon, child]) == []
    lost = process(12, 1, 12, b"x", GUARD)
    assert orphans([lost, child]) == [lost]
    assert orphans([process(11, 1, 11, GUARDIAN), process(20, 1, 20)]) == []


def test_directories_of_runs_that_are_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("accuser.commands.leftovers.PLACES", ())
    old, new = tmp_path / "accuser-node1-abcdefgh", tmp_path / "accuser-client1-abcdefgh"
    for path in (old, new, tmp_path / "other", tmp_path / "accuser-x"):
        path.mkdir()
        os.utime(path, (900.0, 900.0))
    os.utime(new, (2000.0, 2000.0))
    owner, guardian = process(10, 1, 10), process(11, 10, 11, GUARDIAN)
    assert unused_directories([owner, guardian]) == [old]
    assert unused_directories([]) == [new, old]
    uses = process(30, 1, 30, b"node\0--data-dir\0" + os.fsencode(old) + b"/node1\0")
    assert unused_directories([uses]) == [new]


def test_directories_of_daemons_in_a_living_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("accuser.commands.leftovers.PLACES", ())
    node = Node(toolchain=MEMORY)
    path = node.directory
    os.utime(path, (900.0, 900.0))
    assert unused_directories([process(os.getpid(), 1, 10)]) == []
    assert unused_directories([process(os.getpid() + 1, 1, 10)]) == [path]
