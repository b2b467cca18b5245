"""What there is once for each `trio.run`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


def once_a_run(make: Callable[[], T]) -> Callable[[], T]:
    """Give a function that answers with what ``make`` makes when it is first asked in a `trio.run`."""
    made: trio.lowlevel.RunVar[T] = trio.lowlevel.RunVar(f"accuser: {make.__qualname__}")

    @functools.wraps(make)
    def of_this_run() -> T:
        try:
            return made.get()
        except LookupError:
            made.set(value := make())
            return value

    return of_this_run
