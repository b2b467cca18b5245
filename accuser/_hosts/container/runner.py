"""Containers as runners of daemons."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

import attrs

from ..._errors import BinaryNotFound, CommandFailed, NoFreePort, RunnerError
from ..._files import writing
from ..disk import OnThisDisk
from ..host import Running, Variables, Workspace
from ..owner import workspace as owned
from ..owner.ports import reserve_port
from ..paths import expressible_place, is_expressible
from ..remote.runner import Runner
from ..remote.script import run_there
from .container import Container, Plan
from .engine import Engine, EngineName, Pull

HOST_NETWORK: Final = "host"
PUBLISHED: Final = 24
"""How many ports a container has where they must be published before it starts."""

_VERSION: Final = (
    "PATH=$PATH:/usr/local/bin; mavkit-node --version 2>/dev/null || mavryk-node --version; true"
)
_PREFIX: Final = re.compile(r"^(mavkit|mavryk)-")
_DISK: Final = OnThisDisk()
_OOM_FILES: Final = (
    "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null; true"
)

_versions: Final[dict[str, str]] = {}
"""Versions of nodes, by the digests of their images."""


def first_of(said: str) -> str:
    """The version in what a node prints about it."""
    return (said.split("\n", 1)[0] or "(it does not tell its version)")[:60]


@attrs.define(eq=False)
class ContainerRunner(Runner):
    """A container for daemons to run in; the image needs a POSIX shell, and nothing of this package.

    Creating a runner starts nothing. The first daemon in it starts the container, which all share, and which
    ends with the last; ``async with runner:`` or `open_container` hold it. The container lives by a lifeline:
    when this process is gone, by SIGKILL too, it ends, with all in it, and is removed.

    Directories of daemons and wallets of clients are in a folder of this machine that the container has at
    the same path, so that they can be read, and are kept, as those of processes. An executable is looked for
    in the image: in its PATH and in ``/usr/local/bin``, by its name and by that which packages of Mavryk give
    it (``mavryk-node`` for ``mavkit-node``). What need not be root there is not.
    """

    image: str
    """Of which image, as in ``"registry.example/mavkit:22"``."""
    engine: EngineName = attrs.field(default="auto", kw_only=True)
    """``podman``, ``docker``, or ``auto``: the first of these that is installed."""
    name: str | None = attrs.field(default=None, kw_only=True)
    """Name of the container; by default one that nobody else has."""
    network: str = attrs.field(default=HOST_NETWORK, kw_only=True)
    """``host``, which is this machine's network, or the name of one of the engine's."""
    mounts: Sequence[str] = attrs.field(default=(), kw_only=True)
    """Further folders, as in ``("/data", "/here:/there", "/here:/there:ro")``."""
    memory: str | None = attrs.field(default=None, kw_only=True)
    """The most that all in it may use, as in ``"512m"``; who exceeds it is killed."""
    cpus: float | None = attrs.field(default=None, kw_only=True)
    """The most processors that all in it may use, as in ``0.5``."""
    pull: Pull = attrs.field(default="missing", kw_only=True)
    """Whether to pull the image: ``missing``, ``always`` or ``never``."""
    user: str | None = attrs.field(default=None, kw_only=True)
    """The user that daemons run as; by default you; if you are root, the image's user, else ``nobody``."""
    _volume: owned.Workspace = attrs.field(init=False)
    _ports: list[int] = attrs.field(factory=list, init=False)
    _kept: set[Path] = attrs.field(factory=set, init=False)
    _handed_out: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.check_folder()
        if not self.image or self.image.startswith("-"):
            raise ValueError(f"{self.image!r} is no reference of an image")
        if self.network == "none":
            raise ValueError("without a network nobody reaches what runs there; leave it out, or name one")
        if self.cpus is not None and self.cpus <= 0:
            raise ValueError(f"cpus must be positive, and is {self.cpus}")
        if any(not mount.startswith("/") for mount in self.mounts):
            raise ValueError(f"a mount begins with an absolute path: {list(self.mounts)}")
        place = Path(tempfile.gettempdir()).absolute()
        parent = None if is_expressible(place) else expressible_place()
        self._volume = owned.Workspace("container", parent)
        plan = Plan(
            image=self.image,
            engine=self.engine,
            name=self.name or "",
            network=self.network,
            mounts=tuple(self.mounts),
            memory=self.memory,
            cpus=self.cpus,
            pull=self.pull,
            user=self.user,
        )
        # Neither refers to the runner, so that it goes, with its folder, when nobody refers to it any more.
        self.transport: Container = Container(plan, partial(_shared_folder, self._volume), self._ports)

    @property
    def _container(self) -> Container:
        return self.transport

    def __str__(self) -> str:
        return f"in {self._container.label}"

    @property
    def container(self) -> str:
        """The container's name, as the engine knows it; empty before the first one."""
        return self._container.name

    @property
    def digest(self) -> str:
        """The image's digest; empty before the first container."""
        return "" if self._container.known is None else self._container.known.digest

    @property
    def has_files_here(self) -> bool:
        """They are in the folder that both sides have."""
        return True

    def folder(self) -> Path:
        """The folder that both sides have, made when first asked for."""
        return _shared_folder(self._volume)

    def describe(self) -> list[str]:
        """The image in lines: its digest, and the version that its node tells. Runs it; waits for the engine.

        Raises:
            RunnerError: it is not available.
        """
        engine = Engine.called(self.engine)
        image = engine.image_now(self.image, self.pull)
        words = ("run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", self.image, "-c", _VERSION)
        version = _versions[image.digest] = first_of(engine.ask_now(*words))
        return [f"image {self.image}, {image.digest}, by {engine.name}", f"mavkit-node {version}"]

    def remove(self) -> None:
        """Remove the folder that both sides have, unless something in it is to be kept; at the latest, this
        happens when the runner is no longer referred to."""
        self._volume.remove()

    def keep_folder(self, path: Path) -> None:
        """Never remove the folder that both sides have, for what is in it at ``path``."""
        self._kept.add(path)
        self._volume.keep()

    def taken_away(self, path: Path) -> None:
        """What was to be kept at ``path`` is elsewhere now."""
        self._kept.discard(path)
        if not self._kept:
            self._volume.keep_no_longer()

    def address_for(self, other: Runner | None) -> str:
        """The address under which another place reaches servers of this one; None is this machine."""
        if isinstance(other, ContainerRunner) and other is not self and self.network == other.network:
            return self._container.address_there
        return super().address_for(other)

    def reserve_port(self) -> int:
        """One that is free here, which is published if it must be.

        Raises:
            NoFreePort: all that were published are taken.
        """
        if self.network == HOST_NETWORK or _reaches_networks():
            return reserve_port()
        if not self._ports:
            self._ports.extend(reserve_port() for _ in range(PUBLISHED))
        if self._handed_out == len(self._ports):
            raise NoFreePort(f"all {PUBLISHED} published ports of {self._container.label} are in use")
        self._handed_out += 1
        return self._ports[self._handed_out - 1]

    # Files: both sides have the folder.

    def workspace(self, name: str) -> Workspace:
        """A directory in the folder that both sides have."""
        return _Shared(name, self)

    def _is_shared(self, path: Path) -> bool:
        return path.is_relative_to(self.folder())

    async def make_folder(self, path: Path) -> None:
        """Make a folder, here if both sides have it."""
        await (_DISK.make_folder(path) if self._is_shared(path) else super().make_folder(path))

    async def exists(self, path: Path) -> bool:
        """Look, here if both sides have it."""
        return await (_DISK.exists(path) if self._is_shared(path) else super().exists(path))

    async def write_new(self, path: Path, text: str) -> None:
        """Write a file, here if both sides have it."""
        await (_DISK.write_new(path, text) if self._is_shared(path) else super().write_new(path, text))

    async def discard(self, workspace: Workspace) -> str | None:
        """Remove the directory, unless it was kept."""
        return await _DISK.discard(workspace)

    def _hand_over(self) -> None:
        """Give what was made here, by root, to the user there."""
        user = self._container.facts.user
        if os.getuid() != 0 or not user:
            return
        for folder, _, files in os.walk(self.folder()):
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                with contextlib.suppress(OSError):
                    if os.lstat(path).st_uid == 0:
                        os.lchown(path, user, user)

    # What runs.

    def by_hand(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """The words that run a command in the present container from a terminal."""
        engine = self._container.engine
        assert engine is not None
        return (engine.name, "exec", self.container, *self.located(command))

    def find(self, binary: str, bin_dir: Path | None) -> tuple[str, ...]:
        """Give the name, or its path in ``bin_dir``; the image is searched at the start, see `located`."""
        return (binary if bin_dir is None else str(bin_dir / binary),)

    def located(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """A command with the path of its executable, by any of its names.

        Raises:
            BinaryNotFound: the image has none of Mavkit's executables of that name.
        """
        binary = command[0]
        if not _PREFIX.match(binary):
            return command
        executables = self._container.facts.executables
        names = [binary, _PREFIX.sub("mavryk-", binary), _PREFIX.sub("mavkit-", binary)]
        for name in names:
            for path in executables:
                if PurePosixPath(path).name == name:
                    return (path, *command[1:])
        there = ", ".join(dict.fromkeys(PurePosixPath(path).name for path in executables))
        looked = (
            f"{' and '.join(dict.fromkeys(names))} in the PATH and /usr/local/bin of the image {self.image}"
        )
        has = f"it has {there or 'no mavkit-* and no mavryk-*'}"
        raise BinaryNotFound(binary, (looked, has), image=self.image)

    async def run(
        self,
        command: tuple[str, ...],
        *,
        name: str,
        color: str,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command in the container, which runs for that long; return its output."""
        async with self.connected():
            self._hand_over()
            words = self.located(command)
            return await super().run(words, name=name, color=color, environment=environment)

    async def start(
        self, command: tuple[str, ...], environment: Variables, events: Path, workspace: Workspace
    ) -> Running:
        """Start the daemon in the container, with the image in its ``Running.place``."""
        self._hand_over()
        killed = 0 if self.memory is None else await self._kills()
        version = await self._version()
        running = await super().start(self.located(command), environment, events, workspace)
        place = f"image {self.image}, {self.digest}, mavkit-node {version}, in {self._container.label}"
        running = attrs.evolve(running, place=place)
        if self.memory is None:
            return running

        async def explain(status: int) -> str | None:
            if status != -signal.SIGKILL or not self._container.alive or await self._kills() <= killed:
                return None
            return f"it exceeded the memory limit of its container, {self.memory}"

        return attrs.evolve(running, explain=explain)

    def _scratch(self) -> Path:
        return self.folder()

    async def _version(self) -> str:
        """What the image's node tells of its version; asked once for each image."""
        if self.digest not in _versions:
            try:
                said = await run_there(self.transport, ("sh", "-c", _VERSION), {})
            except CommandFailed:
                said = ""
            _versions[self.digest] = first_of(said)
        return _versions[self.digest]

    async def _kills(self) -> int:
        """How many processes there the memory limit has killed, as far as that is told."""
        try:
            text = await run_there(self.transport, ("sh", "-c", _OOM_FILES), {})
        except (CommandFailed, RunnerError):
            return 0
        return max((int(number) for number in re.findall(r"^oom_kill (\d+)", text, re.MULTILINE)), default=0)


class _Shared(owned.Workspace):
    """A directory in the folder that both sides have, which is made when this one is."""

    def __init__(self, name: str, runner: ContainerRunner) -> None:
        super().__init__(name)
        self._runner = runner

    @property
    def path(self) -> Path:
        """The directory, made when first asked for. Raises `DirectoryError`."""
        self.parent = self._runner.folder()
        return super().path

    def keep(self) -> Path | None:
        """Never remove the directory, nor the folder that it is in."""
        if self.made is not None:
            self._runner.keep_folder(self.made)
        return super().keep()


def _shared_folder(volume: owned.Workspace) -> Path:
    # The outer one keeps strangers out, the inner one is open to the user there.
    outer = volume.path
    folder = outer / "shared"
    if not folder.exists():
        with writing(folder):
            # What was to be kept may have been removed: its place is the same then.
            outer.mkdir(0o700, exist_ok=True)
            folder.mkdir()
            folder.chmod(0o755)
    return folder


def _reaches_networks() -> bool:
    """Whether this machine reaches addresses in networks of an engine: root does, on Linux."""
    return os.uname().sysname == "Linux" and os.getuid() == 0


@asynccontextmanager
async def open_container(image: str, **options: Any) -> AsyncGenerator[ContainerRunner]:
    """Hold a container for the length of a block.

    Args:
        image: of which image.
        options: those of `ContainerRunner`.

    Raises:
        RunnerError: it is not available, or was lost.
    """
    runner = ContainerRunner(image, **options)
    try:
        async with runner:
            yield runner
    finally:
        runner.remove()
