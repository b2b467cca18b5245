"""Trio in virtual time, with tasks in an order that follows from a seed, as in its own tests."""

from __future__ import annotations

import importlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

_DETERMINED: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
_CHANCE: Final = "_r"
"""What pytest-trio sets and seeds too, where Hypothesis must see the same again."""

_ONE_AT_A_TIME: Final = threading.Lock()
"""Trio's order of tasks belongs to the process, and not to a thread of it."""


def virtual_clock() -> trio.abc.Clock:
    """A clock that jumps ahead as soon as all tasks wait."""
    # From trio.testing it would bring pytest with it, and with that a third of a second for each process.
    clock: trio.abc.Clock = importlib.import_module("trio._core._mock_clock").MockClock(autojump_threshold=0)
    return clock


@contextmanager
def determined(seed: int) -> Iterator[None]:
    """Let the order of tasks follow from a seed until the block is left."""
    inside = vars(importlib.import_module("trio._core._run"))
    chance: random.Random = inside[_CHANCE]
    with _ONE_AT_A_TIME:
        before, state = inside[_DETERMINED], chance.getstate()
        inside[_DETERMINED] = True
        chance.seed(seed)
        try:
            yield
        finally:
            inside[_DETERMINED] = before
            chance.setstate(state)
