"""TCP ports for daemons that are told their port before they listen on it.

A port that is only probed may be taken by another process a moment later. So ports come from
outside the kernel's ephemeral range, and each is held by a lock for as long as this process
lives: parallel test workers never meet.
"""

from __future__ import annotations

import contextlib
import errno
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
        _locks.append(_open_lock())
    end = _ephemeral_start()
    # Not the module's functions: whoever seeds them would have all processes try the same ports. One at a
    # time, since the first is nearly always free, and to draw them all takes longer than a client's command.
    draw = random.SystemRandom().randrange
    for _ in range(5_000):
        port = draw(LOWEST, end)
        if port not in _held and _reserve(port):
            return port
    raise NoFreePort(f"no free TCP port among 5000 tried between {LOWEST} and {end}")


def lock_files() -> list[Path]:
    """Where the one of this user may be, the best first: a place that processes of any TMPDIR share."""
    folders = [COMMON] if os.access(COMMON, os.W_OK | os.X_OK) else []
    with contextlib.suppress(FileNotFoundError):  # no folder for temporary files can be written to
        folders.append(Path(tempfile.gettempdir()))
    with contextlib.suppress(RuntimeError):  # nobody's home
        folders.append(Path.home())
    return list(dict.fromkeys(folder / f"accuser-ports-{os.getuid()}.lock" for folder in folders or [COMMON]))


def lock_file() -> Path:
    """The one that is there, or would be made."""
    places = lock_files()
    return next((path for path in places if _may_be_ours(path)), places[0])


def _open_lock() -> int:
    """Open the first that can be opened and is ours: another user may have prepared one of them."""
    failed: tuple[Path, OSError] | None = None
    for path in lock_files():
        try:
            descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600
            )
        except OSError as error:
            failed = path, error
            continue
        if _is_ours(os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)
        failed = path, PermissionError(errno.EPERM, "it is another user's")
    assert failed is not None
    with writing(failed[0]):
        raise failed[1]


def _may_be_ours(path: Path) -> bool:
    """Whether there is nothing at ``path``, or a plain file of this user."""
    try:
        return _is_ours(path.lstat())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _is_ours(found: os.stat_result) -> bool:
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
