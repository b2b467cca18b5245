"""``accuser compare``: where two recordings of a scenario differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import attrs
import click
from rich.console import Console
from rich.text import Text

from .._comparison.compare import (
    Comparison,
    Line,
    Track,
    compare,
)
from .._comparison.tracks import LEVELS, CompareRules, Order
from .._recording.entries import Happened
from .._recording.reader import read_entries
from .._text import counted, printable
from .file_faults import reading, tell_what_does_not_occur
from .output import echo

DIFFERENT: Final = 1

_FILE: Final = click.Path(path_type=Path)
_STYLES: Final = {"-": "red", "+": "green", " ": ""}


@click.command(
    "compare",
    short_help="Compare two recordings.",
    epilog="""\b
Examples:
  accuser demo --record a.jsonl; accuser demo --record b.jsonl
  accuser compare a.jsonl b.jsonl
  accuser compare a.jsonl b.jsonl --ignore-event 'request_*' --context 1

\b
Exit status:
  0  they are equal
  1  they differ
  2  a wrong argument, or a file that cannot be read or is no recording""",
)
@click.argument("a", type=_FILE)
@click.argument("b", type=_FILE)
@click.option(
    "--order",
    type=click.Choice(["section", "session"]),
    default="section",
    help="Compare the order of events within a section (the default), or of all events of a session.",
)
@click.option(
    "--apart", multiple=True, metavar="EVENT", help="Do not compare the order of this event with others."
)
@click.option(
    "--ignore-event",
    multiple=True,
    metavar="EVENT",
    help="Leave out events of this name, or of a pattern as in 'request_*'.",
)
@click.option(
    "--ignore-level", multiple=True, type=click.Choice(LEVELS), help="Leave out events of this level."
)
@click.option(
    "--ignore-section",
    multiple=True,
    metavar="SECTION",
    help="Leave out this section, as in validator.chain, and those below it.",
)
@click.option(
    "--ignore-field", multiple=True, metavar="FIELD", help="Pass over the values of this field, in any event."
)
@click.option("--lines", is_flag=True, help="Compare the lines of output too.")
@click.option("--waits", is_flag=True, help="Compare the waits too.")
@click.option(
    "--context", type=click.IntRange(0), default=3, metavar="N", help="Lines around a difference; 3."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
def compare_command(
    a: Path,
    b: Path,
    order: Order,
    apart: tuple[str, ...],
    ignore_event: tuple[str, ...],
    ignore_level: tuple[str, ...],
    ignore_section: tuple[str, ...],
    ignore_field: tuple[str, ...],
    lines: bool,
    waits: bool,
    context: int,
    as_json: bool,
) -> int:
    """Align the recordings A and B of a scenario, and show where they differ.

    Hashes are compared as symbols, such as block#3, one for each pair of hashes that play the same
    part; times, ports, paths, rounds and process ids are passed over. Each session of each daemon is compared
    by itself, and in it each section: what happens at the same time has no order.

    Options that name something may be given several times. The exit status is 0 if the recordings are
    equal, 1 if they differ, 2 if one of them is no recording.
    """
    rules = CompareRules(
        order=order,
        apart=apart,
        ignore_events=ignore_event,
        ignore_levels=frozenset(ignore_level),
        ignore_sections=ignore_section,
        ignore_fields=frozenset(ignore_field),
        lines=lines,
        waits=waits,
    )
    with reading(a):
        comparison = compare(a, b, rules)
        _tell_what_does_not_occur(a, b, rules)
    if as_json:
        echo(json.dumps(_as_json(comparison)))
    else:
        _show(comparison, a, b, context)
    return 0 if comparison.equal else DIFFERENT


def _tell_what_does_not_occur(a: Path, b: Path, rules: CompareRules) -> None:
    patterns = (*rules.apart, *rules.ignore_events)
    if not (patterns or rules.ignore_sections or rules.ignore_fields):
        return
    names: set[str] = set()
    sections: set[str] = set()
    fields: set[str] = set()
    for entry in (entry for path in (a, b) for entry in read_entries(path) if isinstance(entry, Happened)):
        names.add(entry.event.name or "event")
        sections.add(".".join(entry.event.section))
        _add_fields(entry.event.value, fields)
    where = f"{a} or {b}"
    unused = [one for one in patterns if not any(fnmatchcase(name, one) for name in names)]
    tell_what_does_not_occur("event", unused, names, where)
    unused = [
        one
        for one in rules.ignore_sections
        if not any(
            there == one or there.startswith(f"{one}.") or fnmatchcase(there, one) for there in sections
        )
    ]
    tell_what_does_not_occur("section", unused, sections, where)
    tell_what_does_not_occur("field", sorted(rules.ignore_fields - fields), fields, where)


def _add_fields(value: Any, fields: set[str]) -> None:
    if isinstance(value, dict):
        fields.update(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _add_fields(inner, fields)


def _as_json(comparison: Comparison) -> dict[str, object]:
    tracks = [{**attrs.asdict(track), "differences": track.differences} for track in comparison.tracks]
    return {
        "equal": comparison.equal,
        "differences": comparison.differences,
        "renamed": comparison.renamed,
        "tracks": tracks,
    }


def _show(comparison: Comparison, a: Path, b: Path, context: int) -> None:
    console = Console(highlight=False, soft_wrap=True)
    count = sum(len(track.lines) for track in comparison.tracks)
    said = f"{counted(count, 'entry', 'entries')} in {counted(len(comparison.tracks), 'track')}"
    if comparison.renamed:
        names = ", ".join(f"{ours} is {theirs}" for ours, theirs in comparison.renamed)
        console.print(Text(f"other names in {b}: {names}"))
    if comparison.equal:
        console.print(Text(f"equal: {said}", "bold green"))
        return
    console.print(Text(f"- {printable(str(a))}", "red"))
    console.print(Text(f"+ {printable(str(b))}", "green"))
    different = [_visible(track) for track in comparison.tracks if track.differences]
    for track in different:
        console.print()
        title = printable(f"{track.daemon}, session {track.session}, {track.part}")
        console.print(Text.assemble((title, "bold"), f": {counted(track.differences, 'difference')}"))
        for line in _excerpt(track, context):
            console.print(line)
    console.print()
    text = f"different: {comparison.differences} of {said}, in {len(different)} of them"
    console.print(Text(text, "bold red"))


def _visible(track: Track) -> Track:
    """With the control characters of what daemons wrote made visible."""
    lines = tuple(attrs.evolve(line, text=printable(line.text)) for line in track.lines)
    return attrs.evolve(track, lines=lines)


def _excerpt(track: Track, context: int) -> Iterator[Text]:
    near = {
        other
        for index, line in enumerate(track.lines)
        if line.sign != " "
        for other in range(index - context, index + context + 1)
    }
    skipped = 0
    for index, line in enumerate(track.lines):
        if index not in near:
            skipped += 1
            continue
        if skipped:
            yield Text(f"  ... {skipped} alike", "dim")
            skipped = 0
        yield _line(line, _counterpart(track.lines, index))
    if skipped:
        yield Text(f"  ... {skipped} alike", "dim")


def _line(line: Line, counterpart: Line | None) -> Text:
    times = "".join("         " if time is None else f"{time:9.3f}" for time in (line.a, line.b))
    style = _STYLES[line.sign]
    if counterpart is None:
        return Text.assemble((f"{line.sign} ", style), (f"{times}  ", "dim"), (line.text, style))
    start = _alike(line.text, counterpart.text)
    end = len(line.text) - _alike(line.text[start:][::-1], counterpart.text[start:][::-1])
    return Text.assemble(
        (f"{line.sign} ", style),
        (f"{times}  ", "dim"),
        (line.text[:start], style),
        (line.text[start:end], f"{style} bold underline"),
        (line.text[end:], style),
    )


def _alike(a: str, b: str) -> int:
    pairs = enumerate(zip(a, b, strict=False))
    return next((index for index, (x, y) in pairs if x != y), min(len(a), len(b)))


def _counterpart(lines: Sequence[Line], index: int) -> Line | None:
    """The line that stands on the other side in the place of this one, if there is one for each."""
    first, last = index, index
    while first > 0 and lines[first - 1].sign != " ":
        first -= 1
    while last < len(lines) and lines[last].sign != " ":
        last += 1
    ours = [line for line in lines[first:last] if line.sign == "-"]
    theirs = [line for line in lines[first:last] if line.sign == "+"]
    if lines[index].sign == " " or len(ours) != len(theirs):
        return None
    line = lines[index]
    return theirs[ours.index(line)] if line.sign == "-" else ours[theirs.index(line)]
