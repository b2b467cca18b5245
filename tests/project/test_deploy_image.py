"""The image of docs/deploy, built and run by a container engine, from what is installed here."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from accuser import Protocol
from accuser.testing import READY_LINE
from tests.support.containers import IMAGE, TestEngine, engine, engine_of_the_run
from tests.support.wheels import needed, write_wheel

__all__ = ["engine", "engine_of_the_run"]  # fixtures of this module

CONTAINERFILE: Final = Path(__file__).parents[2] / "docs/deploy/Containerfile"
PYTHON: Final = f"{sys.base_prefix}:{sys.base_prefix}:ro"
ORPHANS: Final = 30
BASE: Final = f"""\
FROM {IMAGE}
USER root
ENV PATH={sys.base_prefix}/bin:/bin:/usr/local/bin PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_COMPILE=0
"""
ACCUSER: Final = f"""\
#!/bin/sh
trap 'echo takes its leave; exit 0' TERM
for each in $(seq {ORPHANS}); do (sleep 0.1 &); done
echo "{READY_LINE.format(protocol=Protocol.BOREAS.long_name)}"
while :; do sleep 0.1; done
"""
RIGHTS: Final = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")


@contextmanager
def image(engine: TestEngine, folder: Path) -> Iterator[str]:
    """Build it: Python is that of this machine, and packages come from wheels of what is installed."""
    wheels, mavkit = folder / "wheels", folder / "mavkit"
    for place in (wheels, mavkit):
        place.mkdir()
    for found in needed("accuser", frozenset({"cli", "metrics"})).values():
        write_wheel(found, wheels)
    script = mavkit / Protocol.BOREAS.accuser_binary
    script.write_text(ACCUSER)
    script.chmod(0o755)
    shutil.copy(CONTAINERFILE, folder)
    shutil.copy(next(wheels.glob("accuser-*.whl")), folder)
    (folder / "base").write_text(BASE)
    name = f"localhost/accuser-deploy-{secrets.token_hex(4)}"
    # Without layers, whose images would be taken for relatives of the one that other workers ask for.
    base = ("--layers=false", "--tag", f"{name}-base", "--file", str(folder / "base"))
    engine.run("build", "--quiet", *base, str(folder))
    volumes = ("--volume", PYTHON, "--volume", f"{wheels}:/wheels:ro")
    options = (
        "--format",
        "docker",
        "--layers=false",
        "--network",
        "none",
        "--from",
        f"{name}-base",
        *volumes,
    )
    try:
        engine.run("build", "--quiet", *options, "--tag", name, str(folder))
        yield name
    finally:
        engine.run("rmi", "--force", "--ignore", name, f"{name}-base")


def until(engine: TestEngine, container: str, *words: str, wanted: str) -> None:
    """Run a command in the container until it prints something."""
    deadline, said = time.monotonic() + 60, ""
    while wanted not in said:
        assert time.monotonic() < deadline, f"{said}\n{engine.run('logs', container)}"
        done = engine.try_("exec", container, *words)
        said = done.stdout + done.stderr


def test_the_image_runs_without_rights_as_process_1(engine: TestEngine, tmp_path: Path) -> None:
    container = f"accuser-deploy-{secrets.token_hex(4)}"
    try:
        with image(engine, tmp_path) as name:
            options = (
                "--network",
                "none",
                "--volume",
                PYTHON,
                "--env",
                "ACCUSER_RUN_ENDPOINT=http://127.0.0.1:9",
            )
            engine.run("run", "--detach", "--name", container, *RIGHTS, *options, name)
            until(engine, container, "wget", "-qO-", "http://127.0.0.1:9180/healthz", wanted="ok\n")
            # By the command of the image itself.
            engine.run("healthcheck", "run", container)
            assert engine.run("exec", container, "id", "-u").strip() == "10001"
            with pytest.raises(subprocess.CalledProcessError):
                engine.run("exec", container, "touch", "/opt/accuser/file")
            # Orphans are left to process 1, and none of them stays.
            until(
                engine, container, "sh", "-c", "grep -q ' Z ' /proc/[0-9]*/stat || echo none", wanted="none"
            )
            engine.run("stop", "--time", "45", container)
            said = engine.run("logs", container)
            assert "takes its leave" in said
            assert "stopped by SIGTERM" in said
            assert engine.run("inspect", "--format", "{{.State.ExitCode}}", container).strip() == "0"
            engine.run("rm", "--force", container)
    finally:
        engine.run("rm", "--force", "--ignore", container)
