"""Commands that run to their end: of the client, and of the node's set-up."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from typing import Final, cast

import trio

from ..._errors import CommandFailed, SpawnFailed
from ..._logs import log
from .forks import CannotFork, Forked, forks
from .guardian import Guard, guardian

CANCEL_GRACE: Final = 5.0
"""Seconds that a cancelled command gets between SIGTERM and SIGKILL: it has no state to save."""


async def run_command(
    command: tuple[str, ...],
    forked: tuple[str, ...] | None = None,
    *,
    name: str,
    color: str,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run ``command`` with nothing on its standard input; return its standard output.

    Its output is logged line by line under ``name``. ``forked`` is its ``sys.argv``, if it is a program
    of the sandbox, which can be forked as well.

    Raises:
        SpawnFailed: the operating system refused to start it.
        CommandFailed: it ended with another status than 0.

    Cancelling stops its process group.
    """
    log(logging.DEBUG, name, color, shlex.join(command), bold=True)
    variables = {**os.environ, **(environment or {})}
    try:
        with guardian.announced() as guard:
            done = None if forked is None else await _run_forked(forked, variables, guard)
            if done is None:
                done = await _run_executed(command, variables, guard)
        guard.forget()
    except (OSError, ValueError) as error:
        raise SpawnFailed(command, str(error)) from error
    status, *outputs = done
    stdout, stderr = (output.decode("utf-8", "replace") for output in outputs)
    log_output(name, color, stdout, stderr)
    if status:
        raise CommandFailed(command, status, stdout, stderr)
    return stdout


async def _run_executed(
    command: tuple[str, ...], environment: Mapping[str, str], guard: Guard
) -> tuple[int, bytes, bytes]:
    done = await trio.run_process(
        list(command),
        stdin=b"",
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env=guard.environment(environment),
        process_group=0,
        deliver_cancel=_stop_group,
        task_status=cast("trio.TaskStatus[trio.Process]", guard),
    )
    return done.returncode, done.stdout, done.stderr


async def _run_forked(
    words: tuple[str, ...], environment: Mapping[str, str], guard: Guard
) -> tuple[int, bytes, bytes] | None:
    """The same of a program that is forked; None if it has to be executed."""
    try:
        child = await forks.start(words, guard.environment(environment), guard, stdin=subprocess.DEVNULL)
    except CannotFork:
        return None
    outputs: dict[trio.abc.ReceiveStream, bytes] = {}

    async def read(stream: trio.abc.ReceiveStream) -> None:
        outputs[stream] = b"".join([bytes(data) async for data in stream])

    assert child.stdout is not None
    assert child.stderr is not None
    try:
        async with trio.open_nursery() as readers:
            readers.start_soon(read, child.stdout)
            await read(child.stderr)
        status = await child.wait()
    except BaseException:
        with trio.CancelScope(shield=True):
            await _stop_forked(child)
        raise
    finally:
        child.close()
    return status, outputs[child.stdout], outputs[child.stderr]


async def _stop_forked(child: Forked) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        with trio.move_on_after(CANCEL_GRACE):
            await child.wait()
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()


def log_output(name: str, color: str, *texts: str) -> None:
    """Log what a command has written, line by line."""
    for text in texts:
        for line in text.split("\n"):
            if line:
                log(logging.DEBUG, name, color, line)


async def _stop_group(process: trio.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        await trio.sleep(CANCEL_GRACE)
        os.killpg(process.pid, signal.SIGKILL)
