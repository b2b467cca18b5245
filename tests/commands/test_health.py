"""What `Health` tells of an accuser that goes deaf, and when it restarts it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from accuser import Accuser, Protocol, RestartPolicy
from accuser.commands.health import Health
from accuser.commands.tally import Tally
from accuser.testing import FaultyDaemon, Step, await_go, event, exit_with, go, line, ready

SEEN = event("block-seen-002-PtBoreas.v0", {"hash": "BL", "occurrence": {}, "header": {"level": 7}})


class Watched:
    """An accuser, and the lines that are told of it."""

    def __init__(self, folder: Path, *steps: Step, restart: RestartPolicy | None = None) -> None:
        path = FaultyDaemon(*steps).write(folder)
        self.accuser = Accuser(Protocol.BOREAS, "http://127.0.0.1:9", path=path, restart=restart, name="it")
        self.tally = Tally()
        self.accuser.on_event(self.tally.take)
        self.said, self.lines = trio.open_memory_channel[str](math.inf)

    @asynccontextmanager
    async def watch(self, *, restart: bool = False) -> AsyncIterator[Health]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.accuser.run)
            health = Health(self.accuser, self.tally, max_silence=0.2, restart=restart)
            nursery.start_soon(health.watch, lambda text, style: self.said.send_nowait(text))
            with trio.fail_after(60):
                yield health
            nursery.cancel_scope.cancel()

    async def until(self, part: str) -> list[str]:
        """The lines up to the next one that has ``part``."""
        lines: list[str] = []
        while not lines or part not in lines[-1]:
            lines.append(await self.lines.receive())
        return lines


async def test_one_that_does_not_get_ready_is_restarted_again_and_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path, await_go(), ready())
    async with watched.watch(restart=True) as health:
        for _ in range(3):
            told, restarted = await watched.until("restarted")
            assert told.startswith("it is running, and not ready, for")
            assert restarted == "it is restarted"
        assert health.deaf_times >= 3


async def test_one_that_hears_again_says_so(tmp_path: Path) -> None:
    watched = Watched(tmp_path, ready(), SEEN, await_go(), SEEN, await_go())
    async with watched.watch():
        await watched.until("it has heard of no block for")
        go(watched.accuser)
        assert await watched.until("") == ["it hears of blocks again"]


async def test_one_that_gets_ready_without_a_block_is_said_to_be_ready(tmp_path: Path) -> None:
    watched = Watched(tmp_path, line("up"), await_go(), ready(), await_go())
    async with watched.watch():
        await watched.accuser.wait_for_line("up", since=watched.accuser.start_mark())
        await watched.until("it is running, and not ready, for")
        go(watched.accuser)
        assert await watched.until("") == ["it is ready"]


async def test_a_new_process_alone_is_no_sign_of_life(tmp_path: Path) -> None:
    steps = (line("up"), await_go(), exit_with(1))
    watched = Watched(tmp_path, *steps, restart=RestartPolicy(first_delay=0.01))
    async with watched.watch() as health:
        await watched.accuser.wait_for_line("up", since=watched.accuser.start_mark())
        await watched.until("and not ready, for")
        go(watched.accuser)
        # Nothing between, above all not that it were ready.
        assert len(await watched.until("and not ready, for")) == 1
        assert health.deaf_times >= 2
