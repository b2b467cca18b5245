"""Control characters of daemons, files and servers reach no terminal and no log."""

from __future__ import annotations

import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from accuser import (
    CommandFailed,
    DaemonExited,
    HttpError,
    Recording,
    RecordingError,
    RpcError,
    RunnerError,
    UnexpectedValue,
    setup_logging,
)
from accuser._hosts.proc import Stat
from accuser._report import RunnerFault
from accuser.commands import leftovers
from accuser.commands.doctor import doctor, examine
from accuser.commands.findings import Finding, places
from accuser.commands.leftovers import Process
from accuser.testing import FaultyDaemon, event, ready
from tests.support.cli import accuser

EVIL = "\x1b]0;title\x07\x9b2J\u202e"
SHOWN = r"\x1b]0;title\x07\x9b2J\u202e"


@pytest.mark.parametrize(
    "error",
    [
        RpcError("GET", "http://h/", 500, EVIL),
        DaemonExited("a", 1, (EVIL,)),
        CommandFailed(("client", EVIL), 1, "", EVIL),
        RecordingError(Path(EVIL), "it is empty"),
        RunnerError("host", RunnerFault.LOST, EVIL),
        UnexpectedValue("e", (EVIL,)),
        HttpError(EVIL),
    ],
)
def test_texts_and_notes_of_errors(error: Exception) -> None:
    error.add_note(EVIL)
    assert SHOWN in str(error)
    assert error.__notes__ == [SHOWN]


def test_a_long_answer_is_cut_in_the_text_alone() -> None:
    error = RpcError("GET", "u", 500, "x" * 1_000_000)
    assert len(str(error)) < 5_000
    assert "(1000000 characters)" in str(error)
    assert len(error.body) == 1_000_000


def test_tracebacks_and_lines_in_logs() -> None:
    stream = io.StringIO()
    logger = logging.getLogger("accuser")
    level, handlers = logger.level, list(logger.handlers)
    setup_logging(logging.DEBUG, stream)
    try:
        raise ValueError(EVIL)
    except ValueError:
        logger.exception("of %s", EVIL)
    finally:
        logger.setLevel(level)
        logger.handlers[:] = handlers
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().count(SHOWN) == 2


async def test_compare(tmp_path: Path) -> None:
    for name, text in (("a", "\x9b2J"), ("b", "\x7f")):
        daemon = FaultyDaemon(ready(), event(f"{EVIL}.v0", text), event("last.v0"))
        async with daemon.open(name="d", record=Recording(tmp_path / name)) as opened:
            await opened.wait_for("last.v0", since=opened.start_mark())
    done = await accuser("compare", str(tmp_path / "a"), str(tmp_path / "b"))
    assert done.returncode == 1
    assert r"\x9b2J" in done.stdout
    assert not set(done.stdout) & set("\x1b\x07\x9b\x7f\u202e")


@pytest.mark.parametrize("command", [("events",), ("timeline",), ("compare", "x")])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
async def test_names_of_files(command: tuple[str, ...], encoding: str) -> None:
    file = f"/none/{EVIL}\u2713\udcff"
    done = await accuser(command[0], file, *command[1:], PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    assert done.stderr.startswith(f"accuser: cannot read /none/{SHOWN}")
    assert "Traceback" not in done.stderr
    assert done.stderr.isascii() == (encoding == "ascii")


async def test_words_that_are_no_arguments() -> None:
    done = await accuser("doctor", EVIL)
    assert done.returncode == 2
    assert SHOWN in done.stderr


async def test_doctor_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/none"])
    (found,) = places()
    assert (found.subject, found.grade) == ("TMPDIR", "problem")
    assert "set TMPDIR" in found.fix
    assert found in await examine(None, 30, False)


def test_what_is_left_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / "accuser-accuser1-abcdefgh"
    (left / "in").mkdir(parents=True)
    other = tmp_path / "else"
    other.mkdir()
    gone = Process(7, 1, 7, 1.0, b"cat", b"ACCUSER_GUARDED=x", "5")
    recycled = Process(8, 1, 8, 1.0, b"cat", b"ACCUSER_GUARDED=x", "5")
    killed: list[int] = []
    monkeypatch.setattr(leftovers, "PLACES", ())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(leftovers, "processes", lambda: [gone, recycled])
    monkeypatch.setattr(leftovers, "orphans", lambda running: running)
    stats = [Stat(7, 1, 7, "S", "5", 0, 0), Stat(8, 1, 8, "S", "99", 0, 0)]
    monkeypatch.setattr(leftovers, "read_stats", lambda: stats)
    monkeypatch.setattr(os, "killpg", lambda group, signum: killed.append(group))
    (listed,) = leftovers.leftovers()
    assert str(left) in listed.text
    assert "accuser doctor --clear" in listed.fix
    (found,) = leftovers.clear()
    assert found.text == "cleared: processes 2, directories 1"
    assert (left.exists(), other.exists(), killed) == (False, True, [7])


@pytest.mark.parametrize("words", [(), ("--remove",)])
def test_clearing_removes_containers_too_and_looks_at_nothing_else(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def containers(remove: bool) -> Iterator[Finding]:
        assert remove
        yield Finding("box", "ok", EVIL)

    module = sys.modules["accuser.commands.doctor"]
    monkeypatch.setattr(module, "clear", lambda: iter([Finding("left", "ok", EVIL)]))
    monkeypatch.setattr(module, "containers", containers)
    done = CliRunner().invoke(doctor, ["--clear", *words])
    lines = done.output.splitlines()[:-1]
    assert [line.split()[1] for line in lines] == ["box", "left"]
    assert all(line.endswith(SHOWN) for line in lines)
