"""What a program that is forked is to find as if this process had executed it."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from typing import Final

from ...sandbox.forks import PYTHONS_OWN, sent

_EARLY: Final = ("GLIBC_", "LANG", "LC_", "LD_", "MALLOC_", "OPENSSL_", "PYTHON", "SSL_", "TZ")

_SIGNALS: Final = signal.valid_signals() - PYTHONS_OWN
_LIMITS: Final = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]

_PROC: Final = "/proc/thread-self"
_NAMESPACES: Final = ("cgroup", "ipc", "mnt", "net", "pid_for_children", "user", "uts")
_KEPT: Final = (b"Cap", b"Cpus_allowed:", b"NoNewPrivs:", b"Seccomp", b"THP_enabled:")
"""Lines of its status about what a process cannot be told to be, or does not get back."""

_NOT_THERE: Final = (FileNotFoundError, NotADirectoryError, PermissionError)
"""Not all errors: without descriptors the circumstances would seem to have changed."""


def early(environment: Mapping[str, str]) -> dict[str, str]:
    """What programs read when they begin or import, before they can be told anything."""
    return {name: value for name, value in environment.items() if name.startswith(_EARLY)}


def circumstances_for(environment: Mapping[str, str]) -> object:
    """What a program inherits of its server, which must have been started with the same."""
    return (
        sys.executable,
        os.getresuid(),
        os.getresgid(),
        sorted(os.getgroups()),
        os.getsid(0),
        os.getpriority(os.PRIO_PROCESS, 0),
        _namespaces(),
        resource.getrlimit(resource.RLIMIT_STACK),  # the size of the stacks of threads is read from it once
        _told("oom_score_adj"),
        _told("personality"),
        [line for line in _told("status").splitlines() if line.startswith(_KEPT)],
        early(environment),
    )


def _namespaces() -> list[str]:
    try:
        return [os.readlink(f"{_PROC}/ns/{name}") for name in _NAMESPACES]
    except _NOT_THERE:
        return []


def _told(name: str) -> bytes:
    """What the system tells of this thread, which starts the server; nothing where there is no /proc."""
    try:
        descriptor = os.open(f"{_PROC}/{name}", os.O_RDONLY)
    except _NOT_THERE:
        return b""
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


def working_directory() -> int:
    """A descriptor of it, which it has though it was removed. Raises `OSError`."""
    return os.open(".", os.O_PATH | os.O_DIRECTORY)


def facts_for(words: tuple[str, ...], environment: Mapping[str, str]) -> bytes:
    """What a program can be told, whatever its server was started with."""
    ignored = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    limits = {number: resource.getrlimit(number) for number in _LIMITS}
    facts = {
        "words": [sent(word) for word in words],
        "environment": {sent(name): sent(value) for name, value in environment.items()},
        "umask": _umask(),
        "limits": limits,
        "ignored": ignored,
        "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    }
    return json.dumps(facts).encode()


def _umask() -> int:
    for line in _told("status").splitlines():
        if line.startswith(b"Umask:"):
            return int(line.split()[1], 8)
    # For a moment it is another one for other threads, too.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
