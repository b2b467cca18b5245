"""Paths that the event sink of a daemon can take, on any host."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from .._errors import EventPipeError

READ_SIZE: Final = 65536

_EXPRESSIBLE: Final = re.compile(r"[A-Za-z0-9._/+-]+")


PLACES: Final = (Path("/tmp"), Path("/dev/shm"), Path("/var/tmp"))
"""Where a pipe goes when the folder for temporary files has a path that the sink cannot take."""


def is_expressible(path: Path) -> bool:
    """Whether the sink's URI can carry this absolute path."""
    return _EXPRESSIBLE.fullmatch(str(path)) is not None


def expressible_place() -> Path:
    """A folder for temporary files whose path the sink can take.

    Raises:
        EventPipeError: there is none that can be written to.
    """
    for place in PLACES:
        if os.access(place, os.W_OK | os.X_OK):
            return place
    places = ", ".join(map(str, PLACES))
    raise EventPipeError(PLACES[0], f"the sink needs a folder in one of {places}, or another TMPDIR")


def check_expressible(path: Path) -> None:
    """Refuse a path that the sink's URI cannot carry.

    The sink takes the path percent-encoded, and would create a regular file of another name
    beside the pipe; blanks split its variable (``src/lib_base/unix/internal_event_unix.ml``).

    Raises:
        EventPipeError: ``path`` is relative or has other characters than ``A-Za-z0-9._/+-``.
    """
    if not path.is_absolute():
        raise EventPipeError(path, "the path must be absolute")
    if not is_expressible(path):
        raise EventPipeError(
            path,
            "the sink cannot write to a path with other characters than A-Z a-z 0-9 . _ / + -; "
            "choose another path",
        )
