"""Recordings that were never recorded: one of everything, and one of very many entries."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import accuser._recording.entries as entries_of
from accuser._recording.reader import parse_entry

Entry = dict[str, Any]


def parsed(entries: Iterable[Entry]) -> list[entries_of.Entry]:
    """The entries as the reader of recordings gives them."""
    found = [parse_entry(json.dumps(entry).encode()) for entry in entries]
    return [entry for entry in found if entry is not None]


BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def block(number: int) -> str:
    return "B" + "".join(random.Random(number).choices(BASE58, k=50))


def operation(number: int) -> str:
    return "o" + "".join(random.Random(-number).choices(BASE58, k=50))


def event(t: float, daemon: str, section: str, name: str, value: Any) -> Entry:
    item = {
        "hostname": "host",
        "time_stamp": 1795414285 + t,
        "section": section.split("."),
        "event": {name: value},
    }
    return of(t, daemon, "event", item={"fd-sink-item.v0": item})


def of(t: float, daemon: str, type_: str, session: int = 1, **fields: Any) -> Entry:
    return {"t": t, "daemon": daemon, "session": session, "type": type_, **fields}


def start(t: float, daemon: str, session: int = 1) -> Entry:
    kind = daemon.rstrip("0123456789")
    protocol = "002-PtBoreas" if kind == "accuser" else None
    fields = {"kind": kind, "protocol": protocol, "command": [f"mavkit-{kind}", "run"], "pid": 4711}
    return of(t, daemon, "start", session, **fields)


def head(t: float, daemon: str, number: int, level: int) -> Entry:
    return event(t, daemon, "node.store", "set_head.v0", [block(number), level])


def wait(begun: float, t: float, daemon: str, what: str, outcome: str, where: str | None = None) -> Entry:
    return of(t, daemon, "wait", what=what, where=where, begun=begun, outcome=outcome)


DENUNCIATION = "002-PtBoreas.delegate.denunciation"


def eventful() -> list[Entry]:
    """Everything that a recording can have, once at least; with texts that would break out of a page."""
    entries = [start(0.1, "node1"), of(0.45, "node1", "ready"), start(0.6, "accuser1")]
    entries += [head(1 + level * 0.5, "node1", level, level) for level in range(1, 8)]
    entries += [
        event(1.02 + n * 0.5, "accuser1", DENUNCIATION, "accuser_processed_block.v0", block(n))
        for n in range(2, 8)
    ]
    entries += [
        of(0.9, "accuser1", "ready"),
        of(0.95, "accuser1", "line", stream="stdout", text="Node is <b>bootstrapped</b>."),
        event(3.1, "accuser1", DENUNCIATION, "double_baking_detected.v0", {}),
        event(
            3.3,
            "accuser1",
            DENUNCIATION,
            "double_baking_denounced.v0",
            {"hash": operation(1), "bytes": "ab" * 90},
        ),
        event(3.7, "accuser1", DENUNCIATION, "accuser_block_error.v0", {"block": block(7), "errors": "e"}),
        event(2.2, "node1", "prevalidator", "note.v0", "</script><script>alert(1)</script><!-- \u2028 @@x@@"),
        of(3.9, "accuser1", "malformed", reason="JSON is malformed", raw=b"garbage".hex()),
        of(2.75, "node1", "line", stream="stderr", text="words <i>in italics</i> & more"),
        wait(1.2, 3.3, "accuser1", "double_baking_denounced.v0", "satisfied", "any evidence"),
        wait(1.4, 3.6, "accuser1", "double_attestation_denounced.v0", "timed out"),
        wait(1.7, 4.1, "accuser1", "daemon_error.v0", "cancelled"),
        wait(2.0, 4.9, "accuser1", "never.v0", "terminated"),
        of(4.2, "node1", "signal", signal="SIGSTOP"),
        of(4.5, "node1", "signal", signal="SIGCONT"),
        of(4.9, "accuser1", "exit", status=-9),
        of(5.0, "accuser1", "restart", 2, status=-9, attempt=1, delay=0.5),
        start(5.5, "accuser1", 2),
        of(5.8, "accuser1", "ready", 2),
        of(6.6, "accuser1", "signal", 2, signal="SIGTERM"),
        of(6.7, "accuser1", "exit", 2, status=127),
        of(6.8, "node1", "signal", signal="SIGTERM"),
        of(6.9, "node1", "exit", status=127),
    ]
    return sorted(entries, key=lambda entry: entry["t"])


def crowded(count: int, daemons: int = 6) -> Iterator[Entry]:
    """So many entries of several daemons, over ten minutes, with a few denunciations in them."""
    chance = random.Random(count)
    names = [f"node{n}" for n in range(1, daemons)] + ["accuser1"]
    yield from (start(0.1 + n / 10, name) for n, name in enumerate(names))
    yield from (of(0.8 + n / 10, name, "ready") for n, name in enumerate(names))
    made = 2 * len(names)
    value: Any
    step = 600 / count
    while made < count - len(names):
        t = round(2 + made * step + chance.random() * step, 6)
        daemon = chance.choice(names)
        level = 1 + int(t / 5)
        draw = chance.random()
        if draw < 0.02:
            yield head(t, daemon, level, level)
        elif draw < 0.0203:
            value = {"hash": operation(made), "bytes": "ab" * 90}
            yield event(t, daemon, DENUNCIATION, "double_attestation_denounced.v0", value)
        elif draw < 0.15:
            yield of(t, daemon, "line", stream="stderr", text=f"head is now {block(level)} ({level})")
        elif draw < 0.18:
            outcome = chance.choice(["satisfied"] * 8 + ["timed out", "cancelled"])
            yield wait(max(t - chance.random() * 9, 1), t, daemon, "set_head.v0", outcome)
        else:
            value = {"view": {"request": "notify", "peer": made}, "operation": operation(made % 999)}
            yield event(t, daemon, "prevalidator", "request_completed_debug.v0", value)
        made += 1
    yield from (of(605 + n / 10, name, "exit", status=127) for n, name in enumerate(names))


def write(path: Path, entries: Iterable[Entry]) -> Path:
    first = {"t": 0.0, "type": "recording", "version": 1, "started": 1795414284.0}
    with path.open("w") as file:
        file.write(json.dumps(first) + "\n")
        file.writelines(json.dumps(entry) + "\n" for entry in entries)
    return path
