"""Tracebacks without the frames of the engine, which say nothing to whoever wrote the test."""

from __future__ import annotations

import importlib.util
import os
import types
from pathlib import Path
from typing import Final

_HIDDEN: Final = tuple(
    f"{Path(spec.origin).parent}{os.sep}" if spec.submodule_search_locations else spec.origin
    for name in ("trio", "outcome", "pytest_trio", "_pytest", "pluggy", "contextlib")
    if (spec := importlib.util.find_spec(name)) is not None and spec.origin is not None
)
_PACKAGE: Final = f"{Path(__file__).resolve().parent.parent}{os.sep}"


def is_engine(filename: str) -> bool:
    """Whether code in this file is the engine's, trio's or pytest's."""
    return filename.startswith((_PACKAGE, *_HIDDEN))


def is_of_engine(error: BaseException) -> bool:
    """Whether an error went through no code but the engine's."""
    return _without_engine(error.__traceback__) is None


def hide_engine(error: BaseException) -> None:
    """Leave the frames of the engine out of the traceback of an error, and of what it came from."""
    seen: set[int] = set()
    outermost = error
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        kept = _without_engine(one.__traceback__)
        # One that is all of the engine is the only word that there is; not so that of a cause.
        one.__traceback__ = one.__traceback__ if kept is None and one is outermost else kept
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions


def _without_engine(traceback: types.TracebackType | None) -> types.TracebackType | None:
    kept = []
    step = traceback
    while step is not None:
        if not is_engine(step.tb_frame.f_code.co_filename):
            kept.append(step)
        step = step.tb_next
    rest: types.TracebackType | None = None
    for step in reversed(kept):
        rest = types.TracebackType(rest, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return rest
