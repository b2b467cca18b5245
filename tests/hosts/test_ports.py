"""Ports that are reserved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
