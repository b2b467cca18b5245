"""Run every scenario by an image: it passes, its recording equals that of processes, and its twin fails.

``python -m tests.tools.image_scenarios [NAME ...] [--all-protocols]``, which the session ``images`` of the
noxfile runs. The exit status is 1 if one did not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import trio

from accuser import (
    SANDBOX,
    AccuserError,
    CompareRules,
    ContainerRunner,
    Protocol,
    Recording,
    Toolchain,
    compare,
    open_client,
    open_network,
    open_node,
)
from accuser.scenarios import NODE_ARGUMENTS, SCENARIOS, Scenario, double_baking
from tests.support.containers import IMAGE, NEEDS_ENGINE, shared_by_workers, variables_of

FORKS: Final = "ACCUSER_SANDBOX_FORKS"
RECORDINGS: Final = 3
"""At most, of both: what two runs of processes may differ in is no fault of containers."""


def by_processes(run: Callable[[], Awaitable[object]]) -> None:
    """Run with programs that are executed one by one, as in the image.

    Programs that are cloned, as usual, are so much faster that nodes hear of blocks in another order.
    """

    async def waited() -> None:
        await run()

    os.environ[FORKS] = "no"
    try:
        trio.run(waited)
    finally:
        del os.environ[FORKS]


def by_image(scenario: Scenario, protocol: Protocol, **options: Any) -> None:
    """Run it in containers; nodes that are to be elsewhere are in one of their own."""
    toolchain = Toolchain.image(IMAGE, pull="never")
    places = [toolchain.host]
    if scenario.needs_runner:
        places.append(ContainerRunner(IMAGE, pull="never"))
        options["runner"] = places[-1]
    try:
        trio.run(partial(scenario.run, toolchain, protocol, **options))
    finally:
        for place in places:
            assert isinstance(place, ContainerRunner)
            place.remove()
            # What a twin keeps.
            shutil.rmtree(place.folder().parent, ignore_errors=True)
            place.remove()


def different(here: Path, there: Path) -> list[str]:
    """What two recordings differ in."""
    return [
        f"{track.daemon}, {track.part}: {line.sign} {line.text[:120]}"
        for track in compare(here, there, CompareRules()).tracks
        for line in track.lines
        if line.sign != " "
    ]


def faults(scenario: Scenario, protocol: Protocol, folder: Path) -> list[str]:
    """What is wrong with a scenario by an image; nothing, if all is well."""
    found = []
    run = double_baking if scenario.needs_runner else scenario.run
    differences: list[str] = []
    for number in range(RECORDINGS):
        here, there = folder / f"processes{number}.jsonl", folder / f"image{number}.jsonl"
        by_processes(partial(run, SANDBOX, protocol, record=Recording(here)))
        try:
            by_image(scenario, protocol, record=Recording(there))
        except AccuserError as error:
            return [f"it fails: {type(error).__name__}: {error}"]
        compared = [different(folder / f"processes{other}.jsonl", there) for other in range(number + 1)]
        if [] in compared:
            break
        differences = compared[-1]
        print(f"  {number + 1}. recording: {differences[:3]}", flush=True)
    else:
        runs = [folder / f"processes{number}.jsonl" for number in range(RECORDINGS)]
        if all(different(one, other) for one, other in combinations(runs, 2)):
            # Of what goes by the real time no two runs are the same.
            print("  no two recordings of processes are equal, either", flush=True)
        else:
            found.append("\n  ".join(["its recording differs:", *differences[:20]]))
    try:
        by_image(scenario, protocol, twin=True)
    except AccuserError:
        pass
    else:
        found.append("its twin passes")
    return found


async def partitioned() -> None:
    """Two nodes, each in a container with its client, that do not hear each other for a while."""
    async with open_network() as network:
        one, other = (Toolchain.image(IMAGE, pull="never", network=network.name) for _ in range(2))
        async with (
            open_node(toolchain=one, arguments=NODE_ARGUMENTS) as node1,
            open_node(toolchain=other, arguments=NODE_ARGUMENTS) as node2,
            open_client(node1) as client1,
            open_client(node2) as client2,
        ):
            await client1.trust_address(node2)
            await client2.trust_address(node1)
            await client1.connect_address(node2)
            await client1.activate_protocol(Protocol.BOREAS)
            await node2.wait_for_level(1)
            await network.partition(node1, node2)
            assert await client1.bake_for_and_wait("bootstrap1") == 2
            with trio.move_on_after(3) as silence:
                await node2.wait_for_level(2)
            assert silence.cancelled_caught, "what was cut off was heard"
            await network.heal()
            await node2.wait_for_level(2)
        for toolchain in (one, other):
            assert isinstance(toolchain.host, ContainerRunner)
            toolchain.host.remove()


def main(names: list[str], protocols: list[Protocol]) -> int:
    """Run these scenarios; say what is wrong."""
    wrong = 0
    with tempfile.TemporaryDirectory() as place, shared_by_workers(Path(place)) as found:
        if found.startswith(NEEDS_ENGINE):
            print(found)
            return 1
        os.environ.update(variables_of(Path(found)))
        if not names:
            trio.run(partitioned)
            print("a partition of two nodes: well", flush=True)
        for name in names or SCENARIOS:
            scenario = SCENARIOS[name]
            for protocol in [one for one in protocols if one in scenario.protocols]:
                begun = time.perf_counter()
                with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
                    said = faults(scenario, protocol, Path(folder))
                wrong += len(said)
                seconds = time.perf_counter() - begun
                print(f"{name}, {protocol.tag}: {'; '.join(said) or 'well'}, {seconds:.0f} s", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[*SCENARIOS, []])
    parser.add_argument("--all-protocols", action="store_true")
    given = parser.parse_args()
    sys.exit(main(given.names, list(Protocol) if given.all_protocols else [Protocol.BOREAS]))
