"""Some of the lines at which `tests.tools.sweep` interrupts and kills the owner of a daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.sweep import Try

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what is left is looked for in /proc")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_nothing_is_left_at_any_of_some_lines(name: str) -> None:
    seed = os.environ.get("ACCUSER_SWEEP_SEED", "1")
    command = [sys.executable, "-m", "tests.tools.sweep", "--tries", "12", "--signal", name, "--seed", seed]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name}: 12 of " in done.stdout


@pytest.mark.parametrize(
    ("said", "left", "faults"),
    [
        ("KeyboardInterrupt", (), 0),
        ("", ("process 1", "directory a"), 2),
        ("trio.TrioInternalError: internal error", (), 1),
        ("RuntimeError: Cancel scope stack corrupted", ("directory a",), 2),
    ],
)
def test_what_is_a_fault(said: str, left: tuple[str, ...], faults: int) -> None:
    assert len(Try(1, "", int(signal.SIGINT), said, left).faults) == faults
