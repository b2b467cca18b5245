"""Where the executables of Mavkit are looked for on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from .._errors import BinaryNotFound
from ..sandbox.programs import MODULES

BIN_DIR_VARIABLE: Final = "MAVKIT_BIN_DIR"


def find(binary: str, bin_dir: Path | None = None) -> tuple[str, ...]:
    """Find an executable: in ``bin_dir``, in the folder that ``MAVKIT_BIN_DIR`` names, in the PATH.

    Raises:
        BinaryNotFound: it is in none of the places that were searched.
    """
    folders = []
    if bin_dir is not None:
        folders.append(("the argument bin_dir", str(bin_dir)))
    if from_environment := os.environ.get(BIN_DIR_VARIABLE):
        folders.append((f"the environment variable {BIN_DIR_VARIABLE}", from_environment))
    folders.append(("PATH", os.environ.get("PATH", "")))
    searched = []
    for origin, folder in folders:
        if (path := shutil.which(binary, path=folder)) is not None:
            return (str(Path(path).absolute()),)
        searched.append(f"{folder or '(nothing)'} ({origin})")
    raise BinaryNotFound(binary, tuple(searched), in_sandbox=binary in MODULES)
