"""TCP ports for daemons that are told their port before they listen on it.

A port that is only probed may be taken by another process a moment later. So ports come from
outside the kernel's ephemeral range, and each is held by a lock for as long as this process
lives: parallel test workers never meet.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import stat
import tempfile
from pathlib import Path
from typing import Final

from ..._errors import NoFreePort
from ..._files import writing

LOWEST: Final = 10_000
COMMON: Final = Path("/tmp")
_EPHEMERAL_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EPHEMERAL_ELSEWHERE: Final = 49_152
"""Where the ephemeral range begins by IANA's rule, which macOS follows."""

_held: Final[set[int]] = set()
_locks: Final[list[int]] = []
"""The descriptor of the lock file, once it is open."""


def reserve_port() -> int:
    """Reserve a free port on the loopback interface until this process ends.

    Raises:
        DirectoryError: the lock file cannot be opened.
        NoFreePort: several thousand candidates were all taken.
    """
    if not _locks:
        path = lock_file()
        with writing(path):
            _locks.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    candidates = list(range(LOWEST, _ephemeral_start()))
    random.SystemRandom().shuffle(candidates)
    for port in candidates[:5_000]:
        if port not in _held and _reserve(port):
            return port
    raise NoFreePort(f"no free TCP port among 5000 tried between {LOWEST} and {_ephemeral_start()}")


def lock_file() -> Path:
    """The one of this user, for processes of any TMPDIR."""
    folder = COMMON if os.access(COMMON, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    usual = folder / f"accuser-ports-{os.getuid()}.lock"
    # Another user may have put something there, to keep us from every port or to have a file of ours
    # opened; where it cannot be removed, we go elsewhere.
    if _may_be_ours(usual):
        return usual
    elsewhere = Path(tempfile.gettempdir())
    return (Path.home() if elsewhere == folder else elsewhere) / usual.name


def _may_be_ours(path: Path) -> bool:
    """Whether there is nothing at ``path``, or a plain file of this user."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid()


def _ephemeral_start() -> int:
    try:
        start = int(_EPHEMERAL_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        start = _EPHEMERAL_ELSEWHERE
    # A machine may be set to use nearly all ports as ephemeral ones.
    return start if start > LOWEST + 5_000 else _EPHEMERAL_ELSEWHERE


def _reserve(port: int) -> bool:
    # One byte of the file stands for each port: one descriptor holds any number of locks.
    try:
        fcntl.lockf(_locks[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            fcntl.lockf(_locks[0], fcntl.LOCK_UN, 1, port)
            return False
    _held.add(port)
    return True
