"""Files that cannot be read, or are something else: one exit status, one prefix, and what to do."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from accuser.commands.file_faults import guess
from tests.commands.test_events import LINES, item, recorded
from tests.support.cli import accuser

COMMANDS = (("events", "F"), ("timeline", "F"), ("compare", "F", "F"))
ENGINE = json.dumps(
    {"log": LINES.decode().split("\n")[0] + "\n", "stream": "stderr", "time": "t"}, separators=(",", ":")
)


def words(command: tuple[str, ...], file: str) -> list[str]:
    return [file if word == "F" else word for word in command]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("file", ["/no/such/file", "/", "/proc/self/mem"])
async def test_what_cannot_be_read(command: tuple[str, ...], file: str) -> None:
    done = await accuser(*words(command, file))
    reasons = ("No such file or directory", "Is a directory", "Input/output error")
    reason = reasons[("/no/such/file", "/", "/proc/self/mem").index(file)]
    assert done.stderr == f"accuser: cannot read {file}: {reason}\n"
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("command", COMMANDS)
async def test_what_is_empty_or_something_else(command: tuple[str, ...], tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(b"")
    done = await accuser(*words(command, str(path)))
    assert done.returncode == 2
    assert done.stderr.startswith(f"accuser: recording {path}: it is empty")
    path.write_bytes(gzip.compress(LINES))
    done = await accuser(*words(command, str(path)))
    assert done.returncode == 2
    assert done.stderr.startswith("accuser: ")
    into = "| accuser events -" if command[0] == "events" else "> FILE"
    assert f"it is compressed by gzip: zcat {path} {into}" in done.stderr


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (gzip.compress(LINES), "gzip"),
        (b"\x28\xb5\x2f\xfdxxxx", "zstd"),
        (LINES.decode().encode("utf-16"), "-f UTF-16 -t"),
        (LINES.decode().encode("utf-16-le"), "-f UTF-16LE -t"),
        (LINES.decode().encode("utf-16-be"), "-f UTF-16BE -t"),
        (LINES.decode().encode("utf-32"), "-f UTF-32 -t"),
        (LINES.decode().encode("utf-32-le"), "-f UTF-32LE -t"),
        (LINES.decode().encode("utf-32-be"), "-f UTF-32BE -t"),
        (b'{"__CURSOR":"s=1","MESSAGE":"text"}\n', "journal"),
        (ENGINE.encode(), "container engine"),
        (b"2026-01-02T03:04:05.678901234Z stderr F text\n", "log of a container"),
        (b"Dec 21 18:20:51.843: the accuser saw a block\n", "`pp`"),
        (b"Dec 21 18:20:51.843 NOTICE  \xe2\x94\x82 the accuser saw a block\n", "`pp`"),
        (b"2026-01-02T03:04:05.678-00:00 [node.main - notice] started\n", "`pp`"),
        (b"<13>1 2026-01-02T03:04:05Z host node - - - started\n", "`pp`"),
        (b"Dec 21 18:20:51 host accuser[12]: text\n", "journal"),
        (b"\x01\x02\0\x03\x04", "binary"),
    ],
)
def test_what_else_it_is(data: bytes, told: str) -> None:
    assert told in guess(data[:4096], Path("a b"))


@pytest.mark.parametrize("data", [b"", b"text\n", LINES, b"12:text,", b"Dec is a month\n"])
def test_nothing_is_guessed_of_what_tells_nothing(data: bytes) -> None:
    assert guess(data, Path("f")) == ""


async def test_a_file_in_which_everything_is_malformed(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(b"a\nb\n")
    done = await accuser("events", str(path))
    assert done.returncode == 2
    assert "neither a recording nor what a sink wrote" in done.stderr
    assert done.stdout.count("malformed:") == 2  # what was there is shown all the same
    path.write_bytes(b"a\n" + item("e.v0") + b"\n")
    assert (await accuser("events", str(path))).returncode == 0
    done = await accuser("events", "-", stdin=ENGINE.encode())
    assert (done.returncode, "container engine" in done.stderr) == (2, True)


async def test_a_filter_that_names_nothing(tmp_path: Path) -> None:
    (path := tmp_path / "sink").write_bytes(LINES)
    done = await accuser("events", str(path), "--event", "oter", "--event", "other", "--section", "nod.main")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"accuser: no event 'oter' occurs in {path}; there is other.v3, ...",
        f"accuser: no section 'nod.main' occurs in {path}; there is node.main, ...",
    ]
    done = await accuser("events", str(path), "--level", "error", "--event", "other", "--section", "p")
    assert done.stderr == ""


async def test_a_rule_of_a_comparison_that_names_nothing(tmp_path: Path) -> None:
    await recorded(path := tmp_path / "run.jsonl")
    rules = (
        "--ignore-event",
        "onne*",
        "--ignore-event",
        "one.*",
        "--ignore-field",
        "x",
        "--apart",
        "last.v0",
    )
    done = await accuser("compare", str(path), str(path), *rules, "--ignore-section", "no")
    assert done.returncode == 0
    starts = [line.partition(" occurs")[0] for line in done.stderr.splitlines()]
    assert starts == ["accuser: no event 'onne*'", "accuser: no section 'no'", "accuser: no field 'x'"]
