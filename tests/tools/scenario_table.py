"""Run every scenario and its twin, for each protocol, in both forms; write the table of the docs.

``python -m tests.tools.scenario_table`` writes ``docs/scenarios.md``; with ``--check`` it only runs them.
The exit status is 1 if a scenario failed, or a twin did not.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio
import trio.testing

from accuser import SANDBOX, AccuserError, Protocol, Toolchain, open_sandbox
from accuser.scenarios import SCENARIOS, Scenario
from tests.support.sshd import serve

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "scenarios.md"
BEGIN: Final = "<!-- scenarios: begin; written by `nox -s scenarios` -->"
END: Final = "<!-- scenarios: end -->"
BROKEN: Final = "**FAILED**"
OTHER: Final = "-"
"""In the place of a protocol that the scenario is not about."""

Run = Callable[[Toolchain], Awaitable[object]]


@attrs.frozen
class Row:
    """A scenario in the table."""

    name: str
    cells: tuple[str, ...]
    """For each protocol: seconds of the two forms."""
    twin: str
    """How its twin failed."""


def in_processes(run: Run) -> float:
    """Run with daemons that are processes; seconds that it took."""
    begin = time.perf_counter()
    trio.run(run, SANDBOX)
    return time.perf_counter() - begin


def in_this_process(run: Run) -> float:
    """Run with daemons that are tasks, under a clock that jumps; seconds of real time that it took."""

    async def inside() -> None:
        async with open_sandbox() as sandbox:
            await run(sandbox.toolchain)

    begin = time.perf_counter()
    trio.run(inside, clock=trio.testing.MockClock(autojump_threshold=0))
    return time.perf_counter() - begin


def by_ssh(run: Callable[..., Awaitable[object]]) -> float:
    """Run with another machine, which is this one, reached by SSH; seconds that it took."""
    folder = Path(tempfile.mkdtemp())
    with serve(folder) as server:
        return in_processes(partial(run, runner=server.runner()))


def forms(scenario: Scenario) -> tuple[Callable[[Run], float], ...]:
    """How a scenario can be run, the cheapest way last."""
    return (by_ssh,) if scenario.needs_runner else (in_processes, in_this_process)


def cell(scenario: Scenario, protocol: Protocol) -> str:
    """Run a scenario in each form."""
    if protocol not in scenario.protocols:
        return OTHER
    seconds = []
    for form in forms(scenario):
        try:
            seconds.append(f"{form(partial(scenario.run, protocol=protocol)):.2f}")
        except AccuserError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return BROKEN
    return f"passes, {' / '.join(seconds)} s"


def twin(scenario: Scenario, protocol: Protocol) -> str:
    """Run the twin of a scenario; its error."""
    try:
        forms(scenario)[-1](partial(scenario.run, protocol=protocol, twin=True))
    except AccuserError as error:
        return f"`{type(error).__name__}`"
    return BROKEN


def rows() -> Iterator[Row]:
    """Run all of them."""
    for name, scenario in SCENARIOS.items():
        cells = tuple(cell(scenario, protocol) for protocol in Protocol)
        twins = {twin(scenario, protocol) for protocol in scenario.protocols}
        failed = BROKEN if BROKEN in twins else ", ".join(sorted(twins))
        row = Row(name, cells, f"{scenario.twin}: {failed}")
        print(f"{row.name}: {'; '.join(row.cells)}; twin: {row.twin}", flush=True)
        yield row


def table(found: list[Row]) -> str:
    """The table, in Markdown."""
    heads = ("scenario", *(protocol.tag for protocol in Protocol), "its twin, which must fail")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [f"| `{row.name}` | {' | '.join(row.cells)} | {row.twin} |" for row in found]
    return "\n".join(lines)


def machine() -> str:
    """What it was run on."""
    python = platform.python_version()
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {python}"


def write(page: Path, found: list[Row]) -> None:
    """Put the table into the page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    said = f"Seconds with processes, and in this process; by SSH, processes alone. {machine()}."
    page.write_text(f"{before}{BEGIN}\n{table(found)}\n\n{said}\n{END}{after}")


@contextmanager
def own_temporary_folder() -> Iterator[None]:
    """A place for what the twins keep, removed at the end."""
    folder = tempfile.mkdtemp(prefix="scenarios-")
    tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = None
        shutil.rmtree(folder)


def main() -> int:
    """Run them all, and write the table; the exit status."""
    parser = argparse.ArgumentParser(description="Run every scenario and its twin.")
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    with own_temporary_folder():
        found = list(rows())
    broken = [row.name for row in found if BROKEN in (*row.cells, row.twin.rpartition(": ")[2])]
    if broken:
        print("not as they should be:", ", ".join(broken), file=sys.stderr)
    elif not arguments.check:
        write(PAGE, found)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
