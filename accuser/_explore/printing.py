"""A violation as a program that shows it: of the public interface alone, to be pasted into a test."""

from __future__ import annotations

import re
from typing import Final

from .. import Toolchain
from .outcome import Executable, Outcome

ENVIRONMENT: Final = "ACCUSER_EXECUTABLE"
"""Variable that names another executable for the printed program to judge."""

_IN_MEMORY: Final = '''"""{title}"""

from accuser.explore import Schedule, play

SCHEDULE = Schedule.from_json("""
{schedule}""")


def test_{name}() -> None:
    violations = play(SCHEDULE).violations
    assert not violations, "\\n".join(violations)


if __name__ == "__main__":
    test_{name}()
'''

_ON_ACCUSER: Final = '''SCHEDULE = Schedule.from_json("""
{schedule}""")


def test_{name}() -> None:
    violations = play(SCHEDULE, ACCUSER).violations
    assert not violations, "\\n".join(violations)


if __name__ == "__main__":
    test_{name}()
'''

_AS_PROCESS: Final = (
    '''"""{title}"""

import os
from pathlib import Path

from accuser.explore import Executable, Schedule, play

ACCUSER = Executable(path=Path(os.environ.get({variable!r}, {path!r})))
'''
    + _ON_ACCUSER
)

_OF_TOOLCHAIN: Final = (
    '''"""{title}"""

from accuser import {name_of_toolchain}
from accuser.explore import Executable, Schedule, play

ACCUSER = Executable(toolchain={toolchain})
'''
    + _ON_ACCUSER
)


def program(outcome: Outcome, name: str, executable: Executable | None = None) -> str:
    """The text of a program that fails as long as the violation is there.

    Args:
        outcome: of a schedule that violates something.
        name: of the test in it, as in ``seed_7``.
        executable: what was judged. The path of an accuser can be replaced by another, for which the
            program asks ``ACCUSER_EXECUTABLE``.
    """
    first = outcome.violations[0] if outcome.violations else "nothing is violated"
    title = " ".join(first.replace("\\", "/").replace('"', "'").split())
    schedule = outcome.schedule.to_json().decode()
    if executable is None:
        return _IN_MEMORY.format(title=title[:90], schedule=schedule, name=name)
    if executable.path is not None:
        path = str(executable.path)
        return _AS_PROCESS.format(
            title=title[:90], schedule=schedule, name=name, path=path, variable=ENVIRONMENT
        )
    given = _words(executable.toolchain)
    return _OF_TOOLCHAIN.format(
        title=title[:90],
        schedule=schedule,
        name=name,
        toolchain=given,
        name_of_toolchain=re.split(r"\W", given)[0],
    )


def _words(toolchain: Toolchain) -> str:
    """What gives a toolchain in a program."""
    if toolchain.is_sandbox:
        return "SANDBOX"
    image = getattr(toolchain.host, "image", None)
    if image is not None:
        return f"Toolchain.image({image!r})"
    return "installed()" if toolchain.bin_dir is None else f"installed({str(toolchain.bin_dir)!r})"
