"""What is played besides a schedule, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from .. import SANDBOX, Toolchain
from .schedule import Schedule


@attrs.frozen
class Outcome:
    """What came of a schedule."""

    schedule: Schedule
    violations: tuple[str, ...]
    """Empty if all was well."""
    decisions: dict[str, int]
    """How often each decision of the rules was taken."""
    blocks: int
    """How many the nodes took, all together."""
    step: int | None
    """The number of the step after which the first violation was found."""
    lately: frozenset[str]
    """The decisions of the last step that was done."""
    recording: bytes
    """As `accuser timeline` reads it."""
    events: dict[str, tuple[tuple[str, Any], ...]]
    """Of each accuser, all that it said, by the accuser's name: names without version, and values."""


@attrs.frozen
class Pace:
    """How long a play goes on."""

    patience: float = 3.0
    """Seconds of real time that a process may have nothing to do, before what it has to do is missed."""
    ends: bool = True
    """Whether the network is brought to an end, and what must be true then is judged."""


@attrs.frozen
class Executable:
    """An accuser that runs as a process, in real time, in place of the sandbox's in memory."""

    toolchain: Toolchain = SANDBOX
    path: Path | None = None
