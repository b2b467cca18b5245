"""``accuser sandbox`` and ``accuser completion``, as a user types them."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.support.cli import Typed, accuser, typing

UNTIL_STOPPED = 2
"""How many of the examples go on until Ctrl-C; they are the last ones."""


async def examples(typed: Typed) -> list[str]:
    """The commands that it prints to be pasted."""
    await typed.until("Ctrl-C stops everything")
    _, _, printed = typed.text.partition("In another terminal:")
    lines = printed.partition("Ctrl-C stops everything")[0].splitlines()
    return [line for line in lines if line and not line.startswith("#")]


async def paste(command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line as a shell does."""
    return await trio.run_process(
        ["bash", "-c", command], capture_stdout=True, capture_stderr=True, check=False
    )


async def test_what_it_prints_can_be_pasted() -> None:
    async with typing("sandbox", "--protocol", "atlas") as typed:
        url = (await typed.until("node    ")).strip()
        commands = await examples(typed)
        assert len(commands) == 8
        for command in commands[:-UNTIL_STOPPED]:
            done = await paste(command)
            assert done.returncode == 0, (command, done.stderr)
            assert done.stdout, command
        await typed.until("level 2: B")
        begins = (b'"level":2', b"watching " + url.encode())
        for command, first in zip(commands[-UNTIL_STOPPED:], begins, strict=True):
            async with trio.open_nursery() as nursery:
                words = ["bash", "-c", f"exec {command}"]
                start = partial(trio.run_process, words, stdout=subprocess.PIPE, check=False)
                process = await nursery.start(start)
                seen = b""
                while first not in seen:
                    piece = await process.stdout.receive_some()
                    assert piece, seen
                    seen += piece
                process.send_signal(signal.SIGINT)
                async for _ in process.stdout:
                    pass
        typed.process.send_signal(signal.SIGINT)
        assert await typed.end() == 0
    assert "stopped by SIGINT; everything was removed" in typed.text


async def test_it_bakes_regularly_at_the_port_that_was_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with typing("sandbox", "--bake", "0.1", "--rpc-port", str(port)) as typed:
        assert await typed.until("node    ") == f"http://127.0.0.1:{port}"
        await typed.until("level 2: B", "level 3: B")
        typed.process.send_signal(signal.SIGTERM)
        assert await typed.end() == 0


async def test_with_bakers_it_lives_by_itself() -> None:
    async with typing("sandbox", "--bakers", "3") as typed:
        assert await typed.until("blocks  ") == "of 3 bakers, which share the accounts"
        await typed.until("level 2: B", "level 3: B")
        typed.process.send_signal(signal.SIGTERM)
        assert await typed.end() == 0


async def test_what_is_kept_is_told() -> None:
    async with typing("sandbox", "--keep") as typed:
        kept = [
            await typed.until(f"the files of {name} stay in ") for name in ("node1", "client1", "accuser1")
        ]
        await typed.until("Ctrl-C stops everything")
        typed.process.send_signal(signal.SIGTERM)
        assert await typed.end() == 0
    for folder in kept:
        assert Path(folder).is_dir()
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--bake", "0"), "0.0 is not in the range x>=0.1"),
        (("--bakers", "6"), "6 is not in the range 1<=x<=5"),
        (("--bakers", "1", "--bake", "1"), "--bake and --bakers exclude each other"),
        (("--rpc-port", "0"), "0 is not in the range 1<=x<=65535"),
        (("--protocol", "nosuch"), "unknown protocol 'nosuch'"),
    ],
)
async def test_wrong_arguments(arguments: tuple[str, ...], text: str) -> None:
    done = await accuser("sandbox", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr


async def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = await accuser("sandbox", "--rpc-port", str(port))
    assert done.returncode == 1
    assert "PortTaken: " in done.stderr
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
    for line in done.stderr.splitlines():
        if "are kept in " in line:
            shutil.rmtree(line.rpartition("are kept in ")[2])


# Completion.


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_shell_can_be_taught(shell: str) -> None:
    done = await accuser("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_ACCUSER_COMPLETE={shell}_complete" in done.stdout


async def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    # Beside the script, what it calls: the command by its bare name.
    (tmp_path / "accuser").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m accuser "$@"\n')
    (tmp_path / "accuser").chmod(0o755)
    (tmp_path / "completion").write_text((await accuser("completion", "bash")).stdout)
    program = (
        f"PATH={tmp_path}:$PATH; complete() {{ :; }}; . {tmp_path}/completion\n"
        'COMP_WORDS=(accuser run --met) COMP_CWORD=2; _accuser_completion accuser; echo "${COMPREPLY[@]}"\n'
        "COMPREPLY=() COMP_WORDS=(accuser sand) COMP_CWORD=1; _accuser_completion accuser\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    done = await paste(program)
    assert done.stdout.decode().splitlines() == ["--metrics", "sandbox"]


async def test_the_help_of_every_command_has_examples_and_statuses() -> None:
    done = await accuser("--help")
    assert done.returncode == 0
    assert "Exit status:" in done.stdout
    commands = done.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    names = [line.split()[0] for line in commands if line.startswith("  ") and line[2] != " "]
    assert {"completion", "demo", "events", "run", "sandbox"} <= set(names)
    for name in names:
        done = await accuser(name, "--help")
        assert done.returncode == 0
        assert f"accuser {name}" in done.stdout.partition("Examples:")[2], name
