"""Text of daemons, files and servers on a terminal or in a log, where it must not do more than be read."""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line ends of any kind, and what reverses the direction of writing."""

_CONTROL_IN_LINES: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""The same but for the line feed."""


_CREDENTIALS: Final = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/?#]*@", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """Leave user names and passwords out of the URLs in a text."""
    return _CREDENTIALS.sub(r"\1", text) if "://" in text else text


def printable(text: str) -> str:
    """Write control characters as their numbers: an event may hold anything."""
    # Most text has none, and is found to have none fastest so.
    return text if text.isprintable() else _CONTROL.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """As `printable`, for a text of several lines, which stay lines."""
    return _CONTROL_IN_LINES.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
