"""What killed runs left behind: processes and directories, told from those of runs that go on.

The owner of a daemon has a guardian among its children, as long as it lives. So a guarded leader of
a process group whose parent has none is nobody's any more; a guardian whose parent is not its owner
is clearing up.

Nothing tells whose a directory is. It counts as left behind if no command line and no environment names
it, and if it was last changed before any living owner was started: what remains is nobody's for sure.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
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
                found.append(Process(one.pid, one.parent, one.group, started, command, environment))
    return found


def _boot_time() -> float:
    (line,) = (line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
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
    found = []
    for place in dict.fromkeys((Path(tempfile.gettempdir()), *PLACES)):
        with contextlib.suppress(OSError):
            for path in sorted(place.iterdir()):
                told = path.lstat()
                ours = stat.S_ISDIR(told.st_mode) and told.st_uid == os.getuid()
                over = told.st_mtime < begun and os.fsencode(path) not in used
                if _WORKSPACE.fullmatch(path.name) and ours and over:
                    found.append(path)
    return found


def leftovers() -> Iterator[Finding]:
    if not HAS_PROC:
        yield Finding("leftovers", "warning", "cannot be looked for without /proc", "Linux has it")
        return
    running = processes()
    left = orphans(running)
    for process in left[:SHOWN]:
        words = printable(process.command.replace(b"\0", b" ").decode("utf-8", "replace").strip())
        yield Finding(
            "leftovers",
            "warning",
            f"process {process.pid} has lost its owner: {words[:100]}",
            f"a guardian may be stopping it, for 10 s; else: kill -- -{process.group}",
        )
    directories = unused_directories(running)
    for path in directories[:SHOWN]:
        text = (
            f"{printable(str(path))} is of no running daemon: kept by a failed run, or left by a killed one"
        )
        yield Finding("leftovers", "warning", text, f"rm -r {shlex.quote(printable(str(path)))}")
    if (more := max(0, len(left) - SHOWN) + max(0, len(directories) - SHOWN)) > 0:
        yield Finding("leftovers", "warning", f"and {more} more", "look again when these are gone")
    if not left and not directories:
        yield Finding("leftovers", "ok", "none: no process without owner, no directory of ended runs")
