"""Ports that are reserved."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from accuser import NoFreePort
from accuser._hosts.owner import ports
from accuser._hosts.owner.ports import reserve_port

ROOT = Path(__file__).resolve().parent.parent.parent


def test_another_process_does_not_get_a_port_whatever_its_tmpdir(tmp_path: Path) -> None:
    port = reserve_port()
    code = "from accuser._hosts.owner.ports import _reserve, reserve_port; "
    code += f"reserve_port(); print(_reserve({port}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


def test_a_process_gets_each_port_once() -> None:
    ports = [reserve_port() for _ in range(100)]
    assert len(set(ports)) == 100


def test_a_lock_that_is_not_ours_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    common, other = tmp_path / "common", tmp_path / "other"
    common.mkdir()
    other.mkdir()
    monkeypatch.setattr(ports, "COMMON", common)
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    usual = ports.lock_file()
    assert usual.parent == common
    usual.symlink_to(tmp_path / "precious")
    assert ports.lock_file() == other / usual.name
    usual.unlink()
    usual.write_text("")
    assert ports.lock_file() == usual
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    foreign = common / usual.name.replace(str(uid), str(uid + 1))
    foreign.write_text("")
    assert ports.lock_file() == other / foreign.name


def test_a_lock_that_cannot_be_opened_is_made_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another user prepared, also between the look and the opening."""
    common, other = tmp_path / "common", tmp_path / "other"
    common.mkdir()
    other.mkdir()
    monkeypatch.setattr(ports, "COMMON", common)
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    name = ports.lock_file().name
    for prepare in (lambda path: path.mkdir(), lambda path: path.symlink_to("precious"), os.mkfifo):
        prepare(common / name)
        descriptor = ports._open_lock()
        assert os.path.samestat(os.fstat(descriptor), (other / name).stat())
        os.close(descriptor)
        (common / name).rmdir() if (common / name).is_dir() else (common / name).unlink()
    assert not (common / "precious").exists()


def test_where_every_port_is_taken_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_reserve", lambda port: False)
    with pytest.raises(NoFreePort, match="no free TCP port among 5000 tried between 10000 and"):
        reserve_port()
