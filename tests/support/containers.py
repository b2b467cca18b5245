"""A container engine for tests, with storage of its own, and one image for a whole run."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import attrs
import pytest

from accuser import ContainerRunner
from tests.support.images import BUSYBOX, write_image

IMAGE: Final = "localhost/accuser-test:1"
NEEDS_ENGINE: Final = "needs a container engine that works here"
"""How reasons begin that are accepted in CI: an engine may be unable to run anything there."""
SECONDS: Final = 60
ROOT: Final = Path(__file__).resolve().parents[2]

CONTAINERS: Final = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
{runtime}
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE: Final = """\
[storage]
driver = "{driver}"
graphroot = "{folder}/root"
runroot = "{folder}/run"
"""


@attrs.frozen
class TestEngine:
    """An engine that has run a container of the image."""

    __test__ = False

    name: str
    variables: dict[str, str]

    def run(self, *words: str) -> str:
        """Run one of its commands; return what it prints."""
        done = self.try_(*words)
        done.check_returncode()
        return done.stdout

    def try_(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of its commands, which may fail."""
        environment = {**os.environ, **self.variables}
        command = (self.name, *words)
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=SECONDS, check=False
        )

    def containers(self) -> list[str]:
        """The names of all containers, those that have ended too."""
        return self.run("ps", "--all", "--format", "{{.Names}}").split()

    def owned_by(self, *pids: int) -> list[str]:
        """The names of those that these processes own: the engine is shared with other workers of a run."""
        lines = self.run("ps", "--all", "--format", "{{.Names}} {{.Labels}}").splitlines()
        return [line.split()[0] for line in lines if any(f"/{pid}/" in line for pid in pids)]


def mounts() -> tuple[str, ...]:
    """What a script of this Python needs to run in the image."""
    places = dict.fromkeys((sys.base_prefix, sys.prefix, str(ROOT)))
    return tuple(f"{place}:{place}:ro" for place in places)


def refused(words: str) -> str:
    """The reason to skip a test; the words are the engine's own."""
    return f"{NEEDS_ENGINE}: {words.strip()[-300:]}"


def variables_of(place: Path) -> dict[str, str]:
    """The variables by which podman finds its configuration."""
    return {
        "CONTAINERS_CONF": str(place / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(place / "storage.conf"),
    }


def prepared(folder: Path, driver: str) -> TestEngine:
    """Write the configuration, and have the image.

    Raises `subprocess.CalledProcessError` if the engine refuses.
    """
    place = folder / driver
    place.mkdir(exist_ok=True)
    runtime = 'runtime = "runc"' if shutil.which("runc") else ""
    (place / "containers.conf").write_text(CONTAINERS.format(runtime=runtime))
    (place / "storage.conf").write_text(STORAGE.format(driver=driver, folder=place))
    engine = TestEngine("podman", variables_of(place))
    archive = folder / "image.tar"
    if not archive.exists():
        write_image(archive)
    engine.run("import", "--quiet", "--change", "USER mavryk", str(archive), IMAGE)
    # Whether the ENGINE can run anything on this machine; nothing of this package is in play.
    engine.run("run", "--rm", "--network", "host", "--memory", "64m", IMAGE, "true")
    return engine


def tried() -> str:
    """Make the image, with the driver that works; return the folder of its storage, or why there is none."""
    # A short path: podman waits for ever for a socket whose path is too long.
    folder = Path(tempfile.mkdtemp(prefix="acs-", dir="/tmp"))
    words = ""
    for driver in ("overlay", "vfs"):
        try:
            prepared(folder, driver)
        except subprocess.CalledProcessError as error:
            words = error.stderr
        except subprocess.TimeoutExpired as error:
            words = f"no answer within {error.timeout} s"
        else:
            (folder / "image.tar").unlink()
            return str(folder / driver)
    shutil.rmtree(folder, ignore_errors=True)
    return refused(words)


@contextmanager
def shared_by_workers(place: Path) -> Iterator[str]:
    """Make it for whoever comes first of all workers, and remove it after whoever leaves last."""
    place.mkdir(exist_ok=True)
    outcome, users = place / "outcome", place / "users"
    with locked(place):
        if not outcome.exists():
            outcome.write_text(tried())
        found = outcome.read_text()
        users.write_text(str(int(users.read_text() if users.exists() else 0) + 1))
    yield found
    with locked(place):
        left = int(users.read_text()) - 1
        users.write_text(str(left))
        if not left and not found.startswith(NEEDS_ENGINE):
            outcome.unlink()
            # The driver overlay leaves a mount behind.
            command = ["umount", "--lazy", str(Path(found, "root", "overlay"))]
            subprocess.run(command, check=False, capture_output=True)
            shutil.rmtree(Path(found).parent, ignore_errors=True)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """One worker at a time."""
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def engine_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine | str]:
    """Made once, whatever the number of workers; or the reason why there is none."""
    if shutil.which("podman") is None or BUSYBOX is None:
        yield "needs podman and busybox: install podman, runc and busybox"
        return
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "containers"
    with shared_by_workers(place) as found:
        yield found if found.startswith(NEEDS_ENGINE) else TestEngine("podman", variables_of(Path(found)))


@pytest.fixture
def engine(engine_of_the_run: TestEngine | str, monkeypatch: pytest.MonkeyPatch) -> TestEngine:
    """The engine, which tests and what they start use. Skips where there is none."""
    if isinstance(engine_of_the_run, str):
        pytest.skip(engine_of_the_run)
    for name, value in engine_of_the_run.variables.items():
        monkeypatch.setenv(name, value)
    return engine_of_the_run


@pytest.fixture
def container(engine: TestEngine) -> Iterator[ContainerRunner]:
    """A runner of the image, in which scripts of this Python run; its container is gone at the end."""
    yield from runner_of(engine)


@pytest.fixture(scope="session")
def docker_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine | str]:
    """Docker with the image, or the reason why there is none; its storage is the machine's."""
    if shutil.which("docker") is None or BUSYBOX is None:
        yield f"{NEEDS_ENGINE}: docker and busybox are not both installed"
        return
    engine, archive = TestEngine("docker", {}), tmp_path_factory.mktemp("docker") / "image.tar"
    try:
        engine.run("info")
        write_image(archive)
        engine.run("import", "--change", "USER mavryk", str(archive), IMAGE)
        engine.run("run", "--rm", "--network", "host", IMAGE, "true")
    except subprocess.CalledProcessError as error:
        yield refused(error.stderr)
    except subprocess.TimeoutExpired as error:
        yield refused(f"no answer within {error.timeout} s")
    else:
        yield engine


@pytest.fixture
def docker_container(docker_of_the_run: TestEngine | str) -> Iterator[ContainerRunner]:
    """As `container`, by docker. Skips where it does not run."""
    if isinstance(docker_of_the_run, str):
        pytest.skip(docker_of_the_run)
    yield from runner_of(docker_of_the_run)


def runner_of(engine: TestEngine) -> Iterator[ContainerRunner]:
    """Give a runner, and see that nothing of it is left."""
    name: Literal["podman", "docker"] = "docker" if engine.name == "docker" else "podman"
    runner = ContainerRunner(IMAGE, engine=name, pull="never", mounts=mounts())
    folder = runner.folder().parent
    yield runner
    runner.remove()
    # Kept where a daemon has failed, as tests want it to.
    shutil.rmtree(folder, ignore_errors=True)
    assert runner.container not in engine.containers()
