"""What killed runs left behind: processes and directories, told from those of runs that go on.

The owner of a daemon has a guardian among its children, as long as it lives. So a guarded leader of
a process group whose parent has none is nobody's any more; a guardian whose parent is not its owner
is clearing up.

Nothing tells whose a directory is, but for the name of those that daemons in one process have. It counts as
left behind if no command line and no environment names it, and if it was last changed before any living owner
was started: what remains is nobody's for sure.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from .._hosts.owner.guardian_main import VARIABLE
from .._hosts.paths import PLACES
from .._hosts.proc import HAS_PROC, PROC, read_stats
from .findings import Finding
from .text import printable

_GUARDIAN: Final = b"guardian_main.py"
_WORKSPACE: Final = re.compile(r"accuser-[A-Za-z0-9._+-]+-[a-z0-9_]{8}")
_OF_PROCESS: Final = re.compile(r".*-of-([0-9]+)-[a-z0-9_]{8}")
SHOWN: Final = 5
"""How many are named."""


@attrs.frozen
class Process:
    pid: int
    parent: int
    group: int
    started: float
    """In seconds since the Unix epoch."""
    command: bytes
    environment: bytes
    start: str = ""
    """As the kernel tells it."""

    @property
    def is_guarded(self) -> bool:
        """Whether it, or whoever started it, is a daemon of ours."""
        return f"{VARIABLE}=".encode() in self.environment


def processes() -> list[Process]:
    found = []
    boot, ticks = _boot_time(), os.sysconf("SC_CLK_TCK")
    for one in read_stats():
        # Those of other users do not tell.
        with contextlib.suppress(OSError):
            folder = Path(PROC, str(one.pid))
            if one.living:
                command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
                started = boot + int(one.start) / ticks
                mine = (started, command, environment, one.start)
                found.append(Process(one.pid, one.parent, one.group, *mine))
    return found


def _boot_time() -> float:
    (line,) = (
        line
        for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines()
        if line.startswith("btime ")
    )
    return float(line.split()[1])


def _owners(running: list[Process]) -> set[int]:
    return {process.parent for process in running if _GUARDIAN in process.command}


def orphans(running: list[Process]) -> list[Process]:
    owners = _owners(running)
    return [
        process
        for process in running
        if process.is_guarded and process.group == process.pid and process.parent not in owners
        if _GUARDIAN not in process.command
    ]


def unused_directories(running: list[Process]) -> list[Path]:
    """The directories that daemons were given, of runs that are over."""
    owners = _owners(running)
    # A second, since the time of the boot is told in whole ones.
    begun = min((process.started for process in running if process.pid in owners), default=math.inf) - 1
    used = b"\0".join(part for process in running for part in (process.command, process.environment))
    living = {str(process.pid) for process in running}
    found = []
    places = [*PLACES]
    with contextlib.suppress(OSError):  # no folder can be written to
        places.insert(0, Path(tempfile.gettempdir()))
    for place in dict.fromkeys(places):
        with contextlib.suppress(OSError):
            for path in sorted(place.iterdir()):
                told = path.lstat()
                ours = stat.S_ISDIR(told.st_mode) and told.st_uid == os.getuid()
                over = told.st_mtime < begun and os.fsencode(path) not in used
                if _WORKSPACE.fullmatch(path.name) and ours and over and not _is_of_one(path.name, living):
                    found.append(path)
    return found


def _is_of_one(name: str, living: set[str]) -> bool:
    """Whether a directory is of a living process whose daemons are in it, or of one that has its id now."""
    of_process = _OF_PROCESS.fullmatch(name)
    return of_process is not None and of_process[1] in living


def leftovers() -> Iterator[Finding]:
    if not HAS_PROC:
        yield Finding("leftovers", "warning", "cannot be looked for without /proc", "Linux has it")
        return
    running = processes()
    left, directories = orphans(running), unused_directories(running)
    if not left and not directories:
        yield Finding("leftovers", "ok", "none: no process without owner, no directory of ended runs")
        return
    named = [_named(process) for process in left[:SHOWN]]
    named += [f"{printable(str(path))} is of no running daemon" for path in directories[:SHOWN]]
    if (more := max(0, len(left) - SHOWN) + max(0, len(directories) - SHOWN)) > 0:
        named.append(f"and {more} more")
    fix = "accuser doctor --clear, once nobody wants to look at them; a guardian takes 10 s for a process"
    yield Finding("leftovers", "warning", "; ".join(named), fix)


def _named(process: Process) -> str:
    words = printable(process.command.replace(b"\0", b" ").decode("utf-8", "replace").strip())
    return f"process {process.pid} has lost its owner: {words[:100]}"


def clear() -> Iterator[Finding]:
    """Kill the processes and remove the directories that are left, and tell what was not possible."""
    running = processes() if HAS_PROC else []
    left, directories = orphans(running), unused_directories(running)
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            try:
                # Looked at again: it may have ended meanwhile, and its id be somebody's.
                if any(one.pid == process.pid and one.start == process.start for one in read_stats()):
                    os.killpg(process.group, signal.SIGKILL)
            except PermissionError as error:
                text = f"process {process.pid} cannot be killed: {error.strerror}"
                yield Finding("leftovers", "warning", text, f"as its user: kill -KILL -- -{process.group}")
    for path in directories:
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            text = f"{printable(str(path))} cannot be removed"
            yield Finding("leftovers", "warning", text, f"rm -r {shlex.quote(printable(str(path)))}")
    text = f"cleared: processes {len(left)}, directories {len(directories)}"
    yield Finding("leftovers", "ok", text)
