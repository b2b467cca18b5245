"""What tests start, forked from an interpreter that has loaded it, not executed.

To start Python and to import is most of what a command costs, and the tests run hundreds. The server is
`accuser.sandbox.forks` as ever, and so are its clone and all that a child of it inherits. What the child
runs is the command line, a script of `accuser.testing`, or a pytest. Run by path, as
``python -P PATH DESCRIPTOR FOLDER PADDING``, this module is that server.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import runpy
import shlex
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import trio

if __name__ == "__main__":
    # The package first that the tests have, which may be an installed one.
    sys.path[:0] = [sys.argv[2], str(Path(__file__).resolve().parents[2])]

from accuser import __main__ as command_line
from accuser._hosts import embedded
from accuser._hosts.owner import child
from accuser._hosts.owner.circumstances import early
from accuser._hosts.owner.forks import VARIABLE, CannotFork, Forked, Forks, forks
from accuser._hosts.owner.guardian import Guard
from accuser.sandbox import forks as server
from accuser.testing import player
from tests.support.proc import KEPT

FORM: Final = "ACCUSER_TESTS_FORM"
"""Environment variable: what a whole run forks, but for the tests that are about forks.

``executed``: nothing. ``forked``: scripts of `accuser.testing`, too. Of its own: programs of the sandbox, as
for users, and what is started by `started`."""

FORMS: Final = ("executed", "forked") if sys.platform.startswith("linux") else ("executed",)
"""Only Linux makes a process the child of another one than its maker."""

_BOTH_STREAMS: Final = ("/bin/sh", "-c", 'exec "$@" 2>&1', "sh")
"""Executes the words that follow, with standard error where standard output leads."""

_MERGED: Final = "ACCUSER_TESTS_MERGED"
"""Environment variable: does the same, where it is forked."""

_SEARCHED: Final = "ACCUSER_TESTS_PATH"
"""Environment variable: what is to be ``PYTHONPATH``, which differs from that of the server."""

TITLE: Final = "accuser: forks what its tests start"

loaded: Final = Forks(
    Path(__file__).resolve(),
    (str(Path(str(command_line.__file__)).parents[1]),),
    patience=60.0,  # it imports all that there is, where bytecode may be forbidden
)
"""The server of this process."""

KEPT.append(loaded)

COMMAND_LINE: Final = "accuser"
PYTEST: Final = "pytest"
_PLAY: Final = "play"
_LOADED: Final = ("commands", "pytest", "scenarios", "_comparison", "_explore", "_recording")
"""Packages of ours whose modules are imported before the first fork; they import the others."""


@contextlib.asynccontextmanager
async def started(
    executed: tuple[str, ...],
    forked: tuple[str, ...],
    environment: Mapping[str, str],
    *,
    both_streams: bool = False,
) -> AsyncIterator[child.Child]:
    """A process in a group of its own, in the present folder, which is killed here if it runs still.

    Args:
        executed: the words that execute it, where nothing can or is to be forked, or where a variable that
            Python reads when it starts is not what it is in this process.
        forked: what `_run` is to do; the second word is the name for ``ps``.
        environment: all its variables.
        both_streams: its standard error leads where its standard output does.
    """
    variables, ours = dict(environment), os.environ
    if path := variables.pop("PYTHONPATH", ""):
        variables |= {"PYTHONPATH": ours["PYTHONPATH"]} if "PYTHONPATH" in ours else {}
        variables[_SEARCHED] = path
    may_fork = early(variables) == early(ours) and ours.get(FORM) != "executed" and loaded.refusal is None
    if may_fork:
        variables |= {_MERGED: "yes"} if both_streams else {}
        one = await child.spawn(executed, variables, forked, by=loaded)
    else:
        one = await child.spawn((*(_BOTH_STREAMS if both_streams else ()), *executed), environment)
    try:
        assert isinstance(one.process, Forked) == may_fork, "the server of the tests does not load"
        yield one
    finally:
        with trio.CancelScope(shield=True):
            await one.aclose()


async def ended(one: child.Child, stdin: bytes = b"") -> tuple[int, str, str]:
    """Have a process read something and come to its end; what it has written to its two streams."""
    outputs = bytearray(), bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_read, one.stdout, outputs[0])
        nursery.start_soon(_read, one.stderr, outputs[1])
        with contextlib.suppress(trio.BrokenResourceError):
            await one.stdin.send_all(stdin)
        one.end_input()
    stdout, stderr = (output.decode() for output in outputs)
    return await one.reap(), stdout, stderr


async def _read(stream: trio.abc.ReceiveStream, output: bytearray) -> None:
    async for data in stream:
        output += data


_arguments_of_programs: Final = embedded.arguments


class _Both:
    """Forks scripts by `loaded`, and programs of the sandbox as ever."""

    async def start(self, words: tuple[str, ...], environment: Mapping[str, str], guard: Guard) -> Forked:
        if words[0] != _PLAY:
            return await forks.start(words, environment, guard)
        try:
            return await loaded.start(words, environment, guard)
        except CannotFork as error:
            # It would be executed, and the form that is asked for would not be tested.
            raise AssertionError(f"the server of the tests does not load: {error}") from error


@contextlib.contextmanager
def scripts_are(form: str) -> Iterator[None]:
    """Have the executables of `accuser.testing` run in one of the forms within the block."""
    with pytest.MonkeyPatch.context() as patch:
        if form == "executed":
            patch.setattr(child, "forks", forks)
            patch.setattr(embedded, "arguments", _arguments_of_programs)
            yield
        else:
            patch.delenv(VARIABLE, raising=False)
            patch.setattr(child, "forks", _Both())
            patch.setattr(embedded, "arguments", _arguments)
            yield


def _arguments(command: tuple[str, ...]) -> tuple[str, ...] | None:
    """What `_run` finds as ``sys.argv``: nothing but what executes the program."""
    if str(player.__file__) in _words(command[0]):
        return (_PLAY, *command)
    return _arguments_of_programs(command)


def _words(path: str) -> list[str]:
    """What a shell script executes, if that is all that it does."""
    try:
        first, _, second = Path(path).read_text().partition("\n")
    except (OSError, UnicodeDecodeError):
        return []
    return shlex.split(second) if first == "#!/bin/sh" and second.startswith("exec ") else []


def _run() -> int:
    entry, *words = sys.argv
    if entry == _PLAY:
        path, *arguments = words
        # The words before and after are those of the shell, of the interpreter, and the shell's own.
        entry, *words = _words(path)[3:-2]
        sys.argv = [entry, *words, path, *arguments]
    else:
        sys.argv = [entry, *words[1:]]  # without its name, which is for `ps`
    if os.environ.pop(_MERGED, ""):
        os.dup2(1, 2)
    if path := os.environ.pop(_SEARCHED, ""):
        os.environ["PYTHONPATH"] = path
        sys.path[:0] = path.split(os.pathsep)
    if entry == COMMAND_LINE:
        return command_line.main()
    if entry == PYTEST:
        sys.path.insert(0, os.getcwd())
        runpy.run_module(PYTEST, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(entry, run_name="__main__")
    return 0


def _load() -> None:
    for package in _LOADED:
        found = importlib.import_module(f"accuser.{package}")
        for module in pkgutil.walk_packages(found.__path__, f"{found.__name__}."):
            if not module.name.endswith(".strategies"):  # brings hypothesis, which commands do not need
                importlib.import_module(module.name)
    for name, one in sys.modules.items():
        if name.partition(".")[0] == "accuser":
            # Else pytest warns that it cannot rewrite its assertions any more.
            one.__doc__ = f"{one.__doc__ or ''}\nPYTEST_DONT_REWRITE"


if __name__ == "__main__":
    _load()
    server.main(int(sys.argv[1]), _run, TITLE)
