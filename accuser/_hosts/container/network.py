"""Networks for containers alone, and faults in them: partitions, losses, delays.

Faults are rules in the network namespaces of containers, made from this machine: by ``nft`` and ``tc``, as
root. Nothing is needed in the images. A partition is silent in both directions, as a broken line is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from ..._errors import RunnerError
from ..._report import RunnerFault
from ..owner.child import Child, spawn
from .container import Container
from .engine import LABEL, Engine, EngineName, meaning, owner
from .runner import ContainerRunner

_SCRIPTS: Final = Path(__file__).parent
CLOSE: Final = 20.0
"""Seconds that the removal of a network may take."""
_MILLION: Final = 1_000_000
DEVICE: Final = "eth0"
"""The device of a container that is on one network, as both engines call it."""


@attrs.define(eq=False)
class ContainerNetwork:
    """A network of a container engine, of its own, for the length of a block; see `open_network`.

    Containers are on it by ``network=network.name``. What they say to each other can be cut off, lost and
    delayed; `heal` ends all of that.
    """

    engine: EngineName = attrs.field(default="auto", kw_only=True)
    """``podman``, ``docker``, or ``auto``: the first of these that is installed."""
    name: str = attrs.field(factory=lambda: f"accuser-{secrets.token_hex(4)}", init=False)
    """Its name, for `ContainerRunner`."""
    _engine: Engine | None = attrs.field(default=None, init=False)
    _lifeline: Child | None = attrs.field(default=None, init=False)
    _lost: dict[tuple[Container, Container], float] = attrs.field(factory=dict, init=False)
    """Which share is lost of what the second one gets from the first."""
    _delayed: set[Container] = attrs.field(factory=set, init=False)

    async def partition(self, one: Any, other: Any) -> None:
        """Let nothing pass between the containers of two daemons, in both directions, and tell neither.

        Args:
            one: a daemon, or a `ContainerRunner`.
            other: another one.

        Raises:
            ValueError: one of them is not in a container of this network, or both are in the same.
            RunnerError: the container does not run, or this machine cannot make faults
                (``RunnerFault.NO_FAULTS``, whose detail says what is missing).
        """
        await self.lose(one, other, 1.0)

    async def lose(self, one: Any, other: Any, share: float) -> None:
        """Lose a share of the packets between two daemons, drawn at random, in both directions.

        Args:
            one: a daemon, or a `ContainerRunner`.
            other: another one.
            share: from 0, nothing, to 1, everything. It replaces what was set for the two before.

        Raises what `partition` raises.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"the share of what is lost is from 0 to 1, and is {share}")
        here, there = self._container(one), self._container(other)
        if here is there:
            raise ValueError(f"both are in {here.label}: nothing of what they say crosses the network")
        for container in (here, there):
            _check_means(container, "nft")
        self._lost[here, there] = self._lost[there, here] = share
        for container in (here, there):
            await self._apply(container)

    async def delay(self, one: Any, seconds: float, *, jitter: float = 0.0) -> None:
        """Let everything that a daemon's container sends arrive later.

        Args:
            one: a daemon, or a `ContainerRunner`.
            seconds: how much later; 0 for not at all.
            jitter: how much more or less than that, at random, in seconds.

        Raises what `partition` raises; the kernel needs ``sch_netem``.
        """
        if seconds < 0 or not 0 <= jitter <= seconds:
            raise ValueError(f"a delay is not negative, and jitter less: not {seconds} and {jitter}")
        container = self._container(one)
        if seconds:
            times = (f"{seconds * 1000:.3f}ms", *((f"{jitter * 1000:.3f}ms",) if jitter else ()))
            words = ("qdisc", "replace", "dev", DEVICE, "root", "netem", "delay", *times)
            await self._inside(container, "tc", words)
            self._delayed.add(container)
        elif container in self._delayed:
            await self._inside(container, "tc", ("qdisc", "del", "dev", DEVICE, "root"))
            self._delayed.discard(container)

    async def heal(self) -> None:
        """End every partition, loss and delay. Raises what `partition` raises."""
        changed = {container for pair in self._lost for container in pair}
        self._lost.clear()
        for container in changed:
            if container.alive:
                await self._apply(container)
        while self._delayed:
            container = self._delayed.pop()
            if container.alive:
                await self._inside(container, "tc", ("qdisc", "del", "dev", DEVICE, "root"))

    def _container(self, place: Any) -> Container:
        runner = getattr(place, "runner", place)
        if not isinstance(runner, ContainerRunner) or runner.network != self.name:
            raise ValueError(
                f"{place!r} is not in a container of the network {self.name}: give it "
                "runner=ContainerRunner(IMAGE, network=network.name)"
            )
        return runner.transport

    async def _apply(self, container: Container) -> None:
        """Make the rules of a container anew, all at once."""
        table = "inet accuser"
        # What comes in, not what goes out: a sender would be told of that.
        rules = [
            *(f"add table {table}", f"delete table {table}", f"add table {table}"),
            f"add chain {table} faults {{ type filter hook input priority -10; }}",
        ]
        for (sender, receiver), share in self._lost.items():
            if receiver is container and share > 0:
                below = round(share * _MILLION)
                some = f"numgen random mod {_MILLION} < {below}" if below < _MILLION else ""
                rules.append(f"add rule {table} faults ip saddr {sender.address_there} {some} drop")
        await self._inside(container, "nft", ("-f", "-"), "\n".join([*rules, ""]))

    async def _inside(
        self, container: Container, program: str, words: tuple[str, ...], script: str = ""
    ) -> None:
        """Run a program of this machine in the network namespace of a container."""
        _check_means(container, program)
        assert container.engine is not None
        form = ("inspect", "--type", "container", "--format", "{{.State.Pid}}", container.name)
        pid = await container.engine.ask(*form)
        command = ("nsenter", "--target", pid, "--net", program, *words)
        done = await trio.run_process(
            command, stdin=script.encode(), capture_stdout=True, capture_stderr=True, check=False
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            if "netem" in words and "unknown" in said:
                said = f"the kernel has no netem (module sch_netem): {said}"
            raise RunnerError(container.label, RunnerFault.NO_FAULTS, f"{program}: {said}")

    # Its life.

    async def __aenter__(self) -> ContainerNetwork:
        self._engine = engine = Engine.called(self.engine)
        script = (_SCRIPTS / "network.sh").read_text()
        # Names are whatever the user calls containers; nobody asks a server of names for them.
        words = ("--label", f"{LABEL}={owner()}", *(("--disable-dns",) if engine.is_podman else ()))
        command = ("sh", "-c", script, "sh", engine.name, self.name, *words)
        self._lifeline = child = await spawn(command, os.environ, patient=True)
        try:
            said = b""
            while not said and (data := await child.stdout.receive_some()):
                said += data
            if not said:
                text = await _rest_of(child)
                fault = meaning(text, RunnerFault.ENGINE_REFUSED)
                raise RunnerError(f"{engine.name} network create", fault, text)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.__aexit__()  # noqa: ASYNC102 - bounded
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        lifeline, self._lifeline = self._lifeline, None
        self._lost.clear()
        self._delayed.clear()
        if lifeline is None:
            return
        with trio.CancelScope(shield=True):
            with contextlib.suppress(OSError):
                lifeline.end_input()
            with trio.move_on_after(CLOSE):
                await lifeline.wait_exited()
            await lifeline.aclose()


async def _rest_of(child: Child) -> str:
    parts = [bytes(data) async for data in child.stderr]
    return b"".join(parts).decode("utf-8", "replace").strip()


def _check_means(container: Container, program: str) -> None:
    """See that a container runs, and that faults can be made in it. Raises `RunnerError`."""
    if container.engine is None or not container.alive:
        raise RunnerError(container.label, RunnerFault.CONTAINER_ENDED, "")
    packages = {"nft": "nftables", "tc": "iproute2", "nsenter": "util-linux"}
    if not container.engine.is_local:
        detail = "its engine is on another machine, or has a kernel of its own"
    elif os.getuid() != 0:
        detail = "that needs root"
    elif missing := [name for name in ("nsenter", program) if shutil.which(name) is None]:
        detail = f"there is no {missing[0]} here: install {packages[missing[0]]}"
    else:
        return
    raise RunnerError(container.label, RunnerFault.NO_FAULTS, detail)


@asynccontextmanager
async def open_network(*, engine: EngineName = "auto") -> AsyncGenerator[ContainerNetwork]:
    """Have a network for containers alone, for the length of a block.

    It is removed at its end, and when this process is gone, by SIGKILL too. Containers on it are opened
    within the block.

    Args:
        engine: ``podman``, ``docker``, or ``auto``: the first of these that is installed.

    Raises:
        RunnerError: it cannot be had.
    """
    async with ContainerNetwork(engine=engine) as network:
        yield network
