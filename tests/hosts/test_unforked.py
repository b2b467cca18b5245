"""What keeps programs from being forked: they are executed, and the reason is known."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from accuser import SANDBOX
from accuser._hosts import embedded
from accuser._hosts.owner import circumstances
from accuser._hosts.owner import forks as starts
from accuser._hosts.owner.child import spawn
from accuser._hosts.owner.forks import VARIABLE, Forked, Forks
from accuser.sandbox import forks as server

from ..support.forked import ended
from ..support.proc import children_of, state_of

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux makes a process the child of another one"
)

REFUSING = """
import os, sys
from accuser.sandbox import forks

def refuse():
    raise OSError({number}, os.strerror({number}))

forks._clone = refuse
forks.main(int(sys.argv[1]))
"""

UNLOADED = """
import importlib, sys
from accuser.sandbox import forks

usual = importlib.import_module

def load(name):
    if name.endswith("client.main"):
        raise PermissionError(13, "Permission denied")
    return usual(name)

importlib.import_module = load
forks.main(int(sys.argv[1]))
"""

ORDERS = """
import sys, trio
from accuser.sandbox import forks

async def main():
    order = []

    async def note(number):
        order.append(number)

    for _ in range(40):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(note, 0)
            nursery.start_soon(note, 1)
    print(*order)

def program():
    trio.run(main)
    return 0

forks.main(int(sys.argv[1]), program)
"""


@pytest.fixture(autouse=True)
def _may_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@contextmanager
def forking(program: Path = Path(server.__file__), patience: float = 60.0) -> Iterator[Forks]:
    """Of the block's own, so that what it remembers is of the block, too."""
    forks = Forks(program, patience=patience)
    try:
        yield forks
    finally:
        forks.end()


async def is_forked(by: Forks) -> bool:
    """Whether a program was forked; it has run in either case."""
    command = (*SANDBOX.command("mavkit-client"), "--version")
    one = await spawn(command, dict(os.environ), embedded.arguments(command), by=by)
    try:
        status, stdout, _ = await ended(one)
        assert (status, stdout[:7]) == (0, "sandbox")
        return isinstance(one.process, Forked)
    finally:
        await one.aclose()


async def is_not_forked(by: Forks) -> None:
    assert not await is_forked(by)


async def test_programs_wait_where_a_server_has_much_to_do() -> None:
    forked = []
    with forking() as forks:
        assert await is_forked(forks)
        first = forks.pid
        with socket.socket(fileno=os.dup(forks.descriptor or 0)) as shared:
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # it has room for a few

        async def start() -> None:
            forked.append(await is_forked(forks))

        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(start)
        assert (forked, forks.pid) == ([True] * 40, first)


async def test_other_processors_mean_another_server() -> None:
    usual = os.sched_getaffinity(0)
    if len(usual) == 1:
        pytest.skip("there is one processor")
    with forking() as forks:
        assert await is_forked(forks)
        first = forks.pid
        try:
            os.sched_setaffinity(0, {min(usual)})
            assert await is_forked(forks)
            assert first != forks.pid is not None
            assert os.sched_getaffinity(forks.pid) == {min(usual)}
        finally:
            os.sched_setaffinity(0, usual)


async def test_a_cancelled_start_does_not_wait_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starts, "CANCELLED", 0.01)
    with forking() as forks:
        assert await is_forked(forks)
        assert forks.pid is not None
        stopped = forks.pid
        os.kill(stopped, signal.SIGSTOP)
        with trio.fail_after(30):  # less than its patience
            async with trio.open_nursery() as nursery:
                nursery.start_soon(is_forked, forks)
                await wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        assert state_of(stopped) == "Z"
        assert await is_forked(forks)
    # A child that nobody reaps would be found when the test ends.


async def test_a_server_that_does_not_load_in_time_is_not_tried_again(tmp_path: Path) -> None:
    program, loads = tmp_path / "loading.py", tmp_path / "loads"
    program.write_text(f"import signal\nopen({str(loads)!r}, 'a').write('.')\nsignal.pause()")
    with forking(program, patience=1.0) as forks:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(is_not_forked, forks)
        assert forks.refusal == "what forks them takes longer than 1 s to load"
        await is_not_forked(forks)
        assert forks.pid is None
    assert not loads.exists() or len(loads.read_text()) <= 1  # it may be ended before it wrote


async def test_a_clock_that_jumps_is_not_taken_for_a_slow_server(autojump_clock: MockClock) -> None:
    with forking(patience=10.0) as forks:
        await is_forked(forks)
        assert forks.refusal is None


async def test_a_server_of_the_user_that_its_owner_was_is_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, signum: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    with forking() as forks:
        assert await is_forked(forks)
        pid = forks.pid
        with monkeypatch.context() as patch:
            patch.setattr(os, "kill", refuse)
            forks.end()
        assert pid not in children_of(os.getpid())


async def test_a_working_directory_that_was_removed_is_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "removed"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with forking() as forks:
        assert await is_forked(forks)


async def test_from_a_working_directory_that_is_closed_programs_are_executed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with forking() as forks:
        with monkeypatch.context() as patch:
            patch.setattr(starts, "working_directory", refuse)
            assert not await is_forked(forks)
        # Another directory may be open.
        assert await is_forked(forks)


async def test_programs_are_forked_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circumstances, "_PROC", "/no/proc")
    with forking() as forks:
        assert await is_forked(forks)


async def test_where_a_file_in_memory_is_refused_programs_are_executed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(name: str) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "memfd_create", refuse)
    with forking() as forks:
        assert not await is_forked(forks)
        assert "Function not implemented" in str(forks.refusal)
        assert forks.pid is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP])
async def test_where_clones_are_refused_programs_are_executed(tmp_path: Path, number: int) -> None:
    program = tmp_path / "refusing.py"
    program.write_text(REFUSING.format(number=number))
    with forking(program) as forks:
        assert not await is_forked(forks)
        assert os.strerror(number) in str(forks.refusal)
        assert state_of(forks.pid) == "Z"


async def test_an_import_that_fails_is_no_refusal(tmp_path: Path) -> None:
    program = tmp_path / "unloaded.py"
    program.write_text(UNLOADED)
    with forking(program) as forks:
        assert not await is_forked(forks)
        assert forks.refusal is None


async def test_each_draws_the_order_of_its_tasks(tmp_path: Path) -> None:
    program = tmp_path / "orders.py"
    program.write_text(ORDERS)
    command, orders = SANDBOX.command("mavkit-client"), []
    with forking(program) as forks:
        for _ in range(2):
            one = await spawn(command, dict(os.environ), embedded.arguments(command), by=forks)
            orders.append((await ended(one))[1])
            await one.aclose()
    assert orders[0] != orders[1]
    assert len(orders[0].split()) == 80


async def test_a_cancelled_start_does_not_wait_for_who_has_a_copy_of_the_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual, copies = socket.socketpair, contextlib.ExitStack()

    def pair(*arguments: int) -> tuple[socket.socket, socket.socket]:
        ours, theirs = usual(*arguments)
        copies.enter_context(ours.dup())  # as a fork of the owner has one
        return ours, theirs

    with copies, forking() as forks:
        assert await is_forked(forks)
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socketpair", pair)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(is_forked, forks)
                await wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        assert await is_forked(forks)
