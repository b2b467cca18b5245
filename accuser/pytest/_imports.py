"""Imports of this package beside pytest's rewriting of assertions.

pytest rewrites all modules of a distribution that has a plugin, so that their assertions tell what they
compared. Here are hundreds of modules, whose assertions are about themselves. To look at each takes time at
the start of a session; where bytecode may not be written, as in many container images, each session would
compile all of them anew.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Final

_OURS: Final = f"{__name__.partition('.')[0]}."


class _AsWritten(MetaPathFinder):
    """Finds modules of this package as Python does without pytest."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, path, target) if fullname.startswith(_OURS) else None


_AS_WRITTEN: Final = _AsWritten()


def begin() -> None:
    """Leave what is imported of this package from now on as it is written."""
    for place, finder in enumerate(sys.meta_path):
        # No further to the front: who measures coverage or checks types may want to see them.
        if type(finder).__module__.startswith("_pytest."):
            sys.meta_path.insert(place, _AS_WRITTEN)
            return


def end() -> None:
    """Take that back."""
    if _AS_WRITTEN in sys.meta_path:
        sys.meta_path.remove(_AS_WRITTEN)
