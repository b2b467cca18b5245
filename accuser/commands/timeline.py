"""``accuser timeline``: a recording on a time axis."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .._files import writing
from ..timeline import timeline_page, timeline_trace
from .file_faults import reading
from .output import echo


@click.command(
    short_help="Show a recording on a time axis.",
    epilog="""\b
Examples:
  accuser timeline run.jsonl -o page.html
  accuser timeline run.jsonl --trace -o run.trace.json

\b
Exit status:
  0  the page is written
  1  it cannot be written
  2  a wrong argument, or a file that cannot be read or is no recording""",
)
@click.argument("recording", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Where it is written; - is standard output. By default beside RECORDING, with another ending.",
)
@click.option("--trace", is_flag=True, help="Write a trace for Perfetto or chrome://tracing, and no page.")
@click.option("--title", help="Title of the page; by default the name of RECORDING.")
def timeline(recording: Path, output: Path | None, trace: bool, title: str | None) -> None:
    """Show RECORDING on a time axis: daemons as lanes, with their events, waits, signals and blocks.

    The page is one file, which needs no network: open it in any browser.
    """
    with reading(recording):
        text = timeline_trace(recording) if trace else timeline_page(recording, title)
    if output == Path("-"):
        # As in a file: what is escaped for a terminal would be another page.
        sys.stdout.buffer.write(text.encode())
        return
    path = output or recording.with_suffix(".trace.json" if trace else ".html")
    with writing(path):
        path.write_text(text, "utf-8")
    echo(path)
