"""Ctrl-C while programs of the sandbox are tasks of this process: it is the owner's, and not theirs."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import accuser
from accuser import MEMORY, Toolchain, open_accuser, open_baker, open_client, open_node, open_sandbox
from tests.support.in_process import ALONE

NEAR: Final = ("--connections 2", "--synchronisation-threshold 0")
PACKAGE: Final = f"{Path(accuser.__file__).parent}/"


def is_of_a_program(task: trio.lowlevel.Task) -> bool:
    """Whether a program of the sandbox has started it, or is it."""
    while task.parent_nursery is not None and not task.name.startswith("mavkit-"):
        task = task.parent_nursery.parent_task
    return task.name.startswith("mavkit-")


@contextlib.contextmanager
def exposed() -> Iterator[set[str]]:
    """Gather the tasks of programs that a Ctrl-C would be raised in, by the functions that they call."""
    found: set[str] = set()
    seen = 0

    def look(frame: FrameType, event: str, _: Any) -> None:
        nonlocal seen
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE) and trio.lowlevel.in_trio_task():
            task = trio.lowlevel.current_task()
            if is_of_a_program(task):
                seen += 1
                if not trio.lowlevel.currently_ki_protected():
                    found.add(f"{frame.f_code.co_qualname} in {task.name}")

    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(None)
    assert seen > 10_000


async def live(toolchain: Toolchain) -> None:
    """Two neighbours; a baker and an accuser of one of them; a client that waits for its operation."""
    async with open_node(toolchain=toolchain, arguments=NEAR) as other:
        arguments = (*NEAR, f"--peer 127.0.0.1:{other.net_port}")
        async with open_node(toolchain=toolchain, arguments=arguments) as node, open_client(node) as client:
            await client.activate_protocol("boreas", timestamp="now")
            async with open_accuser("boreas", node), open_baker("boreas", node, client):
                await client.command("transfer", "1", "from", "bootstrap1", "to", "bootstrap2")
                await other.wait_for_level(3)


def test_no_task_of_a_program_is_interrupted() -> None:
    async def play() -> None:
        # Whose programs are no tasks of the system, as those of `MEMORY` are, which no Ctrl-C reaches.
        async with open_sandbox() as sandbox:
            await live(sandbox.toolchain)

    with exposed() as found:
        trio.run(play, clock=MockClock(autojump_threshold=0))
    assert found == set()


OWNER: Final = """
import os, signal, threading, trio
from accuser import MEMORY, open_client, open_node
from tests.support.in_process import ALONE

async def main():
    async with open_node(toolchain=MEMORY, arguments=ALONE) as node, open_client(node) as client:
        await client.activate_protocol("boreas")
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        await client.bake_for(count=5000)

try:
    trio.run(main)
except KeyboardInterrupt:
    print("interrupted")
"""


async def test_an_interrupt_is_the_owners() -> None:
    command = [sys.executable, "-c", OWNER]
    root = Path(__file__).parents[2]
    done = await trio.run_process(
        command, cwd=root, capture_stdout=True, stderr=subprocess.STDOUT, check=False
    )
    assert (done.returncode, done.stdout.decode()) == (0, "interrupted\n")


def test_an_interrupt_of_a_command_is_raised_as_it_is() -> None:
    async def main() -> None:
        async with open_node(toolchain=MEMORY, arguments=ALONE) as node, open_client(node) as client:
            await client.activate_protocol("boreas")
            interrupt = partial(signal.raise_signal, signal.SIGINT)
            trio.lowlevel.current_trio_token().run_sync_soon(interrupt)
            with pytest.raises(KeyboardInterrupt):
                await client.bake_for(count=5000)

    trio.run(main)
