"""``accuser events``, as a user types it."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
from pathlib import Path

import pytest

from accuser import Event, Malformed
from accuser.commands.event_files import Entry, Kind, Reader
from accuser.testing import FaultyDaemon, event, raw, ready
from tests.support.cli import COMMAND, accuser, typing

DATA = Path(__file__).parent.parent / "data"


def item(name: str, value: object = None, section: tuple[str, ...] = ("s",), time: object = 1.5) -> bytes:
    inner = {"hostname": "h", "time_stamp": time, "section": list(section), "event": {name: value}}
    return json.dumps({"fd-sink-item.v0": inner}, separators=(",", ":")).encode()


LINES = b"".join(
    line + b"\n"
    for line in (
        item("double_baking_denounced.v0", {"hash": "oo"}, ("p", "delegate", "denunciation")),
        item("daemon_connection_lost.v0", "p", ("p", "delegate")),
        b"garbage",
        item("accuser_saw_block.v0", {"level": 1}, ("p", "delegate", "denunciation")),
        item("other.v3", 1, ("node", "main"), "2.25"),
    )
)


@pytest.fixture
def lines(tmp_path: Path) -> str:
    path = tmp_path / "sink"
    path.write_bytes(LINES)
    return str(path)


async def recorded(path: Path) -> None:
    """Record two daemons."""
    from accuser import Recording

    recording = Recording(path)
    for name in ("one", "two"):
        daemon = FaultyDaemon(ready(), event(f"{name}.v0", 1), raw(b"\xff\n"), event("last.v0"))
        async with daemon.open(name=name, record=recording) as opened:
            await opened.wait_for("last.v0", since=opened.start_mark())


# What is shown.


async def test_a_line_for_each_event(lines: str) -> None:
    done = await accuser("events", lines)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        '1970-01-01 00:00:01.500  double_baking_denounced.v0  {"hash":"oo"}',
        '1970-01-01 00:00:01.500  daemon_connection_lost.v0  "p"',
        "malformed: not JSON: invalid character at 0: garbage",
        '1970-01-01 00:00:01.500  accuser_saw_block.v0  {"level":1}',
        "1970-01-01 00:00:02.250  other.v3  1",
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--event", "other"), ["other.v3"]),
        (("--event", "other.v3", "--event", "accuser_saw_block"), ["accuser_saw_block.v0", "other.v3"]),
        (("--event", "oth"), []),
        (("--section", "p.delegate.denunciation"), ["double_baking_denounced.v0", "accuser_saw_block.v0"]),
        (("--section", "node"), ["other.v3"]),
        (("--section", "no"), []),
        (("--level", "notice"), ["double_baking_denounced.v0", "daemon_connection_lost.v0", "", "other.v3"]),
        (("--level", "error"), ["daemon_connection_lost.v0", "", "other.v3"]),
        (("--daemon", "accuser1"), []),
    ],
)
async def test_what_is_wanted(lines: str, options: tuple[str, ...], names: list[str]) -> None:
    done = await accuser("events", lines, "--json", *options)
    assert done.returncode == 0
    assert bool(done.stderr) == (not names)
    items = [json.loads(line) for line in done.stdout.splitlines()]
    assert [next(iter(one["fd-sink-item.v0"]["event"])) if len(one) == 1 else "" for one in items] == names


async def test_whole_values(lines: str) -> None:
    done = await accuser("events", lines, "--event", "double_baking_denounced", "--long")
    assert done.stdout.splitlines() == [
        "1970-01-01 00:00:01.500  double_baking_denounced.v0",
        "  section p.delegate.denunciation, host h",
        "    {",
        '      "hash": "oo"',
        "    }",
    ]


async def test_a_recording_of_two_daemons(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    await recorded(path)
    done = await accuser("events", str(path))
    assert [line.split("  ")[1:3] for line in done.stdout.splitlines() if "malformed" not in line] == [
        ["one", "one.v0"],
        ["one", "last.v0"],
        ["two", "two.v0"],
        ["two", "last.v0"],
    ]
    assert done.stdout.count("malformed: not UTF-8") == 2
    done = await accuser("events", str(path), "--daemon", "two", "--event", "two")
    assert len(done.stdout.splitlines()) == 1


async def test_standard_input(lines: str) -> None:
    done = await accuser("events", "-", "--event", "other", stdin=LINES)
    assert (done.returncode, done.stdout) == (0, "1970-01-01 00:00:02.250  other.v3  1\n")


async def test_a_file_is_followed_as_it_grows_and_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "sink"
    path.write_bytes(item("first.v0") + b"\n" + item("second.v0")[:20])
    async with typing("events", "--follow", str(path)) as typed:
        await typed.until("first.v0")
        with path.open("ab") as file:
            file.write(item("second.v0")[20:] + b"\n")
        await typed.until("second.v0  null")
        path.write_bytes(item("new.v0") + b"\n")
        await typed.until("new.v0")
        typed.process.send_signal(signal.SIGINT)
        assert await typed.end() == 0
    assert "malformed" not in typed.text


def test_nobody_reads_the_output(tmp_path: Path) -> None:
    path = tmp_path / "sink"
    path.write_bytes((item("e.v0", "x" * 100) + b"\n") * 20_000)
    command = [*COMMAND, "events", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("/no/such/file",), 2, "cannot read /no/such/file: No such file or directory"),
        (("/",), 2, "cannot read /: Is a directory"),
        (("/proc/self/mem",), 2, "cannot read /proc/self/mem: Input/output error"),
        ((), 2, "Missing argument 'FILE|-'"),
        (("-", "--level", "loud"), 2, "'loud' is not one of 'debug', 'info'"),
    ],
)
async def test_mistakes(arguments: tuple[str, ...], status: int, text: str) -> None:
    done = await accuser("events", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


# What kind of file it is.


def entries(data: bytes, *cuts: int) -> list[Entry]:
    reader = Reader()
    edges = [0, *cuts, len(data)]
    found = [entry for a, b in itertools.pairwise(edges) for entry in reader.feed(data[a:b])]
    return found + reader.finish()


def test_netstrings_wherever_they_are_cut() -> None:
    data = b"".join(b"%d:%s," % (len(one), one) for one in (item("a.v0", 1), item("b.v0", 2)))
    whole = entries(data)
    assert [entry.record.name for entry in whole] == ["a.v0", "b.v0"]
    assert all(entries(data, cut) == whole for cut in range(len(data)))


def test_lines_wherever_they_are_cut() -> None:
    whole = entries(LINES)
    assert len(whole) == 5
    assert all(entries(LINES, cut) == whole for cut in range(len(LINES)))


@pytest.mark.parametrize(
    ("data", "kind", "count"),
    [
        (b"", None, 0),
        (b" \n", None, 0),
        (b"x", Kind.LINES, 1),
        (b"{}\n", Kind.LINES, 1),
        (item("a.v0"), Kind.LINES, 1),
        (b'{"type":"recording","version":1}\n{"type":"event","daemon":"d","item":', Kind.RECORDING, 1),
        (b'{"type":"recording","version":1}\n{"type":"of later","n":1}\n', Kind.RECORDING, 0),
    ],
)
def test_beginnings_and_broken_ends(data: bytes, kind: Kind | None, count: int) -> None:
    reader = Reader()
    found = reader.feed(data) + reader.finish()
    assert (reader.kind, len(found)) == (kind, count)


def test_recorded_events_of_the_real_daemons_are_all_shown() -> None:
    files = sorted((DATA / "recorded-events").rglob("*.events")) or sorted(
        path for path in (DATA / "recorded-events").iterdir() if path.is_file()
    )
    assert files
    shown = [entry for path in files for entry in entries(path.read_bytes())]
    assert sum(isinstance(entry.record, Event) for entry in shown) > 20
    assert all(isinstance(entry.record, Event | Malformed) for entry in shown)
