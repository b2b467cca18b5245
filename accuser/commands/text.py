"""Text of daemons on somebody's terminal, where it must not do more than be read."""

from __future__ import annotations

import json
from typing import Any

from .._text import printable

__all__ = ("compact", "duration", "printable")


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
