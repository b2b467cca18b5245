"""Text of daemons on somebody's terminal, where it must not do more than be read."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line ends of any kind, and what reverses the direction of writing."""


def printable(text: str) -> str:
    """Write control characters as their numbers: an event may hold anything."""
    return _CONTROL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def compact(value: Any, limit: int | None = None) -> str:
    """Write a value of JSON on one line, of at most ``limit`` characters."""
    text = printable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return text if limit is None or len(text) <= limit else text[: limit - 3] + "..."


def duration(seconds: float) -> str:
    """Write as ``42 s``, ``3 min 20 s``, ``5 h 12 min``, ``2 d 3 h``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
