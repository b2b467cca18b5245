"""``accuser run`` beside a node, while what is about it is abused at random.

``python -m tests.tools.abuse [--minutes 15] [--seed N]``: its output is not read for a while, idle clients
flood ``/metrics``, its temporary directory is removed, and the node, the accuser and the guardian are killed
or stopped. After each abuse a block must be processed; at the end SIGTERM must end it within its grace, and
nothing may be left. Prints a table.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from accuser import SANDBOX, Client, Node, Protocol, open_client, open_node
from accuser._hosts.proc import read_stats
from tests.support.cli import Typed, typing

GRACE: Final = 10.0
IDLE: Final = 100
"""Clients that connect and say nothing."""
PATIENCE: Final = 60.0
"""Seconds in which a block must be processed after an abuse: restarts take some of it."""


@attrs.define(eq=False)
class Abuse:
    """What runs, and what was done to it."""

    node: Node
    client: Client
    command: Typed
    url: str
    place: Path
    dice: random.Random
    done: Counter[str] = attrs.field(factory=Counter)
    slowest: dict[str, float] = attrs.field(factory=dict)

    def children(self, word: bytes) -> list[int]:
        """The children of the command with a word in their command line."""
        found = []
        for stat in read_stats():
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{stat.pid}/cmdline").read_bytes()
                if stat.parent == self.command.process.pid and word in line:
                    found.append(stat.pid)
        return found

    async def output_is_not_read(self) -> None:
        await trio.sleep(self.dice.uniform(0, 3))

    async def idle_clients(self) -> None:
        host, port = self.url.removeprefix("http://").partition("/")[0].split(":")
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(IDLE):
                await stack.enter_async_context(await trio.open_tcp_stream(host, int(port)))
            await trio.sleep(0.5)

    async def folder_is_removed(self) -> None:
        for path in self.place.iterdir():
            shutil.rmtree(path, ignore_errors=True)

    async def accuser_is_killed(self) -> None:
        for pid in self.children(b"mavkit-accuser"):
            os.kill(pid, signal.SIGKILL)

    async def guardian_is_lost(self) -> None:
        for pid in self.children(b"guardian_main"):
            os.kill(pid, self.dice.choice([signal.SIGKILL, signal.SIGSTOP]))

    async def node_is_stopped(self) -> None:
        self.node.signal(signal.SIGSTOP)
        await trio.sleep(self.dice.uniform(0, 2))
        self.node.signal(signal.SIGCONT)

    async def node_is_killed(self) -> None:
        async with self.node.expect_exit():
            self.node.signal(signal.SIGKILL)
        await self.node.restart()

    async def one(self) -> None:
        """Abuse it in one way, and see that a block is processed. Raises `trio.TooSlowError`."""
        ways: list[Callable[[], Awaitable[None]]] = [
            self.output_is_not_read,
            self.idle_clients,
            self.folder_is_removed,
            self.accuser_is_killed,
            self.guardian_is_lost,
            self.node_is_stopped,
            self.node_is_killed,
        ]
        way = self.dice.choice(ways)
        await way()
        begun = time.monotonic()
        with trio.fail_after(PATIENCE):
            await self._block_is_processed()
        self.done[way.__name__] += 1
        self.slowest[way.__name__] = max(self.slowest.get(way.__name__, 0.0), time.monotonic() - begun)

    async def _block_is_processed(self) -> None:
        # Where a restart explains that one is not, a later one is.
        while True:
            await self.client.bake_for()
            head = await self.node.rpc("get", "/chains/main/blocks/head/header")
            with trio.move_on_after(3):
                await self.command.until(f'accuser_processed_block.v0 "{head["hash"]}"')
                return


@asynccontextmanager
async def abusing(seed: int, place: Path) -> AsyncIterator[Abuse]:
    """Run a node and the command, which has SIGTERM's grace to end. Raises `AssertionError`."""
    arguments = ("--connections 0", "--synchronisation-threshold 0")
    async with open_node(toolchain=SANDBOX, arguments=arguments) as node, open_client(node) as client:
        await client.activate_protocol(Protocol.BOREAS)
        words = [
            "run",
            "--toolchain",
            "sandbox",
            "--endpoint",
            node.rpc_endpoint,
            "--verbose",
            "--grace",
            f"{GRACE}",
        ]
        words += ["--metrics", "127.0.0.1:0", "--restart-delay", "0.1", "--restart-max-delay", "1"]
        async with typing(*words, TMPDIR=str(place)) as command:
            url = (await command.until("metrics: ")).strip()
            await command.until("watches the chain")
            yield Abuse(node, client, command, url, place, random.Random(seed))
            command.process.send_signal(signal.SIGTERM)
            with trio.fail_after(2 * GRACE):
                assert await command.end() == 0
            assert not re.search("Traceback", command.text)


async def abuse(seconds: float, seed: int) -> Abuse:
    """Abuse it for so long."""
    place = Path(tempfile.mkdtemp(prefix="accuser-abuse-"))
    try:
        async with abusing(seed, place) as abused:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                await abused.one()
        with trio.fail_after(2 * GRACE):
            while left := list(place.iterdir()):  # noqa: ASYNC110 - a guardian removes it
                print(f"left: {left}")
                await trio.sleep(1)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return abused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    abused = trio.run(abuse, options.minutes * 60, options.seed)
    print("| abuse | times | longest until a block was processed |\n|---|---|---|")
    for name, times in sorted(abused.done.items()):
        print(f"| {name.replace('_', ' ')} | {times} | {abused.slowest[name]:.2f} s |")


if __name__ == "__main__":
    main()
