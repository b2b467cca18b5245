"""One container: opened by its first user, shared by all, gone with the last one or with this process."""

from __future__ import annotations

import contextlib
import os
import secrets
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

import attrs
import trio

from ..._errors import RunnerError
from ..._files import writing
from ..._report import RunnerFault
from ..host import inherited
from ..owner.child import Child, spawn
from ..remote.script import Reports
from ..remote.transport import LAST_WORDS, LOOPBACK, SharedTransport, Shell, spawn_shell
from .engine import LABEL, Engine, EngineName, Image, Pull, meaning, owner
from .pipes import Pipes

_SCRIPTS: Final = Path(__file__).parent
CLOSE: Final = 20.0
"""Seconds that a container may take to end and to be removed; then its engine is left alone with it."""
ANSWER: Final = 30.0
"""Seconds in which process 1 starts a shell, or is taken for dead."""


@attrs.frozen
class Plan:
    """What a container is to be."""

    image: str
    engine: EngineName
    name: str
    """Of the container; empty for one that nobody else has."""
    network: str
    mounts: tuple[str, ...]
    memory: str | None
    cpus: float | None
    pull: Pull
    user: str | None
    """None for the one that suits best."""


@attrs.frozen
class Facts:
    """What process 1 tells of the place."""

    user: int | None
    has_setsid: bool
    executables: tuple[str, ...]


@attrs.define(eq=False, repr=False)
class Container(SharedTransport):
    """The container, counted by its users."""

    # Else the limit may take process 1, and the container with it, in place of who exceeded it.
    oom_score: ClassVar[int] = 500
    plan: Plan
    volume: Callable[[], Path]
    """Gives the folder that both sides have, at the same path."""
    ports: list[int]
    """Those that are to be published; filled before the container is opened."""
    name: str = attrs.field(default="", init=False)
    """Of the present container, or the last one."""
    starts: int = attrs.field(default=0, init=False)
    """How many containers there were, the present one included."""
    facts: Facts = attrs.field(default=Facts(None, False, ()), init=False)
    known: Image | None = attrs.field(default=None, init=False)
    """The image, once it was asked for."""
    engine: Engine | None = attrs.field(default=None, init=False)
    address_there: str = attrs.field(default=LOOPBACK, init=False)
    """Its address on its network."""
    _asking: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _lifeline: Child | None = attrs.field(default=None, init=False)
    _reports: Reports | None = attrs.field(default=None, init=False)
    _said: bytes = attrs.field(default=b"", init=False)
    _listening: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _given_up: RunnerFault | None = attrs.field(default=None, init=False)
    """Why nothing is started in the present container any more, though it runs."""
    _mounted: tuple[int, int] = attrs.field(default=(0, 0), init=False)
    """Device and number of the folder that it has."""
    _shells: weakref.WeakSet[Shell] = attrs.field(factory=weakref.WeakSet, init=False)
    _token: str = attrs.field(factory=lambda: secrets.token_hex(8), init=False)

    @property
    def label(self) -> str:  # type: ignore[override]  # read only: the name is made at the start
        """The container, in messages."""
        return f"container {self.name}" if self.name else f"a container of {self.plan.image}"

    @property
    def address(self) -> str:
        """Published ports and those of the host's network are on the loopback interface."""
        return self.address_there if self.plan.network != "host" and not self.ports else LOOPBACK

    @property
    def listen_address(self) -> str:
        """The loopback interface if it is this machine's; else everywhere in its own network."""
        return LOOPBACK if self.plan.network == "host" else "0.0.0.0"

    def command(self) -> tuple[str, ...]:
        """By the engine's ``exec``."""
        assert self.engine is not None
        return (self.engine.name, "exec", "--interactive", self.name, "/bin/sh", "-s")

    def meaning(self, text: str) -> RunnerFault:
        """By what the engine says."""
        return meaning(text, RunnerFault.LOST)

    @property
    def alive(self) -> bool:
        """Whether it runs and is of use, as far as is known."""
        runs = self._lifeline is not None and not self._lifeline.has_exited()
        return runs and self._given_up is None

    @property
    def answers(self) -> bool:
        """Not if it is paused."""
        return self._given_up is not RunnerFault.CONTAINER_PAUSED

    async def is_frozen(self) -> bool:
        """Ask the engine whether it is paused; then it is given up."""
        if self.engine is not None and self.alive and await self.engine.status(self.name) == "paused":
            self._given_up = RunnerFault.CONTAINER_PAUSED
        return not self.answers

    @trio.lowlevel.enable_ki_protection
    async def shell(self, script: str) -> Shell:
        """Start a shell there: by process 1 if that can be, else by the engine; anew if it has died."""
        self._check_folder()
        await self.revive()
        assert self.engine is not None
        if not (self.facts.has_setsid and self.engine.is_local):
            shell = await spawn_shell(self.command(), script)
            self._shells.add(shell)
            return shell
        try:
            shell = await self._answer()
        except RunnerError:
            if self.alive or self._given_up is not None:
                raise
            # It had ended a moment ago, and nobody knew.
            await self.revive()
            shell = await self._answer()
        self._shells.add(shell)
        try:
            with contextlib.suppress(trio.BrokenResourceError):
                await shell.stdin.send_all(script.encode())
        except BaseException:
            await shell.aclose()
            raise
        return shell

    def _check_folder(self) -> None:
        """Give it up if its folder was removed. Raises `RunnerError` if something still runs in it."""
        folder = self.volume()
        if not self.alive or _identity(folder) == self._mounted:
            return
        self._given_up = RunnerFault.FOLDER_REMOVED
        if any(shell.stdin.fileno() >= 0 for shell in self._shells):
            raise RunnerError(self.label, RunnerFault.FOLDER_REMOVED, "")

    async def _answer(self) -> Shell:
        # Shielded: an answer that nobody awaits would be taken for that of the next one.
        with trio.move_on_after(ANSWER) as patience:
            patience.shield = True
            return await self._shell_by_process1()
        fault = RunnerFault.CONTAINER_PAUSED if await self.is_frozen() else RunnerFault.CONTAINER_ENDED
        raise RunnerError(self.label, fault, f"no answer within {ANSWER:g} s")

    async def _shell_by_process1(self) -> Shell:
        assert self._lifeline is not None
        assert self._reports is not None
        pipes = Pipes.make(self.volume())
        try:
            async with self._asking:
                with contextlib.suppress(trio.BrokenResourceError):
                    await self._lifeline.stdin.send_all(f"shell {pipes.folder}\n".encode())
                while (report := await self._reports.next()) is not None:
                    word, _, folder = report.partition(" ")
                    if folder == str(pipes.folder) and word == "started":
                        return pipes.started()
                    if folder == str(pipes.folder):
                        break
        finally:
            pipes.close()
        raise await self.fault()

    async def fault(self, detail: str = "") -> RunnerError:
        """Why a shell ended: with its container, in the engine's words, or alone."""
        lifeline = self._lifeline
        if lifeline is None:
            return RunnerError(self.label, self._given_up or RunnerFault.CONTAINER_ENDED, detail)
        if self.answers and not await self._ends(lifeline):
            return RunnerError(self.label, self.meaning(detail), detail)
        if not self.answers:
            return RunnerError(self.label, RunnerFault.CONTAINER_PAUSED, detail)
        await self._read_words()
        said = self._said.decode("utf-8", "replace").strip()
        if "oom=true" in said:
            fault = RunnerFault.OUT_OF_MEMORY
        else:
            fault = meaning(said, RunnerFault.CONTAINER_ENDED)
        return RunnerError(self.label, fault, "\n".join(part for part in (detail, said) if part))

    async def _ends(self, lifeline: Child) -> bool:
        """Wait for the end of the container if it is near, and return whether it is of no use any more."""
        assert self.engine is not None
        with trio.move_on_after(LAST_WORDS):
            await lifeline.wait_exited()
            return True
        status = await self.engine.status(self.name)
        if status == "paused":
            self._given_up = RunnerFault.CONTAINER_PAUSED
        elif status not in ("running", ""):
            # On a busy machine its removal takes its time, and its words come after that.
            with trio.move_on_after(CLOSE):
                await lifeline.wait_exited()
        return status not in ("running", "")

    async def _read_words(self) -> None:
        # One at a time: all that ran there ask at the same moment.
        lifeline = self._lifeline
        with trio.move_on_after(LAST_WORDS), contextlib.suppress(trio.ClosedResourceError):
            async with self._listening:
                while lifeline is not None and (data := await lifeline.stderr.receive_some()):
                    self._said += data

    # Its life.

    @trio.lowlevel.enable_ki_protection
    async def _open(self) -> None:
        if self.engine is None:
            self.engine = Engine.called(self.plan.engine)
        if self.known is None:
            self.known = await self.engine.image(self.plan.image, self.plan.pull)
        self.name = self.plan.name or f"accuser-{secrets.token_hex(6)}"
        self._said, self._given_up = b"", None
        folder = self.volume()
        self._mounted = _identity(folder)
        words = (self.engine.name, *self._run_words(self.engine, self.known))
        script = (_SCRIPTS / "lifeline.sh").read_text()
        self._lifeline = await spawn(
            ("sh", "-c", script, "sh", self.engine.name, self.name, str(folder), *words),
            inherited(),
            patient=True,
        )
        self.starts += 1
        self._reports = Reports(self._lifeline.stdout, self._token)
        try:
            await self._read_facts(self._reports)
            if self.plan.network != "host" and not self.ports:
                self.address_there = await self._find_address(self.engine)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._close()
            raise

    async def _read_facts(self, reports: Reports) -> None:
        assert self.known is not None
        user, setsid, executables = None, False, []
        while (report := await reports.next()) != "ready":
            match (report or "").split(" ", 1):
                case ["user", number]:
                    user = int(number.split()[0])
                case ["setsid"]:
                    setsid = True
                case ["executable", path]:
                    executables.append(path)
                case ["" | None, *_]:
                    raise await self._refusal(self.known)
        self.facts = Facts(user, setsid, tuple(executables))

    async def _refusal(self, image: Image) -> RunnerError:
        error = await self.fault()
        if error.reason is RunnerFault.CONTAINER_ENDED:
            fault = RunnerFault.OTHER_ARCHITECTURE if image.is_foreign else RunnerFault.ENGINE_REFUSED
            return RunnerError(error.host, fault, error.detail)
        return error

    async def _find_address(self, engine: Engine) -> str:
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        text = await engine.ask("inspect", "--type", "container", "--format", form, self.name)
        if not text and engine.is_podman:
            text = await engine.ask("inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.name)
        if not text:
            detail = f"the network {self.plan.network} gives it no address"
            raise RunnerError(self.label, RunnerFault.UNREACHABLE, detail)
        return text.split()[0]

    def _run_words(self, engine: Engine, image: Image) -> tuple[str, ...]:
        plan, volume = self.plan, self.volume()
        options = {
            "--name": self.name,
            "--label": f"{LABEL}={owner()}",
            "--network": plan.network,
            "--volume": f"{volume}:{volume}",
            "--env": f"HOME={volume}",
            "--security-opt": "label=disable",
            "--stop-signal": "SIGKILL",
            "--entrypoint": "/bin/sh",
            "--workdir": "/",
            "--memory": plan.memory,
            "--memory-swap": plan.memory,
            "--cpus": None if plan.cpus is None else f"{plan.cpus:g}",
        }
        words = [word for name, value in options.items() if value is not None for word in (name, value)]
        for mount in plan.mounts:
            words += ["--volume", mount if ":" in mount else f"{mount}:{mount}"]
        for port in self.ports:
            words += ["--publish", f"{LOOPBACK}:{port}:{port}"]
        words += self._user_words(engine, image)
        script = (_SCRIPTS / "process1.sh").read_text()
        return ("run", "--interactive", "--pull=never", *words, plan.image, "-c", script, "sh", self._token)

    def _user_words(self, engine: Engine, image: Image) -> list[str]:
        if self.plan.user is not None:
            return ["--user", self.plan.user]
        if os.getuid() != 0:
            # Files in the volume are ours on both sides.
            mapped = ["--userns=keep-id"] if engine.is_podman else []
            return [*mapped, "--user", f"{os.getuid()}:{os.getgid()}"]
        # What need not be root is not: that of the image if it says one, else nobody.
        return [] if image.user.partition(":")[0] not in ("", "0", "root") else ["--user", "65534:65534"]

    async def _close(self) -> None:
        lifeline, self._lifeline, self._reports = self._lifeline, None, None
        if lifeline is None:
            return
        with contextlib.suppress(OSError):
            lifeline.end_input()
        with trio.move_on_after(CLOSE):
            if self._given_up is not None and self.engine is not None:
                # The end of the input would do, later.
                with contextlib.suppress(RunnerError):
                    await self.engine.ask("rm", "--force", "--volumes", self.name)
            await lifeline.wait_exited()
        await lifeline.aclose()


def _identity(folder: Path) -> tuple[int, int]:
    with writing(folder):
        told = folder.stat()
    return told.st_dev, told.st_ino
