"""Run every scenario by an image: it passes, its recording equals that of processes, and its twin fails.

``python -m tests.tools.image_scenarios [NAME ...] [--all-protocols]``, which the session ``images`` of the
noxfile runs; every change runs it with ``--varied``. The exit status is 1 if one did not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import trio

from accuser import (
    SANDBOX,
    AccuserError,
    ContainerRunner,
    EventTimeout,
    Protocol,
    Recording,
    ScenarioFailed,
    Toolchain,
    UnexpectedEvent,
    compare,
    open_client,
    open_network,
    open_node,
)
from accuser.scenarios import NODE_ARGUMENTS, SCENARIOS, Scenario, double_baking
from tests.support.both_forms import by_tasks, told
from tests.support.containers import IMAGE, NoEngine, shared_by_workers

FORKS: Final = "ACCUSER_SANDBOX_FORKS"
RECORDINGS: Final = 3
"""At most, of both: what two runs of processes may differ in is no fault of containers."""
AS_TWINS_FAIL: Final = (EventTimeout, ScenarioFailed, UnexpectedEvent)
AT_ONCE: Final = 8
"""Twins that run at the same time."""


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
    """Run it in a container; nodes that are to be elsewhere are in one of their own."""
    with places() as (toolchain, elsewhere):
        trio.run(partial(scenario.run, toolchain, protocol, **elsewhere_of(scenario, elsewhere), **options))


@contextmanager
def places() -> Iterator[tuple[Toolchain, ContainerRunner]]:
    """The image as a toolchain, and a second container; both are removed with all that is kept there."""
    toolchain, elsewhere = Toolchain.image(IMAGE, pull="never"), ContainerRunner(IMAGE, pull="never")
    try:
        yield toolchain, elsewhere
    finally:
        for place in (toolchain.host, elsewhere):
            assert isinstance(place, ContainerRunner)
            place.remove()
            # What a twin keeps.
            shutil.rmtree(place.folder().parent, ignore_errors=True)
            place.remove()


def elsewhere_of(scenario: Scenario, elsewhere: ContainerRunner) -> dict[str, Any]:
    """The options of a scenario about another machine."""
    return {"runner": elsewhere} if scenario.needs_runner else {}


def twins_that_pass(scenarios: Mapping[str, Scenario], protocol: Protocol) -> list[str]:
    """Run the twins at the same time, in one container: most of them wait for what does not come.

    Returns the names of those that pass, or fail by something else than what they lack.
    """
    passed: list[str] = []

    async def run(name: str, toolchain: Toolchain, elsewhere: ContainerRunner) -> None:
        scenario = scenarios[name]
        try:
            async with places_of_twins:
                options = elsewhere_of(scenario, elsewhere)
                await scenario.run(toolchain, protocol, twin=True, **options)
        except AS_TWINS_FAIL:
            return
        except AccuserError as error:
            passed.append(f"{name} fails otherwise:\n{_whole(error)}")
        else:
            passed.append(name)

    async def all_of_them(toolchain: Toolchain, elsewhere: ContainerRunner) -> None:
        async with trio.open_nursery() as nursery:
            for name in scenarios:
                nursery.start_soon(run, name, toolchain, elsewhere)

    places_of_twins = trio.CapacityLimiter(AT_ONCE)
    with places() as (toolchain, elsewhere):
        trio.run(all_of_them, toolchain, elsewhere)
    return passed


def faults(scenario: Scenario, protocol: Protocol, folder: Path) -> list[str]:
    """What is wrong with a scenario by an image; nothing, if all is well."""
    here, there = folder / "tasks.jsonl", _by_image(folder, 0)
    try:
        by_image(scenario, protocol, record=Recording(there))
        # Recordings of tasks and of processes are equal, which other tests see, and tasks take no time.
        by_tasks(partial(_here(scenario), protocol=protocol, record=Recording(here)))
        return unlike_processes(scenario, protocol, folder) if told(compare(here, there)) else []
    except AccuserError as error:
        return [f"it fails:\n{_whole(error)}"]


def unlike_processes(scenario: Scenario, protocol: Protocol, folder: Path) -> list[str]:
    """What recordings by an image, of which one is there, and of processes differ in, if none are alike."""
    runs: list[Path] = []
    differences: list[str] = []
    for number in range(RECORDINGS):
        runs.append(folder / f"processes{number}.jsonl")
        there = _by_image(folder, number)
        by_processes(partial(_here(scenario), SANDBOX, protocol, record=Recording(runs[-1])))
        if number:
            by_image(scenario, protocol, record=Recording(there))
        compared = [told(compare(run, there)) for run in runs]
        if [] in compared:
            return []
        differences = compared[-1]
        print(f"  {number + 1}. recording: {differences[:3]}", flush=True)
    if all(told(compare(one, other)) for one, other in combinations(runs, 2)):
        # Of what goes by the real time no two runs are the same.
        print("  no two recordings of processes are equal, either", flush=True)
        return []
    return ["\n  ".join(["its recording differs:", *differences[:20]])]


def _here(scenario: Scenario) -> Callable[..., Awaitable[object]]:
    """The scenario, or that which needs no other machine for the same."""
    return double_baking if scenario.needs_runner else scenario.run


def _whole(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _by_image(folder: Path, number: int) -> Path:
    return folder / f"image{number}.jsonl"


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


def wanted(names: list[str], protocol: Protocol) -> dict[str, Scenario]:
    """The scenarios of these names, or all, that a protocol knows."""
    chosen = {name: SCENARIOS[name] for name in names or SCENARIOS}
    return {name: scenario for name, scenario in chosen.items() if protocol in scenario.protocols}


def varied() -> list[str]:
    """All names, but of scenarios that are one function with other arguments only the first and the last."""
    alike: dict[object, list[str]] = {}
    for name, scenario in SCENARIOS.items():
        alike.setdefault(getattr(scenario.run, "func", scenario.run), []).append(name)
    return [name for names in alike.values() for name in dict.fromkeys((names[0], names[-1]))]


def passing(names: list[str], protocols: list[Protocol]) -> int:
    """Run these scenarios; say what is wrong, and return how much."""
    wrong = 0
    for protocol in protocols:
        for name, scenario in wanted(names, protocol).items():
            begun = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
                said = faults(scenario, protocol, Path(folder))
            wrong += len(said)
            seconds = time.perf_counter() - begun
            print(f"{name}, {protocol.tag}: {'; '.join(said) or 'well'}, {seconds:.0f} s", flush=True)
    return wrong


def twins(names: list[str], protocols: list[Protocol]) -> int:
    """Run their twins; say which pass, and return how many."""
    wrong = 0
    for protocol in protocols:
        passed = twins_that_pass(wanted(names, protocol), protocol)
        wrong += len(passed)
        print(f"twins that pass, {protocol.tag}: {', '.join(passed) or 'none'}", flush=True)
    return wrong


def main(given: argparse.Namespace) -> int:
    """Run what the command line asks for; return the exit status."""
    protocols = list(Protocol) if given.all_protocols else [Protocol.BOREAS]
    if given.twins:
        return 1 if twins(given.names, protocols) else 0
    names = given.names or (varied() if given.varied else [])
    with tempfile.TemporaryDirectory() as place, shared_by_workers(Path(place)) as found:
        if isinstance(found, NoEngine):
            print(found.reason)
            return 0 if given.if_possible else 1
        os.environ.update(found.variables)
        # In a process of their own, at the same time: they wait more than they compute.
        command = [sys.executable, "-m", __spec__.name, "--twins", *sys.argv[1:]]
        with nullcontext() if given.varied else subprocess.Popen(command) as of_twins:
            if not given.names:
                trio.run(partitioned)
                print("a partition of two nodes: well", flush=True)
            wrong = passing(names, protocols)
        return 1 if wrong or (of_twins is not None and of_twins.returncode) else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[*SCENARIOS, []])
    parser.add_argument("--all-protocols", action="store_true")
    parser.add_argument("--varied", action="store_true", help="of those made by one function two; no twins")
    parser.add_argument("--if-possible", action="store_true", help="be content where no engine can run them")
    parser.add_argument("--twins", action="store_true", help="the twins alone, by the configured engine")
    sys.exit(main(parser.parse_args()))
