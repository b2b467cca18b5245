"""Recordings that were mangled: whoever reads them gets their entries, or a `RecordingError`.

`HYPOTHESIS_PROFILE=nightly` tries ten times as many.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from accuser import CompareRules, RecordingError, compare, replay
from accuser._recording.reader import read_entries
from accuser.commands import cli
from accuser.commands.event_files import Reader
from accuser.commands.showing import Style
from accuser.pytest._bundle import _write_logs
from accuser.pytest._facts import facts_of
from accuser.timeline import timeline_page, timeline_trace
from tests.support.recordings import eventful, write

COUNT = 20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 2_000
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        3.5,
        "",
        "text",
        "\ud800",
        "\0\u2028\x1b[2J",
        [],
        {},
        [[]],
        {"": {"": []}},
        ["x", 1],
    ),
    *(2**63, -(2**64), 10**40, 1e308, -1e308, {"fd-sink-item.v0": {}}, "SIGTERM", "recording", "exit"),
)
RAW = (b"1e400", b"-1e999", b"nan", b"1" * 400, b"\xff", b'"\xc3"', b"[" * 2_000, b"", b'"\\ud800"', b"01")


def everything_of(entry: Any) -> list[tuple[Any, Any]]:
    """All places in a value, as a container and a key."""
    found: list[tuple[Any, Any]] = []
    items = entry.items() if isinstance(entry, dict) else enumerate(entry) if isinstance(entry, list) else ()
    for key, value in items:
        found += [(entry, key), *everything_of(value)]
    return found


def as_json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def mangled(chance: random.Random, lines: list[bytes]) -> bytes:
    """The recording with a few faults."""
    lines = list(lines)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        index = chance.randrange(len(lines))
        line = lines[index]
        entry = as_json(line) if chance.random() < 0.7 else None
        if isinstance(entry, dict) and entry:
            container, key = chance.choice(everything_of(entry))
            draw = chance.random()
            if draw < 0.3:
                del container[key]
            elif draw < 0.8:
                container[key] = chance.choice(VALUES)
            elif draw < 0.9 and isinstance(container, dict):
                container[chance.choice(("type", "t", "daemon", "session", "item", "new"))] = container.pop(
                    key
                )
            else:
                container[key] = "\0place\0"
            line = json.dumps(entry).encode().replace(b'"\\u0000place\\u0000"', chance.choice(RAW))
        elif line:
            at = chance.randrange(len(line))
            cut = at + chance.choice((0, 1, 5, len(line)))
            line = line[:at] + chance.choice((b"", b"\n", b"\r", b"\xff", b"{", b'"', *RAW)) + line[cut:]
        lines[index] = line
    data = b"\n".join(lines) + b"\n"
    return data[: chance.randrange(len(data))] if chance.random() < 0.1 else data


def play(path: Path) -> None:
    for daemon in ("node1", "accuser1"):
        player = replay(path, daemon)
        for entry in player._entries:
            player._take(entry)


def show(path: Path) -> None:
    reader = Reader(path)
    shown = Style(as_json=False, long=True)
    for entry in [*reader.feed(path.read_bytes()), *reader.finish()]:
        shown.text(entry)


RULES = CompareRules(lines=True, waits=True)
READERS: list[Callable[[Path], object]] = [
    lambda path: compare(path, path, RULES),
    timeline_page,
    timeline_trace,
    lambda path: [(str(facts.end), list(map(str, facts.waits))) for facts in facts_of(read_entries(path))],
    _write_logs,
    play,
]


def test_whoever_reads_a_mangled_recording_gets_entries_or_the_error(tmp_path: Path) -> None:
    chance = random.Random(20)
    path = tmp_path / "run.jsonl"
    lines = write(path, eventful()).read_bytes().splitlines()
    errors: list[tuple[RecordingError, int]] = []
    for number in range(COUNT):
        data = mangled(chance, lines)
        path.write_bytes(data)
        for read in (READERS[number % len(READERS)], show):
            try:
                read(path)
            except RecordingError as error:
                errors.append((error, data.count(b"\n") + 1))
    assert COUNT / 2 < len(errors) < 2 * COUNT
    for found, last in errors:
        assert found.path == path
        assert found.line is None or 1 <= found.line <= last
        assert str(path) in str(found)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", None),
        (b'{"type":"recording","version":1,"t":0}\n{"type":"exit","t":1,"daemon":"d","session":1}\n', 2),
        (b'{"type":"recording","version":1,"t":0}\n{"type":"ready","t":"1","daemon":"d","session":1}\n', 2),
        (b'{"type":"recording","version":1,"t":0}\n{"type":"ready","t":1,"session":1}\n', 2),
        (
            b'{"type":"recording","version":1,"t":0}\n\n'
            b'{"type":"event","t":1,"daemon":"d","session":1,"item":{}}\n',
            2,
        ),
    ],
)
def test_every_command_refuses_it_with_status_2(tmp_path: Path, content: bytes, line: int | None) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        list(read_entries(path))
    assert (caught.value.path, caught.value.line) == (path, line)
    for arguments in (
        ["events", str(path)],
        ["compare", str(path), str(path)],
        ["timeline", str(path), "-o", str(tmp_path / "page.html")],
        ["timeline", str(path), "--trace", "-o", str(tmp_path / "page.html")],
    ):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 2, (arguments, done.output)
        assert str(path) in done.output
        assert line is None or f"line {line}" in done.output
    assert not (tmp_path / "page.html").exists()
    with pytest.raises(RecordingError):
        replay(path)


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(
        b'{"type":"recording","version":1,"t":0,"by":"a later one"}\n'
        b'{"type":"weather","t":{"in":"other units"}}\n'
        b'{"new":[1],"type":"ready","t":1,"daemon":"d","session":1}\n'
    )
    assert len(list(read_entries(path))) == 2


def test_half_a_line_at_the_end_is_what_a_killed_process_left(tmp_path: Path) -> None:
    whole = write(tmp_path / "run.jsonl", eventful()[:3]).read_bytes()
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    path = tmp_path / "cut.jsonl"
    for cut in range(last, len(whole) - 2):
        path.write_bytes(whole[:cut])
        assert len(list(read_entries(path))) == 3
