"""Shell scripts that run elsewhere, and the lines in which they report to us.

A script is sent to a shell there, with its settings in front. It begins each report with a token that
nobody else knows, since login shells and the daemon write to the same streams.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import trio

from ..._errors import BinaryNotFound, CommandFailed
from .transport import Transport

_SCRIPTS: Final = Path(__file__).parent
_WATCHFUL: Final = ("keeper", "warden")
"""Scripts that take silence for the loss of the owner, by ``timer.sh``."""
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def script(
    name: str, settings: Mapping[str, object], environment: Mapping[str, str], words: tuple[str, ...]
) -> str:
    """Write a script with its settings, the environment of what it runs, and its arguments.

    Raises:
        ValueError: a variable has a name that no shell takes, or something contains a NUL.
    """
    for variable in environment:
        if not _VARIABLE.fullmatch(variable):
            raise ValueError(f"{variable!r} cannot be a variable of the environment")
    lines = [
        *(f"{key}={shlex.quote(str(value))}" for key, value in settings.items()),
        *(f"export {key}={shlex.quote(value)}" for key, value in environment.items()),
        f"set -- {shlex.join(words)}" if words else "",
        (_SCRIPTS / "timer.sh").read_text() if name in _WATCHFUL else "",
        (_SCRIPTS / f"{name}.sh").read_text(),
    ]
    text = "\n".join(lines)
    if "\0" in text:
        raise ValueError("arguments and the environment cannot contain NUL")
    return text


@attrs.define(eq=False, repr=False)
class Reports:
    """The lines that a script writes for us, which begin with its token.

    Login shells may write other things before.
    """

    _stream: trio.abc.ReceiveStream
    _token: str
    rest: bytes = b""
    """What has come after the last line."""

    async def next(self) -> str | None:
        """The next line without its token; None at the end. Cancelling loses nothing."""
        while True:
            line, found, rest = self.rest.partition(b"\n")
            if found:
                self.rest = rest
                _, ours, text = line.decode("utf-8", "replace").partition(f"{self._token} ")
                if ours:
                    return text
            elif data := await self._stream.receive_some():
                self.rest += data
            else:
                return None


@attrs.define(eq=False, repr=False)
class Remainder(trio.abc.ReceiveStream):
    """A stream some of whose bytes have been read already."""

    _begin: bytes
    _stream: trio.abc.ReceiveStream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As trio's; the bytes that were there come first."""
        if self._begin:
            await trio.lowlevel.checkpoint()
            begin, self._begin = self._begin, b""
            return begin
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


@trio.lowlevel.enable_ki_protection
async def run_there(transport: Transport, command: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Run a command there to its end; return its standard output.

    Raises:
        BinaryNotFound: the executable is not there.
        CommandFailed: it ended with another status than 0.
        RunnerError: the way there fails.

    Cancelling stops it.
    """
    token = secrets.token_hex(8)
    outputs: dict[str, bytes] = {}

    async def read(name: str, stream: trio.abc.ReceiveStream) -> None:
        parts = [bytes(data) async for data in stream]
        outputs[name] = b"".join(parts)

    child = await transport.shell(script("command", {"token": token}, environment, command))
    try:
        async with trio.open_nursery() as readers:
            readers.start_soon(read, "stdout", child.stdout)
            readers.start_soon(read, "stderr", child.stderr)
    finally:
        await child.aclose()
    stdout, stderr = (outputs[name].decode("utf-8", "replace") for name in ("stdout", "stderr"))
    _, begun, rest = stdout.partition(f"{token} ")
    if rest == "missing\n":
        raise BinaryNotFound(command[0], (f"{command[0]} (on {transport.label})",))
    said, ended, status = rest.removeprefix("begin\n").rpartition(f"{token} status ")
    if not (begun and ended):
        raise await (transport.fault(stderr) if begun else transport.refused((stderr or stdout).strip()))
    if int(status):
        raise CommandFailed(command, int(status), said, stderr)
    return said
