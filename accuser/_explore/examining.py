"""One seed after the other: what a worker does, on this machine or another one, and what it hands back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from .. import SANDBOX, installed
from .._hosts.selection import toolchain_called
from .drawing import draw
from .outcome import Executable, Outcome
from .playing import play
from .printing import program
from .schedule import Schedule
from .shrinking import shrink


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A violation, made small."""

    violations: tuple[str, ...]
    schedule: Schedule
    program: str
    recording: str


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one seed."""

    seed: int
    violations: tuple[str, ...] = ()
    decisions: dict[str, int] = {}
    blocks: int = 0
    sandbox: tuple[str, ...] | None = None
    """What the sandbox's accuser violates where an executable violates something."""
    case: Case | None = None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """Whose accuser is explored: the sandbox's in memory, unless a path or a folder is given."""

    accuser: str | None = None
    """Path of an executable."""
    bin_dir: str | None = None
    """A folder with binaries."""
    toolchain: str | None = None
    """``sandbox`` (as processes), ``installed``, or ``image:REF``."""
    protocol: str | None = None
    """The only protocol whose accusers there are."""

    def executable(self) -> Executable | None:
        """What runs. Raises ``ValueError``."""
        path = None if self.accuser is None else Path(self.accuser).absolute()
        if self.bin_dir is not None:
            return Executable(installed(self.bin_dir), path)
        if self.toolchain is not None:
            return Executable(toolchain_called(self.toolchain), path)
        return None if path is None else Executable(SANDBOX, path)


def examine(seed: int, judged: Judged | None = None, *, shrinks: bool = True) -> Result:
    """Play the schedule of a seed; make it small if it violates something."""
    executable = None if judged is None else judged.executable()
    schedule = draw(seed, None if judged is None else judged.protocol)
    outcome = play(schedule, executable)
    found = Result(
        seed=seed, violations=outcome.violations, decisions=outcome.decisions, blocks=outcome.blocks
    )
    if not outcome.violations or not shrinks:
        return found
    if executable is not None:
        found = msgspec.structs.replace(found, sandbox=play(schedule).violations)
    return msgspec.structs.replace(found, case=case_of(shrink(outcome, executable), seed, executable))


def case_of(outcome: Outcome, seed: int, executable: Executable | None) -> Case:
    """A violation as it is reported."""
    return Case(
        violations=outcome.violations,
        schedule=outcome.schedule,
        program=program(outcome, f"seed_{seed}", executable),
        recording=outcome.recording.decode("utf-8", "replace"),
    )


def examine_all(seeds: Sequence[int], judged: bytes) -> list[bytes]:
    """The same for some seeds; arguments and results are bytes, which travel everywhere."""
    given: Any = msgspec.json.decode(judged, type=Judged)
    return [msgspec.json.encode(examine(seed, given)) for seed in seeds]
