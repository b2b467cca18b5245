"""Reads recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from .._errors import RecordingError
from .writer import VERSION

Entry = dict[str, Any]


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a recording, without what a killed process left half written.

    Raises:
        RecordingError: it is no recording.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecordingError(path, f"it cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        try:
            entry = msgspec.json.decode(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or "type" not in entry:
            if number == len(lines) > 1:
                return  # the recording process was killed while it wrote
            raise RecordingError(path, f"line {number} is no entry of a recording")
        if number == 1 and (entry["type"], entry.get("version")) != ("recording", VERSION):
            raise RecordingError(path, f"it does not begin as a recording of version {VERSION}")
        yield entry
