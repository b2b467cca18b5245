"""The events of a file, as ``accuser events`` shows them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs
import click

from .._errors import RecordingError
from .._logs import wants_color
from .._stream.event import Event, Malformed
from ..events import find
from .event_files import Entry, Kind, Reader
from .file_faults import START, Unreadable, guess, tell_what_does_not_occur
from .text import compact, printable

LEVELS: Final = ("debug", "info", "notice", "warning", "error", "fatal")
READ_SIZE: Final = 256 * 1024

MOST: Final = 10_000
"""How many names are kept: a file may be endless, and of names alone."""

WIDTH: Final = 140
"""Characters of a value on a line."""


@attrs.frozen
class Wanted:
    """Which entries are shown. What is asked for several times, any of them fulfils."""

    names: tuple[str, ...] = ()
    level: str = LEVELS[0]
    sections: tuple[str, ...] = ()
    daemons: tuple[str, ...] = ()

    def admits(self, entry: Entry) -> bool:
        """Whether an entry is shown; pieces that are no events, only where no event is asked for."""
        record = entry.record
        if self.daemons and entry.daemon not in self.daemons:
            return False
        if isinstance(record, Malformed):
            return not (self.names or self.sections)
        return (
            (not self.names or any(_is_called(record.name, name) for name in self.names))
            and (not self.sections or any(_is_in(record, section) for section in self.sections))
            and self._level_admits(record)
        )

    def _level_admits(self, event: Event) -> bool:
        if self.level == LEVELS[0]:
            return True
        cls = find(event.name)
        return cls is None or LEVELS.index(cls.LEVEL) >= LEVELS.index(self.level)


def _is_called(name: str, wanted: str) -> bool:
    return name == wanted or name.rpartition(".v")[0] == wanted


def _is_in(event: Event, section: str) -> bool:
    parts = section.split(".")
    return list(event.section[: len(parts)]) == parts


@attrs.define
class Seen:
    """What a file has, for those who ask for what it does not have."""

    wanted: Wanted
    events: int = 0
    malformed: int = 0
    names: set[str] = attrs.field(factory=set)
    sections: set[tuple[str, ...]] = attrs.field(factory=set)
    daemons: set[str] = attrs.field(factory=set)

    def note(self, entry: Entry) -> None:
        record = entry.record
        if entry.daemon is not None and len(self.daemons) < MOST:
            self.daemons.add(entry.daemon)
        if isinstance(record, Malformed):
            self.malformed += 1
            return
        self.events += 1
        # What was asked for is kept however much else there is.
        if len(self.names) < MOST or any(_is_called(record.name, name) for name in self.wanted.names):
            self.names.add(record.name)
        if len(self.sections) < MOST or any(_is_in(record, name) for name in self.wanted.sections):
            self.sections.add(record.section)

    def tell(self, where: str) -> None:
        """Say what was asked for and does not occur."""
        wanted = self.wanted
        names = [one for one in wanted.names if not any(_is_called(name, one) for name in self.names)]
        tell_what_does_not_occur("event", names, self.names, where)
        sections = [
            one
            for one in wanted.sections
            if not any(list(there[: one.count(".") + 1]) == one.split(".") for there in self.sections)
        ]
        there = (".".join(section) for section in self.sections if section)
        tell_what_does_not_occur("section", sections, there, where)
        if self.daemons or wanted.daemons:
            daemons = [one for one in wanted.daemons if one not in self.daemons]
            tell_what_does_not_occur("daemon", daemons, self.daemons, where)


@attrs.frozen
class Style:
    as_json: bool
    long: bool

    def text(self, entry: Entry) -> str:
        """Write an entry, coloured, without the last line end."""
        record = entry.record
        daemon = "" if entry.daemon is None else f"{printable(entry.daemon)}  "
        if isinstance(record, Malformed):
            if self.as_json:
                return json.dumps({"malformed": record.reason, "raw": record.raw.hex()})
            raw = printable(record.raw[:WIDTH].decode("utf-8", "backslashreplace"))
            return f"{daemon}{click.style(f'malformed: {printable(record.reason)}:', fg='red')} {raw}"
        if self.as_json:
            return json.dumps(record.full(), separators=(",", ":"))
        name = click.style(printable(record.name) or "(no name)", bold=True, fg=_color(record.name))
        head = f"{click.style(_time(record.timestamp), dim=True)}  {daemon}{name}"
        if not self.long:
            return f"{head}  {compact(record.value, WIDTH)}"
        value = "\n".join(
            f"    {printable(line)}"
            for line in json.dumps(record.value, indent=2, ensure_ascii=False).split("\n")
        )
        section = printable(".".join(record.section)) or "(none)"
        return f"{head}\n  section {section}, host {printable(record.hostname)}\n{value}"


def _color(name: str) -> str:
    if name.endswith("_denounced.v0"):
        return "green"
    cls = find(name)
    return "red" if cls is not None and cls.LEVEL == "error" else "cyan"


def _time(timestamp: float) -> str:
    try:
        moment = datetime.fromtimestamp(timestamp, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{timestamp:g}"  # beyond the years that there are
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


@attrs.define(eq=False, repr=False)
class Show:
    """Reads a file, and writes what is wanted of it to standard output."""

    wanted: Wanted
    style: Style
    path: Path = Path("-")
    reader: Reader = attrs.field(init=False)
    seen: Seen = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reader = Reader(self.path)
        self.seen = Seen(self.wanted)

    def write(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.seen.note(entry)
        lines = [self.style.text(entry) for entry in entries if self.wanted.admits(entry)]
        if lines:
            click.echo("\n".join(lines), file=sys.stdout, color=wants_color(sys.stdout))

    def to_the_end(self, descriptor: int) -> None:
        """Show everything, up to the end of the file, and say which filters name nothing in it.

        Raises:
            RecordingError: it is empty, or a recording with a line that is no entry.
            Unreadable: it has no event, but pieces that are none.
        """
        start = b""
        while data := os.read(descriptor, READ_SIZE):
            start = start or data[:START]
            self.write(self.reader.feed(data))
        self.write(self.reader.finish())
        if not start:
            raise RecordingError(self.path, "it is empty: neither a recording nor what a sink wrote")
        if self.reader.kind is not Kind.RECORDING and self.seen.malformed and not self.seen.events:
            told = guess(start, self.path) or "it is neither a recording nor what a sink wrote"
            raise Unreadable(f"there is no event in {self.path}: {told}")
        self.seen.tell(str(self.path))
