"""What must work where the package was installed with one extra alone: ``python -P installed.py EXTRA``.

The session ``installed`` of the noxfile runs this in an empty environment, for the wheel and for the
source distribution. Nothing here imports the test suite, which is not there.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import trio

import accuser
from accuser import SANDBOX, Protocol
from accuser.scenarios import double_baking
from accuser.testing import FaultyDaemon, event, ready

TEST = """\
from accuser.testing import FaultyDaemon, event, ready


async def test_an_event():
    async with FaultyDaemon(ready(), event("a.v0", 1)).open() as daemon:
        assert await daemon.wait_for("a.v0", since=daemon.start_mark()) == 1
"""


def run(*command: str, cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment."""
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``accuser demo``, as installed."""
    return run(str(Path(sys.executable).with_name("accuser")), "demo", *arguments)


def needs(*packages: str) -> None:
    """See that of the optional packages these are there, and no others."""
    optional = ("cryptography", "click", "rich", "prometheus_client", "pytest", "pytest_trio")
    found = tuple(name for name in optional if importlib.util.find_spec(name) is not None)
    assert found == packages, found


def check_none() -> None:
    """Without an extra the library runs, and the command says which one it needs."""
    needs()
    done = demo()
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'accuser[cli]'" in done.stderr, done.stderr


def check_sandbox() -> None:
    """The flagship scenario runs from a program."""
    needs("cryptography")
    found = trio.run(double_baking, SANDBOX, Protocol.BOREAS)
    assert found.seconds > 0


def check_cli() -> None:
    """The command is there, and says that the sandbox needs another extra."""
    needs("click", "rich")
    assert "double-baking" in demo("--list").stdout
    done = demo()
    assert done.returncode == 1
    assert "pip install 'accuser[sandbox]'" in done.stderr, done.stderr


def check_both() -> None:
    """``accuser demo`` denounces a double baking."""
    needs("cryptography", "click", "rich")
    done = demo("--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["toolchain"] == "sandbox"


def check_metrics() -> None:
    """What metrics need is there; the command needs its own extra all the same."""
    needs("prometheus_client")
    assert "pip install 'accuser[cli]'" in demo().stderr


def check_pytest() -> None:
    """A test runs."""
    needs("pytest", "pytest_trio")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_it.py").write_text(TEST)
        done = run(sys.executable, "-m", "pytest", "-q", "-o", "trio_mode=true", cwd=folder)
    assert "1 passed" in done.stdout, done.stdout


def check_explore() -> None:
    """A network is played."""
    needs("cryptography", "click")  # click comes with Dask
    from accuser.explore import draw, play

    assert not play(draw(1)).violations


async def a_daemon_runs() -> None:
    """Run a daemon that needs nothing."""
    async with FaultyDaemon(ready(), event("a.v0", 1)).open() as daemon:
        assert await daemon.wait_for("a.v0", since=daemon.start_mark()) == 1


CHECKS = {
    "none": check_none,
    "sandbox": check_sandbox,
    "cli": check_cli,
    "sandbox,cli": check_both,
    "metrics": check_metrics,
    "explore": check_explore,
    "pytest": check_pytest,
}


def main(extra: str) -> None:
    """Check what holds everywhere, and what holds with this extra."""
    folder = Path(accuser.__file__).parent
    assert "site-packages" in folder.parts, folder
    for name in dir(accuser):
        getattr(accuser, name)
    trio.run(a_daemon_runs)
    CHECKS[extra]()
    print(f"{folder}, extra {extra}: as it should be")


if __name__ == "__main__":
    main(sys.argv[1])
