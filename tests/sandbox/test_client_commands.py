"""The client's command lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from accuser._mavryk.codec.crypto import (
    CHAIN_ID,
)
from accuser._mavryk.protocol import Protocol
from accuser.sandbox.cli.json_text import pretty
from accuser.sandbox.client import main as client
from tests.support.clients import (
    SILENT,
    Outcome,
    world,
)

# Command lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--no-such-option", "rpc", "get", "/"), "Unexpected command line option --no-such-option."),
        (("rpc", "get", "/", "--no-such-option"), "Unexpected command line option --no-such-option."),
        (("do", "this"), "Unrecognized command."),
        (("rpc", "get"), "Unterminated command, here are possible completions."),
        (("list", "known", "addresses", "more"), "Extra command line arguments:"),
        (("--media-type", "xml", "rpc", "get", "/"), "Wrong value for command line option --media-type."),
    ],
)
async def test_wrong_command_lines(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    async with world(tmp_path) as w:
        outcome = await w.run(*words)
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(f"Error:\n  {message}\n")
    assert "Usage:\n  mavkit-client [global options]" in outcome.stderr


async def test_commands_of_the_other_program(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        outcome = await w.run("trust", "address", "127.0.0.1:1")
        assert outcome.stderr.startswith("Error:\n  Unrecognized command.\n")
        outcome = await w.run("bake", "for", "bootstrap1", program="mavkit-admin-client")
        assert outcome.stderr.startswith("Error:\n  Unrecognized command.\n")


async def test_help(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        assert await w.ok("--version") == f"{client.VERSION}\n"
        assert (await w.ok("--help")).startswith("Usage:\n")
        await w.activate()
        assert "--minimal-timestamp" in await w.ok("bake", "for", "--help")
        manual = await w.ok("man")
        assert "bake for [<baker>...]" in manual
        assert "rpc get <url>" in manual
        assert "bake for" not in await w.ok("man", "rpc")
        assert await w.ok("list", "understood", "protocols") == (
            "ProtoGenesis\nPtAtLasdzXg4\nPtBoreasK2KP\nProtoALphaAL\n"
        )


async def test_no_base_directory(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.base_dir = tmp_path / "nowhere"
        outcome = await w.run("rpc", "get", "/version")
        text = "Specified --base-dir does not exist. Please create the directory and try again."
        assert outcome == Outcome(1, "", f"Error:\n  {text}\n")


async def test_the_disclaimer(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.environ.clear()
        outcome = await w.run("rpc", "get", "/chains/main/chain_id")
        assert outcome == Outcome(0, f'"{CHAIN_ID}"\n', client.DISCLAIMER)
        assert "NOT the Mavryk Mainnet" in client.DISCLAIMER


async def test_another_protocol_than_the_nodes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        outcome = await w.run("--protocol", Protocol.ATLAS.hash, "bake", "for", "--minimal-timestamp")
        assert outcome.status == 0
        assert outcome.stderr == (
            "Warning:\n  The protocol provided via `--protocol` (PtAtLasdzXg4)\n"
            "  is not the one retrieved from the node (PtBoreasK2KP).\n\n"
        )


async def test_as_a_process(tmp_path: Path) -> None:
    async with world(tmp_path) as w, trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]

        async def serve(stream: trio.SocketStream) -> None:
            there = await w.connect()
            async with trio.open_nursery() as both:
                both.start_soon(_pump, stream, there)
                await _pump(there, stream)
                both.cancel_scope.cancel()

        nursery.start_soon(trio.serve_listeners, serve, listeners)
        command = [sys.executable, "-m", "accuser.sandbox", "mavkit-client"]
        words = ["--endpoint", f"http://127.0.0.1:{port}", "--base-dir", str(w.base_dir)]
        completed = await trio.run_process(
            [*command, *words, "rpc", "get", "/chains/main/chain_id"],
            capture_stdout=True,
            capture_stderr=True,
            env={**SILENT, "PYTHONPATH": str(Path(client.__file__).parents[2])},
        )
        assert (completed.stdout.decode(), completed.stderr.decode()) == (f'"{CHAIN_ID}"\n', "")
        nursery.cancel_scope.cancel()


async def _pump(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
    async with source, sink:
        try:
            while data := await source.receive_some():
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


# The text of JSON


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ([], "[]"),
        (None, "null"),
        (2.0, "2"),
        (0.25, "0.25"),
        ('a"b\n\u00e9', '"a\\"b\\n\u00e9"'),
        ({"a": 1, "b": [True, None]}, '{ "a": 1, "b": [ true, null ] }'),
        (["x" * 30, "y" * 30, 1], f'[ "{"x" * 30}", "{"y" * 30}", 1 ]'),
        (["x" * 30, "y" * 38, 1], f'[ "{"x" * 30}", "{"y" * 38}",\n  1 ]'),
        (["x" * 30, "y" * 39, 1], f'[ "{"x" * 30}",\n  "{"y" * 39}", 1 ]'),
        (["x" * 70], f'[ "{"x" * 70}" ]'),
        (["x" * 40, "y" * 40, 1], f'[ "{"x" * 40}",\n  "{"y" * 40}", 1 ]'),
        (
            {"header": {"level": 8, "predecessor": "B" * 60, "proto": 1}},
            '{ "header":\n    { "level": 8,\n      "predecessor":\n'
            f'        "{"B" * 60}",\n      "proto": 1 }} }}',
        ),
    ],
)
def test_pretty(value: object, text: str) -> None:
    assert pretty(value) == text


def test_pretty_is_json_again() -> None:
    deep: object = "x"
    for _ in range(60):
        deep = {"field": [deep, {"other": "y" * 20}]}
    assert json.loads(pretty(deep)) == deep
