"""This machine, as a host of daemons."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import embedded
from ..disk import OnThisDisk
from ..host import Running, Variables, running
from ..owner.child import spawn
from ..owner.command import run_command
from ..owner.ports import reserve_port
from ..owner.workspace import Workspace
from ..search import find
from .pipe import EventPipe

if TYPE_CHECKING:
    from ..._http.client import Connect  # h11 costs what many programs never use
    from .. import host


class ThisMachine(OnThisDisk):
    """The host that the library itself runs on."""

    listen_address: Final = "127.0.0.1"
    world: Final = None

    def workspace(self, name: str) -> Workspace:
        """A directory in TMPDIR."""
        return Workspace(name)

    def now(self) -> float:
        """By the system's clock."""
        return time.time()

    def reserve_port(self) -> int:
        """One that nobody else of this user gets."""
        return reserve_port()

    def connect_to(self, url: str) -> Connect | None:
        return None

    def find(self, binary: str, bin_dir: Path | None) -> tuple[str, ...]:
        """The executable, in ``bin_dir`` or where executables of Mavkit are looked for."""
        return find(binary, bin_dir)

    def connected(self) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()

    async def run(
        self,
        command: tuple[str, ...],
        *,
        name: str,
        color: str,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command to its end, see `run_command`."""
        return await run_command(
            command, embedded.arguments(command), name=name, color=color, environment=environment
        )

    async def start(
        self,
        command: tuple[str, ...],
        environment: Variables,
        events: Path,
        workspace: host.Workspace,
    ) -> Running:
        """Start a daemon and its pipe; should we be lost, the guardian removes what is theirs."""
        pipe, variables = EventPipe.make(events, workspace.made), environment.with_ours()
        return await running(pipe, spawn(command, variables, embedded.arguments(command)))


THIS_MACHINE: Final = ThisMachine()
