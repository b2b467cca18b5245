"""Let pymavryk and taquito use a sandbox node: ``python -m tests.tools.strangers``.

Both are what their registries have: nothing stands in for a part of them, or between them and the node.
``--modules`` is the folder whose ``node_modules`` has taquito; without it, npm installs it. ``--only`` is
``pymavryk``, ``operations`` or ``reads``. Each step is a line; the status is 1 if one is wrong.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio

from accuser import CommandFailed, Protocol, open_client, open_node
from accuser._hosts.toolchain import SANDBOX
from accuser.commands.sandbox import bake_next

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent.parent
PACKAGES: Final = ("@mavrykdynamics/taquito@20", "@mavrykdynamics/taquito-signer@19.2.2")
"""Of its signer, the registry has nothing newer."""

GENESIS: Final = "edpkuSLWfVU1Vq7Jg9FucPyKmma6otcMHac9zG4oU1KMHSTBpJuGQ2"
"""The public key of pymavryk's dictator, which activates the protocol."""

ALONE: Final = ("--connections 0", "--synchronisation-threshold 0")
PARAMETERS: Final = {
    "blocks_per_cycle": 8,
    "cycles_per_voting_period": 4,
    "nonce_revelation_threshold": 4,
    "adaptive_issuance_force_activation": True,  # else nobody may stake by hand
}
PACE: Final = 0.25
"""Seconds between two blocks of the chain for taquito."""


async def with_pymavryk(folder: Path) -> int:
    """A node in sandbox mode, whose chain pymavryk makes."""
    file, data = folder / "sandbox.json", str(folder / "node")
    file.write_text(json.dumps({"genesis_pubkey": GENESIS}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    node = [sys.executable, "-m", "accuser.sandbox", "mavkit-node"]
    for words in (["identity", "generate", "0"], ["config", "init", "--network", "sandbox"]):
        await trio.run_process([*node, *words, "--data-dir", data], capture_stdout=True, capture_stderr=True)
    run = [*node, "run", "--data-dir", data, "--sandbox", str(file), "--rpc-addr", f"127.0.0.1:{port}"]
    options = ["--synchronisation-threshold", "0", "--connections", "0", "--expected-pow", "0"]
    program = [sys.executable, "-W", "ignore", "-m", "tests.tools.strangers.with_pymavryk"]
    async with trio.open_nursery() as nursery:
        started = partial(trio.run_process, [*run, *options], stderr=subprocess.PIPE)
        process = await nursery.start(started)
        await nursery.start(_read, process.stderr, b"node is now running")
        done = await trio.run_process([*program, f"http://127.0.0.1:{port}"], check=False, cwd=ROOT)
        nursery.cancel_scope.cancel()
    return done.returncode


async def _read(
    stream: trio.abc.ReceiveStream,
    words: bytes,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Read what a program prints, to its end; it is started when it has printed these words."""
    text, waiting = b"", True
    async for chunk in stream:
        text += chunk if waiting else b""
        if waiting and words in text:
            waiting = False
            task_status.started()


async def with_taquito(program: str, modules: Path) -> int:
    """A chain on which somebody bakes, and a program that uses it."""
    async with (
        open_node(toolchain=SANDBOX, arguments=ALONE) as node,
        open_client(node) as client,
        trio.open_nursery() as nursery,
    ):
        await client.activate_protocol(Protocol.BOREAS, parameters=PARAMETERS)

        async def bake() -> None:
            while True:
                await trio.sleep(PACE)
                if complaint := await bake_next(client):
                    raise CommandFailed(("bake", "for"), 1, "", complaint)

        nursery.start_soon(bake)
        command = ["node", str(HERE / program), node.rpc_endpoint]
        done = await trio.run_process(command, check=False, cwd=modules)
        nursery.cancel_scope.cancel()
    return done.returncode


def installed(modules: Path | None, folder: Path) -> Path:
    """A folder whose ``node_modules`` has taquito."""
    if modules is not None:
        return modules
    npm = ["npm", "install", "--silent", "--no-save", "--ignore-scripts", "--prefix", str(folder), *PACKAGES]
    subprocess.run(npm, check=True, stdout=sys.stderr)
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="tests.tools.strangers", description=__doc__)
    parser.add_argument("--modules", type=Path)
    parser.add_argument("--only", choices=("pymavryk", "operations", "reads"))
    options = parser.parse_args(arguments)
    only = options.only
    missing = [tool for tool in ("node", "npm") if only != "pymavryk" and shutil.which(tool) is None]
    if only in (None, "pymavryk") and importlib.util.find_spec("pymavryk") is None:
        missing.append("pymavryk")
    if missing:
        print(f"needs {' and '.join(missing)}")
        return 1
    failed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if only in (None, "pymavryk"):
            print("# pymavryk", flush=True)
            failed += ["pymavryk"] * bool(trio.run(with_pymavryk, folder))
        for part in ("operations", "reads"):
            if only in (None, part):
                modules = installed(options.modules, folder)
                print(f"# taquito: {part}", flush=True)
                failed += [part] * bool(trio.run(with_taquito, f"taquito_{part}.js", modules))
    print(f"wrong: {', '.join(failed)}" if failed else "all is right")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
