"""Scripted daemons that are forked as programs of the sandbox are, not executed.

The server is `accuser.sandbox.forks` as ever, and so are its clone and all that a child of it inherits. What
the child runs is the player of `accuser.testing` in place of a program of the sandbox. Run by path as
``python -P PATH DESCRIPTOR PADDING``, this module is that server.
"""

from __future__ import annotations

import contextlib
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from accuser.sandbox import forks as server
from accuser.testing import player

FORMS: Final = ("executed", "forked") if sys.platform.startswith("linux") else ("executed",)
"""Only Linux makes a process the child of another one than its maker."""


@contextlib.contextmanager
def scripts_are(form: str) -> Iterator[None]:
    """Have the executables of `accuser.testing` run in one of the forms within the block."""
    from accuser._hosts import embedded
    from accuser._hosts.owner import forks

    if form == "executed":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(forks.VARIABLE, raising=False)
        patch.setattr(forks, "_PROGRAM", Path(__file__).resolve())
        patch.setattr(embedded, "arguments", _arguments)
        forks.forks.end()
        try:
            yield
            # Where forking is refused, programs are executed, and nobody is told.
            assert forks.forks.refusal is None
        finally:
            forks.forks.end()


def _arguments(command: tuple[str, ...]) -> tuple[str, ...] | None:
    """What `_play` finds as ``sys.argv``: nothing but what executes the program."""
    return ("", *command) if str(player.__file__) in _words(command[0]) else None


def _words(path: str) -> list[str]:
    """What a shell script executes, if that is all that it does."""
    try:
        first, _, second = Path(path).read_text().partition("\n")
    except (OSError, UnicodeDecodeError):
        return []
    return shlex.split(second) if first == "#!/bin/sh" and second.startswith("exec ") else []


def _play() -> int:
    _, path, *arguments = sys.argv
    # The words before and after are those of the shell, of the interpreter, and the shell's own.
    program, *words = _words(path)[3:-2]
    sys.argv = [program, *words, path, *arguments]
    runpy.run_path(program, run_name="__main__")
    return 0


if __name__ == "__main__":
    # A daemon of a script needs nothing of the sandbox.
    server.main(int(sys.argv[1]), _play, ())
