"""``accuser run`` beside a node that is killed again and again.

``python -m tests.tools.endurance [--minutes N] [--kills N]``: the accuser must be back each time, its metrics
must tell what happened, and the memory of ``accuser run`` must stay as it is. Prints a table.
"""

from __future__ import annotations

import argparse
import itertools
import re
import signal
import statistics
import time
from collections.abc import Callable
from typing import Final

import attrs
import trio
from prometheus_client.parser import text_string_to_metric_families

from accuser import SANDBOX, Client, Node, Protocol, open_client, open_node
from accuser._http.client import HttpClient
from accuser._text import counted
from tests.support.cli import Typed, typing

FIRST_DELAY: Final = 0.2
MAX_DELAY: Final = 4.0
"""The policy of the accuser: waits of 0.2, 0.4, 0.8, ... at most 4 seconds."""

PACE: Final = 1.0
"""Seconds between two blocks."""

GROWTH: Final = 2 * 2**20
"""Bytes by which the resident memory may differ: allocators round, and caches of Python fill."""

_WAIT: Final = re.compile(r"restart (\d+) in ([\d.e-]+) s")

Numbers = dict[str, float]


@attrs.frozen
class Outage:
    """What happened when the node was killed."""

    down: float
    """Seconds that the node was not there."""
    restarts: int
    """How often the accuser was restarted meanwhile."""
    longest: float
    """The longest wait for one of these restarts, in seconds."""
    back: float
    """Seconds from the moment when the node was ready again until the accuser watched it."""


@attrs.define(eq=False)
class Endurance:
    """A node, a client that bakes, and ``accuser run`` as a process of its own."""

    node: Node
    client: Client
    command: Typed
    url: str
    samples: list[Numbers] = attrs.field(factory=list)
    """The metrics after each block."""

    async def bake(self) -> None:
        """Bake a block, and see that it is processed, and counted."""
        await self.client.bake_for()
        head = await self.node.rpc("get", "/chains/main/blocks/head/header")
        await self.command.until(f'accuser_processed_block.v0 "{head["hash"]}"')
        numbers = await self.scrape()
        assert numbers["accuser_up"] == 1
        assert numbers["accuser_highest_level"] == head["level"]
        if self.samples:
            assert numbers["accuser_blocks_processed_total"] > self._last("accuser_blocks_processed_total")
        self.samples.append(numbers)

    async def outage(self, seconds: float) -> Outage:
        """Kill the node, leave it so for a while, run it again, and wait for the accuser."""
        begun, read = time.monotonic(), len(self.command.text)
        async with self.node.expect_exit():
            self.node.signal(signal.SIGKILL)
        await self.command.until("ended unasked")
        assert (await self.scrape())["accuser_up"] == 0
        await trio.sleep(seconds)
        await self.node.restart()
        ready = time.monotonic()
        await self.command.until("watches the chain")
        back = time.monotonic() - ready
        waits = [(int(number), float(wait)) for number, wait in _WAIT.findall(self.command.text[read:])]
        numbers = await self.scrape()
        assert numbers["accuser_restarts_total"] == self._last("accuser_restarts_total") + len(waits)
        longest = max(wait for _, wait in waits)
        assert longest <= MAX_DELAY
        return Outage(ready - begun, len(waits), longest, back)

    async def scrape(self) -> Numbers:
        """The metrics of this moment, but for those with labels."""
        response = await HttpClient(self.url).request("GET", "")
        assert response.status == 200
        families = text_string_to_metric_families(response.body.decode())
        return {s.name: s.value for family in families for s in family.samples if not s.labels}

    def memory(self, name: str) -> tuple[float, float]:
        """The median of the first and of the last third of the samples, of those after the first few."""
        values = [sample[name] for sample in self.samples[3:] or self.samples]
        third = max(1, len(values) // 3)
        return statistics.median(values[:third]), statistics.median(values[-third:])

    def _last(self, name: str) -> float:
        return self.samples[-1][name]


async def endure(
    kills: int, blocks: int, outages: list[float], pace: float, report: Callable[[str], object]
) -> Endurance:
    """Kill the node so often, with so many blocks before, between and after. Raises `AssertionError`."""
    arguments = ("--connections 0", "--synchronisation-threshold 0")
    async with open_node(toolchain=SANDBOX, arguments=arguments) as node, open_client(node) as client:
        await client.activate_protocol(Protocol.BOREAS)
        words = ["run", "--toolchain", "sandbox", "--endpoint", node.rpc_endpoint, "--verbose"]
        words += ["--metrics", "127.0.0.1:0", "--restart-reset", "10"]
        words += ["--restart-delay", str(FIRST_DELAY), "--restart-max-delay", str(MAX_DELAY)]
        async with typing(*words) as command:
            url = await command.until("metrics: ")
            await command.until("watches the chain")
            endurance = Endurance(node, client, command, url)
            for number, seconds in zip(range(kills + 1), itertools.cycle(outages), strict=False):
                for _ in range(blocks):
                    await endurance.bake()
                    await trio.sleep(pace)
                if number < kills:
                    outage = await endurance.outage(seconds)
                    report(
                        f"kill {number + 1}: node down {outage.down:5.1f} s, "
                        f"{counted(outage.restarts, 'restart')}, the longest wait "
                        f"{outage.longest:.2f} s; back {outage.back:.2f} s after the node"
                    )
            command.process.send_signal(signal.SIGTERM)
            assert await command.end() == 0
            assert "Traceback" not in command.text
            return endurance


async def main(minutes: float, kills: int) -> None:
    """Run for about so long, and print what was seen."""
    begun, outages = time.monotonic(), [0.0, 2.0, 5.0, 12.0, 20.0]
    playing = minutes * 60 - sum(outage + 5 for outage, _ in zip(itertools.cycle(outages), range(kills)))
    blocks = max(3, round(playing / (kills + 1) / (PACE + 0.45)))
    endurance = await endure(kills, blocks, outages, PACE, lambda text: print(text, flush=True))
    last = endurance.samples[-1]
    print(f"{(time.monotonic() - begun) / 60:.1f} minutes, {len(endurance.samples)} blocks baked,", end=" ")
    print(
        f"{last['accuser_blocks_processed_total']:g} processed,",
        counted(int(last["accuser_restarts_total"]), "restart"),
    )
    for name, what in (
        ("process_resident_memory_bytes", "accuser run"),
        ("accuser_process_resident_memory_bytes", "the accuser"),
    ):
        first, end = endurance.memory(name)
        print(f"memory of {what}: {first / 2**20:.2f} MiB in the first third, {end / 2**20:.2f} in the last")
    first, end = endurance.memory("process_resident_memory_bytes")
    assert abs(end - first) <= GROWTH, "the memory of accuser run is not flat"
    first, end = (endurance.samples[at]["process_open_fds"] for at in (0, -1))
    print(f"descriptors of accuser run: {first:g} at first, {end:g} at last")
    assert end <= first + 1
    used = last["process_cpu_seconds_total"] / (time.monotonic() - begun)
    print(f"accuser run used {used:.2%} of a processor")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Keep an accuser running beside a node that is killed.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    trio.run(main, options.minutes, options.kills)
