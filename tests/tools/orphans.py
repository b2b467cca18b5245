"""Kill owners of containers at random moments, and see that nothing of theirs is left.

``python -m tests.tools.orphans [NUMBER] [SEED]``, which the session ``orphans`` of the noxfile runs.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.support.containers import IMAGE, ROOT, NoEngine, TestEngine, shared_by_workers

OWNER: Final = """\
import sys, trio
sys.path.insert(0, {root!r})
from contextlib import AsyncExitStack
from accuser import open_container, open_network, open_node

async def main():
    async with AsyncExitStack() as stack:
        options = {{}}
        if {with_network}:
            options["network"] = (await stack.enter_async_context(open_network())).name
        runner = await stack.enter_async_context(open_container({image!r}, pull="never", **options))
        await stack.enter_async_context(open_node(runner=runner))
        await trio.sleep_forever()

trio.run(main)
"""
LONGEST: Final = 2.5
"""Seconds until the kill, at most; the node is ready after about one."""
GONE: Final = 180.0
"""Seconds in which all must have gone; a guardian gives two minutes to what removes containers."""


def kill_owners(engine: TestEngine, number: int, chance: random.Random) -> list[str]:
    """Start and kill owners, every second one with a network; return what is left of them."""
    programs = [OWNER.format(root=str(ROOT), image=IMAGE, with_network=each) for each in (False, True)]
    known = networks(engine)
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        environment = {**os.environ, **engine.variables, "TMPDIR": folder}
        pids = []
        for count in range(number):
            command = [sys.executable, "-c", programs[count % 2]]
            with subprocess.Popen(command, env=environment) as owner:
                pids.append(owner.pid)
                time.sleep(chance.uniform(0, LONGEST))
                owner.kill()
        end = time.monotonic() + GONE
        while (left := remains(engine, pids, Path(folder), known)) and time.monotonic() < end:
            # No event tells the end of what is nobody's.
            time.sleep(0.1)
    return left


def networks(engine: TestEngine) -> set[str]:
    """The names of all networks."""
    return set(engine.run("network", "ls", "--format", "{{.Name}}").split())


def remains(engine: TestEngine, pids: list[int], folder: Path, known: set[str]) -> list[str]:
    """Containers, volumes, networks that were not known before, and directories."""
    volumes = engine.run("volume", "ls", "--quiet").split()
    return [*engine.owned_by(*pids), *volumes, *(networks(engine) - known), *map(str, folder.iterdir())]


def main(number: int = 200, seed: int | None = None) -> int:
    """Kill so many; say what is left."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    with tempfile.TemporaryDirectory() as place, shared_by_workers(Path(place)) as found:
        if isinstance(found, NoEngine):
            print(found.reason)
            return 1
        left = kill_owners(found, number, random.Random(seed))
    print(f"{number} owners killed, seed {seed}; left: {', '.join(left) or 'nothing'}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
