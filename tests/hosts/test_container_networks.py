"""Containers on a network of their own, and faults in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from accuser import (
    Accuser,
    CommandFailed,
    ContainerNetwork,
    ContainerRunner,
    Daemon,
    Node,
    Protocol,
    ReadyLine,
    RunnerError,
    RunnerFault,
    Toolchain,
    open_container,
    open_daemon,
    open_network,
)
from accuser._hosts.container import engine as engine_module
from accuser._hosts.container.engine import LABEL, Engine
from accuser.commands.containers import containers
from tests.support.containers import IMAGE, ROOT, TestEngine, engine, engine_of_the_run
from tests.tools.orphans import GONE

__all__ = ["engine", "engine_of_the_run"]  # fixtures of this module

PORT = 5000
SERVER = f"echo ready; while true; do echo hello | nc -l -p {PORT}; done"

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root to make faults in networks")


@asynccontextmanager
async def two_containers(network: ContainerNetwork) -> AsyncGenerator[tuple[Daemon, ContainerRunner]]:
    """A server in one, and another one."""
    async with (
        open_container(IMAGE, pull="never", network=network.name) as one,
        open_container(IMAGE, pull="never", network=network.name) as other,
    ):
        server = Daemon("sh", runner=one, arguments=("-c", SERVER), ready=ReadyLine("ready"))
        async with open_daemon(server):
            yield server, other


async def hears(server: Daemon, other: ContainerRunner, seconds: int) -> bool:
    """Whether the server is heard within this time."""
    assert server.runner is not None
    # Between two connections nobody listens, and then it is refused at once.
    line = f"until nc -w {seconds} {server.runner.address_for(other)} {PORT} </dev/null; do :; done"
    command = ("timeout", str(seconds), "sh", "-c", line)
    try:
        return await other.run(command, name="nc", color="") == "hello\n"
    except CommandFailed:
        return False


async def test_a_partition_is_silent_and_heals(engine: TestEngine) -> None:
    async with open_network() as network:
        async with two_containers(network) as (server, other):
            assert await hears(server, other, 10)
            await network.partition(server, other)
            assert not await hears(server, other, 1)
            await network.heal()
            # Names are as good as any: the same again, by loss, and one direction is as good as the other.
            assert await hears(server, other, 10)
            await network.lose(other, server, 1)
            assert not await hears(server, other, 1)
            await network.lose(other, server, 0.2)
            assert await hears(server, other, 10)
    assert network.name not in engine.run("network", "ls", "--format", "{{.Name}}").split()


async def time_to_hear(server: Daemon, other: ContainerRunner) -> float:
    begun = time.monotonic()
    assert await hears(server, other, 10)
    return time.monotonic() - begun


async def test_a_delay_is_waited_for_and_heals(engine: TestEngine) -> None:
    async with open_network() as network, two_containers(network) as (server, other):
        # One packet each to connect, and to end: what is delayed is what one of them sends.
        await network.delay(other, 0.4, jitter=0.1)
        assert await time_to_hear(server, other) >= 0.3
        await network.delay(other, 0.8)
        assert await time_to_hear(server, other) >= 0.8
        await network.delay(server, 0.4)
        assert await time_to_hear(server, other) >= 1.2
        await network.delay(other, 0)
        await network.lose(server, other, 1)
        assert not await hears(server, other, 1)
        await network.heal()
        assert await hears(server, other, 10)
        await network.heal()
        # Without a delay left, nothing is there that could hold packets back.
        for place in (server, other):
            assert await devices(place) == {"lo", "eth0"}


async def test_a_container_that_is_started_anew_has_no_faults(engine: TestEngine) -> None:
    async with open_network() as network, two_containers(network) as (server, other):
        first = other.container
        await network.delay(other, 0.4)
        await network.partition(server, other)
        engine.run("rm", "--force", first)
        with trio.fail_after(60):
            while other.container == first:  # noqa: ASYNC110 - a command may fail before the end is known
                with suppress(RunnerError):
                    await other.run(("true",), name="true", color="")
        # What was said before is forgotten, by whoever stayed as well.
        await network.lose(server, other, 0)
        assert await hears(server, other, 10)
        await network.delay(other, 0.6)
        assert await time_to_hear(server, other) >= 0.6
        await network.heal()
        assert await hears(server, other, 10)
        assert await devices(other) == {"lo", "eth0"}


async def devices(place: Daemon | ContainerRunner) -> set[str]:
    runner = place if isinstance(place, ContainerRunner) else place.runner
    assert isinstance(runner, ContainerRunner)
    return set((await runner.run(("ls", "/sys/class/net"), name="ls", color="")).split())


TC = """\
#!/bin/sh
echo "$@" >> {log}
case $* in *netem*) {netem} ;; esac
"""
UNKNOWN = "echo 'Error: Specified qdisc kind is unknown.' >&2; exit 2"


def says_of_netem(folder: Path, monkeypatch: pytest.MonkeyPatch, netem: str) -> Path:
    """Have another ``tc``, which knows netem or does not. Returns where it writes what it is asked for."""
    log = folder / "asked"
    (folder / "tc").write_text(TC.format(log=log, netem=netem))
    (folder / "tc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


async def test_netem_delays_where_the_kernel_has_it(
    engine: TestEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with open_network() as network, two_containers(network) as (_, other):
        log = says_of_netem(tmp_path, monkeypatch, "exit 0")
        await network.delay(other, 0.2)
        await network.delay(other, 0.3, jitter=0.05)
        await network.heal()
        await network.heal()
        assert await devices(other) == {"lo", "eth0"}
    netem = "qdisc replace dev eth0 root netem limit 10000 delay"
    expected = [f"{netem} 200.000ms", f"{netem} 300.000ms 50.000ms", "qdisc del dev eth0 root"]
    assert log.read_text().splitlines() == expected


async def test_a_kernel_that_can_delay_in_no_way_is_named(
    engine: TestEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with open_network() as network, two_containers(network) as (server, other):
        says_of_netem(tmp_path, monkeypatch, UNKNOWN)
        (tmp_path / "delay_main.py").write_text("raise SystemExit('no /dev/net/tun')")
        monkeypatch.setattr("accuser._hosts.container.network._SCRIPTS", tmp_path)
        with pytest.raises(RunnerError, match=r"no netem .*unknown.*, and no tap device.*/tun") as caught:
            await network.delay(other, 0.2)
        assert caught.value.reason is RunnerFault.NO_FAULTS
        says_of_netem(tmp_path, monkeypatch, "echo 'Error: Operation not permitted' >&2; exit 2")
        with pytest.raises(RunnerError, match=r"tc: Error: Operation not permitted$") as caught:
            await network.delay(other, 0.2)
        assert caught.value.reason is RunnerFault.NO_FAULTS
        assert await hears(server, other, 10)


async def test_what_the_machine_cannot_do_is_named(
    engine: TestEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with open_network() as network, two_containers(network) as (server, other):
        with pytest.raises(ValueError, match="nothing of what they say crosses the network"):
            await network.partition(server, server)
        with pytest.raises(ValueError, match="is not in a container of the network"):
            await network.partition(server, ContainerRunner(IMAGE))
        with monkeypatch.context() as patch:
            patch.setattr("accuser._hosts.container.network.shutil.which", lambda name: None)
            with pytest.raises(RunnerError, match="there is no nsenter here: install util-linux") as caught:
                await network.partition(server, other)
        assert caught.value.reason is RunnerFault.NO_FAULTS
        with monkeypatch.context() as patch:
            patch.setattr("accuser._hosts.container.network.os.getuid", lambda: 1000)
            with pytest.raises(RunnerError, match="needs root"):
                await network.partition(server, other)
        with monkeypatch.context() as patch:
            patch.setenv("CONTAINER_HOST", "ssh://elsewhere")
            with pytest.raises(RunnerError, match="its engine is on another machine"):
                await network.partition(server, other)
    with pytest.raises(RunnerError) as ended:
        await network.partition(server, other)
    assert ended.value.reason is RunnerFault.CONTAINER_ENDED


@pytest.mark.parametrize("share", [-0.1, 1.1])
async def test_shares_and_delays_that_make_no_sense(share: float) -> None:
    network = ContainerNetwork()
    with pytest.raises(ValueError, match="from 0 to 1"):
        await network.lose(None, None, share)
    with pytest.raises(ValueError, match="a delay is not negative, and jitter less"):
        await network.delay(None, share, jitter=2)


def test_an_accuser_with_a_container_of_its_own() -> None:
    node = Node(toolchain=Toolchain.image(IMAGE))
    limited = ContainerRunner(IMAGE, memory="64m")
    accuser = Accuser(Protocol.BOREAS, node, runner=limited)
    assert accuser.runner is limited
    assert accuser.toolchain is node.toolchain


OWNER = """\
import sys, trio
sys.path.insert(0, {root!r})
from accuser import open_container, open_network

async def main():
    async with open_network() as network, open_container({image!r}, pull="never", network=network.name):
        print(network.name, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def networks(engine: TestEngine) -> list[str]:
    return engine.run("network", "ls", "--format", "{{.Name}}").split()


def test_a_network_does_not_outlive_its_owner(engine: TestEngine) -> None:
    program = OWNER.format(root=str(ROOT), image=IMAGE)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        assert name in networks(engine)
        owner.kill()
    end = time.monotonic() + GONE
    # No event tells its end; each look takes its time.
    while name in networks(engine) and time.monotonic() < end:
        pass
    assert name not in networks(engine)


def test_doctor_removes_networks_without_owner(engine: TestEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accuser.commands.containers.ENGINES", ("podman",))
    label = f"{engine_module.LABEL}={engine_module.boot()}/4194304/1"
    with engine.alone():
        engine.run("network", "create", "--label", label, "lost-network")
        # Owners that other tests kill at the same time may leave something, for a moment.
        (found,) = [one for one in containers(remove=False) if "lost-network" in one.text]
        assert "network lost-network has lost its owner" in found.text
        assert [one.grade for one in containers(remove=True) if "lost-network" in one.text] == ["ok"]
        assert "lost-network" not in networks(engine)


async def test_what_does_not_run_yet_cannot_be_parted() -> None:
    network = ContainerNetwork()
    one, other = (ContainerRunner(IMAGE, network=network.name) for _ in range(2))
    with pytest.raises(RunnerError) as caught:
        await network.partition(one, other)
    assert caught.value.reason is RunnerFault.CONTAINER_ENDED
    await network.heal()


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_network_that_is_removed_while_they_are_listed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    script = f"""#!/bin/sh
    listed={tmp_path}/listed
    case "$2 $3" in
    "ls "*) [ -e "$listed" ] && {str(is_gone).lower()} || echo going; echo here; touch "$listed" ;;
    "inspect here") echo '[{{"labels": {{"{LABEL}": "an owner"}}}}]' ;;
    *) echo "network not found" >&2; exit 1 ;;
    esac
    """
    (tmp_path / "podman").write_text(script)
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if is_gone:
        assert Engine("podman").networks() == [("here", "an owner")]
    else:
        with pytest.raises(RunnerError, match="network not found"):
            Engine("podman").networks()
