"""How fast time goes in the sandbox that runs in this process: a hundred cycles with an accuser."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
from standins import Writer
from table import Row
from trio.testing import MockClock

from accuser import Protocol, open_accuser, open_client, open_node, open_sandbox
from accuser._mavryk.parameters import write_parameter_file

CYCLES = 100
BLOCKS_PER_CYCLE = 2
"""The fewest that a protocol takes: seed nonces are to be revealed within a cycle, after its first
block (``check_constants`` of ``lib_protocol/constants_repr.ml``). The sandbox's own number is 8."""

PARAMETERS = {
    "blocks_per_cycle": BLOCKS_PER_CYCLE,
    "nonce_revelation_threshold": 1,
    "blocks_per_commitment": BLOCKS_PER_CYCLE,
}
IN_MEMORY = Path("/dev/shm")
ROUNDS = 3
MOST = 2.0
"""Seconds of processor time."""


def measure_cycles(writer: Writer) -> list[Row]:
    """Bake them in one command; it is over when the accuser has processed the last block."""
    with files_in_memory():
        rounds = [trio.run(_bake, clock=MockClock(autojump_threshold=0)) for _ in range(ROUNDS)]
    label = f"{CYCLES} cycles of {BLOCKS_PER_CYCLE} blocks in process, with an accuser"
    processor = statistics.median(processor for _, processor in rounds)
    return [
        Row(measure=label, ours=statistics.median(wall for wall, _ in rounds), unit="s"),
        Row(
            measure=f"{label}: processor time",
            ours=processor,
            unit="s",
            target=f"<= {MOST:g} s",
            ok=processor <= MOST,
        ),
    ]


async def _bake() -> tuple[float, float]:
    """Seconds that passed, and of processor time."""
    blocks = CYCLES * BLOCKS_PER_CYCLE
    alone = ("--connections 0", "--synchronisation-threshold 0")
    async with (
        open_sandbox() as sandbox,
        open_node(toolchain=sandbox.toolchain, arguments=alone) as node,
        open_client(node) as client,
    ):
        with tempfile.TemporaryDirectory() as folder:
            file = write_parameter_file(Protocol.BOREAS, Path(folder) / "parameters.json", PARAMETERS)
            await client.activate_protocol(Protocol.BOREAS, parameter_file=file)
        async with open_accuser(Protocol.BOREAS, node) as accuser:
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            processed = accuser.expect("accuser_processed_block.v0", count=blocks)
            begun, used = time.perf_counter(), time.process_time()
            await client.bake_for("bootstrap1", count=blocks)
            seen = await processed
            seconds, processor = time.perf_counter() - begun, time.process_time() - used
        level = await node.rpc("get", "/chains/main/blocks/head/helpers/current_level")
    # Else the figure would be about something else.
    assert (len(set(seen)), level["cycle"], trio.current_time()) == (blocks, CYCLES, 0.0)
    return seconds, processor


@contextmanager
def files_in_memory() -> Iterator[None]:
    # The watermarks are replaced twice a block; how long a disk takes for that is not the question.
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        os.environ["TMPDIR"], tempfile.tempdir = folder, None
        try:
            yield
        finally:
            tempfile.tempdir = None
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before
