"""Files of ours: names that are safe, and errors that say which file it was."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ._errors import DirectoryError

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._+-]")


def safe_name(name: str) -> str:
    """Make a file name of any daemon name: every other character becomes ``_``."""
    return _UNSAFE.sub("_", name).lstrip(".")[:100] or "_"


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn an operating-system error of the block into `DirectoryError`, about ``path``."""
    try:
        yield
    except OSError as error:
        raise DirectoryError(path, error.strerror or str(error)) from error


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, also if it was there with other permissions."""
    with (
        writing(path),
        open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file,
    ):
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
