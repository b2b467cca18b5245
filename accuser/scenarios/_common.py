"""What the scenarios have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs

Report = Callable[[str], object]
"""Called with a line for each step of a scenario."""


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


def places(pending: dict[str, Any], operation: str) -> str:
    """Say where a mempool has an operation, in words for a message."""
    for place, entries in pending.items():
        for entry in entries:
            # Octez' first version gives pairs here.
            content = entry if isinstance(entry, dict) else {"hash": entry[0], **entry[1]}
            if content.get("hash") == operation:
                return f"it is in {place!r}, with {content.get('error', 'no error')}"
    return "it is in none of its lists"
