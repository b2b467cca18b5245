"""What the page is given of a recording: columns of numbers, and a JSON text for each entry (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import attrs
import msgspec

from .._mavryk import base58_patterns
from .._recording.entries import (
    Entry,
    Happened,
    Head,
    Line,
    OfDaemon,
    Signal,
    Start,
    Wait,
    own_fields,
    type_of,
)
from ..events import find

KINDS: Final = ("start", "ready", "event", "malformed", "line", "signal", "wait", "restart", "exit")
"""Types of entries, in the order of the numbers that the page knows them by."""

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
    daemons: dict[str, dict[str, Any]] = {}
    names: dict[str, int] = {}
    tones: list[int] = []
    blocks: dict[str, int] = {}
    levels: dict[str, int] = {}
    columns: dict[str, list[int]] = {key: [] for key in ("kind", "daemon", "session", "name", "time")}
    begun: list[tuple[int, int]] = []
    shows: list[tuple[int, int]] = []
    texts: list[str] = []
    started = 0.0
    for entry in entries:
        if isinstance(entry, Head):
            started = entry.started
            continue
        kind = type_of(entry)
        name, said = _said(entry)
        index = len(texts)
        daemon = daemons.setdefault(
            entry.daemon, {"index": len(daemons), "name": entry.daemon, "kind": "", "protocol": None}
        )
        if isinstance(entry, Start):
            daemon.update(kind=entry.kind, protocol=entry.protocol)
        if name not in names:
            names[name] = len(names)
            tones.append(_tone(kind, name))
        if isinstance(entry, Wait):
            begun.append((index, _microseconds(entry.begun)))
        if isinstance(entry, Happened):
            found = _block(name, entry.event.value, levels)
            if found is not None:
                shows.append((index, blocks.setdefault(found, len(blocks))))
        row = (KINDS.index(kind), daemon["index"], entry.session, names[name], _microseconds(entry.t))
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
        texts.append(msgspec.json.encode(said).decode())
    times = columns["time"]
    # Nearly always they are in order; then nothing is sorted.
    order = sorted(range(len(times)), key=times.__getitem__)
    place = {index: position for position, index in enumerate(order) if index != position}
    if place:
        columns = {key: [column[index] for index in order] for key, column in columns.items()}
        texts = [texts[index] for index in order]
        begun = sorted((place.get(index, index), value) for index, value in begun)
        shows = sorted((place.get(index, index), value) for index, value in shows)
    times = columns["time"]
    columns["time"] = [now - before for now, before in zip(times, [0, *times], strict=False)]
    head = {
        "title": title,
        "started": started,
        "daemons": [
            {key: daemon[key] for key in ("name", "kind", "protocol")} for daemon in daemons.values()
        ],
        "names": list(names),
        "tones": tones,
        "blocks": [[found, levels.get(found)] for found in blocks],
        "columns": columns,
        "begun": begun,
        "shows": shows,
    }
    return TimelineData(head, texts)


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _said(entry: OfDaemon) -> tuple[str, dict[str, Any]]:
    """Its name, and what else it says."""
    match entry:
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
    if kind == "malformed":
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
