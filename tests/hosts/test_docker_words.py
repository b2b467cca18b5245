"""Docker, as far as words go: the engine is podman, which is spoken to as docker is, and answers so."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from accuser import (
    ContainerRunner,
    Daemon,
    ReadyLine,
    RunnerError,
    RunnerFault,
    open_container,
    open_daemon,
    open_network,
)
from accuser._hosts.container import engine as engine_module
from accuser._hosts.container.engine import Engine
from accuser.commands.containers import containers
from tests.support import fake_docker
from tests.support.containers import IMAGE, TestEngine, engine, engine_of_the_run

__all__ = ["engine", "engine_of_the_run"]  # fixtures of this module


@pytest.fixture
def docker(engine: TestEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestEngine:
    """Only docker is there, by its name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    fake_docker.install(folder)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return engine


def test_the_stand_in_refuses_what_docker_does_not_know(docker: TestEngine) -> None:
    for words in (("network", "create", "--disable-dns", "x"), ("run", "--userns=keep-id", IMAGE, "true")):
        done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.split(":")[0]) == (125, "unknown flag")


async def test_a_daemon_in_a_container_of_docker(docker: TestEngine) -> None:
    # As another user than root, whose words are others.
    async with open_container(IMAGE, engine="docker", pull="never", memory="64m", user="1000:1000") as runner:
        assert runner.digest.startswith("sha256:") or len(runner.digest) == 64
        words = ("-c", "echo ready; read forever || sleep 99")
        sleeper = Daemon("sh", runner=runner, arguments=words, ready=ReadyLine("ready"))
        async with open_daemon(sleeper) as daemon:
            assert (await daemon.stats()).processes >= 1
            await daemon.terminate()
    assert docker.owned_by(os.getpid()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make faults in networks")
async def test_a_network_of_docker(docker: TestEngine) -> None:
    async with open_network(engine="docker") as network:
        async with open_container(IMAGE, engine="docker", pull="never", network=network.name) as runner:
            address = runner.transport.address
            assert address.count(".") == 3
            assert address in await runner.run(("ip", "-4", "addr"), name="ip", color="")
            # Other workers have networks, too.
            ours = [name for name, label in Engine("docker").networks() if label == engine_module.owner()]
            assert ours == [network.name]


async def test_an_image_that_docker_has_not(docker: TestEngine) -> None:
    with pytest.raises(RunnerError) as caught:
        async with open_container("localhost/none", engine="docker", pull="never"):
            raise AssertionError
    assert (caught.value.reason, caught.value.detail) == (
        *(RunnerFault.NO_IMAGE, "Error response from daemon: No such image: localhost/none"),
    )


def test_what_the_image_is(docker: TestEngine) -> None:
    image, version = ContainerRunner(IMAGE, engine="docker", pull="never").describe()
    assert image.startswith(f"image {IMAGE}, ")
    assert image.endswith(", by docker")
    assert version.startswith("mavkit-node ")


def test_doctor_asks_docker(docker: TestEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accuser.commands.containers.ENGINES", ("docker",))
    label = f"{engine_module.LABEL}={engine_module.boot()}/4194304/1"
    with docker.alone():
        docker.run("create", "--name", "lost-docker", "--label", label, "--network", "host", IMAGE, "true")
        # Owners that other tests kill at the same time may leave something, for a moment.
        (found,) = [one for one in containers(remove=False) if "lost-docker" in one.text]
        assert (found.subject, found.grade) == ("docker", "warning")
        assert "container lost-docker has lost its owner" in found.text
        assert [one.grade for one in containers(remove=True) if "lost-docker" in one.text] == ["ok"]
        assert "lost-docker" not in docker.containers()
