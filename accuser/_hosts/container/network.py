"""Networks for containers alone, and faults in them: partitions, losses, delays.

Faults are rules in the network namespaces of containers, made from this machine: by ``nft`` and ``tc``, as
root. Nothing is needed in the images. A partition is silent in both directions, as a broken line is. Delays
are netem's, or, where the kernel has none, those of a small program that ``tc`` redirects to: `delay_main`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from ..._errors import RunnerError
from ..._report import RunnerFault
from ..host import inherited
from ..owner.child import Child, spawn
from .container import Container
from .delay_main import HELD, TAP
from .engine import LABEL, Engine, EngineName, meaning, owner
from .runner import ContainerRunner

_SCRIPTS: Final = Path(__file__).parent
CLOSE: Final = 20.0
"""Seconds that the removal of a network may take."""
_MILLION: Final = 1_000_000
DEVICE: Final = "eth0"
"""The device of a container that is on one network, as both engines call it."""
_REDIRECT: Final = f"""\
qdisc add dev {DEVICE} clsact
filter add dev {DEVICE} egress protocol all u32 match u32 0 0 action mirred egress redirect dev {TAP}
"""


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
    _lost: dict[tuple[Container, Container], tuple[float, int, int]] = attrs.field(factory=dict, init=False)
    """Which share is lost of what the second one gets from the first, and in which starts of both."""
    _delayed: dict[Container, tuple[Child | None, int]] = attrs.field(factory=dict, init=False)
    """What delays, None for netem, which is in the kernel; and in which start."""

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
        self._lost[here, there] = (share, here.starts, there.starts)
        self._lost[there, here] = (share, there.starts, here.starts)
        for container in (here, there):
            await self._apply(container)

    async def delay(self, one: Any, seconds: float, *, jitter: float = 0.0) -> None:
        """Let everything that a daemon's container sends arrive later.

        A packet may overtake another one by the jitter. A few thousand are held at once; more are lost.

        Args:
            one: a daemon, or a `ContainerRunner`.
            seconds: how much later; 0 for not at all.
            jitter: how much more or less than that, at random, in seconds.

        Raises what `partition` raises; the kernel needs ``sch_netem``, or tap devices and ``act_mirred``.
        """
        if seconds < 0 or not 0 <= jitter <= seconds:
            raise ValueError(f"a delay is not negative, and jitter less: not {seconds} and {jitter}")
        container = self._container(one)
        _check_means(container, "tc")
        relay, start = self._delayed.get(container, (None, container.starts))
        if not seconds or relay is not None or start != container.starts:
            await self._undelay(container)
        if not seconds:
            return
        times = (f"{seconds * 1000:.3f}ms", *((f"{jitter * 1000:.3f}ms",) if jitter else ()))
        words = ("qdisc", "replace", "dev", DEVICE, "root", "netem", "limit", str(HELD), "delay", *times)
        try:
            await self._inside(container, "tc", words)
        except RunnerError as error:
            if "unknown" not in error.detail:
                raise
            await self._relay(container, seconds, jitter, error.detail)
        else:
            self._delayed[container] = (None, container.starts)

    async def _relay(self, container: Container, seconds: float, jitter: float, no_netem: str) -> None:
        """Delay by a program of ours."""
        python = (sys.executable, "-I", "-S", str(_SCRIPTS / "delay_main.py"))
        command = await self._within(container, (*python, DEVICE, str(seconds), str(jitter)))
        relay = await spawn(command, inherited())
        try:
            if not await relay.stdout.receive_some():
                detail = f"no netem ({no_netem}), and no tap device instead: {await _rest_of(relay)}"
                raise RunnerError(container.label, RunnerFault.NO_FAULTS, detail)
            await self._inside(container, "tc", ("-batch", "-"), _REDIRECT)
        except BaseException:
            await relay.aclose()
            raise
        self._delayed[container] = (relay, container.starts)

    async def _undelay(self, container: Container) -> None:
        """End the delay of a container, if it has one. What is held back goes on at once."""
        if container not in self._delayed:
            return
        relay, start = self._delayed.pop(container)
        kind = "root" if relay is None else "clsact"
        try:
            # One that was started anew has no delay.
            if container.alive and container.starts == start:
                await self._inside(container, "tc", ("qdisc", "del", "dev", DEVICE, kind))
        finally:
            if relay is not None:
                await _end(relay)  # noqa: ASYNC102 - shielded there, and bounded

    async def heal(self) -> None:
        """End every partition, loss and delay. Raises what `partition` raises."""
        changed = {container for pair in self._lost for container in pair}
        self._lost.clear()
        for container in changed:
            if container.alive:
                await self._apply(container)
        for container in tuple(self._delayed):
            await self._undelay(container)

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
        for (sender, receiver), (share, *starts) in self._lost.items():
            if receiver is container and share > 0 and starts == [sender.starts, receiver.starts]:
                below = round(share * _MILLION)
                some = f"numgen random mod {_MILLION} < {below}" if below < _MILLION else ""
                rules.append(f"add rule {table} faults ip saddr {sender.address_there} {some} drop")
        await self._inside(container, "nft", ("-f", "-"), "\n".join([*rules, ""]))

    async def _inside(
        self, container: Container, program: str, words: tuple[str, ...], script: str = ""
    ) -> None:
        """Run a program of this machine in the network namespace of a container."""
        _check_means(container, program)
        command = await self._within(container, (program, *words))
        done = await trio.run_process(
            command, stdin=script.encode(), capture_stdout=True, capture_stderr=True, check=False
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise RunnerError(container.label, RunnerFault.NO_FAULTS, f"{program}: {said}")

    async def _within(self, container: Container, command: tuple[str, ...]) -> tuple[str, ...]:
        """The words that run a command of this machine in the network namespace of a container."""
        assert container.engine is not None
        form = ("inspect", "--type", "container", "--format", "{{.State.Pid}}", container.name)
        pid = await container.engine.ask(*form)
        return ("nsenter", "--target", pid, "--net", *command)

    # Its life.

    async def __aenter__(self) -> ContainerNetwork:
        self._engine = engine = Engine.called(self.engine)
        script = (_SCRIPTS / "network.sh").read_text()
        # Names are whatever the user calls containers; nobody asks a server of names for them.
        words = ("--label", f"{LABEL}={owner()}", *(("--disable-dns",) if engine.is_podman else ()))
        command = ("sh", "-c", script, "sh", engine.name, self.name, *words)
        self._lifeline = child = await spawn(command, inherited(), patient=True)
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
        # Containers on it have ended, and their devices with them: nothing is left to be undone there.
        relays = [relay for relay, _ in self._delayed.values()]
        self._delayed.clear()
        for child in (*relays, lifeline):
            if child is not None:
                await _end(child)  # noqa: ASYNC102 - shielded there, and bounded


async def _end(child: Child) -> None:
    """End what lives by its standard input. Cancelling waits for that."""
    with trio.CancelScope(shield=True):
        with contextlib.suppress(OSError):
            child.end_input()
        with trio.move_on_after(CLOSE):
            await child.wait_exited()
        await child.aclose()


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
