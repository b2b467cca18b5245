"""``accuser doctor``: whether this machine has what daemons need."""

from __future__ import annotations

import json

import attrs
import click
import trio
from rich.console import Console
from rich.text import Text

from .._doctor import Finding, examine
from .._toolchain import Toolchain
from .ending import unless_terminated
from .options import toolchain_argument

_MARKS = {"good": ("good", "green"), "note": ("note", "yellow"), "bad": ("bad ", "bold red")}


def _chosen(context: click.Context, param: click.Parameter, value: str | None) -> Toolchain | None:
    return None if value is None else toolchain_argument(context, param, value)


@click.command(
    epilog="""\b
Examples:
  accuser doctor
  accuser doctor --toolchain /opt/mavkit/bin
  accuser doctor --json | jq '.findings[] | select(.verdict == "bad")'

\b
Exit status:
  0  nothing is in the way
  1  something is bad
  2  a wrong argument"""
)
@click.option(
    "--toolchain",
    callback=_chosen,
    metavar="sandbox|DIR",
    help="Whose executables must be there. By default the sandbox's must, and Mavkit's may.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
def doctor(toolchain: Toolchain | None, as_json: bool) -> int:
    """Look whether this machine has what daemons need, and for what killed runs have left.

    Each finding is good, bad or a note, and comes with what to do about it. The exit status is 0 if
    nothing is bad, 1 otherwise.
    """
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)

    async def look() -> list[Finding]:
        findings = []
        async for finding in examine(toolchain):
            findings.append(finding)
            console.print(Text.assemble(_MARKS[finding.verdict], f"  {finding.topic}: {finding.text}"))
            if finding.fix is not None:
                console.print(Text(f"      do: {finding.fix}", "cyan"))
        return findings

    findings = trio.run(unless_terminated, look)
    bad = [finding for finding in findings if finding.verdict == "bad"]
    if as_json:
        click.echo(json.dumps({"good": not bad, "findings": [attrs.asdict(one) for one in findings]}))
    else:
        end = f"{len(bad)} of {len(findings)} findings are bad" if bad else "nothing is in the way"
        console.print(Text(end, "bold red" if bad else "bold green"))
    return 1 if bad else 0
