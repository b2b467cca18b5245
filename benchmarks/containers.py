"""What a container costs: the start of a daemon in it, and a whole test, against the same without it.

The image is that of the tests: the sandbox's programs, which are Python. So that the ratio of the test tells
the cost of the container, and not of starting Pythons, those of the processes are executed one by one too.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import trio
from standins import Writer
from table import Row, compared

from accuser import (
    SANDBOX,
    ContainerRunner,
    Daemon,
    Protocol,
    ReadyLine,
    Toolchain,
    init_with_protocol,
    open_accuser,
    open_container,
    open_daemon,
    open_node,
)

STARTS = 9
TESTS = 3
NODE = ("--synchronisation-threshold 0",)


def measure_containers(_: Writer) -> list[Row]:
    """Make the image, and measure; no row where there is no engine that works."""
    if shutil.which("podman") is None:
        print("  no podman here", file=sys.stderr)
        return []
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    from tests.support.containers import IMAGE, NoEngine, shared_by_workers

    with tempfile.TemporaryDirectory() as place, shared_by_workers(Path(place)) as found:
        if isinstance(found, NoEngine):
            print(f"  {found.reason}", file=sys.stderr)
            return []
        os.environ.update(found.variables)
        return [trio.run(_start, IMAGE), _whole_test(IMAGE)]


async def _start(image: str) -> Row:
    """A daemon that is ready in a container that runs, against the engine's own way in."""
    ours, floor = [], []
    async with open_container(image, pull="never") as runner:
        sleeper = ("-c", "echo ready; exec sleep 99")
        # What is asked once of an image.
        async with open_daemon(Daemon("sh", runner=runner, arguments=sleeper, ready=ReadyLine("ready"))):
            pass
        for _ in range(STARTS):
            begin = time.perf_counter()
            await trio.run_process(["podman", "exec", runner.container, "true"])
            floor.append((time.perf_counter() - begin) * 1000)
            daemon = Daemon("sh", runner=runner, arguments=sleeper, ready=ReadyLine("ready"))
            begin = time.perf_counter()
            async with open_daemon(daemon):
                ours.append((time.perf_counter() - begin) * 1000)
    return compared("a daemon in a container is ready", ours, floor, "ms", most=1.5, of="podman exec true")


def _whole_test(image: str) -> Row:
    """A node, a client and an accuser that sees a block, with the start and the end of their container."""
    ours, floor = [], []
    toolchain = Toolchain.image(image, pull="never")
    for _ in range(TESTS):
        os.environ["ACCUSER_SANDBOX_FORKS"] = "no"
        floor.append(_seconds(SANDBOX))
        del os.environ["ACCUSER_SANDBOX_FORKS"]
        ours.append(_seconds(toolchain))
    assert isinstance(toolchain.host, ContainerRunner)
    toolchain.host.remove()
    label = "a test with node, client and accuser in a container"
    return compared(label, ours, floor, "s", most=2, of="processes, executed")


def _seconds(toolchain: Toolchain) -> float:
    begin = time.perf_counter()
    trio.run(_test, toolchain)
    return time.perf_counter() - begin


async def _test(toolchain: Toolchain) -> None:
    async with open_node(toolchain=toolchain, arguments=NODE) as node:
        client = await init_with_protocol(node, Protocol.BOREAS)
        async with open_accuser(Protocol.BOREAS, node) as accuser:
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            processed = accuser.expect("accuser_processed_block.v0")
            await client.bake_for("bootstrap1")
            await processed
        client.remove()
