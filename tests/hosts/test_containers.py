"""Containers as places of daemons: what is theirs alone."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import trio

from accuser import (
    BinaryNotFound,
    ContainerRunner,
    Daemon,
    DaemonExited,
    Protocol,
    RunnerError,
    RunnerFault,
    ScenarioFailed,
    Toolchain,
    open_container,
    open_daemon,
    open_node,
)
from accuser._hosts.container import engine as engine_module
from accuser.commands.containers import containers
from accuser.scenarios import double_baking
from tests.support.containers import IMAGE, ROOT, TestEngine, container, engine, engine_of_the_run
from tests.support.kept import remove_kept
from tests.tools.orphans import GONE, kill_owners

__all__ = ["container", "engine", "engine_of_the_run"]  # fixtures of this module


async def test_the_flagship_scenario_by_an_image(engine: TestEngine) -> None:
    toolchain = Toolchain.image(IMAGE, pull="never")
    result = await double_baking(toolchain, Protocol.BOREAS)
    assert isinstance(toolchain.host, ContainerRunner)
    toolchain.host.remove()
    assert (result.toolchain, result.included.level, result.included.validation_pass) == ("mavkit", 5, 2)
    assert engine.owned_by(os.getpid()) == []


async def test_its_twin_fails_by_an_image(engine: TestEngine) -> None:
    toolchain = Toolchain.image(IMAGE, pull="never")
    with pytest.raises(ScenarioFailed, match="evidence was not found") as caught:
        await double_baking(toolchain, twin=True)
    # What a failure keeps is here, and can be read.
    remove_kept(caught.value, count=4)
    assert isinstance(toolchain.host, ContainerRunner)
    shutil.rmtree(toolchain.host.folder().parent)


async def test_nothing_runs_as_root_there(container: ContainerRunner) -> None:
    async with container:
        who = await container.run(("id", "-u"), name="id", color="")
        assert int(who) == (1000 if os.getuid() == 0 else os.getuid())
        path = container.folder() / "made"
        await container.run(("sh", "-c", f"echo text >{path}"), name="sh", color="")
        assert path.read_text() == "text\n"
        assert container.digest.startswith("sha256:")


async def test_an_owner_that_needs_the_engine_for_each_shell(
    engine: TestEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine whose containers have another kernel: nothing but ``exec`` leads there."""
    monkeypatch.setattr("accuser._hosts.container.engine.Engine.is_local", False)
    async with open_container(IMAGE, pull="never") as runner:
        assert await runner.run(("echo", "hello"), name="echo", color="") == "hello\n"
        async with open_node(runner=runner) as node:
            assert (await node.rpc("get", "/version"))["network_version"]["chain_name"] == "MAVRYK"
            await node.terminate()
    assert engine.owned_by(os.getpid()) == []


async def test_who_exceeds_the_memory_limit_is_told_so(engine: TestEngine) -> None:
    words = "sleep 0.1; echo last words $(cat /proc/self/oom_score_adj); "
    # One process grows: the kernel has no other to choose.
    words += "text=xxxxxxxx; while :; do text=$text$text; done"
    with pytest.raises(DaemonExited, match="exceeded the memory limit of its container, 64m") as caught:
        async with open_container(IMAGE, pull="never", memory="64m", cpus=0.9) as runner:
            async with open_daemon(Daemon("sh", runner=runner, arguments=("-c", words))):
                await trio.sleep_forever()
    # It is killed sooner than process 1, with which the container would end.
    assert caught.value.tail == ("last words 500",)
    assert caught.value.directory is not None
    shutil.rmtree(caught.value.directory.parent.parent)


async def test_a_container_that_is_removed_by_hand(engine: TestEngine) -> None:
    with pytest.raises(RunnerError) as caught:
        async with open_container(IMAGE, pull="never") as runner:
            async with open_daemon(
                Daemon("sh", runner=runner, arguments=("-c", "echo last words; sleep 99"))
            ) as daemon:
                await daemon.wait_for_line("last words", since=daemon.start_mark())
                engine.run("rm", "--force", runner.container)
                await trio.sleep_forever()
    assert caught.value.reason is RunnerFault.CONTAINER_ENDED
    assert runner.container in caught.value.host
    assert "last words" in "".join(caught.value.__notes__)


async def refusal(image: str, **options: object) -> RunnerError:
    """The error of a container that cannot be had."""
    with pytest.raises(RunnerError) as caught:
        async with open_container(image, **{"pull": "never", **options}):
            raise AssertionError
    return caught.value


async def test_an_image_that_is_not_there(engine: TestEngine) -> None:
    error = await refusal("localhost/no-such-image")
    assert error.reason is RunnerFault.NO_IMAGE
    assert "localhost/no-such-image" in str(error)


async def test_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = await refusal(IMAGE)
    assert error.reason is RunnerFault.NO_ENGINE
    assert "install podman or docker" in str(error)


async def test_an_engine_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "docker"
    words = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."
    script.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    error = await refusal(IMAGE, engine="docker", pull="missing")
    assert (error.reason, error.detail) == (RunnerFault.NO_ENGINE_ANSWER, words)


def import_image(engine: TestEngine, folder: Path, name: str, files: dict[str, bytes]) -> str:
    """Have an image of these files, each of which can be executed."""
    root = folder / name
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(file.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    archive = folder / f"{name}.tar"
    subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
    engine.run("import", "--quiet", str(archive), f"localhost/{name}:1")
    return f"localhost/{name}:1"


async def test_an_image_without_a_shell(engine: TestEngine, tmp_path: Path) -> None:
    image = import_image(engine, tmp_path, "shell-less", {"bin/else": b"x"})
    assert (await refusal(image)).reason is RunnerFault.NO_SHELL


async def test_an_image_of_another_architecture(engine: TestEngine, tmp_path: Path) -> None:
    # The beginning of an ELF file, for a machine that there is not.
    shell = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xff\xfe" + bytes(100)
    image = import_image(engine, tmp_path, "foreign", {"bin/sh": shell})
    assert (await refusal(image)).reason is RunnerFault.OTHER_ARCHITECTURE


async def test_an_image_without_the_executables(container: ContainerRunner) -> None:
    with pytest.raises(BinaryNotFound, match="mavkit-indexer and mavryk-indexer in the PATH") as caught:
        await container.run(("mavkit-indexer",), name="x", color="")
    assert "mavryk-node" in str(caught.value)
    assert str(caught.value).endswith("Take an image that has it, or give its path there: path=")


OWNER = """\
import sys, trio
sys.path.insert(0, {root!r})
from accuser import open_container, open_node

async def main():
    async with open_container({image!r}, pull="never") as runner, open_node(runner=runner) as node:
        print(runner.container, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.parametrize("paused", [False, True])
def test_a_container_does_not_outlive_its_owner(engine: TestEngine, paused: bool) -> None:
    program = OWNER.format(root=str(ROOT), image=IMAGE)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        assert engine.owned_by(owner.pid) == [name]
        if paused:
            # It does not see that its input has ended.
            engine.run("pause", name)
        owner.kill()
    # No event tells its end; each look takes its time. Its folder goes last.
    temp, end = Path(tempfile.gettempdir()), time.monotonic() + GONE
    while (name in engine.containers() or list(temp.iterdir())) and time.monotonic() < end:
        pass
    assert (name in engine.containers(), list(temp.iterdir())) == (False, [])


def test_owners_that_are_killed_at_random_moments_leave_nothing(engine: TestEngine) -> None:
    assert kill_owners(engine, 3, random.Random()) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"image": "-x"}, "no reference"),
        ({"image": "x", "network": "none"}, "without a network"),
        ({"image": "x", "cpus": 0}, "cpus must be positive"),
        ({"image": "x", "mounts": ("here",)}, "absolute path"),
        ({"image": "x", "lost_after": 1}, "lost_after"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ContainerRunner(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_doctor_finds_and_removes_what_has_lost_its_owner(
    engine: TestEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accuser.commands.containers.ENGINES", ("podman",))
    boot = engine_module.boot()
    with engine.alone():
        # No process has had this id since the system began, and the second one is of this very process.
        for name, label in (("lost", f"{boot}/4194304/1"), ("owned", engine_module.owner())):
            label = f"{engine_module.LABEL}={label}"
            engine.run("create", "--name", name, "--label", label, "--network", "host", IMAGE, "true")
        try:
            # Owners that other tests kill at the same time may leave something, for a moment.
            (found,) = [one for one in containers(remove=False) if "container lost " in one.text]
            assert (found.subject, found.grade) == ("podman", "warning")
            assert "container lost has lost its owner" in found.text
            assert [one.grade for one in containers(remove=True) if "container lost " in one.text] == ["ok"]
            assert {"lost", "owned"} & set(engine.containers()) == {"owned"}
        finally:
            engine.run("rm", "--force", "owned")
