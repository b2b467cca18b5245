"""What a program that is forked is to find as if this process had executed it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ...sandbox.forks import PYTHONS_OWN

_EARLY: Final = ("GLIBC_", "LANG", "LC_", "LD_", "MALLOC_", "OPENSSL_", "PYTHON", "SSL_", "TZ")


def early(environment: Mapping[str, str]) -> dict[str, str]:
    """What programs read when they begin or import, before they can be told anything."""
    return {name: value for name, value in environment.items() if name.startswith(_EARLY)}


def circumstances_for(environment: Mapping[str, str]) -> object:
    """What a program inherits of its server, which must have been started with the same."""
    return (sys.executable, os.getresuid(), os.getresgid(), sorted(os.getgroups()), early(environment))


def working_directory() -> int:
    """A descriptor of it, which it has though it was removed. Raises `OSError`."""
    return os.open(".", os.O_PATH | os.O_DIRECTORY)


def facts_for(words: tuple[str, ...], environment: Mapping[str, str]) -> bytes:
    """What a program can be told, whatever its server was started with."""
    ignored = [
        number
        for number in signal.valid_signals() - PYTHONS_OWN
        if signal.getsignal(number) is signal.SIG_IGN
    ]
    limits = {
        getattr(resource, name): resource.getrlimit(getattr(resource, name))
        for name in dir(resource)
        if name.startswith("RLIMIT_")
    }
    facts = {
        "words": words,
        "environment": dict(environment),
        "umask": _umask(),
        "limits": limits,
        "ignored": ignored,
        "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    }
    # Surrogates stand for bytes that are no UTF-8; JSON escapes them.
    return json.dumps(facts).encode()


def _umask() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text("utf-8", "replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    # For a moment it is another one for other threads, too.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
