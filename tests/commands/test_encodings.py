"""Every command under a locale that lacks characters: nothing fails for what cannot be encoded."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Final

import click
import pytest

from accuser.commands import cli
from tests.support.cli import accuser, typing
from tests.support.recordings import event, of

ASCII: Final = {
    "LC_ALL": "POSIX",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONUTF8": "0",
    "PYTHONIOENCODING": "ascii:strict",
}
WORD: Final = "caf\u00e9"
NAME: Final = f"{WORD}-\u2713.jsonl"
COMMANDS: Final = {
    "compare": ((NAME, NAME), "equal"),
    "completion": (("bash",), "_accuser_completion"),
    "demo": (("--scenario", WORD), "is not one of"),
    "doctor": (("--clear",), ""),
    "events": ((NAME,), "caf\\xe9"),
    "explore": (("--replay", WORD), "No such file"),
    "timeline": ((NAME,), "caf"),
}
"""Words for each command, and what it says then; those that go on are tested apart."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recording, as the present one."""
    entries = [
        {"type": "recording", "version": 1, "started": 1.0, "t": 0.0},
        of(0.5, WORD, "line", stream="stdout", text=WORD),
        event(1.0, WORD, WORD, WORD, {WORD: WORD}),
    ]
    lines = [json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries]
    (tmp_path / NAME).write_text("".join(lines), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_is_tried() -> None:
    # `run` is tried with its own tests.
    assert {*COMMANDS, "sandbox", "run"} == set(cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize("command", COMMANDS)
async def test_what_a_command_cannot_encode_it_escapes(place: Path, command: str) -> None:
    words, told = COMMANDS[command]
    done = await accuser(command, *words, stdin=b"", **ASCII)
    said = done.stdout + done.stderr
    assert done.returncode in (0, 1, 2)
    assert "Traceback" not in said
    assert told in said
    assert said.isascii()


async def test_a_page_is_the_same_wherever_it_goes(place: Path) -> None:
    done = await accuser("timeline", NAME, "-o", "-", stdin=b"", **ASCII)
    await accuser("timeline", NAME, "-o", "page", stdin=b"", **ASCII)
    assert done.stdout == (place / "page").read_text("utf-8")
    assert f"<title>{NAME}" in done.stdout


async def test_a_sandbox_goes_on(place: Path) -> None:
    async with typing("sandbox", **ASCII) as typed:
        await typed.until("Ctrl-C")
        typed.process.send_signal(signal.SIGTERM)
        assert await typed.end() == 0
