"""Files that a command cannot read, or cannot make sense of: one exit status and one prefix for all."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shlex
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import click

from .._errors import RecordingError
from .._logs import wants_color
from .._text import printable, printable_lines

UNREADABLE: Final = 2
SHOWN: Final = 8
"""How many names are told of those that occur."""
START: Final = 4096
"""Bytes from the start of a file by which it is told what it is."""

_MAGIC: Final = (
    (b"\x1f\x8b", "it is compressed by gzip", "zcat {} {into}"),
    (b"\x28\xb5\x2f\xfd", "it is compressed by zstd", "zstdcat {} {into}"),
    (b"\xfd7zXZ\0", "it is compressed by xz", "xzcat {} {into}"),
    (b"BZh", "it is compressed by bzip2", "bzcat {} {into}"),
    (b"PK\x03\x04", "it is a ZIP archive", "unzip -p {} {into}"),
    (b"\x7fELF", "it is an executable", ""),
    (b"SQLite format 3\0", "it is a database of SQLite", ""),
)
_MARKS: Final = {
    "UTF-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff"),
    "UTF-16": (b"\xff\xfe", b"\xfe\xff"),
}
_ENGINE: Final = re.compile(rb'\{\s*"log"\s*:\s*"')
_CRI: Final = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d) std(?:out|err) [FP] ")
_PRETTY: Final = re.compile(
    rb"(?:<\d{1,3}>1 \d{4}-\d\d-\d\dT|[A-Z][a-z]{2} [ \d]\d [\d:]{8}\.\d{3}(?:: | [A-Z]+ ?\S* ?\S)"
    rb"|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|-00:00|[+-]\d\d:\d\d) \[[\w.-]+ - \w+\])"
)
_JOURNAL: Final = re.compile(
    rb'\{ ?"(?:__CURSOR|__REALTIME_TIMESTAMP|_BOOT_ID)"|[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ [^ \[]+\[\d+\]: '
)


class Unreadable(click.ClickException):
    """A file cannot be read, or is not what it should be."""

    exit_code = UNREADABLE

    def show(self, file: IO[Any] | None = None) -> None:
        say(self.message)


def say(text: str) -> None:
    """Tell on standard error what a command has to say beside its output."""
    line = f"{click.style('accuser: ', fg='red', bold=True)}{printable_lines(text)}"
    click.echo(line, file=sys.stderr, color=wants_color(sys.stderr))


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn what is wrong with a file into `Unreadable`; a broken pipe is the output's, and is left."""
    try:
        yield
    except RecordingError as error:
        if isinstance(error.__cause__, OSError):
            raise Unreadable(_cannot(error.path, error.__cause__)) from error
        told = guess(_start(error.path), error.path) if (error.line or 1) == 1 else ""
        raise Unreadable(f"{error}{told and f'; {told}'}") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unreadable(_cannot(path, error)) from error


def _cannot(path: Path, error: OSError) -> str:
    return f"cannot read {printable(str(path))}: {error.strerror or error}"


def _start(path: Path) -> bytes:
    # Of a regular file only: what a pipe had is gone.
    with contextlib.suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(START)
    return b""


def guess(start: bytes, path: Path) -> str:
    """What a file without events may be, and what to do then; empty if nothing tells.

    Args:
        start: its first bytes.
        path: what advice names.
    """
    name, into = shlex.quote(printable(os.fspath(path))), _into()
    for magic, what, command in _MAGIC:
        if start.startswith(magic):
            return f"{what}: {command.format(name, into=into)}" if command else what
    if encoding := _wide(start):
        return f"it is text in {encoding}: iconv -f {encoding} -t UTF-8 {name} {into}"
    line = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if _ENGINE.match(line):
        return f"it is the JSON-file log of a container engine: jq -j .log {name} {into}"
    if _CRI.match(line):
        return f"it is the log of a container: cut -d' ' -f4- {name} {into}"
    if _JOURNAL.match(line):
        return f"it is text of a journal: journalctl --output=cat --unit=UNIT {into}"
    if _PRETTY.match(line):
        return (
            "it is what a sink of format `pp` wrote, for people; "
            "give the daemon's sink the format one-per-line or netstring"
        )
    if line.startswith((b"<!", b"<html", b"<?xml")):
        return "it is a page of HTML or XML"
    return "it is binary" if b"\0" in start else ""


def _into() -> str:
    """Where advice leads what it made readable: to the command that was given, or to a file for it."""
    context = click.get_current_context(silent=True)
    return "> FILE" if context is not None and context.info_name != "events" else "| accuser events -"


def _wide(start: bytes) -> str:
    """The encoding of text that has a mark of it, or zeros where Latin text has them; otherwise nothing."""
    for encoding, marks in _MARKS.items():
        if start.startswith(marks):
            return encoding
    if len(start) > 8:
        for width, encoding in ((4, "UTF-32"), (2, "UTF-16")):
            by_place = [start[place : 64 // width * width : width] for place in range(width)]
            for place, ending in ((0, "LE"), (width - 1, "BE")):
                zeros = {byte for other in range(width) if other != place for byte in by_place[other]}
                if zeros == {0} and 0 not in by_place[place]:
                    return f"{encoding}{ending}"
    return ""


def tell_what_does_not_occur(what: str, wanted: Iterable[str], occurring: Iterable[str], where: str) -> None:
    """Say of each thing that was asked for, and does not occur, that it does not.

    Args:
        what: as in "no {what} 'x'".
        wanted: the things of which nothing came.
        occurring: what there is in their place.
        where: the file.
    """
    known = sorted(set(occurring))
    for name in wanted:
        near = difflib.get_close_matches(name, known, n=3) or known[:SHOWN]
        more = ", ..." if len(known) > len(near) else ""
        there = f"; there is {', '.join(near)}{more}" if near else ""
        say(f"no {what} {name!r} occurs in {where}{there}")
