"""``accuser run`` beside a node, while what is about it is abused at random.

``python -m tests.tools.abuse [--minutes 15] [--tries 100] [--seed N] [--check]``: two are kept for all the
time, one whose output goes to a file on a small disk, one whose output has a reader that comes and goes. The
disk fills up and empties, the reader is stopped and killed, idle clients flood ``/metrics``, their temporary
directory is removed, their clock steps, and the node, the accuser and the guardian are killed or stopped.
After each abuse a block must be processed, or a restart tells why it was not. Beside them others are started
and ended by SIGTERM at a moment drawn, the start included; each must end within its grace. Nothing may be
left. The table of it is written into ``docs/production.md``, unless it is only to be checked.

The small disk is a tmpfs in a mount namespace, which needs root, or user namespaces.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final

import attrs
import trio

from accuser import SANDBOX, Client, Node, Protocol, open_client, open_node
from tests.support.abused import GRACE, OUTPUTS, Kept, Place, children, kill, soon_ended
from tests.support.clock_steps import SteppedClock

PAGE: Final = Path(__file__).parents[2] / "docs" / "production.md"
BEGIN: Final = "<!-- abuse: begin -->"
END: Final = "<!-- abuse: end -->"
INSIDE: Final = "ACCUSER_ABUSE_INSIDE"
"""Set in the mount namespace."""
DISK: Final = "size=1m"
IDLE: Final = 100
"""Clients that connect and say nothing."""
PATIENCE: Final = 60.0
"""Seconds in which a block must be processed after an abuse: restarts take some of it."""


@attrs.define(eq=False)
class Abuse:
    """What runs, and what was done to it."""

    node: Node
    client: Client
    place: Place
    dice: Random
    kept: list[Kept] = attrs.field(factory=list)
    done: Counter[str] = attrs.field(factory=Counter)
    slowest: dict[str, float] = attrs.field(factory=dict)
    ends: dict[str, list[float]] = attrs.field(factory=dict)
    """In how many seconds those ended that were soon ended, by what their output was."""
    blocks: int = 0
    _of_node: trio.Lock = attrs.field(factory=trio.Lock)
    _of_disk: trio.Lock = attrs.field(factory=trio.Lock)

    async def pause(self) -> None:
        await trio.sleep(self.dice.uniform(0, 3))

    async def reader_is_stopped(self) -> None:
        kill(self.readers, signal.SIGSTOP)
        await self.pause()
        kill(self.readers, signal.SIGCONT)

    async def reader_is_killed(self) -> None:
        for one in self.kept:
            one.stop_reading()
        await self.pause()
        for one in self.kept:
            if one.fifo is not None:
                one.read()

    @property
    def readers(self) -> list[int]:
        return [one.reader.pid for one in self.kept if one.reader is not None]

    async def disk_is_full(self) -> None:
        async with self._of_disk:
            filler = self.place.disk / "filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            await self._bake()
            await self.pause()
            filler.unlink()

    async def idle_clients(self) -> None:
        for one in self.kept:
            host, port = one.url.removeprefix("http://").split(":")
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(IDLE):
                    await stack.enter_async_context(await trio.open_tcp_stream(host, int(port)))
                assert (await one.numbers())["accuser_restarts_total"] >= 0

    async def folder_is_removed(self) -> None:
        for one in self.kept:
            for path in one.folder.iterdir():
                shutil.rmtree(path, ignore_errors=True)

    async def clock_steps(self) -> None:
        for seconds in (self.dice.randint(-86400, 86400), 0):
            self.place.clock.step(seconds)
            await self.pause()

    async def accuser_is_killed(self) -> None:
        for one in self.kept:
            kill(children(one.process.pid, b"mavkit-accuser"), signal.SIGKILL)

    async def accuser_is_stopped(self) -> None:
        for one in self.kept:
            pids = children(one.process.pid, b"mavkit-accuser")
            kill(pids, signal.SIGSTOP)
            await self.pause()
            kill(pids, signal.SIGCONT)

    async def guardian_is_lost(self) -> None:
        for one in self.kept:
            how = self.dice.choice([signal.SIGKILL, signal.SIGSTOP])
            kill(children(one.process.pid, b"guardian_main"), how)

    async def node_is_stopped(self) -> None:
        async with self._of_node:
            self.node.signal(signal.SIGSTOP)
            await self.pause()
            self.node.signal(signal.SIGCONT)

    async def node_is_killed(self) -> None:
        async with self._of_node:
            async with self.node.expect_exit():
                self.node.signal(signal.SIGKILL)
            await self.node.restart()

    async def one(self) -> None:
        """Abuse them in up to three ways at once, and see that a block is processed.

        Raises `trio.TooSlowError`.
        """
        ways: list[Callable[[], Awaitable[None]]] = [
            *(self.reader_is_stopped, self.reader_is_killed, self.disk_is_full, self.idle_clients),
            *(self.folder_is_removed, self.clock_steps, self.accuser_is_killed, self.accuser_is_stopped),
            *(self.guardian_is_lost, self.node_is_stopped, self.node_is_killed),
        ]
        drawn = self.dice.sample(ways, self.dice.choice((1, 1, 2, 3)))
        async with trio.open_nursery() as nursery:
            for way in drawn:
                nursery.start_soon(way)
        begun = time.monotonic()
        with trio.fail_after(PATIENCE):
            while not await self._block_is_processed():
                pass
        for way in drawn:
            took = max(self.slowest.get(way.__name__, 0.0), time.monotonic() - begun)
            self.done[way.__name__], self.slowest[way.__name__] = self.done[way.__name__] + 1, took

    async def _bake(self) -> None:
        async with self._of_node:
            await self.client.bake_for()
            self.blocks += 1

    async def _block_is_processed(self) -> bool:
        """Bake one; whether all process it. Where one does not, a restart must tell why."""
        before = [await one.numbers() for one in self.kept]
        await self._bake()
        return all([await self._processes(*pair) for pair in zip(self.kept, before, strict=True)])

    async def all_is_told(self) -> None:
        """See that logs go on that could not be written for a while, and that lost entries are counted."""
        while not await self._block_is_processed():
            pass
        head = await self.node.rpc("get", "/chains/main/blocks/head/header")
        for one in self.kept:
            while head["hash"] not in one.log.read_text(errors="replace"):  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.1)  # another program writes it
            lost = (await one.numbers())["accuser_recording_lost_entries_total"]
            assert bool(lost) == bool(self.done["disk_is_full"])

    async def _processes(self, one: Kept, before: dict[str, float]) -> bool:
        total, restarts = "accuser_blocks_processed_total", "accuser_restarts_total"
        while True:
            now = await one.numbers()
            if now.get(restarts, 0) > before.get(restarts, 0) or not before.get("accuser_up"):
                one.explained += 1
                return False
            if now.get(total, 0) > before.get(total, 0):
                one.processed += 1
                return True
            await trio.sleep(0.05)


@asynccontextmanager
async def abusing(seed: int, folder: Path, disk: Path) -> AsyncIterator[Abuse]:
    """Run a node, and two commands that are kept, each of which has SIGTERM's grace to end."""
    arguments = ("--connections 0", "--synchronisation-threshold 0")
    async with open_node(toolchain=SANDBOX, arguments=arguments) as node, open_client(node) as client:
        await client.activate_protocol(Protocol.BOREAS)
        place = Place(folder, disk, SteppedClock.make(folder), node.rpc_endpoint)
        abused = Abuse(node, client, place, Random(seed))
        try:
            for name, piped in (("logged", False), ("piped", True)):
                abused.kept.append(await Kept.start(place, name, piped=piped))
            yield abused
            with trio.fail_after(PATIENCE):
                await abused.all_is_told()
            for one in abused.kept:
                abused.ends.setdefault("kept", []).append(await one.end())
                said = (folder / f"{one.name}.err").read_text() + one.log.read_text(errors="replace")
                assert "Traceback" not in said, said
        finally:
            for one in abused.kept:
                one.stop_reading()
                if one.process.returncode is None:
                    one.process.kill()


async def abuse(seconds: float, tries: int, seed: int, folder: Path, disk: Path) -> Abuse:
    """Abuse it for so long, and until so many were ended."""
    end = time.monotonic() + seconds
    async with abusing(seed, folder, disk) as abused, trio.open_nursery() as nursery:

        async def end_many() -> None:
            number, dice = 0, Random(seed + 1)
            while sum(map(len, abused.ends.values())) < tries:
                number += 1
                if (ended := await soon_ended(abused.place, number, dice)) is not None:
                    abused.ends.setdefault(ended[0], []).append(ended[1])

        nursery.start_soon(end_many)
        while time.monotonic() < end or len(nursery.child_tasks) > 0:
            await abused.one()
            print(f"{max(0, end - time.monotonic()):.0f} s to go", file=sys.stderr)
    return abused


def table(abused: Abuse, seconds: float, seed: int) -> str:
    """What was seen, in Markdown."""
    lines = ["| abuse | times | longest until a block was processed |", "|---|---|---|"]
    for name, times in sorted(abused.done.items()):
        lines.append(f"| {name.replace('_', ' ')} | {times} | {abused.slowest[name]:.2f} s |")
    lines += ["", "| ended by SIGTERM, with an output that is | times | longest |", "|---|---|---|"]
    for what in (*OUTPUTS, "kept"):
        took = abused.ends.get(what, [])
        lines.append(f"| {what} | {len(took)} | {max(took, default=0):.2f} s |")
    took_all = [took for what in abused.ends.values() for took in what]
    each = "; ".join(
        f"`{one.name}` processed {one.processed} and missed {one.explained}" for one in abused.kept
    )
    lines += [
        "",
        f"{seconds / 60:.1f} minutes with seed {seed}, {os.cpu_count()} processors. {abused.blocks} blocks "
        f"were baked. Blocks waited for: {each}, each while it was down or restarting. SIGTERM ended "
        f"{len(took_all)} runs, the slowest within {max(took_all):.2f} s (grace {GRACE:g} s). No process and "
        "no directory was left.",
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the table into the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def unshare() -> None:
    """Go on in a mount namespace, in which a file system may be mounted. Does not return."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    words = (sys.executable, "-m", "tests.tools.abuse", *sys.argv[1:])
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ("unshare", *user, "--mount", "--propagation", "private", "--", *words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    if INSIDE not in os.environ:
        unshare()
    folder, begun = Path(tempfile.mkdtemp(prefix="accuser-abuse-")), time.monotonic()
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", DISK, "abuse", str(disk)), check=True)
    try:
        abused = trio.run(abuse, options.minutes * 60, options.tries, options.seed, folder, disk)
    finally:
        subprocess.run(("umount", str(disk)), check=False)
        shutil.rmtree(folder, ignore_errors=True)
    text = table(abused, time.monotonic() - begun, options.seed)
    print(text)
    if not options.check:
        write(text)


if __name__ == "__main__":
    main()
