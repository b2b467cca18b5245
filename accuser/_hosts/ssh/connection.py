"""Connections by the OpenSSH client: one for each runner, opened on demand, shared by its sessions.

A master holds the connection; every other ``ssh`` asks it for a session through its control
socket. Where the server allows no more sessions in one connection (``MaxSessions``, 10 by default),
``ssh`` makes a connection of its own. What ``ssh`` itself has to say goes to a file: the standard
streams are the daemon's.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Final

import attrs
import trio

from ..._errors import RunnerError
from ..._files import writing
from ..._report import RunnerFault
from ..host import inherited
from ..owner.child import Child, spawn
from ..owner.guardian import guardian
from ..owner.workspace import new_folder
from ..paths import expressible_place, is_expressible
from ..remote.transport import SharedTransport, Shell, spawn_shell

CLOSE_GRACE: Final = 2.0
"""Seconds that a master gets to take leave; then it is killed."""

_LONGEST_SOCKET: Final = 80
"""Bytes of a control socket's path: a socket's own limit of 104 less what ``ssh`` appends."""

_FAULTS: Final = (
    (RunnerFault.CHANGED_KEY, "REMOTE HOST IDENTIFICATION HAS CHANGED"),
    (RunnerFault.UNKNOWN_KEY, "Host key verification failed|host key is known for"),
    (RunnerFault.UNKNOWN_HOST, "Could not resolve hostname"),
    (RunnerFault.REFUSED, "Connection refused"),
    (RunnerFault.TIMED_OUT, "timed out"),
    (RunnerFault.UNREACHABLE, "No route to host|(Network|Host) is (unreachable|down)"),
    # With the methods that were tried: files may be denied as well, and firewalls deny connections.
    (RunnerFault.NO_PERMISSION, r"Permission denied \(|Too many authentication failures"),
    (RunnerFault.NOT_CONNECTED, "[a-z]+_exchange_identification|[Bb]anner exchange|Unable to negotiate"),
    (RunnerFault.LOST, "closed by remote host|[Rr]eset by peer|client_loop|not responding|Broken pipe"),
)
"""By the words of ``ssh`` alone: what a shell there says may hold the same ones."""


@attrs.define(eq=False, repr=False)
class Connection(SharedTransport):
    """The connection to one machine, counted by its users."""

    label: str
    """The machine, in messages."""
    host: str
    """Its name or address, for who talks to servers there."""
    destination: tuple[str, ...]
    """The words of the command line that name the machine and the way to it."""
    connect_timeout: float
    alive_interval: int
    """Seconds of silence after which the server is asked for a sign of life, three times."""
    _master: Child | None = attrs.field(default=None, init=False)
    _folder: Path | None = attrs.field(default=None, init=False)
    _key: str = attrs.field(default="", init=False)
    _sessions: int = attrs.field(default=0, init=False)

    @property
    def address(self) -> str:
        """As told."""
        return self.host

    @property
    def alive(self) -> bool:
        """Whether it stands, as far as is known."""
        return self._master is not None and not self._master.has_exited()

    def command(self) -> tuple[str, ...]:
        """A session of the connection. Nothing depends on how the user's login shell takes its words."""
        assert self._folder is not None
        self._sessions += 1
        log = self._folder / f"session-{self._sessions}"
        return (*self._command(log), "-o", "ControlMaster=no", *self.destination, "exec sh")

    @trio.lowlevel.enable_ki_protection
    async def shell(self, script: str) -> Shell:
        """Start a shell there that runs ``script``, by a new connection if this one is lost."""
        await self.revive()
        return await spawn_shell(self.command(), script)

    async def fault(self, detail: str = "") -> RunnerError:
        """What the last sessions say about the end of the connection."""
        text = self._log()
        return RunnerError(self.label, self.meaning(text), text or detail)

    async def refused(self, detail: str = "") -> RunnerError:
        """Why a shell did not answer: as ``ssh`` says; if the connection stands, it is of no use."""
        if not self.alive:
            return await self.fault(detail)
        text = self._log()
        fault = self._classify(text, RunnerFault.UNUSABLE)
        return RunnerError(self.label, fault, "\n".join(part for part in (text, detail) if part))

    def meaning(self, text: str) -> RunnerFault:
        """By what ``ssh`` says."""
        return self._classify(text, RunnerFault.LOST)

    @trio.lowlevel.enable_ki_protection
    async def _open(self) -> None:
        self._folder, self._key = _control_folder()
        try:
            await self._start_master()
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._close()
            raise

    async def _start_master(self) -> None:
        assert self._folder is not None
        if shutil.which("ssh") is None:
            raise RunnerError(self.label, RunnerFault.NO_CLIENT, "")
        options = (
            *("-N", "-o", "ControlMaster=yes", "-o", "ControlPersist=no"),
            # Run when the connection stands and the control socket listens.
            *("-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo connected"),
        )
        command = (*self._command(self._folder / "master"), *options, *self.destination)
        self._master = child = await spawn(command, inherited())
        said = b""
        # A server may accept and then say nothing, which ConnectTimeout does not cover.
        with trio.move_on_after(2 * self.connect_timeout) as scope:
            while b"connected" not in said and (data := await child.stdout.receive_some()):
                said += data
            if b"connected" not in said:
                await child.wait_exited()
        if b"connected" not in said:
            text = self._log()
            fault = RunnerFault.NOT_CONNECTED if text else RunnerFault.UNKNOWN
            if scope.cancelled_caught:
                fault = RunnerFault.TIMED_OUT
            raise RunnerError(self.label, self._classify(text, fault), text)

    async def _close(self) -> None:
        if self._master is not None:
            self._master.send(signal.SIGTERM)
            with trio.move_on_after(CLOSE_GRACE):
                await self._master.wait_exited()
            await self._master.aclose()
            self._master = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            guardian.forget(self._key)
            self._folder = None

    def _command(self, log: Path) -> tuple[str, ...]:
        options = {
            "BatchMode": "yes",
            "ClearAllForwardings": "yes",
            "ConnectTimeout": str(max(1, round(self.connect_timeout))),
            "ControlPath": f"{self._folder}/c",
            "LogLevel": "INFO",
            "RemoteCommand": "none",
            "ServerAliveCountMax": "3",
            "ServerAliveInterval": str(self.alive_interval),
        }
        words = (word for name, value in options.items() for word in ("-o", f"{name}={value}"))
        return ("ssh", "-T", "-E", str(log), *words)

    def _log(self) -> str:
        if self._folder is None:
            return ""
        files = sorted(self._folder.glob("[ms]*"), key=lambda path: path.stat().st_mtime)
        texts = [path.read_text(errors="replace").strip() for path in files]
        return "\n".join(text for text in texts[-3:] if text)

    @staticmethod
    def _classify(text: str, otherwise: RunnerFault) -> RunnerFault:
        return next((fault for fault, pattern in _FAULTS if re.search(pattern, text)), otherwise)


def _control_folder() -> tuple[Path, str]:
    place = Path(tempfile.gettempdir()).absolute()
    # `ssh` takes blanks, quotes and `%` in the path of a socket for something else.
    if len(os.fsencode(place)) > _LONGEST_SOCKET - len("/accuser-ssh-12345678") or not is_expressible(place):
        place = expressible_place()
    with writing(place):
        return new_folder(place, "accuser-ssh-")
