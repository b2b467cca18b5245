"""Commands of the command line, as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from accuser.commands import cli

ACCUSER = (sys.executable, "-m", "accuser")


async def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = await trio.run_process(
        command,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env={**os.environ, **environment},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@asynccontextmanager
async def playing(*arguments: str) -> AsyncIterator[trio.Process]:
    """The command ``sandbox``."""
    command = [*ACCUSER, "sandbox", *arguments]
    async with trio.open_nursery() as nursery:
        runs = partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
        process: trio.Process = await nursery.start(runs)
        yield process


async def lines_until(process: trio.Process, text: str) -> list[str]:
    """What a process prints, up to a line that begins so."""
    assert process.stdout is not None
    printed = b""
    while not any(line.startswith(text) for line in printed.decode().splitlines()[: printed.count(b"\n")]):
        data = await process.stdout.receive_some()
        assert data, printed
        printed += data
    return printed.decode().splitlines()


async def test_what_the_sandbox_prints_can_be_pasted(tmp_path: Path) -> None:
    async with playing("--protocol", "atlas") as process:
        lines = await lines_until(process, "Ctrl-C")
        pasted = [line.strip() for line in lines if line.startswith("  ")]
        assert [line.split()[0] for line in pasted] == ["curl"] * 3 + ["client()"] + ["client"] * 3
        function = pasted[3]
        for line in pasted:
            if line == function or "/monitor/" in line:
                continue
            done = await run("bash", "-c", f"set -e; {function}\n{line}")
            assert done.returncode == 0, (line, done)
            if line.startswith("curl"):
                assert isinstance(json.loads(done.stdout), dict)
        assert lines[0].endswith("001-PtAtLas is active at level 1")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


async def test_the_sandbox_bakes_by_itself() -> None:
    async with playing("--bake", "0.1") as process:
        await lines_until(process, "level 3")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 128 + signal.SIGTERM


async def test_a_port_that_is_taken() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        done = await run(*ACCUSER, "sandbox", "--rpc-port", str(port), TMPDIR=os.environ["TMPDIR"])
        assert done.returncode == 1
        assert "PortTaken" in done.stderr
        assert "Traceback" not in done.stderr
    for line in done.stderr.splitlines():
        if "are kept in" in line:
            await run("rm", "-r", line.rpartition(" ")[2])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion(shell: str) -> None:
    done = await run(*ACCUSER, "completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_ACCUSER_COMPLETE={shell}_complete" in done.stdout


async def test_completion_of_words() -> None:
    asked = {"_ACCUSER_COMPLETE": "bash_complete", "COMP_WORDS": "accuser do", "COMP_CWORD": "1"}
    program = "import sys; from accuser.__main__ import main; sys.exit(main())"
    done = await run(sys.executable, "-c", program, **asked)
    assert "plain,doctor" in done.stdout.splitlines()


@pytest.mark.parametrize("name", sorted(cli.commands))
async def test_every_command_teaches(name: str) -> None:
    done = await run(*ACCUSER, name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Examples:" in done.stdout
    assert f"accuser {name}" in done.stdout.split("Examples:")[1]
