"""Owners that become another user, or have closed their standard streams."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import trio

ROOT = Path(__file__).parents[2]


async def run(program: str, *arguments: str) -> tuple[int, bytes]:
    """Run a program in an interpreter of its own; its status, and what it has to say of errors."""
    done = await trio.run_process(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_stderr=True,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode, done.stderr


ANOTHER_USER = """
import os
from accuser._hosts.owner.guardian import guardian

def refuse(pid, signum):
    raise PermissionError(1, "Operation not permitted")

with guardian.announced() as guard:
    guard.forget()
os.kill = refuse
"""


async def test_the_guardian_of_an_owner_that_became_another_user_ends_with_it() -> None:
    assert await run(ANOTHER_USER) == (0, b"")
