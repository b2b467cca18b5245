"""This machine, as a host of daemons."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..._files import writing
from ..owner.child import spawn
from ..owner.command import run_command
from ..owner.ports import reserve_port
from ..owner.workspace import Workspace
from ..toolchain import Toolchain
from .pipe import EventPipe

if TYPE_CHECKING:
    from ..._http.client import Connect  # h11 costs what many programs never use
from ..host import Pipe, Process


class ThisMachine:
    """The host that the library itself runs on."""

    listen_address: Final = "127.0.0.1"

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
        """By TCP."""
        return None

    def absolute(self, path: str | Path) -> Path:
        """The path, seen from the working directory."""
        return Path(path).absolute()

    def command(self, toolchain: Toolchain, binary: str) -> tuple[str, ...]:
        """The executable that is found."""
        return toolchain.command(binary)

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Nothing is to be opened."""
        yield

    # What follows takes microseconds on a local file system, less than a switch of threads.

    async def make_folder(self, path: Path) -> None:
        """Make it."""
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240

    async def exists(self, path: Path) -> bool:
        """Look."""
        return path.exists()  # noqa: ASYNC240

    async def write_new(self, path: Path, text: str) -> None:
        """Write it."""
        with writing(path):
            if not path.exists():  # noqa: ASYNC240
                path.write_text(text)  # noqa: ASYNC240

    async def run(
        self,
        command: tuple[str, ...],
        *,
        name: str,
        color: str,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run it."""
        return await run_command(command, name=name, color=color, environment=environment)

    async def make_pipe(self, path: Path, workspace: Workspace) -> Pipe:
        """Make and open it."""
        return EventPipe.make(path)

    async def spawn(self, command: tuple[str, ...], environment: Mapping[str, str], pipe: Pipe) -> Process:
        """Start it."""
        return await spawn(command, {**os.environ, **environment})

    async def discard(self, workspace: Workspace) -> None:
        """Remove it."""
        workspace.remove()


THIS_MACHINE: Final = ThisMachine()
