"""Recordings of scenarios: of both forms of the sandbox, and those that were made with real executables."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import trio
from trio.testing import MockClock

from accuser import SANDBOX, Comparison, Recording, Toolchain, compare, open_sandbox
from accuser.scenarios import SCENARIOS

RECORDED: Final = Path(
    os.environ.get(
        "RECORDED_SCENARIOS", Path(__file__).parent.parent.parent.parent / "shared" / "recorded-scenarios"
    )
)
"""Recordings of the real accuser in our scenarios, beside the checkout."""

HERE: Final = tuple(name for name, scenario in SCENARIOS.items() if not scenario.needs_runner)
"""The scenarios that need this machine alone."""


async def _run(name: str, path: Path, toolchain: Toolchain) -> None:
    await SCENARIOS[name].run(toolchain, record=Recording(path))


def by_tasks(run: Callable[[Toolchain], Awaitable[object]]) -> None:
    """Run what takes a toolchain with programs that are tasks of this process, in virtual time."""

    async def here() -> None:
        async with open_sandbox() as sandbox:
            await run(sandbox.toolchain)

    trio.run(here, clock=MockClock(autojump_threshold=0))


def of_tasks(name: str, folder: Path) -> Path:
    """Record a scenario whose daemons are tasks of this process."""
    path = folder / f"{name}-tasks.jsonl"
    by_tasks(partial(_run, name, path))
    return path


def of_processes(name: str, folder: Path) -> Path:
    """Record a scenario whose daemons are processes."""
    path = folder / f"{name}-processes.jsonl"
    trio.run(partial(_run, name, path, SANDBOX))
    return path


def told(comparison: Comparison) -> list[str]:
    """The lines that differ."""
    return [
        f"{track.daemon} session {track.session}, {track.part}: {line.sign} {line.text[:300]}"
        for track in comparison.tracks
        for line in track.lines
        if line.sign != " "
    ]


def differences(name: str, folder: Path, *, processes: bool = True) -> list[str]:
    """Run a scenario in both forms; what differs between them, or from a recording of the real accuser."""
    forms = {"tasks": of_tasks(name, folder)}
    if processes:
        forms["processes"] = of_processes(name, folder)
    recorded = RECORDED / f"{name}.jsonl"
    pairs = [("tasks", "processes")] if processes else []
    found = [
        f"tasks and processes: {line}"
        for one, other in pairs
        for line in told(compare(forms[one], forms[other]))
    ]
    if recorded.exists():
        for form, path in forms.items():
            found += [f"recorded and {form}: {line}" for line in told(compare(recorded, path))]
    return found
