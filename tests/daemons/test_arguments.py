"""What callers give that cannot be meant is refused before anything is changed."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from accuser import Accuser, Mark, Protocol
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.scripts import FOLLOWS_SIGTERM


@pytest.mark.parametrize(
    "wait",
    [
        lambda accuser, mark: accuser.wait_for("a.v0", since=mark),
        lambda accuser, mark: accuser.wait_for_sequence(["a.v0"], since=mark),
        lambda accuser, mark: accuser.wait_for_line("a", since=mark),
        lambda accuser, mark: accuser.subscribe(since=mark).__aenter__(),
    ],
)
async def test_a_mark_of_another_daemon(wait: Callable[[Accuser, Mark], Awaitable[object]]) -> None:
    mine = Accuser(Protocol.BOREAS, NO_NODE, name="mine", unknown_events=True)
    other = Accuser(Protocol.BOREAS, NO_NODE, name="other")
    with pytest.raises(ValueError, match="a mark of other; mine needs one of its own"):
        await wait(mine, other.mark())


async def test_a_mark_of_an_earlier_session_is_good(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        await accuser.wait_for("started.v0", since=accuser.start_mark())
        mark = accuser.start_mark()
        await accuser.restart()
        assert await accuser.wait_for("started.v0", since=mark) == {}


WRONG_SECONDS = [
    (None, TypeError),
    ("3", TypeError),
    (True, TypeError),
    (-1, ValueError),
    (math.nan, ValueError),
]


@pytest.mark.parametrize(("seconds", "error"), WRONG_SECONDS)
async def test_seconds_of_grace(tmp_path: Path, seconds: Any, error: type[Exception]) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        pid = accuser.pid
        for stop in (accuser.terminate, accuser.restart):
            with pytest.raises(error, match=r"timeout must be seconds >= 0, not .*kill\(\)"):
                await stop(seconds)
            assert (accuser.pid, accuser.state) == (pid, "running")
    with pytest.raises(error, match="stop_grace must be seconds >= 0"):
        Accuser(Protocol.BOREAS, NO_NODE, stop_grace=seconds)


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ((("a", "debug"), ("p2p&format=pp", "debug")), r"not 'p2p&format=pp'"),
        ((("two words", "debug"),), "not 'two words'"),
        ((("a:info", "debug"),), "not 'a:info'"),
        ((("p2p", "loud"),), r"section 'p2p' must be one of debug, .*, not 'loud'"),
    ],
)
async def test_levels_of_sections(tmp_path: Path, sections: tuple[tuple[str, str], ...], reason: str) -> None:
    path = ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path)
    accuser = Accuser(Protocol.BOREAS, NO_NODE, path=path, unknown_events=True)
    with pytest.raises(ValueError, match=reason):
        await accuser.run(event_level="debug", event_sections_levels=sections)
    assert accuser.state == "not started"
    with pytest.raises(ValueError, match="event_level"):
        await accuser.run(event_level="fatal", event_sections_levels=(("s", "none"),))  # type: ignore[arg-type]  # wrong on purpose
    async with trio.open_nursery() as nursery:
        await nursery.start(accuser.run)
        await accuser.wait_for_ready()
        await accuser.terminate()
