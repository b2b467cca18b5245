"""A recording in the Trace Event Format, which Perfetto and ``chrome://tracing`` open (pure but for reading).

Daemons are processes there, numbered from 1, and the sections of their events are threads. Waits are
asynchronous spans, since they overlap. Times are microseconds. The format: "Trace Event Format",
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from .._recording.entries import (
    Done,
    Entry,
    Exit,
    Happened,
    Head,
    Line,
    OfTest,
    Piece,
    Ready,
    Restart,
    Signal,
    Start,
    Wait,
    own_fields,
    type_of,
)
from .._recording.reader import read_entries
from ._words import TEST, failed, title_of

_LIFE: Final = "life"
_SESSION: Final[dict[str, Any]] = {"ph": "X", "cat": "session"}


def timeline_trace(path: str | Path) -> str:
    """Give a recording as a JSON text in the Trace Event Format.

    Args:
        path: the file that ``record=`` named.

    Raises:
        RecordingError: it is no recording.
    """
    trace = {"traceEvents": trace_events(read_entries(Path(path))), "displayTimeUnit": "ms"}
    return msgspec.json.encode(trace).decode()


def trace_events(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The entries of a recording as trace events; sessions are spans from start to exit."""
    threads: dict[tuple[str, str], tuple[int, int]] = {}
    processes: dict[str, int] = {}
    found: list[dict[str, Any]] = []
    open_sessions: dict[tuple[str, int], dict[str, Any]] = {}
    waits, last = 0, 0

    def place(daemon: str, thread: str) -> dict[str, Any]:
        key = (daemon, thread)
        if key not in threads:
            pid = processes.setdefault(daemon, len(processes) + 1)
            tid = sum(other == daemon for other, _ in threads) + 1
            threads[key] = (pid, tid)
        pid, tid = threads[key]
        return {"pid": pid, "tid": tid}

    for entry in entries:
        if isinstance(entry, Head):
            continue
        last = max(last, now := round(entry.t * 1_000_000))
        if isinstance(entry, OfTest):
            found.append({**_span_of(entry), **place(TEST, type_of(entry))})
            continue
        daemon, session, span = entry.daemon, entry.session, _SESSION
        instant: dict[str, Any] = {"ph": "i", "ts": now, "s": "t"}
        match entry:
            case Start():
                span = {**_SESSION, "name": f"session {session}", "ts": now}
                args = {"command": entry.command, "pid": entry.pid, "protocol": entry.protocol}
                open_sessions[daemon, session] = {**span, **place(daemon, _LIFE), "args": args}
            case Exit():
                if (daemon, session) in open_sessions:
                    span = open_sessions.pop((daemon, session))
                    span["args"]["status"] = entry.status
                    found.append({**span, "dur": now - span["ts"]})
            case Happened(event=event):
                where = place(daemon, ".".join(event.section) or "(no section)")
                args = {"value": event.value}
                found.append(
                    {**instant, "name": event.name or "event", "cat": "event", **where, "args": args}
                )
            case Wait():
                waits += 1
                where = {**place(daemon, "waits"), "cat": "wait", "id": waits, "name": entry.what}
                args = {"where": entry.where, "outcome": entry.outcome}
                begun = round(entry.begun * 1_000_000)
                found.append({"ph": "b", "ts": begun, **where, "args": args})
                found.append({"ph": "e", "ts": now, **where})
            case Line():
                where = place(daemon, entry.stream)
                found.append({**instant, "name": entry.text, "cat": "output", **where})
            case Ready() | Signal() | Restart() | Piece():
                name = entry.signal if isinstance(entry, Signal) else type_of(entry)
                where = {**place(daemon, _LIFE), "args": own_fields(entry)}
                found.append({**instant, "name": name, "cat": type_of(entry), **where})
    for span in open_sessions.values():
        found.append({**span, "dur": last - span["ts"]})
    found.sort(key=_time)
    return [*_names(processes, threads), *found]


def _span_of(entry: Done) -> dict[str, Any]:
    begun, end = (round(moment * 1_000_000) for moment in (entry.begun, entry.t))
    span = {"ph": "X", "name": title_of(entry), "cat": type_of(entry), "ts": begun, "dur": end - begun}
    # A name of the format for a red; viewers that do not know it choose a color of their own.
    color = {"cname": "terrible"} if failed(entry) else {}
    return {**span, **color, "args": own_fields(entry)}


def _names(
    processes: Mapping[str, int], threads: Mapping[tuple[str, str], tuple[int, int]]
) -> list[dict[str, Any]]:
    names: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": daemon}}
        for daemon, pid in processes.items()
    ]
    # The test first, then daemons as they began; viewers sort by name otherwise.
    for daemon, pid in processes.items():
        order = {"sort_index": 0 if daemon == TEST else pid}
        names.append({"ph": "M", "name": "process_sort_index", "pid": pid, "args": order})
    for (_, thread), (pid, tid) in threads.items():
        names.append({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": thread}})
    return names


def _time(event: Mapping[str, Any]) -> int:
    time: int = event["ts"]
    return time
