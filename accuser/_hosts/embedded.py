"""How the programs of the sandbox are started, as processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_MAIN: Final = str(Path(__file__).resolve().parents[1] / "sandbox" / "__main__.py")

# By path, not by module name: the working directory and PYTHONPATH then have no say.
# -P keeps the folder of the script out of the module search.
_PREFIX: Final = (sys.executable, "-P", _MAIN)


def command(binary: str) -> tuple[str, ...]:
    """The words that execute a program of the sandbox."""
    return (*_PREFIX, binary)


def arguments(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """What a program of the sandbox has as ``sys.argv``, if that is what the words execute."""
    return words[2:] if words[:3] == _PREFIX and len(words) > 3 else None
