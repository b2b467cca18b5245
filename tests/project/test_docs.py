"""The programs in the documents run as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from accuser import events
from tests.support.projects import without_hypothesis
from tests.support.sshd import SSHD, serve

ROOT = Path(__file__).parent.parent.parent
# The plugin is named, for where the package is not installed.
PYTEST = ("-m", "pytest", "-q", "-p", "accuser.pytest", "-o", "trio_mode=true", "--basetemp=base")


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / document).read_text(), re.M | re.S)


PROGRAMS = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}:{number}")
    for path in sorted((ROOT / "docs").rglob("*.md"))
    for number, block in enumerate(blocks(str(path.relative_to(ROOT)), "python"), 1)
]


async def run(
    *command: str, cwd: Path, env: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[bytes]:
    process = partial(trio.run_process, capture_stdout=True, capture_stderr=True, check=False)
    return await process([sys.executable, *command], cwd=cwd, env=env)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_program_of_the_documents(program: str, tmp_path: Path) -> None:
    if re.search(r"^(async )?def test_", program, re.M):
        return await see_that_its_tests_pass(program, tmp_path)
    if re.search(r"^import nox$", program, re.M):
        return await see_that_nox_takes_it(program, tmp_path)
    (tmp_path / "program.py").write_text(program)
    with ExitStack() as stack:
        if "SSHRunner" in program:
            if SSHD is None:
                pytest.skip("needs OpenSSH's server: install openssh-server")
            stack.enter_context(serve(tmp_path))
        if '"unshare"' in program and os.getuid() != 0:
            pytest.skip("needs root to make namespaces")
        # Executed: where everything is loaded, a program that forgets an import runs.
        done = await run("program.py", cwd=tmp_path)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout
    return None


async def see_that_its_tests_pass(program: str, folder: Path) -> None:
    (folder / "test_it.py").write_text(program)
    environment = os.environ if "hypothesis" in program else without_hypothesis(folder / "site", os.environ)
    done = await run(*PYTEST, "test_it.py", cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout.decode()


async def see_that_nox_takes_it(program: str, folder: Path) -> None:
    # What its sessions install is not to be had here; their commands are those of other programs.
    (folder / "noxfile.py").write_text(program)
    done = await run("-m", "nox", "--list", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    sessions = {session["name"] for session in json.loads(done.stdout)}
    assert sessions == set(re.findall(r"^def (\w+)", program, re.M))


def test_there_are_programs_in_the_documents() -> None:
    assert len(PROGRAMS) >= 3


async def test_the_test_in_the_readme(tmp_path: Path) -> None:
    (test,) = blocks("README.md", "python")
    (tmp_path / "test_readme.py").write_text(test)
    environment = without_hypothesis(tmp_path / "site", os.environ)
    done = await run(*PYTEST, "test_readme.py", cwd=tmp_path, env=environment)
    assert "1 passed" in done.stdout.decode()
    assert len([line for line in test.splitlines() if line.strip()]) <= 12


async def test_the_output_of_a_failing_wait_is_the_one_that_is_shown(tmp_path: Path) -> None:
    (program,) = blocks("docs/waiting.md", "python")
    (shown,) = blocks("docs/waiting.md", "text")
    (tmp_path / "program.py").write_text(program)
    done = await run("program.py", cwd=tmp_path)
    assert without_accidents(done.stdout.decode()) == without_accidents(shown)
    assert "  node_is_ready.v0 {}" in shown.splitlines()


def without_accidents(text: str) -> list[str]:
    """Leave out what differs from run to run: places, ports, times, identities."""
    for pattern, name in (
        (r"[^ \"]*/accuser-node-\w+", "DIRECTORY"),
        (r"\bid\w{28}\b", "IDENTITY"),
        (r"(\"port\": |127\.0\.0\.1:)\d+", r"\1PORT"),
        (r"\w{3} \d\d \d\d:\d\d:\d\d\.\d{3}", "TIME"),
    ):
        text = re.sub(pattern, name, text)
    return [line.rstrip() for line in text.strip().splitlines()]


def test_the_table_of_events_is_complete() -> None:
    text = (ROOT / "docs" / "events.md").read_text()
    for cls in events.CLASSES:
        fields = ", ".join(f"`{field.name}`" for field in attrs.fields(cls)) or "-"  # type: ignore[arg-type]  # each is an attrs class
        name = cls.NAME.replace("{protocol}", "P")
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{cls.__name__}` |")]
        assert f"`{name}`" in row
        assert row.endswith(f"| {cls.LEVEL} | {fields} |")
