"""Owners that become another user, or have closed their standard streams."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio

ROOT = Path(__file__).parents[2]

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux forks programs")


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


CLOSED = """
import os, select, sys, trio
from accuser import SANDBOX, Endpoint, open_client
from accuser._hosts.owner.forks import forks
from accuser._hosts.owner.guardian import guardian

os.environ.pop("ACCUSER_SANDBOX_FORKS", None)

async def main():
    for number in map(int, sys.argv[1:]):
        os.close(number)  # now, since trio has descriptors of its own
    async with open_client(Endpoint("http://127.0.0.1:1"), toolchain=SANDBOX) as client:
        assert client.base_dir.is_dir()  # which is guarded
        first = guardian.pid
        assert "sandbox" in await client.command("--version")
        assert forks.pid is not None or not sys.platform.startswith("linux")
        # One that takes the end of its input for ours ends.
        assert guardian.pid == first
        assert not select.select([os.pidfd_open(first)], [], [], 0.5)[0]
        assert client.base_dir.is_dir()

try:
    trio.run(main)
except BaseException:
    os._exit(3)
"""


@linux
@pytest.mark.parametrize("numbers", ["0", "1", "2", "012"])
async def test_an_owner_that_has_closed_its_standard_streams_is_guarded_and_forks(numbers: str) -> None:
    status, _ = await run(CLOSED, *numbers)
    assert status == 0


CHANGED = """
import ctypes, os
from accuser._hosts.owner.circumstances import circumstances_for

C = ctypes.CDLL(None)

def forgiven():
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("900")

# The others give -1 where they may not be, or are so already.
def namespace():
    return C.unshare(0x04000000)  # of the host's name

def without_a_capability():
    return C.prctl(24, 0, 0, 0, 0) if C.prctl(23, 0, 0, 0, 0) == 1 else -1

def no_new_privileges():
    return -1 if C.prctl(39, 0, 0, 0, 0) else C.prctl(38, 1, 0, 0, 0)

for change in (lambda: os.nice(1), os.setsid, forgiven, namespace, without_a_capability, no_new_privileges):
    before = circumstances_for({})
    assert circumstances_for({}) == before
    if change() != -1:
        assert circumstances_for({}) != before, change
"""


@linux
async def test_what_an_owner_becomes_is_noticed() -> None:
    assert await run(CHANGED) == (0, b"")
