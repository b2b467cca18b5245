"""Projects of users: folders with tests, run by a pytest of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

import attrs
import pytest
import trio

from .forked import PYTEST, ended, started

ROOT = Path(__file__).parent.parent.parent
PLUGIN = "accuser.pytest"


@attrs.frozen
class Ended:
    """A run of pytest that has ended."""

    status: int
    output: str

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    def below(self, title: str, count: int) -> list[str]:
        """The first lines of what is told about one failed test."""
        (start,) = [n for n, line in enumerate(self.lines) if line.strip("_") == f" {title} "]
        return self.lines[start + 1 : start + 1 + count]

    def count(self, **outcomes: int) -> None:
        """Check how many tests passed, failed and so on."""
        for outcome, number in outcomes.items():
            assert f"{number} {outcome}" in self.lines[-1], self.output


@attrs.frozen
class Project:
    """A folder with a suite of tests."""

    folder: Path
    environment: dict[str, str]

    def write(self, **files: str) -> None:
        """Write files, without their endings ``.py``."""
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(text)

    def configure(self, *settings: str) -> None:
        """Write what pytest is configured with."""
        text = "\n".join(("[pytest]", "trio_mode = true", "addopts = -p no:cacheprovider", *settings, ""))
        (self.folder / "pytest.ini").write_text(text)

    def pytest(self, *arguments: str, **environment: str) -> Ended:
        """Run the suite."""
        executed = (sys.executable, "-m", "pytest", *arguments)
        forked = (PYTEST, "pytest", *arguments)
        variables = {**self.environment, **environment}

        async def run() -> Ended:
            async with started(executed, forked, variables, both_streams=True) as child:
                with trio.fail_after(600):  # only ends what hangs
                    return Ended(*(await ended(child))[:2])

        with contextlib.chdir(self.folder):
            return trio.run(run)

    def run(self, *command: str, **environment: str) -> Ended:
        """Run any command in the folder."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=600,  # only ends what hangs
            check=False,
        )
        return Ended(done.returncode, done.stdout)

    @property
    def bundles(self) -> list[Path]:
        """The failure bundles in the usual place."""
        return sorted(path for path in self.folder.glob("tmp/pytest-of-*/pytest-[0-9]*/**/mavryk/*"))


def project_in(folder: Path) -> Project:
    """Give a project whose environment has this package, as an installed one has it."""
    folder.mkdir()
    temporary = folder / "tmp"
    temporary.mkdir()
    python = Path(sys.executable).parent
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MAVKIT_"))},
        "PATH": f"{python}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "PYTEST_DEBUG_TEMPROOT": str(temporary),
        "COLUMNS": "200",
    }
    site = folder.parent / "site"
    if not any(point.name == PLUGIN for point in entry_points(group="pytest11")):
        environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{_installation(site)}"
    return Project(folder, without_hypothesis(site, environment))


def without_hypothesis(site: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a pytest for which hypothesis is not installed.

    pytest-trio imports it where it is, which takes longer than everything else that such a pytest does.
    """
    site.mkdir(parents=True, exist_ok=True)
    (site / "hypothesis.py").write_text("raise ModuleNotFoundError('hidden', name='hypothesis')\n")
    path = environment.get("PYTHONPATH")
    return {
        **environment,
        "PYTHONPATH": str(site) if path is None else f"{path}{os.pathsep}{site}",
        "PYTEST_ADDOPTS": "-p no:hypothesispytest",
    }


def _installation(site: Path) -> Path:
    """What an installation of this folder would have put beside the package: its entry point."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    information = site / f"accuser-{project['version']}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Name: accuser\nVersion: {project['version']}\n")
    points = project["entry-points"]["pytest11"]
    lines = "".join(f"{name} = {target}\n" for name, target in points.items())
    (information / "entry_points.txt").write_text(f"[pytest11]\n{lines}")
    return site


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = project_in(tmp_path / "p")
    made.configure()
    return made
