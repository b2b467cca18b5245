"""Plays a schedule: a network from its first step to its end, in virtual or in real time."""

from __future__ import annotations

from functools import partial

import trio

from .._unwrap import plain_errors
from .determined import determined, virtual_clock
from .ending import end, unjust
from .outcome import Executable, Outcome, Pace
from .player import Player
from .schedule import Schedule


def play(schedule: Schedule, executable: Executable | None = None) -> Outcome:
    """Play a schedule, and judge its accusers.

    Args:
        schedule: what happens.
        executable: the accuser that runs as a process, in real time. By default it is the sandbox's in
            memory, in virtual time: then the same schedule has the same recording, byte for byte.

    Raises:
        AccuserError: the executable cannot be run.
    """
    return play_at(schedule, executable, Pace())


def play_at(schedule: Schedule, executable: Executable | None, pace: Pace) -> Outcome:
    """The same at some pace."""
    # A Ctrl-C wherever the network happens to be would be a fault of one of its programs.
    run = partial(
        trio.run, _play, schedule, executable, pace, restrict_keyboard_interrupt_to_checkpoints=True
    )
    with plain_errors():
        if executable is not None:
            return run()
        with determined(schedule.seed):
            return run(clock=virtual_clock())


async def _play(schedule: Schedule, executable: Executable | None, pace: Pace) -> Outcome:
    async with trio.open_nursery() as nursery:
        player = Player(schedule, executable, pace, nursery)
        try:
            if not await player.do_steps():
                player.violations += unjust(player)
            elif pace.ends:
                await end(player)
        finally:
            with trio.CancelScope(shield=True):
                for each in player.watching:
                    await each.driver.stop("kill")
            nursery.cancel_scope.cancel(reason="the exploration is over")
    return player.outcome()
