"""Many sessions with faults drawn at random: ``python -m tests.tools.soak [--sessions N] [--seed SEED]``.

With ``--form forked`` the daemons are forked, as programs of the sandbox are.

Several run at a time, in waves. Each session must have the outcome that the table of faults says, and
after each wave nothing may be left: no process, descriptor, task, FIFO or directory.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import trio

from accuser import Accuser, AccuserError
from accuser.testing import FaultyDaemon
from tests.support.faults import FAULTS, Fault
from tests.support.forked import FORMS, scripts_are
from tests.support.kept import remove_kept
from tests.support.proc import children, descriptors, wait_for_end

AT_ONCE: Final = 8
LIMIT: Final = 120.0
"""Seconds until a wave counts as hanging; one takes at most a few."""

Drawn = tuple[int, Fault]


def deck(sessions: int, seed: str) -> Iterator[list[Drawn]]:
    """Draw the sessions, in waves: each fault once before any comes again."""
    dice = Random(seed)
    drawn: list[Fault] = []
    while len(drawn) < sessions:
        drawn += dice.sample(FAULTS, len(FAULTS))
    numbered = list(enumerate(drawn[:sessions]))
    while numbered:
        size = dice.randint(1, AT_ONCE)
        yield numbered[:size]
        numbered = numbered[size:]


async def soak(sessions: int, seed: str) -> None:
    """Run sessions. Raises `AssertionError`, which tells the seed."""
    for wave in deck(sessions, seed):
        before, files = descriptors(), _files()
        tasks = trio.lowlevel.current_statistics().tasks_living
        ended: list[int] = []
        with trio.move_on_after(LIMIT) as watchdog:
            async with trio.open_nursery() as nursery:
                for number, fault in wave:
                    nursery.start_soon(_session, fault, number, seed, ended)
        told = f"seed {seed}, sessions {[f'{number}: {fault.what}' for number, fault in wave]}"
        assert not watchdog.cancelled_caught, f"{told}: only {ended} ended within {LIMIT:g} s"
        assert descriptors() == before, told
        assert trio.lowlevel.current_statistics().tasks_living == tasks, told
        assert children() == [], told
        assert _files() == files, told


def _files() -> list[Path]:
    return sorted(Path(tempfile.gettempdir()).iterdir())


async def _session(fault: Fault, number: int, seed: str, ended: list[int]) -> None:
    try:
        outcome = await _outcome(fault, Random(f"{seed}-{number}"))
        assert outcome == (fault.error, fault.status)
    except Exception as error:
        error.add_note(f"seed {seed}, session {number}: {fault.what}")
        raise
    ended.append(number)


async def _outcome(fault: Fault, dice: Random) -> tuple[str, int | None]:
    daemon = FaultyDaemon(*fault.steps(dice))
    accuser: Accuser | None = None
    error, status = "-", None
    try:
        async with daemon.open(may_exit=fault.may_exit, **fault.options) as accuser:
            await fault.block(accuser)
    except AccuserError as raised:
        error, status = type(raised).__name__, getattr(raised, "status", None)
        remove_kept(raised)
    if accuser is not None:
        status = accuser.exit_status
        for _, line in accuser._session.stdout.read(accuser._session.stdout.first_index):
            if line.startswith("forked "):
                await wait_for_end(int(line.split()[1]))
    return error, status


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Meet faults drawn at random.")
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--seed", default=fresh_seed(), help="of an earlier run, to draw the same")
    parser.add_argument("--form", choices=FORMS, default="executed")
    options = parser.parse_args()
    print(f"{options.sessions} sessions, seed {options.seed}", flush=True)
    logging.getLogger("accuser").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        with scripts_are(options.form):
            trio.run(soak, options.sessions, options.seed)
    print("every outcome was the documented one, and nothing was left")


def fresh_seed() -> str:
    """Six letters and digits."""
    return os.urandom(3).hex()


if __name__ == "__main__":
    main()
