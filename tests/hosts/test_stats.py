"""What a daemon uses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from accuser import (
    Accuser,
    NotRunning,
    Protocol,
    StatsUnavailable,
)
from accuser._hosts import proc
from accuser._hosts.usage import (
    Machine,
    Usage,
    read_usage,
    usage_of,
)
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.scripts import FOLLOWS_SIGTERM

REST = "0 -1 4194304 1 0 0 0 {user} {system} {children} {rest} 20 0 1 0 987654 1000000 {pages} 1 2 3"


def line(pid: int, group: int, state: str, name: str, *numbers: int) -> str:
    user, system, children, rest, pages = numbers
    fields = REST.format(user=user, system=system, children=children, rest=rest, pages=pages)
    return f"{pid} ({name}) {state} 1 {group} {group} {fields}\n"


STATS = (
    line(7, 7, "S", "leader", 100, 50, 20, 5, 10)
    + line(8, 7, "R", "a) b (7 c", 200, 0, 0, 0, 3)
    + line(9, 7, "Z", "zombie", 25, 0, 0, 0, 0)
    + line(10, 10, "R", "stranger", 1000, 1000, 1000, 1000, 1000)
    + "cat: /proc/11/stat: No such process\n"
)


def test_a_group_is_added_up_from_text() -> None:
    assert usage_of(7, STATS, {7: 4, 8: 5, 10: 99}, Machine(ticks=100, page=4096)) == Usage(
        cpu_seconds=4.0, resident_bytes=13 * 4096, open_descriptors=9, processes=2
    )
    assert usage_of(12, STATS, {}, Machine(100, 4096)) == Usage()


def test_this_process_is_read_as_it_is() -> None:
    pid = os.getpid()
    text = Path("/proc/self/stat").read_text()
    machine = Machine(os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE"))
    before = os.times()
    usage = usage_of(os.getpgrp(), text, {pid: 3}, machine)
    after = Path("/proc/self/statm").read_text().split()
    assert usage.processes == 1
    assert usage.open_descriptors == 3
    # Read a moment before.
    assert usage.cpu_seconds == pytest.approx(sum(before[:4]), abs=1.0)
    assert usage.resident_bytes == pytest.approx(int(after[1]) * machine.page, rel=0.5)


async def test_the_whole_group_counts(tmp_path: Path) -> None:
    body = """
        if os.fork() == 0:
            memory = b"x" * 50_000_000
            while time.process_time() < 0.2:
                pass
            open_pipe()
            event("grown.v0")
            until_term()
        ready()
        line("words", 2)
        raw(b"no event\\n")
        event("started.v0")
        until_term()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        for name in ("grown.v0", "started.v0"):
            await accuser.wait_for(name, since=accuser.start_mark())
        await accuser.wait_for_line("words", stream="stderr", since=accuser.start_mark())
        stats = await accuser.stats()
        assert stats.processes == 2
        assert stats.cpu_seconds >= 0.15
        assert stats.resident_bytes > 50_000_000
        # Three standard streams each, the pipe once or twice.
        assert stats.open_descriptors == 2 * 4
        assert (stats.events, stats.lines, stats.restarts) == (2, 2, 0)
        assert 0 < stats.uptime <= (await accuser.stats()).uptime


async def test_what_does_not_run_has_no_statistics(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="cannot measure accuser1: it is not running"):
        await Accuser(Protocol.BOREAS, NO_NODE).stats()
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        await accuser.terminate()
        with pytest.raises(NotRunning):
            await accuser.stats()


async def test_a_system_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        monkeypatch.setattr(proc, "PROC", str(tmp_path / "none"))
        with pytest.raises(StatsUnavailable, match="read from /proc, which Linux has") as caught:
            await accuser.stats()
        assert caught.value.daemon == accuser.name


def test_a_group_that_is_gone_uses_nothing() -> None:
    assert read_usage(2**22 + 1) == Usage()
