"""What the tests of the guardian share."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accuser._hosts.owner.guardian import guardian
from tests.support.proc import command_of, wait_for_exit

NEVER = 1000
"""Seconds of grace in tests that would take so long if the guardian waited for it."""


@contextmanager
def watched(pids: list[int]) -> Iterator[list[int]]:
    """Give descriptors that are readable when the processes have ended, be they reaped or not."""
    descriptors = [os.pidfd_open(pid) for pid in pids]
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def lives(descriptor: int) -> bool:
    return not select.select([descriptor], [], [], 0)[0]


def wait_for_guardians(folder: str) -> None:
    """Wait until the guardians of owners that were killed, with this ``TMPDIR``, have done their work."""
    for place in Path("/proc").glob("[0-9]*"):
        pid = int(place.name)
        with contextlib.suppress(OSError):
            variables = (place / "environ").read_bytes().split(b"\0")
            if f"TMPDIR={folder}".encode() not in variables or pid == guardian.pid:
                continue
            if any(word.endswith("guardian_main.py") for word in command_of(pid)):
                wait_for_exit(pid)
