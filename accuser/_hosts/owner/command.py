"""Commands that run to their end: of the client, and of the node's set-up."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
from collections.abc import Mapping
from typing import Final, cast

import trio

from ..._errors import CommandFailed, SpawnFailed
from ..._logs import log
from .guardian import guardian

CANCEL_GRACE: Final = 5.0
"""Seconds that a cancelled command gets between SIGTERM and SIGKILL: it has no state to save."""


async def run_command(
    command: tuple[str, ...],
    *,
    name: str,
    color: str,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run ``command`` with nothing on its standard input; return its standard output.

    Its output is logged line by line under ``name``.

    Raises:
        SpawnFailed: the operating system refused to start it.
        CommandFailed: it ended with another status than 0.

    Cancelling stops its process group.
    """
    log(logging.DEBUG, name, color, shlex.join(command), bold=True)
    try:
        with guardian.announced() as guard:
            done = await trio.run_process(
                list(command),
                stdin=b"",
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=guard.environment({**os.environ, **(environment or {})}),
                process_group=0,
                deliver_cancel=_stop_group,
                task_status=cast("trio.TaskStatus[trio.Process]", guard),
            )
        guard.forget()
    except (OSError, ValueError) as error:
        raise SpawnFailed(command, str(error)) from error
    stdout, stderr = _text(done.stdout), _text(done.stderr)
    log_output(name, color, stdout, stderr)
    if done.returncode:
        raise CommandFailed(command, done.returncode, stdout, stderr)
    return stdout


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


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")
