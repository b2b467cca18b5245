"""``accuser sandbox`` and ``accuser completion``, as a user types them."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from accuser import (
    BOOTSTRAP,
    CommandFailed,
    ConsensusOperation,
    Protocol,
    open_accuser,
    open_client,
    open_node,
    open_sandbox,
)
from accuser.commands.sandbox import bake_next
from tests.support.cli import Typed, accuser, typing

ALONE = ("--connections 0", "--synchronisation-threshold 0")

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


async def test_other_addresses_come_with_a_warning() -> None:
    async with typing("sandbox", "--rpc-addr", "0.0.0.0") as typed:
        await typed.until("warning: whoever reaches 0.0.0.0:", " controls this node")
        also = (await typed.until("also at ")).strip()
        port = int(also.rpartition(":")[2])
        script = Path((await typed.until("client  ")).strip())
        await typed.until("Ctrl-C stops everything")
        answer = await paste(f"curl -s http://127.0.0.1:{port}/chains/main/chain_id")
        assert (answer.returncode, answer.stdout) == (0, b'"NetXXAAR1wWQhhe"\n')
        shown = await paste(f"{script} list known addresses")
        assert (shown.returncode, b"bootstrap1: mv1" in shown.stdout) == (0, True), shown.stderr
        typed.process.send_signal(signal.SIGTERM)
        assert await typed.end() == 0
    assert not script.exists()


async def test_the_chain_goes_on_after_a_denunciation() -> None:
    async with (
        open_sandbox() as sandbox,
        open_node(
            toolchain=sandbox.toolchain, arguments=("--connections 0", "--synchronisation-threshold 0")
        ) as node,
        open_client(node) as client,
    ):
        await client.activate_protocol(Protocol.BOREAS)
        async with open_accuser(Protocol.BOREAS, node) as accuser:
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            for _ in range(3):
                assert await bake_next(client) is None
            await node.wait_for_level(4)
            denounced = accuser.expect("double_attestation_denounced.v0")
            await client.attest_for("bootstrap1", force=True)
            pending = await node.rpc("get", "/chains/main/mempool/pending_operations")
            (honest,) = pending["validated"]
            other = (await node.rpc("get", "/chains/main/blocks/head~1/header"))["payload_hash"]
            twice = attrs.evolve(
                ConsensusOperation.from_json(honest, "attestation"), block_payload_hash=other
            )
            await twice.inject(node, BOOTSTRAP[0], force=True)
            await denounced
        # Its evidence is in the first of these blocks.
        for level in range(5, 15):
            assert await bake_next(client) is None
            assert await node.wait_for_level(level) == level
            with pytest.raises(CommandFailed, match="temporarily not allowed"):
                await client.bake_for("bootstrap1")


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
        (("--bake", "nan"), "'nan' is no number of seconds"),
        (("--bakers", "6"), "6 is not in the range 1<=x<=5"),
        (("--bakers", "1", "--bake", "1"), "--bake and --bakers exclude each other"),
        (("--rpc-addr", "http://there"), "'http://there' is not ADDRESS or ADDRESS:PORT"),
        (("--rpc-addr", "there:70000"), "'there:70000': Port out of range 0-65535"),
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
