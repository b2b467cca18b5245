"""Whether this machine has what daemons need, and what killed runs have left on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, Literal

import attrs
import trio

from ._errors import BinaryNotFound
from ._guardian_main import HAS_PROC, VARIABLE
from ._pipe import MODE, is_expressible
from ._ports import lock_file
from ._process import HAS_PIDFD
from ._protocol import Protocol
from ._toolchain import SANDBOX, Toolchain

Verdict = Literal["good", "note", "bad"]

VERSION_TIMEOUT: Final = 20.0
"""Seconds that an executable may take to tell its version."""

ENOUGH_FILES: Final = 1024
ENOUGH_SPACE: Final = 100 * 2**20

_PACKAGES: Final = ("trio", "attrs", "cattrs", "msgspec", "h11", "cryptography", "click", "rich")
_BINARIES: Final = ("mavkit-node", "mavkit-client", *(protocol.accuser_binary for protocol in Protocol))
_WORKSPACE: Final = re.compile(r"accuser-.+-[a-z0-9_]{8}")


@attrs.frozen
class Finding:
    """One thing that was looked at."""

    topic: str
    verdict: Verdict
    """``bad`` is in the way of something; a ``note`` may be as it should."""
    text: str
    fix: str | None = None
    """What to do about it."""


async def examine(toolchain: Toolchain | None = None) -> AsyncIterator[Finding]:
    """Look at the machine, one thing after the other.

    Args:
        toolchain: whose executables must be there; by default the sandbox's must, others may.

    Executables and ``ssh`` are run, to tell their versions; a FIFO is made and removed. Cancelling
    leaves nothing behind.
    """
    yield Finding("python", "good", f"Python {platform.python_version()}, {platform.platform()}")
    for finding in _packages():
        yield finding
    for chosen in (SANDBOX, Toolchain("mavkit")) if toolchain is None else (toolchain,):
        for binary in _BINARIES:
            yield await _binary(chosen, binary, needed=chosen is SANDBOX or toolchain is not None)
    yield _fifo()
    yield _space()
    yield _files()
    yield _pidfd()
    yield _ports()
    yield await _ssh()
    for finding in (*leftover_processes(), *leftover_directories()):
        yield finding


def _packages() -> Iterator[Finding]:
    for name in _PACKAGES:
        try:
            yield Finding(name, "good", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            what = "the sandbox, and operations of one's own, need it"
            yield Finding(name, "bad", f"not installed: {what}", "pip install 'accuser[sandbox]'")


async def _binary(toolchain: Toolchain, name: str, *, needed: bool) -> Finding:
    topic = f"{toolchain.name} {name}"
    missing: Verdict = "bad" if needed else "note"
    try:
        command = toolchain.command(name)
    except BinaryNotFound:
        fix = "put it into the PATH, or name its folder by --toolchain or MAVKIT_BIN_DIR"
        return Finding(topic, missing, "not found", fix if needed else None)
    version = await _first_line([*command, "--version"])
    where = "of this package" if toolchain.is_sandbox else command[0]
    if version is None:
        return Finding(topic, "bad", f"{where}: it does not tell its version", f"run it: {' '.join(command)}")
    return Finding(topic, "good", f"{where}: {version}")


async def _first_line(command: list[str]) -> str | None:
    """What a command says first; None if it fails or says nothing in time."""
    with trio.move_on_after(VERSION_TIMEOUT):
        try:
            done = await trio.run_process(
                command, capture_stdout=True, stderr=subprocess.STDOUT, check=False, start_new_session=True
            )
        except OSError:
            return None
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        return lines[0] if lines and done.returncode == 0 else None
    return None


def _fifo() -> Finding:
    folder = Path(tempfile.gettempdir())
    advice = "set TMPDIR to a folder of a local file system, such as /tmp"
    if not is_expressible(folder):
        text = f"{folder} cannot be told to the daemons; their pipes are made elsewhere"
        return Finding("pipes", "note", text, advice)
    path = folder / f"accuser-doctor-{os.getpid()}.fifo"
    try:
        os.mkfifo(path, MODE)
        try:
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            os.close(reader)
        finally:
            path.unlink()
    except OSError as error:
        return Finding("pipes", "bad", f"no named pipe can be made in {folder}: {error.strerror}", advice)
    return Finding("pipes", "good", f"named pipes work in {folder}")


def _space() -> Finding:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    text = f"{free // 2**20} MiB free in {folder}"
    if free < ENOUGH_SPACE:
        return Finding(
            "space", "bad", text, f"make room, or set TMPDIR: {ENOUGH_SPACE // 2**20} MiB are needed"
        )
    return Finding("space", "good", text)


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{soft} open files at once, of {hard}"
    if 0 <= soft < ENOUGH_FILES:
        return Finding("files", "bad", text, f"ulimit -n {ENOUGH_FILES}: a daemon takes about ten")
    return Finding("files", "good", text)


def _pidfd() -> Finding:
    if not HAS_PIDFD:
        return Finding(
            "exits", "note", "no process descriptors here: the rest of a daemon's group is not reached"
        )
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return Finding("exits", "bad", f"no process descriptor: {error.strerror}", "Linux 5.3 has them")
    return Finding("exits", "good", "process descriptors work")


def _ports() -> Finding:
    path = lock_file()
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return Finding(
            "ports", "bad", f"{path}: {error.strerror}", f"remove {path}, or let this user write it"
        )
    return Finding("ports", "good", f"reserved in {path}")


async def _ssh() -> Finding:
    if shutil.which("ssh") is None:
        return Finding("ssh", "note", "no ssh: daemons run on this machine alone", "install OpenSSH's client")
    version = await _first_line(["ssh", "-V"])
    if version is None:
        return Finding("ssh", "bad", "ssh does not tell its version", "run it: ssh -V")
    return Finding("ssh", "good", version)


def leftover_processes(proc: Path = Path("/proc")) -> Iterator[Finding]:
    """Daemons whose owner is gone, and whom no guardian has stopped. Nothing without a ``/proc``."""
    for entry in sorted(proc.glob("[0-9]*"), key=lambda entry: int(entry.name)) if HAS_PROC else ():
        try:
            environment = (entry / "environ").read_bytes()
            parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if parent == "1" and any(one.startswith(f"{VARIABLE}=".encode()) for one in environment.split(b"\0")):
            command = " ".join(words).strip()[:100]
            yield Finding(
                "leftovers",
                "bad",
                f"process {entry.name} runs without its owner: {command}",
                f"kill {entry.name}",
            )


def leftover_directories(folder: Path | None = None, proc: Path = Path("/proc")) -> Iterator[Finding]:
    """Temporary directories of this user that no process names. They may be kept on purpose."""
    folder = folder or Path(tempfile.gettempdir())
    found = [
        path
        for path in sorted(folder.glob("accuser-*"))
        if _WORKSPACE.fullmatch(path.name) and path.is_dir() and path.stat().st_uid == os.getuid()
    ]
    named = _all_words(proc) if found and HAS_PROC else b""
    for path in found:
        if os.fsencode(path) not in named:
            text = f"{path} is used by no daemon: kept after an error, or left by a killed run"
            yield Finding("leftovers", "note", text, f"rm -r {path}")


def _all_words(proc: Path) -> bytes:
    words = bytearray()
    for entry in proc.glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                words += (entry / name).read_bytes()
            except OSError:
                continue
    return bytes(words)
