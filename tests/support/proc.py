"""What /proc tells of processes."""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path
from typing import Final, Protocol

import trio

from accuser._hosts.owner.forks import forks
from accuser._hosts.owner.guardian import guardian
from accuser._hosts.proc import read_stat


class Kept(Protocol):
    """A child that outlasts a test on purpose."""

    @property
    def pid(self) -> int | None: ...
    @property
    def descriptor(self) -> int | None:
        """Ours, that leads to it."""


KEPT: Final[list[Kept]] = [forks]
"""The guardian is another one."""


def state_of(pid: int | None) -> str:
    """The letter of its state; ``Z`` too for one that is no more: somebody else reaps orphans."""
    found = None if pid is None else read_stat(pid)
    return "Z" if found is None else found.state


async def wait_for_state(pid: int | None, wanted: str) -> None:
    """Wait until a process is in a state. Nothing tells of it but /proc."""
    with trio.fail_after(60):
        while state_of(pid) != wanted:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.001)


async def wait_for_end(pid: int | None) -> None:
    """Wait until a process has ended."""
    await wait_for_state(pid, "Z")


def descriptors(pid: int | str = "self") -> set[tuple[int, str]]:
    """The open descriptors of a process, with what they lead to.

    Of this one without those of the guardian and of `KEPT`, which are to stay.
    """
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add((int(link.name), os.readlink(link)))
        except FileNotFoundError:
            continue  # the one that the folder was read through
    ours = (guardian.lifeline, *(one.descriptor for one in KEPT))
    return found if pid != "self" else {opened for opened in found if opened[0] not in ours}


def children() -> list[int]:
    """The processes that this one has started, zombies included, without the guardian and `KEPT`."""
    ours = (guardian.pid, *(one.pid for one in KEPT))
    return [pid for pid in children_of(os.getpid()) if pid not in ours]


def children_of(pid: int) -> list[int]:
    """The processes that a process has started itself, zombies included."""
    pids: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            pids += map(int, file.read_text().split())
    return pids


def command_of(pid: int) -> list[str]:
    """The words of a process's command line; none for a zombie, and for one that is no more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []  # it has ended since it was listed


def parent_of(pid: int) -> int:
    """The process that a process was started by."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


def wait_for_exit(pid: int) -> None:
    """Wait for the end of a process that is no child of ours."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        assert poller.poll(60_000), f"{pid} goes on: {Path(f'/proc/{pid}/cmdline').read_bytes()!r}"
    finally:
        os.close(pidfd)
