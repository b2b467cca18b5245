"""What a command failed by, told on standard error and by the exit status."""

from __future__ import annotations

import signal
import sys
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from .._errors import AccuserError
from .._text import printable_lines
from .._unwrap import plain_errors
from .ending import Terminated

FAILED: Final = 1
INTERRUPTED: Final = 130


def told(error: BaseException) -> int:
    """Tell of an error, and return the exit status for it. A fault of our own is raised again."""
    try:
        with plain_errors():
            raise error
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _fail("interrupted; every daemon was stopped", INTERRUPTED)
    except Terminated as ended:
        name = signal.Signals(ended.signum).name
        return _fail(f"ended by {name}; every daemon was stopped", 128 + ended.signum)
    except OSError as fault:
        return _fail(f"{fault}", FAILED)
    except click.ClickException as usage:
        vars(usage)["message"] = printable_lines(usage.message)
        usage.show(sys.stderr)
        return usage.exit_code
    except AccuserError as fault:
        notes = "".join(f"\n{note}" for note in getattr(fault, "__notes__", ()))
        return _fail(f"{type(fault).__name__}: {fault}{notes}", FAILED)


def _fail(text: str, status: int) -> int:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("accuser: ", "bold red"), printable_lines(text)))
    return status
