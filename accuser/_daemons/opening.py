"""Daemons that run for the length of a block, or in a nursery of the user's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import trio

from .._errors import AlreadyRunning, TerminatedBeforeEvent
from .._recording.failure import failure_told
from .._unwrap import plain_errors
from .daemon import Daemon
from .options import EventLevel

D = TypeVar("D", bound=Daemon)


async def start_in(
    nursery: trio.Nursery, daemon: Daemon, event_level: EventLevel | None, *, may_exit: bool = False
) -> None:
    """Run a daemon in ``nursery``, and wait until it is ready; it can be restarted there."""
    sessions = daemon._sessions
    sessions.nursery = nursery
    await nursery.start(partial(daemon.run, event_level=event_level, may_exit=may_exit))
    try:
        await _wait_for_first_ready(daemon)
    except BaseException:
        # Nobody else has the handle yet.
        sessions.drop_following()
        sessions.current.stop(sessions.settings.stop_grace)
        raise


async def _wait_for_first_ready(daemon: Daemon) -> None:
    while True:
        session = daemon._session
        try:
            return await daemon.wait_for_ready()
        except TerminatedBeforeEvent:
            if daemon._session is session:
                raise  # no restart follows


@asynccontextmanager
async def open_daemon(
    daemon: D, *, event_level: EventLevel | None = None, may_exit: bool = False
) -> AsyncGenerator[D]:
    """Run ``daemon`` for the length of a block; it is ready when the block begins.

    Args:
        daemon: a handle that does not run.
        event_level: least level of its events: ``debug``, ``info`` or ``notice``.
        may_exit: whether it may end unasked without ending the block.

    Raises:
        AlreadyRunning: it runs.
        BinaryNotFound, SpawnFailed, EventPipeError: it could not be started.
        EventTimeout: it was not ready within the time that its waits last.
        DaemonExited: it ended unasked; the block was cancelled.

    The end of the block stops it, also when an error ends the block.
    """
    if daemon.running:
        raise AlreadyRunning(daemon.name, daemon._sessions.settings.program.kind)
    daemon._sessions.in_block = True
    with failure_told(daemon._sessions.settings.recording):
        async with _opened(daemon, event_level, may_exit):
            yield daemon


@asynccontextmanager
async def _opened(daemon: Daemon, event_level: EventLevel | None, may_exit: bool) -> AsyncGenerator[None]:
    sessions = daemon._sessions
    host, workspace = sessions.settings.host, sessions.settings.workspace
    async with host.connected():
        try:
            with plain_errors():
                async with trio.open_nursery() as nursery:
                    try:
                        await start_in(nursery, daemon, event_level, may_exit=may_exit)
                    except TerminatedBeforeEvent:
                        if not daemon._session.ended_with_error(may_exit):
                            raise
                        # `run` is about to raise, in this very nursery, and says more.
                        await trio.sleep_forever()
                    yield
                    await daemon.terminate()
        except BaseException as error:
            sessions.keep_files(error)
            raise
        finally:
            sessions.nursery = None
            sessions.in_block = False
            await host.discard(workspace)  # noqa: ASYNC102 - shielded there
