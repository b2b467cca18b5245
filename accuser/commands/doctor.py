"""``accuser doctor``: what is here, what is missing, and what to do about it."""

from __future__ import annotations

import json
from functools import partial

import attrs
import click
import trio
from rich.console import Console
from rich.text import Text

from .._hosts.toolchain import Toolchain, installed
from .containers import containers
from .ending import unless_terminated
from .findings import Finding, binaries, forking, limits, places, python, sandbox, ssh
from .leftovers import clear, leftovers
from .options import Seconds, toolchain_option
from .output import echo
from .text import printable

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


async def examine(toolchain: Toolchain | None, seconds: float, remove: bool) -> list[Finding]:
    found = [*python()]
    found += await binaries(toolchain or installed(), toolchain is not None, seconds)
    if toolchain is None:
        found += [await sandbox(seconds), await forking(seconds)]
    found += [*limits(), *places(), await ssh(seconds), *leftovers(), *containers(remove)]
    return found


@click.command(
    short_help="Check this machine for what daemons need.",
    epilog="""\b
Examples:
  accuser doctor
  accuser doctor --toolchain /opt/mavkit/bin
  accuser doctor --json | jq '.findings[] | select(.grade != "ok")'

\b
Exit status:
  0  nothing keeps daemons from running; there may be warnings
  1  there is a problem, shown with its fix
  2  a wrong argument""",
)
@toolchain_option(
    None,
    "Binaries that must be there (by default the installed ones and the sandbox's are checked, and missing "
    "installed ones are only a warning)",
    alone=False,
)
@click.option(
    "--timeout",
    "seconds",
    type=Seconds(0.1),
    default=10.0,
    metavar="SECONDS",
    show_default=True,
    help="How long each binary may take to print its version.",
)
@click.option("--remove", is_flag=True, help="Remove containers and networks that lost their owner.")
@click.option(
    "--clear",
    "clearing",
    is_flag=True,
    help="Kill and remove what killed runs left (processes, directories, containers, networks), and look at "
    "nothing else.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(toolchain: Toolchain | None, seconds: float, remove: bool, clearing: bool, as_json: bool) -> int:
    """Check that this machine has what daemons need, and look for what killed runs left.

    It changes nothing unless you give --clear or --remove. Every warning and every problem comes with a fix.
    """
    if clearing:
        # Containers first: they hold their folders.
        found = [*containers(remove=True), *clear()]
    else:
        found = trio.run(unless_terminated, partial(examine, toolchain, seconds, remove))
    problems = sum(finding.grade == "problem" for finding in found)
    warnings = sum(finding.grade == "warning" for finding in found)
    if as_json:
        findings = [attrs.asdict(finding) for finding in found]
        echo(json.dumps({"findings": findings, "problems": problems, "warnings": warnings}, indent=2))
    else:
        console = Console(highlight=False, soft_wrap=True)
        width = max(len(finding.subject) for finding in found)
        for finding in found:
            grade = Text(f"{finding.grade:8}", _STYLES[finding.grade])
            console.print(Text.assemble(grade, f"{finding.subject:{width}}  {printable(finding.text)}"))
            if finding.fix:
                console.print(Text(f"{'':{8 + width}}  fix: {printable(finding.fix)}", "dim"))
        console.print(f"{_number(problems, 'problem')}, {_number(warnings, 'warning')}")
    return 1 if problems else 0


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
