"""Kill the server that forks the sandbox's programs at random moments, and see that nobody else notices.

``python -m tests.tools.forks [NUMBER] [SEED]``, which the session ``forks`` of the noxfile runs. Meanwhile
a node and an accuser run on, and others come and go, beside commands of a client. At the end nothing may be
left: no process, descriptor or file.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

import attrs
import trio

from accuser import SANDBOX, Accuser, Client, Node, Protocol, init_with_protocol, open_accuser, open_node
from accuser._hosts.owner.forks import VARIABLE, forks
from accuser._hosts.owner.guardian import guardian
from accuser._hosts.owner.ports import lock_file
from tests.support.proc import children, descriptors

LONGEST: Final = 0.6
"""Seconds between two kills, at most; a server has imported what a client needs after about half of that."""

NODE: Final = ("--synchronisation-threshold 0", "--private-mode", "--connections 0")


@attrs.define
class Tally:
    """What was done, and what went wrong."""

    kills: int = 0
    commands: int = 0
    daemons: int = 0


async def kill_servers(number: int, chance: random.Random) -> tuple[Tally, list[str]]:
    """Kill so many servers; return what else happened, and what is left. Raises whatever went wrong."""
    before, tally = descriptors(), Tally()
    async with open_node(toolchain=SANDBOX, arguments=NODE) as node:
        client = await init_with_protocol(node, Protocol.BOREAS)
        async with open_accuser(Protocol.BOREAS, node, toolchain=SANDBOX) as accuser:
            lasting = (node.pid, accuser.pid)
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(_command, client, tally)
                nursery.start_soon(_come_and_go, node, tally)
                await _kill(number, chance, tally)
                nursery.cancel_scope.cancel()
            await _still_there(client, node, accuser)
            assert (node.pid, accuser.pid) == lasting
        client.remove()
    # The lock of port numbers stays open in each process that has reserved one.
    new = [f"descriptor {each}" for each in descriptors() - before if each[1] != str(lock_file())]
    left = [f"child {pid}" for pid in children()]
    files = [str(path) for path in Path(tempfile.gettempdir()).iterdir()]
    return tally, [*left, *(f"process {pid}" for pid in _of_ours()), *new, *files]


async def _kill(number: int, chance: random.Random, tally: Tally) -> None:
    while tally.kills < number:
        await trio.sleep(chance.uniform(0, LONGEST))
        if (pid := forks.pid) is not None and forks.refusal is None:
            os.kill(pid, signal.SIGKILL)
            tally.kills += 1


async def _command(client: Client, tally: Tally) -> None:
    while True:
        await client.rpc("get", "/chains/main/blocks/head/hash")
        tally.commands += 1


async def _come_and_go(node: Node, tally: Tally) -> None:
    while True:
        async with open_accuser(Protocol.BOREAS, node, toolchain=SANDBOX):
            tally.daemons += 1


async def _still_there(client: Client, node: Node, accuser: Accuser) -> None:
    """The two that were started before the first kill do their work."""
    seen = accuser.expect("accuser_processed_block.v0")
    await client.bake_for("bootstrap1")
    assert await seen == await node.rpc("get", "/chains/main/blocks/head/hash")


def _of_ours() -> list[int]:
    """Processes, whosever child, that were started with our folder for temporary files."""
    found = []
    mark = os.fsencode(f"TMPDIR={tempfile.gettempdir()}")
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            is_ours = mark in path.read_bytes().split(b"\0")
        except OSError:
            continue  # it is gone, or another user's
        pid = int(path.parent.name)
        if is_ours and pid not in (os.getpid(), guardian.pid, forks.pid):
            found.append(pid)
    return found


def main(number: int = 200, seed: int | None = None) -> int:
    """Kill so many; say what is left."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    print(f"{number} kills, seed {seed}", flush=True)
    os.environ.pop(VARIABLE, None)
    with tempfile.TemporaryDirectory(prefix="f-", dir="/tmp") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        tally, left = trio.run(kill_servers, number, random.Random(seed))
    print(f"{tally.kills} servers killed beside {tally.commands} commands and {tally.daemons} daemons")
    print(f"left: {', '.join(left) or 'nothing'}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
