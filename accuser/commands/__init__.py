"""``accuser``: commands for a terminal.

Exit statuses: 0 done, 1 it failed, 2 a wrong argument, 130 interrupted, 128 and the signal's number
for SIGTERM and SIGHUP. Commands that go on until they are stopped end with 0 by SIGINT, SIGTERM
and SIGHUP; their help tells of statuses of their own.

May import everything but `pytest`.
"""

from __future__ import annotations

import sys
from typing import Final

import click

from .._text import printable_lines
from .lazy import LazyGroup
from .output import escape_what_cannot_be_written, hold_standard_streams

# Where each command is, and its line of help. What a command needs, trio for one, takes longer to load
# than the help takes to print.
_COMMANDS: Final = {
    "compare": (f"{__name__}.compare:compare_command", "Compare two recordings."),
    "completion": (f"{__name__}.completion:completion", "Print the completion script of a shell."),
    "demo": (f"{__name__}.demo:demo", "Run a scenario; a double baking by default."),
    "doctor": (f"{__name__}.doctor:doctor", "Check this machine for what daemons need."),
    "events": (f"{__name__}.events:events", "Show the events in a file."),
    "explore": (
        f"{__name__}.explore:explore",
        "Search networks drawn from seeds for violations.",
    ),
    "run": (f"{__name__}.running:run", "Keep an accuser running."),
    "sandbox": (f"{__name__}.sandbox:sandbox", "Run a chain to experiment with; Ctrl-C stops it."),
    "timeline": (f"{__name__}.timeline:timeline", "Show a recording on a time axis."),
}


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  accuser demo                      a double baking, denounced
  accuser sandbox --bake 5          a chain to experiment with
  accuser run --toolchain DIR       an accuser that is kept running
  accuser explore                   networks drawn from seeds, and judged
  accuser doctor                    a check of this machine
  accuser COMMAND --help            more, with examples

\b
Exit status:
  0    done; run, sandbox and --follow: stopped, as they are meant to be
  1    it failed: the message says why, and what to do next; no message means
       that nobody reads the output. compare: the recordings differ; doctor:
       something is in the way
  2    a wrong argument, or a file that is not what it should be
  3    run: the accuser ended unasked, and its restarts are used up
  130  interrupted by Ctrl-C; 143 and 129: ended by SIGTERM or SIGHUP""",
)
@click.version_option(package_name="accuser")
def cli() -> None:
    """Spawn Mavryk accusers and control them. No daemon is left running, however a command ends."""


def run() -> int:
    """Run the command that the arguments name; return the exit status."""
    hold_standard_streams()
    escape_what_cannot_be_written()
    try:
        status = cli.main(prog_name="accuser", standalone_mode=False)
    except click.ClickException as error:
        # A name of a file may be an argument that is none.
        vars(error)["message"] = printable_lines(error.message)
        error.show(sys.stderr)
        return error.exit_code
    except SystemExit:
        raise  # by click, of a Tab that it has answered
    except BaseException as error:  # noqa: ASYNC103 - `told` raises again what is a fault of ours
        # Only now: what knows the errors takes longer to load than the help takes to print.
        from .failing import told

        return told(error)  # noqa: ASYNC104 - its exit status tells it
    return status if isinstance(status, int) else 0
