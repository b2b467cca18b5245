"""The grace of a daemon that is stopped by cancelling, and Ctrl-C during it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from accuser._engine.interrupt import on_interrupt
from accuser._engine.session import Session
from accuser._unwrap import NURSERY, plain_errors
from accuser.testing import ScriptedDaemon

ROOT = Path(__file__).parent.parent.parent

TELLS_OF_SIGTERM = """
ready()
until_term()
line("asked")
while True:
    time.sleep(100)
"""

PROGRAM = f"""
import sys
import trio
from accuser.testing import ScriptedDaemon

async def main():
    async with ScriptedDaemon({TELLS_OF_SIGTERM!r}).open(folder=sys.argv[1], stop_grace=1e6) as accuser:
        accuser.on_stdout(lambda line: print(line, flush=True))
        print(accuser.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def test_a_second_interrupt_kills_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as program:
        assert program.stdout is not None
        try:
            daemon = int(program.stdout.readline())
            program.send_signal(signal.SIGINT)
            assert program.stdout.readline() == b"asked\n"
            program.send_signal(signal.SIGINT)
            # The interrupt stays what it was: one that nobody has caught.
            assert program.wait(120) == -signal.SIGINT
        finally:
            program.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(daemon, 0)


async def test_an_interrupt_as_soon_as_the_stop_can_be_seen_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Session.signal

    def send_and_interrupt(session: Session, signum: int) -> bool:
        sent = send(session, signum)
        if signum == signal.SIGTERM:
            signal.raise_signal(signal.SIGINT)
        return sent

    monkeypatch.setattr(Session, "signal", send_and_interrupt)
    old = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with trio.CancelScope() as scope:
            async with ScriptedDaemon(TELLS_OF_SIGTERM).open(folder=tmp_path, stop_grace=1e6) as accuser:
                scope.cancel()
                await trio.sleep_forever()
    finally:
        signal.signal(signal.SIGINT, old)
    assert accuser.exit_status == -signal.SIGKILL


async def test_the_grace_of_a_cancelled_block_can_be_chosen(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with ScriptedDaemon(TELLS_OF_SIGTERM).open(folder=tmp_path, stop_grace=0.1) as accuser:
            scope.cancel()
            await trio.sleep_forever()
    assert accuser.exit_status == -signal.SIGKILL


async def test_the_grace_of_a_daemon_is_that_of_its_terminate(tmp_path: Path) -> None:
    async with ScriptedDaemon(TELLS_OF_SIGTERM).open(folder=tmp_path, stop_grace=0.1) as accuser:
        await accuser.restart()
        await accuser.terminate()
        assert accuser.exit_status == -signal.SIGKILL


async def test_listeners_share_a_handler_and_leave_the_old_one() -> None:
    old = signal.getsignal(signal.SIGINT)
    interrupted: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: interrupted.append(number))
    mine = signal.getsignal(signal.SIGINT)
    heard = [trio.Event(), trio.Event()]
    try:
        first, second = on_interrupt(heard[0].set), on_interrupt(heard[1].set)
        first.__enter__()
        second.__enter__()
        signal.raise_signal(signal.SIGINT)
        await heard[0].wait()
        await heard[1].wait()
        first.__exit__(None, None, None)
        heard[1] = trio.Event()
        signal.raise_signal(signal.SIGINT)
        second.__exit__(None, None, None)
        assert signal.getsignal(signal.SIGINT) is mine
        assert interrupted == [signal.SIGINT] * 2
    finally:
        signal.signal(signal.SIGINT, old)


async def test_a_thread_that_gets_no_signals_listens_for_none() -> None:
    async def enter() -> None:
        with on_interrupt(lambda: None):
            await trio.lowlevel.checkpoint()

    before = signal.getsignal(signal.SIGINT)
    await trio.to_thread.run_sync(trio.run, enter)
    assert signal.getsignal(signal.SIGINT) is before


def test_two_interrupts_are_one() -> None:
    with pytest.raises(KeyboardInterrupt), plain_errors():
        raise BaseExceptionGroup(NURSERY, [KeyboardInterrupt(), KeyboardInterrupt()])
