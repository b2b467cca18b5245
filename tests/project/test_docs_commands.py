"""What the documents say of the command line is so: its output, its options, its metrics, its statuses."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import click
import pytest
import trio

from accuser import SANDBOX, Protocol, init_with_protocol, open_node
from accuser.commands import cli
from accuser.scenarios._stage import NODE_ARGUMENTS
from tests.project.test_docs import ROOT, blocks
from tests.support.cli import accuser, typing

ENDLESS = "accuser run "
_ACCIDENTS = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "TIME "),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
)


def shown() -> list[tuple[str, list[str]]]:
    """The commands in the document, with the output that they are shown with."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks("docs/commands.md", "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def without_accidents(lines: list[str]) -> list[str]:
    text = "\n".join(lines)
    for pattern, name in _ACCIDENTS:
        text = re.sub(pattern, name, text)
    return text.splitlines()


@pytest.mark.parametrize(
    ("command", "output"), [one for one in shown() if not one[0].startswith((ENDLESS, "accuser doctor"))]
)
async def test_a_command_of_the_document(command: str, output: list[str], tmp_path: Path) -> None:
    (tmp_path / "accuser").write_text(f'#!/bin/sh\ncd {ROOT}\nexec "{sys.executable}" -m accuser "$@"\n')
    (tmp_path / "accuser").chmod(0o755)
    (tmp_path / "work").mkdir()
    line = f"PATH={shlex.quote(str(tmp_path))}:$PATH; {command}"
    words = ["bash", "-c", line]
    done = await trio.run_process(words, capture_stdout=True, check=False, cwd=tmp_path / "work")
    assert (done.returncode, done.stdout.decode().splitlines()) == (0, output)


async def test_the_output_of_the_doctor() -> None:
    ((_, output),) = [one for one in shown() if one[0] == "accuser doctor"]
    done = await accuser("doctor", PATH=str(Path(sys.executable).parent))
    subjects = {line[8:20].strip() for line in output if not line.startswith(" ")}
    told = {line[8:20].strip() for line in done.stdout.splitlines() if not line.startswith(" ")}
    assert {"python", "binaries", "sandbox", "open files", "FIFO", "leftovers"} <= subjects & told
    assert output[-1] == "0 problems, 1 warning"


async def test_the_output_of_a_run() -> None:
    ((command, output),) = [one for one in shown() if one[0].startswith(ENDLESS)]
    async with open_node(toolchain=SANDBOX, arguments=NODE_ARGUMENTS) as node:
        client = await init_with_protocol(node, Protocol.BOREAS)
        words = shlex.split(command)[1:]
        words[words.index("--endpoint") + 1] = node.rpc_endpoint
        words[words.index("--metrics") + 1] = "127.0.0.1:0"
        async with typing(*words) as typed:
            await typed.until("watches the chain")
        client.remove()
    # A slow machine makes an accuser say that it waits.
    waits = ("accuser: Waiting for the node to be", "accuser: Current head:")
    told = [line for line in typed.text.splitlines() if not any(wait in line for wait in waits)]
    lines = without_accidents(told)
    # The metrics' address and what the accuser prints come from two tasks.
    assert sorted(lines[: len(output)]) == sorted(without_accidents(output))


def test_the_table_of_commands_is_complete() -> None:
    table = (ROOT / "docs/commands.md").read_text().partition("## Exit statuses")[0]
    assert set(re.findall(r"^\| `accuser (\w+)", table, re.M)) <= set(cli.list_commands(click.Context(cli)))
    assert {"completion", "demo", "doctor", "events", "run", "sandbox"} <= set(
        re.findall(r"^\| `accuser (\w+)", table, re.M)
    )


async def test_the_unit_is_valid(tmp_path: Path) -> None:
    (unit,) = blocks("docs/production.md", "ini")
    (command,) = re.findall(r"^ExecStart=(.*)$", unit, re.M)
    program, name, *words = shlex.split(command)
    # Raises what a user would see.
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    with command.make_context(name, words) as context:
        assert context.params["protocols"] == (Protocol.BOREAS,)
        grace = context.params["grace"]
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.M)[0]) > grace
    if analyze := shutil.which("systemd-analyze"):
        path = tmp_path / "accuser.service"
        path.write_text(unit.replace(program, sys.executable))
        done = await trio.run_process(
            [analyze, "verify", "--recursive-errors=no", str(path)], capture_stderr=True, check=False
        )
        complaints = [line for line in done.stderr.decode().splitlines() if "accuser.service" in line]
        assert not complaints


async def test_the_metrics_are_those_of_the_document() -> None:
    text = (ROOT / "docs/production.md").read_text()
    table = {cell.partition("{")[0] for cell in re.findall(r"^\| `(accuser_[^`]*)`", text, re.M)}
    async with open_node(toolchain=SANDBOX, arguments=NODE_ARGUMENTS) as node:
        words = ("run", "--toolchain", "sandbox", "--endpoint", node.rpc_endpoint, "--metrics", "127.0.0.1:0")
        async with typing(*words) as typed:
            url = await typed.until("metrics: ")
            await typed.until("Waiting for protocol")
            done = await trio.run_process(["curl", "-s", url], capture_stdout=True)
    served = set(re.findall(r"^(accuser_\w+)", done.stdout.decode(), re.M))
    assert table == served
    (rules,) = blocks("docs/production.md", "yaml")
    assert set(re.findall(r"accuser_\w+", rules)) <= served
