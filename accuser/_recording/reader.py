"""Reads recordings, an entry at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import msgspec

from .._errors import RecordingError
from .._stream.decoding import decode_block
from .._stream.event import Event
from .._stream.nesting import too_deep
from .entries import TYPES, VERSION, Entry, EventLine, Happened, Head, OnFile

_decode: Final = msgspec.json.Decoder(OnFile).decode


class _Type(msgspec.Struct):
    type: str


_decode_type: Final = msgspec.json.Decoder(_Type).decode


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a recording, without what a killed process left half written.

    The file is read as far as entries are asked for. Entries of a type that this version does not know
    are passed over.

    Raises:
        RecordingError: it is no recording, or an entry is none; with the number of its line.
    """
    parser = Parser(path)
    try:
        with path.open("rb") as file:
            # Files are cut at LF alone, which no item has in it.
            for line in file:
                try:
                    entry = parser.parse(line)
                except RecordingError:
                    if parser.line > 1 and not line.endswith(b"\n"):
                        return  # the recording process was killed while it wrote
                    raise
                if entry is not None:
                    yield entry
    except OSError as error:
        raise RecordingError(path, f"it cannot be read: {error.strerror}") from error
    if not parser.line:
        raise RecordingError(path, "it is empty, and so no recording")


@attrs.define
class Parser:
    """Parses the lines of a recording, in their order."""

    path: Path
    line: int = 0
    """Number of the newest line, from 1 on."""

    def parse(self, line: bytes) -> Entry | None:
        """Parse the next line; None if its type is of a later time.

        Raises:
            RecordingError: it is no entry, or not where it belongs.
        """
        self.line += 1
        try:
            entry = parse_entry(line)
        except ValueError as error:
            reason = f"line {self.line} is no entry of a recording: {error}"
            raise RecordingError(self.path, reason, self.line) from error
        first = isinstance(entry, Head) and entry.version == VERSION
        if self.line == 1 and not first:
            reason = f"it does not begin as a recording of version {VERSION}"
            raise RecordingError(self.path, reason, self.line)
        if self.line > 1 and isinstance(entry, Head):
            reason = f"line {self.line} is no entry of a recording: it begins another one"
            raise RecordingError(self.path, reason, self.line)
        return entry


def parse_entry(line: bytes) -> Entry | None:
    """Parse a line; None if its type is of a later time.

    Raises:
        ValueError: it is no entry; the text says why.
    """
    if too_deep(line):
        raise ValueError("it is nested too deeply")
    try:
        entry: OnFile = _decode(line)
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except msgspec.ValidationError:
        if _type_of(line) not in TYPES:
            return None
        raise
    if not isinstance(entry, EventLine):
        return entry
    item = bytes(entry.item)
    records = decode_block(item)
    if len(records) != 1 or not isinstance(records[0], Event):
        raise ValueError("its item is none of a sink")
    return Happened(entry.t, entry.daemon, entry.session, records[0], item)


def _type_of(line: bytes) -> str:
    """The type that a line says; one that is known if it says none."""
    try:
        return _decode_type(line).type
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return TYPES[0]
