"""What the scenarios have in common: results, and the options that all of them take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict, get_args

import attrs

from .. import Recording

Report = Callable[[str], object]
"""Called with a line for each step of a scenario."""


ConsensusKind = Literal["attestation", "preattestation"]
CONSENSUS_KINDS: tuple[ConsensusKind, ...] = get_args(ConsensusKind)


class ScenarioOptions(TypedDict, total=False):
    """The options that all scenarios have, beside their toolchain and protocol."""

    accuser_path: Path | None
    """An accuser's executable, in place of the toolchain's."""
    keep: bool
    """Keep the directories of the daemons and clients, and report where they are."""
    record: Recording | None
    """Where the daemons are recorded, all of them in one."""
    report: Report
    """Called with a line for each step."""
    twin: bool
    """Run the twin, which lacks what is to be shown, and so must fail."""


class Result(attrs.AttrsInstance, Protocol):
    """What every scenario gives; its attributes are the facts, which `attrs.asdict` lists."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    @property
    def outcome(self) -> str:
        """What was shown, in a few words."""


@attrs.frozen
class Denunciation:
    """The evidence that an accuser injected."""

    hash: str
    """Hash of the operation, ``o...``."""
    bytes: str
    """The signed operation, in hexadecimal."""


def silent(step: str) -> None:
    """Report to nobody."""


@attrs.frozen
class Inclusion:
    """Where a block has the evidence."""

    level: int
    block: str
    validation_pass: int


def places(pending: dict[str, Any], operation: str) -> str:
    """Say where a mempool has an operation, in words for a message."""
    for place, entries in pending.items():
        for entry in entries:
            # Octez' first version gives pairs here.
            content = entry if isinstance(entry, dict) else {"hash": entry[0], **entry[1]}
            if content.get("hash") == operation:
                return f"it is in {place!r}, with {content.get('error', 'no error')}"
    return "it is in none of its lists"
