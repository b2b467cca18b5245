"""What ``accuser doctor`` finds out about this machine, one function a subject."""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import os
import platform
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import attrs
import trio

from .._errors import AccuserError, BinaryNotFound
from .._hosts import embedded
from .._hosts.host import inherited
from .._hosts.owner.child import POLL, spawn
from .._hosts.owner.forks import VARIABLE
from .._hosts.owner.ports import COMMON, lock_file
from .._hosts.paths import expressible_place, is_expressible
from .._hosts.proc import HAS_PROC
from .._hosts.toolchain import SANDBOX, Toolchain
from .._mavryk.protocol import Protocol
from .._text import counted
from .text import printable

Grade = Literal["ok", "warning", "problem"]

PACKAGES: Final = ("trio", "outcome", "attrs", "cattrs", "msgspec", "h11")
EXTRAS: Final = {
    "cryptography": ("sandbox", "the sandbox cannot sign"),
    "prometheus-client": ("metrics", "accuser run cannot serve metrics"),
    "pytest-trio": ("pytest", "tests need it"),
}
"""Optional packages: the extra that brings each, and what is missing without it."""

FILES: Final = (256, 1024)
"""Open files: fewer than the first are a problem, than the second a warning. A daemon takes five."""

SPACE: Final = (64 * 2**20, 1024 * 2**20)
"""Bytes free, in the same way: a node of a scenario writes some 20 MiB."""


@attrs.frozen
class Finding:
    subject: str
    grade: Grade
    text: str
    fix: str = ""
    """What to do about a warning or problem."""


def remedy(error: OSError, otherwise: str) -> str:
    """What to do where a program cannot be executed; `otherwise`, unless there are too many processes."""
    if error.errno == errno.EAGAIN:
        return "allow more processes and threads: `ulimit -u`, or TasksMax= in a systemd unit"
    return otherwise


def python() -> Iterator[Finding]:
    """The interpreter, the system, the packages."""
    version, system = platform.python_version(), f"{platform.system()} {platform.release()}"
    yield Finding("python", "ok", f"{version}, {sys.executable}, on {system}")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions.insert(0, f"accuser {importlib.metadata.version('accuser')}")
    yield Finding("packages", "ok", ", ".join(versions))
    for name, (extra, without) in EXTRAS.items():
        try:
            yield Finding("packages", "ok", f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            fix = f"pip install 'accuser[{extra}]'"
            yield Finding("packages", "warning", f"{name} is not installed: {without}", fix)


def limits() -> Iterator[Finding]:
    """Open files, and what the kernel offers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fix = "raise it: `ulimit -n 4096` in the shell, LimitNOFILE=4096 in a systemd unit"
    yield _graded("open files", soft, FILES, f"at most {soft}, and {hard} if raised", fix)
    try:
        os.close(os.pidfd_open(os.getpid()))
        yield Finding("pidfd", "ok", "exits are noticed at once")
    except (AttributeError, OSError):
        text = f"not there: exits are looked for every {POLL * 1000:g} ms"
        yield Finding("pidfd", "warning", text, "Linux 5.3 and later have it; nothing needs to be done")
    if HAS_PROC:
        yield Finding("/proc", "ok", "what processes use can be told")
    else:
        yield Finding("/proc", "warning", "not there: no statistics of daemons", "Linux has it")
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        text = "SIGCHLD is ignored, by whoever started this: no exit status is kept, and each seems to be 0"
        fix = "in Python, before trio runs: signal.signal(signal.SIGCHLD, signal.SIG_DFL)"
        yield Finding("signals", "warning", text, fix)


def places() -> Iterator[Finding]:
    """The folders for temporary files: FIFOs, free space, the lock of the ports."""
    fix = "set TMPDIR to a folder that you can write to, with a path of A-Z a-z 0-9 . _ / + - alone"
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        text = f"no folder for temporary files can be written to: {printable(error.strerror or str(error))}"
        yield Finding("TMPDIR", "problem", text, fix)
        return
    if (wanted := os.environ.get("TMPDIR")) and Path(wanted).absolute() != folder:
        yield Finding("TMPDIR", "problem", f"{printable(wanted)} is no folder to write to", fix)
    elif is_expressible(folder):
        yield Finding("TMPDIR", "ok", str(folder))
    else:
        try:
            text = f"event pipes go to {expressible_place()}: their sink cannot take {printable(str(folder))}"
            yield Finding("TMPDIR", "warning", text, fix)
        except AccuserError as error:
            yield Finding("TMPDIR", "problem", str(error), fix)
    yield _fifo(folder)
    for place in dict.fromkeys((folder, COMMON)):
        if place.is_dir():
            usage = shutil.disk_usage(place)
            text = f"{usage.free >> 20} MiB free of {usage.total >> 20} in {printable(str(place))}"
            yield _graded("space", usage.free, SPACE, text, "free some, or set TMPDIR to another disk")
    yield _ports()


def _fifo(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryDirectory(prefix="accuser-doctor-", dir=folder) as inner:
            path = Path(inner) / "pipe"
            os.mkfifo(path)
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                try:
                    os.write(writer, b"x")
                    carried = os.read(reader, 1) == b"x"
                finally:
                    os.close(writer)
            finally:
                os.close(reader)
    except OSError as error:
        text = f"cannot be made in {printable(str(folder))}: {error.strerror}"
        return Finding(
            "FIFO", "problem", text, "set TMPDIR to a folder on a local disk that you can write to"
        )
    return Finding("FIFO", "ok" if carried else "problem", "one was made, written and read")


def _ports() -> Finding:
    path = lock_file()
    try:
        found = path.lstat()
    except FileNotFoundError:
        return Finding("ports", "ok", f"no port was ever reserved ({path})")
    except OSError as error:
        return Finding("ports", "problem", f"{path}: {error.strerror}", "make it readable for you")
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or not os.access(path, os.W_OK):
        return Finding("ports", "problem", f"{path} is not a file of yours", f"have it removed: rm {path}")
    holders = counted(len(_holders(found.st_ino)), "process", "processes")
    text = f"reserved by {holders}; those of ended processes are free by themselves ({path})"
    return Finding("ports", "ok", text)


def _holders(inode: int) -> set[int]:
    """The processes that hold locks of a file, by ``/proc/locks``; see proc_locks(5)."""
    try:
        lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    rows = [line.split() for line in lines if "->" not in line]
    return {int(row[4]) for row in rows if len(row) > 5 and row[5].rpartition(":")[2] == str(inode)}


def _graded(subject: str, number: int, bounds: tuple[int, int], text: str, fix: str) -> Finding:
    # No limit at all is a negative number.
    if number < 0 or number >= bounds[1]:
        return Finding(subject, "ok", text)
    return Finding(subject, "problem" if number < bounds[0] else "warning", text, fix)


async def binaries(toolchain: Toolchain, demanded: bool, seconds: float) -> list[Finding]:
    """The executables of a toolchain, each asked for its version.

    Args:
        toolchain: where they come from.
        demanded: whether somebody asked for it, so that it is a problem if they are not there.
        seconds: that each may take.
    """
    names = ["mavkit-node", "mavkit-client", "mavkit-admin-client"]
    names += [protocol.accuser_binary for protocol in Protocol]
    found: dict[str, Finding] = {}
    versions: dict[str, str] = {}
    missing: list[str] = []

    async def look(name: str) -> None:
        try:
            command = toolchain.command(name)
        except BinaryNotFound:
            missing.append(name)
            return
        found[name], version = await _version(name, command, seconds)
        if version:
            versions[name] = version

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(look, name)
    findings = [found[name] for name in names if name in found]
    if missing:
        what = "none was found" if len(missing) == len(names) else f"not found: {', '.join(sorted(missing))}"
        # Who uses one protocol needs one accuser.
        lacking = {"mavkit-node", "mavkit-client"} & set(missing) or len(missing) >= 4
        fix = "name their folder: --toolchain DIR, or the variable MAVKIT_BIN_DIR; the sandbox needs none"
        grade: Grade = "problem" if demanded and lacking else "warning"
        findings.append(Finding("binaries", grade, f"{toolchain}: {what}", fix))
    if len(set(versions.values())) > 1:
        text = "they are of several versions, which may not understand each other"
        findings.append(Finding("binaries", "warning", text, "install all of them from one release"))
    return findings


async def sandbox(seconds: float) -> Finding:
    """A program of the sandbox, executed: one is enough, since they are all the same."""
    finding, _ = await _version("sandbox", SANDBOX.command("mavkit-node"), seconds)
    return finding


async def _version(name: str, command: Iterable[str], seconds: float) -> tuple[Finding, str]:
    words = (*command, "--version")
    fix = f"run `{words[0]} --version` yourself; if it is no executable of this machine, install it again"
    try:
        done = await _asked(words, seconds)
    except OSError as error:
        return Finding(name, "problem", f"{words[0]}: {error.strerror}", remedy(error, fix)), ""
    if done is None:
        # On a busy machine a sound program may be that slow.
        return Finding(name, "warning", f"{words[0]}: no version within {seconds:g} s", fix), ""
    said = printable((done.stdout or done.stderr).decode("utf-8", "replace").strip().partition("\n")[0])
    if done.returncode != 0:
        return Finding(name, "problem", f"{words[0]}: exit status {done.returncode}: {said}", fix), ""
    return Finding(name, "ok", f"{said}, {words[0]}"), said


async def _asked(words: Sequence[str], seconds: float) -> subprocess.CompletedProcess[bytes] | None:
    """Run a program to its end; None if that takes too long. Raises ``OSError``."""
    with trio.move_on_after(seconds):
        try:
            return await trio.run_process(
                words, capture_stdout=True, capture_stderr=True, check=False, deliver_cancel=_kill
            )
        except RuntimeError as error:
            # Trio starts it in a thread, and there can be none.
            raise OSError(errno.EAGAIN, str(error)) from error
    return None


async def forking(seconds: float) -> Finding:
    """Whether processes of the sandbox are forked, which costs a tenth of executing them."""
    problem = f"no process was forked within {seconds:g} s"
    with trio.move_on_after(seconds):
        try:
            problem = await _try_to_fork()
        except AccuserError as error:
            text = f"no process of the sandbox can be started now: {printable(str(error))}"
            return Finding("forks", "warning", text, "see what is told of open files, and of the sandbox")
    if not problem:
        return Finding("forks", "ok", "processes of the sandbox are forked from one that is loaded")
    text = f"processes of the sandbox are executed, each for itself, which is slower: {printable(problem)}"
    if not sys.platform.startswith("linux"):
        return Finding("forks", "ok", text)
    wanted = os.environ.get(VARIABLE) == "no"
    fix = f"unset {VARIABLE}" if wanted else "nothing needs to be done: they do the same"
    return Finding("forks", "warning", text, fix)


@trio.lowlevel.enable_ki_protection
async def _try_to_fork() -> str:
    """Why a program was not forked; nothing if it was."""
    words = (*SANDBOX.command("mavkit-node"), "--version")
    child = await spawn(words, inherited(), embedded.arguments(words))
    try:
        await child.wait_exited()
        status = await child.reap()
    finally:
        await child.aclose()
    return child.unforked or (f"one that was forked ended with status {status}" if status else "")


async def _kill(process: trio.Process) -> None:
    process.kill()
    await trio.lowlevel.checkpoint()


async def ssh(seconds: float) -> Finding:
    """The OpenSSH client, for daemons on other machines."""
    path = shutil.which("ssh")
    if path is None:
        return Finding(
            "ssh", "warning", "no client: no daemons on other machines", "install OpenSSH's client"
        )
    fix = "install OpenSSH's client again"
    try:
        done = await _asked((path, "-V"), seconds)
    except OSError as error:
        return Finding("ssh", "warning", f"{path}: {error.strerror}", remedy(error, fix))
    if done is None or done.returncode != 0:
        return Finding("ssh", "warning", f"{path} -V tells no version", fix)
    return Finding("ssh", "ok", f"{printable(done.stderr.decode('utf-8', 'replace').strip())}, {path}")
