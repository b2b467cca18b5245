"""What the page is given of a recording: columns of numbers, and a JSON text for each entry (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import attrs
import msgspec

from .._mavryk import base58_patterns
from .._recording.entries import (
    Done,
    Entry,
    Failure,
    Happened,
    Head,
    Line,
    OfDaemon,
    OfTest,
    Signal,
    Start,
    Step,
    Wait,
    own_fields,
    type_of,
)
from ..events import find
from ._words import TEST, name_of, title_of

_COLUMNS: Final = ("kind", "daemon", "session", "name", "time")
KINDS: Final = (
    *("start", "ready", "event", "malformed", "line", "signal", "wait", "restart", "exit"),
    *("command", "rpc", "step", "phase", "failure"),
)
"""Types of entries, in the order of the numbers that the page knows them by."""
TEST_KINDS: Final = frozenset({"command", "rpc", "step", "phase"})

NOTABLE: Final = 1
"""Of an event: what accusers are there for."""
ALARMING: Final = 2
"""Of an event: an error or a warning, or no event at all."""

_BLOCK: Final = re.compile(base58_patterns.BLOCK)
# The events that tell most directly which blocks a daemon has, and which of them is new to it.
_BLOCK_EVENTS: Final = ("set_head.", "ignore_head.", "block-seen-", "accuser_processed_block.")
# Others that tell a level too.
_LEVEL_EVENTS: Final = (*_BLOCK_EVENTS, "head_increment.", "branch_switch.", "accuser_saw_block.")


@attrs.frozen
class TimelineData:
    """A recording for the page."""

    head: dict[str, Any]
    """Names, columns, blocks."""
    texts: list[str]
    """What an entry says beyond the columns, as JSON."""


def timeline_data(entries: Iterable[Entry], title: str) -> TimelineData:
    """Put the entries of a recording into columns.

    Times are whole microseconds; those of the column are differences to the entry before.
    """
    daemons: dict[tuple[str, bool], dict[str, Any]] = {}
    names: dict[str, int] = {}
    tones: list[int] = []
    blocks: dict[str, int] = {}
    levels: dict[str, int] = {}
    rows = _Rows()
    started = 0.0
    for entry in entries:
        if isinstance(entry, Head):
            started = entry.started
            continue
        kind = type_of(entry)
        name, said = _said(entry)
        index = len(rows.texts)
        owner, session = (TEST, 0) if isinstance(entry, OfTest) else (entry.daemon, entry.session)
        key = (owner, isinstance(entry, OfTest))
        daemon = daemons.setdefault(
            key, {"index": len(daemons), "name": owner, "kind": TEST if key[1] else "", "protocol": None}
        )
        if isinstance(entry, Start):
            daemon.update(kind=entry.kind, protocol=entry.protocol)
        if name not in names:
            names[name] = len(names)
            tones.append(_tone(kind, name))
        if isinstance(entry, Wait) or (isinstance(entry, OfTest) and not _is_moment(entry)):
            rows.begun.append((index, _microseconds(entry.begun)))
        if isinstance(entry, Happened):
            found = _block(name, entry.event.value, levels)
            if found is not None:
                rows.shows.append((index, blocks.setdefault(found, len(blocks))))
        row = (KINDS.index(kind), daemon["index"], session, names[name], _microseconds(entry.t))
        rows.add(row, msgspec.json.encode(said).decode())
    rows.put_in_order()
    head = {
        "title": title,
        "started": started,
        "daemons": [
            {key: daemon[key] for key in ("name", "kind", "protocol")} for daemon in daemons.values()
        ],
        "names": list(names),
        "tones": tones,
        "blocks": [[found, levels.get(found)] for found in blocks],
        "columns": rows.columns,
        "begun": rows.begun,
        "shows": rows.shows,
    }
    return TimelineData(head, rows.texts)


@attrs.define(eq=False, repr=False)
class _Rows:
    """The entries, column by column."""

    columns: dict[str, list[int]] = attrs.field(factory=lambda: {key: [] for key in _COLUMNS})
    texts: list[str] = attrs.field(factory=list)
    begun: list[tuple[int, int]] = attrs.field(factory=list)
    """Of waits: the index, and when it began."""
    shows: list[tuple[int, int]] = attrs.field(factory=list)
    """Of events about blocks: the index, and which block."""

    def add(self, row: tuple[int, ...], text: str) -> None:
        for column, value in zip(self.columns.values(), row, strict=True):
            column.append(value)
        self.texts.append(text)

    def put_in_order(self) -> None:
        """Sort by time, and replace times by differences, which are shorter."""
        times = self.columns["time"]
        # Nearly always they are in order; then nothing is sorted.
        order = sorted(range(len(times)), key=times.__getitem__)
        place = {index: position for position, index in enumerate(order) if index != position}
        if place:
            self.columns = {key: [column[index] for index in order] for key, column in self.columns.items()}
            self.texts = [self.texts[index] for index in order]
            self.begun = sorted((place.get(index, index), value) for index, value in self.begun)
            self.shows = sorted((place.get(index, index), value) for index, value in self.shows)
        times = self.columns["time"]
        self.columns["time"] = [now - before for now, before in zip(times, [0, *times], strict=False)]


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _is_moment(entry: Done) -> bool:
    return isinstance(entry, Failure) or (isinstance(entry, Step) and entry.outcome == "noted")


def _said(entry: OfDaemon | Done) -> tuple[str, dict[str, Any]]:
    """Its name, and what else it says."""
    match entry:
        case OfTest():
            said = {name: value for name, value in own_fields(entry).items() if name != "begun"}
            return name_of(entry), {**said, "what": title_of(entry)}
        case Happened(event=event):
            said = {
                "section": ".".join(event.section),
                "time_stamp": event.time_stamp,
                "value": event.value,
            }
            return event.name or "event", said
        case Line():
            return entry.stream, {"text": entry.text}
        case Signal():
            return entry.signal, {}
        case Wait():
            return f"wait: {entry.outcome}", own_fields(entry)
    return type_of(entry), own_fields(entry)


def _tone(kind: str, name: str) -> int:
    if kind in ("malformed", "failure") or (kind in TEST_KINDS and name.endswith(": failed")):
        return ALARMING
    if kind != "event":
        return 0
    declared = find(name)
    if declared is not None and declared.LEVEL in ("warning", "error", "fatal"):
        return ALARMING
    return NOTABLE if name.endswith(("_denounced.v0", "_detected.v0")) else 0


def _block(name: str, value: Any, levels: dict[str, int]) -> str | None:
    """The block that an event is about, if it is one that shows blocks; note levels by the way."""
    if not name.startswith(_LEVEL_EVENTS):
        return None
    found: Any = None
    level: Any = None
    match value:
        case [str() as found, int() as level]:  # set_head
            pass
        case {"view": {"hash": str() as found}, "level": int() as level}:  # the validator's
            pass
        case {"hash": str() as found, "header": {"level": int() as level}}:  # block-seen
            pass
        case {"hash": str() as found, "level": int() as level}:
            pass
        case str() as found:
            pass
    if found is None or not _BLOCK.fullmatch(found):
        return None
    if level is not None:
        levels[found] = level
    return found if name.startswith(_BLOCK_EVENTS) else None
