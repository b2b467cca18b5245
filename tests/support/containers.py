"""A container engine for tests, with storage of its own, and one image for a whole run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
PREFIX: Final = "acs-"
"""How the names of folders of storage begin."""
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
class NoEngine:
    """Why no engine runs containers here."""

    reason: str

    @classmethod
    def refuses(cls, words: str) -> NoEngine:
        """The words are the engine's own."""
        return cls(f"{NEEDS_ENGINE}: {words.strip()[-300:]}")


@attrs.frozen
class TestEngine:
    """An engine that has run a container of the image."""

    __test__ = False

    name: Literal["podman", "docker"]
    storage: Path | None = None
    """The folder of configuration and storage; None for those of the machine."""

    @property
    def variables(self) -> dict[str, str]:
        """The variables by which podman finds its configuration."""
        if self.storage is None:
            return {}
        return {
            "CONTAINERS_CONF": str(self.storage / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.storage / "storage.conf"),
        }

    def run(self, *words: str) -> str:
        """Run one of its commands; return what it prints."""
        done = self.try_(*words)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout

    def refusal(self, *words: str) -> NoEngine | None:
        """Run one of its commands that asks whether it can do anything here."""
        try:
            self.run(*words)
        except subprocess.CalledProcessError as error:
            return NoEngine.refuses(error.stderr)
        except subprocess.TimeoutExpired as error:
            return NoEngine.refuses(f"no answer within {error.timeout} s")
        return None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let only one test at a time remove what has lost its owner: it is of all of them."""
        assert self.storage is not None
        with locked(self.storage.parent):
            yield

    def take(self, archive: Path) -> NoEngine | None:
        """Have the image, and run it.

        That an engine cannot run anything here is no fault of ours. That it refuses our archive is one:
        `subprocess.CalledProcessError`.
        """
        if refusal := self.refusal("info"):
            return refusal
        if not archive.exists():
            write_image(archive)
        quiet = ["--quiet"] if self.name == "podman" else []
        self.run("import", *quiet, "--change", "USER mavryk", str(archive), IMAGE)
        limit = ["--memory", "64m"] if self.name == "podman" else []
        return self.refusal("run", "--rm", "--network", "host", *limit, IMAGE, "true")

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


def configured(folder: Path, driver: str) -> TestEngine:
    """Podman with a storage of its own."""
    place = folder / driver
    place.mkdir()
    runtime = 'runtime = "runc"' if shutil.which("runc") else ""
    (place / "containers.conf").write_text(CONTAINERS.format(runtime=runtime))
    (place / "storage.conf").write_text(STORAGE.format(driver=driver, folder=place))
    return TestEngine("podman", place)


def made() -> TestEngine | NoEngine:
    """Podman with the image, and with the driver that works."""
    # A short path: podman waits for ever for a socket whose path is too long.
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    archive, refusal = folder / "image.tar", None
    with ExitStack() as undo:
        undo.callback(remove, folder)
        for driver in ("overlay", "vfs"):
            engine = configured(folder, driver)
            refusal = engine.take(archive)
            if refusal is None:
                archive.unlink()
                undo.pop_all()
                return engine
    assert refusal is not None
    return refusal


def remove(folder: Path) -> None:
    """Remove a folder that `made` has made, and nothing else."""
    if folder.parent != Path("/tmp") or not folder.name.startswith(PREFIX):
        raise ValueError(f"{folder} was not made here")
    # The driver overlay leaves a mount behind.
    command = ["umount", "--lazy", str(folder / "overlay" / "root" / "overlay")]
    subprocess.run(command, check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def told(outcome: Path) -> TestEngine | NoEngine:
    """What the first worker wrote down."""
    found = json.loads(outcome.read_text())
    return NoEngine(found["reason"]) if "reason" in found else TestEngine("podman", Path(found["storage"]))


@contextmanager
def shared_by_workers(place: Path) -> Iterator[TestEngine | NoEngine]:
    """Make it for whoever comes first of all workers, and remove it after whoever leaves last."""
    place.mkdir(exist_ok=True)
    outcome, users = place / "outcome", place / "users"
    with locked(place):
        if not outcome.exists():
            result = made()
            named = (
                {"reason": result.reason}
                if isinstance(result, NoEngine)
                else {"storage": str(result.storage)}
            )
            outcome.write_text(json.dumps(named))
        found = told(outcome)
        users.write_text(str(int(users.read_text() if users.exists() else 0) + 1))
    yield found
    with locked(place):
        left = int(users.read_text()) - 1
        users.write_text(str(left))
        if not left and isinstance(found, TestEngine) and found.storage is not None:
            outcome.unlink()
            remove(found.storage.parent)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """One worker at a time."""
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def engine_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine | NoEngine]:
    """Made once, whatever the number of workers; or the reason why there is none."""
    if shutil.which("podman") is None or BUSYBOX is None:
        yield NoEngine("needs podman and busybox: install podman, runc and busybox")
        return
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "containers"
    with shared_by_workers(place) as found:
        yield found


@pytest.fixture
def engine(engine_of_the_run: TestEngine | NoEngine, monkeypatch: pytest.MonkeyPatch) -> TestEngine:
    """The engine, which tests and what they start use. Skips where there is none."""
    if isinstance(engine_of_the_run, NoEngine):
        pytest.skip(engine_of_the_run.reason)
    for name, value in engine_of_the_run.variables.items():
        monkeypatch.setenv(name, value)
    return engine_of_the_run


@pytest.fixture
def container(engine: TestEngine) -> Iterator[ContainerRunner]:
    """A runner of the image, in which scripts of this Python run; its container is gone at the end."""
    yield from runner_of(engine)


@pytest.fixture(scope="session")
def docker_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestEngine | NoEngine]:
    """Docker with the image, or the reason why there is none; its storage is the machine's."""
    if shutil.which("docker") is None or BUSYBOX is None:
        yield NoEngine.refuses("docker and busybox are not both installed")
        return
    engine = TestEngine("docker")
    yield engine.take(tmp_path_factory.mktemp("docker") / "image.tar") or engine


@pytest.fixture
def docker_container(docker_of_the_run: TestEngine | NoEngine) -> Iterator[ContainerRunner]:
    """As `container`, by docker. Skips where it does not run."""
    if isinstance(docker_of_the_run, NoEngine):
        pytest.skip(docker_of_the_run.reason)
    yield from runner_of(docker_of_the_run)


def runner_of(engine: TestEngine) -> Iterator[ContainerRunner]:
    """Give a runner, and see that nothing of it is left."""
    runner = ContainerRunner(IMAGE, engine=engine.name, pull="never", mounts=mounts())
    folder = runner.folder().parent
    yield runner
    runner.remove()
    # Kept where a daemon has failed, as tests want it to.
    shutil.rmtree(folder, ignore_errors=True)
    assert runner.container not in engine.containers()
