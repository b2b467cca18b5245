"""Commands that run to their end: of the client, and of the node's set-up."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping
from typing import Final

import trio

from ..._errors import CommandFailed
from ..._logs import log, log_command
from ..._unwrap import plain_errors
from ..host import inherited
from .child import Child, spawn

CANCEL_GRACE: Final = 5.0
"""Seconds that a cancelled command gets between SIGTERM and SIGKILL: it has no state to save."""


@trio.lowlevel.enable_ki_protection
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

    Cancelling, or a Ctrl-C, stops its process group.
    """
    log_command(name, color, command)
    child = await spawn(command, {**inherited(), **(environment or {})}, forked)
    outputs = bytearray(), bytearray()
    try:
        child.end_input()
        with plain_errors():
            async with trio.open_nursery() as readers:
                readers.start_soon(_read, child.stdout, outputs[0])
                readers.start_soon(_read, child.stderr, outputs[1])
                await child.wait_exited()
        status = await child.reap()
    except BaseException:
        with trio.CancelScope(shield=True):
            await _stop(child)
        raise
    finally:
        await child.aclose()
    stdout, stderr = (output.decode("utf-8", "replace") for output in outputs)
    log_output(name, color, stdout, stderr)
    if status:
        raise CommandFailed(command, status, stdout, stderr)
    return stdout


async def _read(stream: trio.abc.ReceiveStream, output: bytearray) -> None:
    async for data in stream:
        output += data


async def _stop(child: Child) -> None:
    child.send(signal.SIGTERM)
    with trio.move_on_after(CANCEL_GRACE):
        await child.wait_exited()


def log_output(name: str, color: str, *texts: str) -> None:
    """Log what a command has written, line by line."""
    for text in texts:
        for line in text.split("\n"):
            if line:
                log(logging.DEBUG, name, color, line)
