"""The engine of containers of the tests: a fault of ours is never a reason to skip them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.containers import NEEDS_ENGINE, NoEngine, TestEngine, remove

PROGRAM = """\
#!/bin/sh
[ "$1" = {refused} ] || exit 0
echo "Error: no {refused} here" >&2
exit 125
"""


def engine_that_refuses(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> TestEngine:
    """A podman that does all but this."""
    path = folder / "podman"
    path.write_text(PROGRAM.format(refused=command))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return TestEngine("podman")


@pytest.mark.parametrize("command", ["info", "run"])
def test_an_engine_that_can_run_nothing_is_a_reason(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image.tar").touch()
    found = engine_that_refuses(command, tmp_path, monkeypatch).take(tmp_path / "image.tar")
    assert found == NoEngine(f"{NEEDS_ENGINE}: Error: no {command} here")


def test_an_archive_that_an_engine_refuses_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image.tar").touch()
    engine = engine_that_refuses("import", tmp_path, monkeypatch)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        engine.take(tmp_path / "image.tar")
    assert caught.value.__notes__ == ["Error: no import here\n"]


@pytest.mark.parametrize("name", [".", "storage", "acs-1"])
def test_only_what_was_made_here_is_removed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir(exist_ok=True)
    for folder in (Path(name), tmp_path / name):
        with pytest.raises(ValueError, match="was not made here"):
            remove(folder)
        assert folder.is_dir()
