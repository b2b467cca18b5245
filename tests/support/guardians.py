"""What the tests of the guardian share."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

NEVER = 1000
"""Seconds of grace in tests that would take so long if the guardian waited for it."""


@contextmanager
def watched(pids: list[int]) -> Iterator[list[int]]:
    """Give descriptors that are readable when the processes have ended, be they reaped or not."""
    descriptors = [os.pidfd_open(pid) for pid in pids]
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def lives(descriptor: int) -> bool:
    return not select.select([descriptor], [], [], 0)[0]
