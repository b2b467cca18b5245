"""The command line, as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import pytest
import trio

from accuser.commands import cli
from accuser.scenarios import SCENARIOS
from tests.support.cli import COMMAND, accuser
from tests.support.independent import operation_hash
from tests.support.proc import children_of


async def test_the_demo_prints_a_json_object() -> None:
    done = await accuser("demo", "--json", "--protocol", "Atlas")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["toolchain"] == "sandbox"
    assert result["protocol"] == "001-PtAtLas"
    assert result["chain_id"] == "NetXXAAR1wWQhhe"
    assert result["included"]["validation_pass"] == 2
    assert operation_hash(bytes.fromhex(result["denunciation"]["bytes"])) == result["denunciation"]["hash"]
    assert result["seconds"] > 0


async def test_the_demo_tells_its_steps_without_colors_for_a_file() -> None:
    done = await accuser("demo")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) > 8
    assert "toolchain: sandbox" in lines[0]
    assert "\033" not in done.stdout
    assert lines[-1].startswith("denounced and included")


async def test_another_scenario_prints_a_json_object_of_its_own() -> None:
    name = "double-preattestation-wrong-branch"
    done = await accuser("demo", "--json", "--scenario", name, "--protocol", "alpha")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["protocol"], result["kind"], result["difference"]) == ("alpha", "preattestation", "branch")
    assert result["already_denounced"] == result["first"]["evidence"]["hash"]
    assert operation_hash(bytes.fromhex(result["first"]["evidence"]["bytes"])) == result["already_denounced"]


async def test_another_scenario_tells_its_steps() -> None:
    done = await accuser("demo", "--scenario", "operation-too-old")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-2].endswith("passed it over, with consensus_operation_too_old.v0")
    assert lines[-1].startswith("seen, and passed over, in ")


async def test_the_scenarios_are_listed() -> None:
    done = await accuser("demo", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(SCENARIOS)
    limited = [line for line in done.stdout.splitlines() if line.endswith(")")]
    assert [line.split()[0] for line in limited] == ["adaptive-issuance", "migration", "voting-override"]
    assert all(line.endswith(" (boreas and alpha only)") for line in limited)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("demo", "--protocol", "nosuch"), 2, "unknown protocol 'nosuch'"),
        (("demo", "--toolchain", "/no/such/folder"), 2, "neither 'sandbox' nor 'memory' nor"),
        (("demo", "--toolchain", ""), 2, "'' is neither 'sandbox' nor 'memory' nor"),
        (("explore", "--toolchain", ""), 2, "'' is neither 'sandbox' nor 'memory' nor"),
        (("demo", "--nosuch"), 2, "No such option"),
        (("demo", "--scenario", "nosuch"), 2, "'nosuch' is not one of 'double-baking', 'double-att"),
        (
            ("demo", "--scenario", "adaptive-issuance", "--protocol", "atlas"),
            2,
            "the scenario adaptive-issuance does not apply to atlas: it is for boreas and alpha",
        ),
        (("nosuch",), 2, "No such command"),
        (("demo", "--toolchain", "/"), 1, "BinaryNotFound: no executable 'mavkit-node' was found"),
    ],
)
async def test_mistakes_get_a_sentence_and_a_status(
    arguments: tuple[str, ...], status: int, text: str
) -> None:
    done = await accuser(*arguments, PATH="/nowhere")
    assert done.returncode == status
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert status != 2 or done.stdout == ""


@pytest.mark.parametrize(
    ("signum", "status", "text"),
    [
        (signal.SIGINT, 130, b"interrupted; every daemon was stopped"),
        (signal.SIGTERM, 143, b"ended by SIGTERM; every daemon was stopped"),
    ],
)
async def test_a_signal_stops_everything(signum: signal.Signals, status: int, text: bytes) -> None:
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            [*COMMAND, "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
            process_group=0,
        )
        process: trio.Process = await nursery.start(start)
        assert process.stdout is not None
        assert process.stderr is not None
        seen = b""
        while b"is active at level 1" not in seen:
            piece = await process.stdout.receive_some()
            assert piece, seen
            seen += piece
        session_mates = _descendants(process.pid)
        assert session_mates
        process.send_signal(signum)
        errors = b"".join([piece async for piece in process.stderr])
    assert process.returncode == status
    assert text in errors
    assert b"Traceback" not in errors
    assert not [pid for pid in session_mates if Path(f"/proc/{pid}").exists()]


def _descendants(pid: int) -> list[int]:
    found = []
    for child in children_of(pid):
        found += [child, *_descendants(child)]
    return found


def test_the_list_of_commands_is_what_the_commands_say() -> None:
    context = click.Context(cli)
    listed = [line.split(None, 1) for line in _commands_in_help()]
    said = []
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        said.append([name, command.get_short_help_str(100)])
    assert listed == said
    assert cli.get_command(context, "explain-nothing") is None


def _commands_in_help() -> list[str]:
    lines = cli.get_help(click.Context(cli)).splitlines()
    start = lines.index("Commands:") + 1
    return lines[start : lines.index("", start)]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nonsense"]])
def test_what_needs_no_command_loads_none(arguments: list[str]) -> None:
    program = (
        "import sys; from accuser.commands import run; run();"
        "print({'trio', 'rich', 'accuser._daemons'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "set()"


def test_a_tab_loads_no_more_than_it_needs() -> None:
    program = """
import sys
from accuser.commands import run
try:
    run()
finally:
    print(*{"trio", "rich", "accuser._errors"} & set(sys.modules), file=sys.stderr)
"""
    environment = {**os.environ, "COMP_WORDS": "accuser ev", "COMP_CWORD": "1"}
    tab = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "_ACCUSER_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (tab.stdout, tab.stderr) == ("plain,events\n", "\n")


@pytest.mark.parametrize("command", ["compare", "completion", "events", "timeline"])
def test_what_reads_files_loads_no_trio(command: str) -> None:
    program = f"import sys, accuser.commands.{command}; sys.exit('trio' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
