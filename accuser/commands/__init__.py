"""``accuser``: commands for a terminal.

Exit statuses: 0 done, 1 it failed, 2 a wrong argument, 130 interrupted, 128 and the signal's number
for SIGTERM and SIGHUP. Commands that go on until they are stopped end with 0 by SIGINT, SIGTERM
and SIGHUP; their help tells of statuses of their own.

May import everything but `pytest`.
"""

from __future__ import annotations

import signal
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from .._errors import AccuserError
from .._text import printable_lines
from .._unwrap import plain_errors
from .compare import compare_command
from .completion import completion
from .demo import demo
from .doctor import doctor
from .ending import Terminated
from .events import events
from .output import escape_what_cannot_be_written
from .running import run as run_command
from .sandbox import sandbox
from .timeline import timeline

FAILED: Final = 1
INTERRUPTED: Final = 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  accuser demo                      a double baking, denounced
  accuser sandbox --bake 5          a chain to play with, until Ctrl-C
  accuser run --toolchain DIR       an accuser that is kept running
  accuser doctor                    what is here, and what is missing
  accuser COMMAND --help            more, with examples

\b
Exit status:
  0    done; run, sandbox and --follow: stopped, as they are meant to be
  1    it failed: the message says why, and what to do next; without one, nobody
       reads the output any more. compare: the recordings differ; doctor: something
       is in the way
  2    a wrong argument, or a file that is not what it should be
  3    run: the accuser ended unasked, and its restarts are used up
  130  interrupted by Ctrl-C; 143 and 129: ended by SIGTERM or SIGHUP""",
)
@click.version_option(package_name="accuser")
def cli() -> None:
    """Spawn Mavryk accusers and control them. No daemon is left running, however a command ends."""


for _command in (demo, run_command, sandbox, events, compare_command, timeline, doctor, completion):
    cli.add_command(_command)


def run() -> int:
    """Run the command that the arguments name; return the exit status."""
    escape_what_cannot_be_written()
    try:
        with plain_errors():
            status = cli.main(prog_name="accuser", standalone_mode=False)
    except click.exceptions.Abort:
        return _fail("interrupted; every daemon was stopped", INTERRUPTED)
    except KeyboardInterrupt:
        return _fail("interrupted; every daemon was stopped", INTERRUPTED)
    except Terminated as error:
        name = signal.Signals(error.signum).name
        return _fail(f"ended by {name}; every daemon was stopped", 128 + error.signum)
    except OSError as error:
        return _fail(f"{error}", FAILED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except AccuserError as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        return _fail(f"{type(error).__name__}: {error}{notes}", FAILED)
    return status if isinstance(status, int) else 0


def _fail(text: str, status: int) -> int:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("accuser: ", "bold red"), printable_lines(text)))
    return status
