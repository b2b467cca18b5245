"""The file of ``--pidfile``: truncated, locked, and then given the process id, as upstream does."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


class Taken(Exception):
    """Another process has the lock."""


@contextmanager
def locked(path: str, pid: int) -> Iterator[None]:
    """Hold the file's lock; the file stays when it is given up.

    Raises:
        OSError: the file cannot be opened.
        Taken: another program has its lock. The file is empty then.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        try:
            # Upstream takes the first lock; it does not keep two programs of one process apart.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Taken(path) from error
        os.write(descriptor, str(pid).encode())
        yield
    finally:
        os.close(descriptor)
