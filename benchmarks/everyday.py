"""What users pay for a command, a test and the demo, in processor time, against ``import trio``."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trio
from standins import Writer
from table import Row, compared

from accuser import SANDBOX, Client, Protocol, init_with_protocol, open_node

ROUNDS = 5
COMMANDS = 20
"""Client commands in a round."""

MORE = 9
"""Tests more, of which each is what the two runs differ by."""

FORKS = "ACCUSER_SANDBOX_FORKS"
NODE = ("--synchronisation-threshold 0",)
TAB = {"_ACCUSER_COMPLETE": "bash_complete", "COMP_WORDS": "accuser ev", "COMP_CWORD": "1"}
"""What the completion of bash sets."""

TEST = """
from accuser import Accuser, Client, Node

async def test_the_accuser_processes_what_is_baked(node: Node, client: Client, accuser: Accuser) -> None:
    processed = accuser.expect("accuser_processed_block.v0")
    await client.bake_for("bootstrap1")
    assert await processed == await node.rpc("get", "/chains/main/blocks/head/hash")
"""


def measure_everyday(_: Writer) -> list[Row]:
    """Run each as a user would, and add up what it and its children took."""
    demo = ("-m", "accuser", "demo")
    rows = [
        _against_import("accuser --help", ("-m", "accuser", "--help"), most=1.5),
        _against_import("a Tab after accuser", ("-m", "accuser"), TAB, most=1.5),
        _against_import("from accuser import Accuser", ("-c", "from accuser import Accuser")),
        _against_import("accuser demo", demo, most=20),
        _against_import("accuser demo, programs executed", demo, {FORKS: "no"}),
        trio.run(_commands, True),
        trio.run(_commands, False),
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_it.py").write_text(TEST)
        options = ("-q", "-p", "no:cacheprovider", "-o", "trio_mode=true", folder)
        for form, most in (("sandbox", 3), ("memory", 0.5)):
            label = f"a test with node, client and accuser, --mavkit {form}"
            rows.append(_each_test(label, ("--mavkit", form, *options), folder, most))
    return rows


def _against_import(
    measure: str, words: Sequence[str], variables: dict[str, str] | None = None, most: float | None = None
) -> Row:
    ours, floor = [], []
    for _ in range(ROUNDS):
        floor.append(_import())
        ours.append(_cost(words, variables))
    return compared(measure, ours, floor, "ms", most=most, of="import trio")


def _import() -> float:
    return _cost(("-c", "import trio"))


def _cost(words: Sequence[str], variables: dict[str, str] | None = None) -> float:
    """Milliseconds of processor time of a Python program and all its children."""
    before = _children()
    environment = {**os.environ, **(variables or {})}
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment)
    return (_children() - before) * 1000


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def _commands(forked: bool) -> Row:
    """One client command, the mean of many."""
    os.environ[FORKS] = "yes" if forked else "no"
    ours, floor = [], []
    async with open_node(toolchain=SANDBOX, arguments=NODE) as node:
        client = await init_with_protocol(node, Protocol.BOREAS)
        for _ in range(ROUNDS):
            floor.append(await trio.to_thread.run_sync(_import))
            ours.append(await _round(client))
        client.remove()
    del os.environ[FORKS]
    label = "a client command, " + ("forked" if forked else "executed")
    return compared(label, ours, floor, "ms", most=1 / 3 if forked else None, of="import trio")


async def _round(client: Client) -> float:
    before = _children()
    for _ in range(COMMANDS):
        await client.rpc("get", "/chains/main/blocks/head/hash")
    return (_children() - before) * 1000 / COMMANDS


def _each_test(measure: str, options: Sequence[str], folder: str, most: float) -> Row:
    """What one test more costs: the difference between many and one."""
    ours, floor = [], []
    for _ in range(ROUNDS):
        floor.append(_import())
        one = _cost(("-m", "pytest", *options))
        for number in range(MORE):
            (Path(folder) / f"test_{number}.py").write_text(TEST)
        all_of_them = _cost(("-m", "pytest", *options))
        for number in range(MORE):
            (Path(folder) / f"test_{number}.py").unlink()
        ours.append((all_of_them - one) / MORE)
    return compared(measure, ours, floor, "ms", most=most, of="import trio")
