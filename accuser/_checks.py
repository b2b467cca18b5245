"""What callers give, refused before anything is changed."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, Final

SECTION_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "fatal", "none")
"""Levels of the sink, and ``none``, which excludes a section."""

_NUMBERS: Final = (int, float, Real)
"""In this order: the question is asked at each wait, and the last one takes longest to answer."""

_SECTION: Final = re.compile(r"[A-Za-z0-9._-]*")


def check_grace(seconds: float, name: str = "timeout") -> float:
    """Return the seconds between SIGTERM and SIGKILL, if they can be that.

    Raises:
        TypeError, ValueError: they are no number, negative, or not a number (NaN).
    """
    return check_seconds(seconds, name, advice="; kill() stops a daemon at once")


def check_wait(seconds: float | None, name: str = "timeout") -> float | None:
    """Return the seconds that a wait lasts, None for no limit, if they can be that.

    Raises:
        TypeError, ValueError: they are no number, negative, or not a number (NaN).
    """
    return None if seconds is None else check_seconds(seconds, name, other=", or None for no limit")


def check_seconds(seconds: float, name: str, *, other: str = "", advice: str = "") -> float:
    """Return a length of time, if it can be that.

    Args:
        seconds: what was given.
        name: of the argument.
        other: what else it may be, in words.
        advice: what to do, at the end of the message.

    Raises:
        TypeError, ValueError: it is no number, negative, not a number (NaN), or larger than every float.
    """
    number = isinstance(seconds, _NUMBERS) and not isinstance(seconds, bool)
    with contextlib.suppress(OverflowError):
        if number and float(seconds) >= 0:
            return seconds
    raise (ValueError if number else TypeError)(
        f"{name} must be seconds >= 0{other}, not {seconds!r}{advice}"
    )


def check_sections(sections: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return levels of sections, if the URI of the sink can carry them.

    Raises:
        ValueError: a section has other characters than ``A-Za-z0-9._-``, or a level is unknown.
    """
    checked = tuple(sections)
    for section, level in checked:
        if not _SECTION.fullmatch(section):
            raise ValueError(f"a section is made of A-Z a-z 0-9 . _ and -, not {section!r}")
        if level not in SECTION_LEVELS:
            known = ", ".join(SECTION_LEVELS)
            raise ValueError(f"the level of the section {section!r} must be one of {known}, not {level!r}")
    return checked


def check_options(options: Mapping[str, object], known: type, at_start: Sequence[str] = ()) -> None:
    """Refuse an option that the TypedDict ``known`` does not have, as Python itself would.

    Args:
        options: what was given.
        known: has the names of those that there are.
        at_start: more of them, which functions that start a daemon have and its handle has not.

    Raises:
        TypeError: tells it, and what may have been meant.
    """
    optional: frozenset[str] = known.__optional_keys__  # type: ignore[attr-defined]  # every TypedDict has it
    required: frozenset[str] = known.__required_keys__  # type: ignore[attr-defined]  # every TypedDict has it
    for name in options:
        if name not in optional and name not in required:
            names = sorted({*optional, *required, *at_start})
            close = difflib.get_close_matches(name, names, 1)
            meant = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"
            if name in at_start:
                meant = "; it is given where the daemon starts: to run(), or to the function that opens it"
            raise TypeError(f"unexpected keyword argument {name!r}{meant}")


def check_plain(function: Any, what: str) -> None:
    """Refuse a function that is asynchronous: nobody would await what it returns.

    Raises:
        TypeError: it is one; ``what`` says what it was to be.
    """
    while isinstance(function, functools.partial):
        function = function.func
    # Most are functions and methods; what else can be called has the method.
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        code = getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004 - the code of `__call__` is wanted
    if code is not None and code.co_flags & _ASYNC:
        raise TypeError(f"{what} is a plain function, not an asynchronous one: {function!r}")


_ASYNC: Final = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR
