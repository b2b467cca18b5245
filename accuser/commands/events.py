"""``accuser events``: the events in a file, for people."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from .file_faults import reading
from .showing import LEVELS, Show, Style, Wanted


@click.command(
    short_help="Show the events in a file.",
    epilog="""\b
Examples:
  accuser events run.jsonl
  accuser events run.jsonl --event double_baking_denounced --long
  accuser events run.jsonl --daemon accuser1 --level notice --follow
  accuser events sink.log --section node.main --json | jq .
  cat sink.log | accuser events -

\b
FILE is a recording (docs/recording.md), or what a daemon's sink wrote: one
item a line, or netstrings. Its beginning tells which.

\b
Exit status:
  0  the file was shown to its end, or --follow was stopped
  1  nobody reads the output any more
  2  a wrong argument, or a file that cannot be read, is empty, has no event but
     other things, or is a recording with a line that is no entry""",
)
@click.argument("file", metavar="FILE|-", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--event",
    "names",
    multiple=True,
    metavar="NAME",
    help="Events of this name only, with or without its version. May be given several times.",
)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default=LEVELS[0],
    help="Events from this level on. Items carry no level: it is known of accusers' events and some of "
    "nodes'; events of an unknown level are always shown.",
)
@click.option(
    "--section",
    "sections",
    multiple=True,
    metavar="SECTION",
    help="Events of this section and those below it, as in node.main. May be given several times.",
)
@click.option(
    "--daemon",
    "daemons",
    multiple=True,
    metavar="NAME",
    help="Events of this daemon of a recording only. May be given several times.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is added to the file; Ctrl-C stops it.")
@click.option("--long", "-l", is_flag=True, help="Whole values, on several lines, with section and host.")
@click.option("--json", "as_json", is_flag=True, help="Print the items as they were written, one a line.")
def events(
    file: Path,
    names: tuple[str, ...],
    level: str,
    sections: tuple[str, ...],
    daemons: tuple[str, ...],
    follow: bool,
    long: bool,
    as_json: bool,
) -> None:
    """Show the events in a file, or on standard input."""
    show = Show(Wanted(names, level, sections, daemons), Style(as_json, long), file)
    with reading(file):
        if str(file) == "-":
            # The end of a pipe says that nothing will be added.
            show.to_the_end(sys.stdin.fileno())
            return
        if follow:
            # Only now: trio takes longer to load than a file takes to be shown.
            from .following import follow_until_stopped

            follow_until_stopped(show)
            return
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            show.to_the_end(descriptor)
        finally:
            os.close(descriptor)
