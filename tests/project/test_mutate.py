"""The tests of the accuser's algorithm notice every decision of it; the tool that shows it does too."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from tests.tools.mutants import mutants

SOURCE = '''
"""Unchanged."""
import sys
LIMIT: int = 2


def old(age, *others, most=LIMIT):
    """Unchanged."""
    assert most
    if age > most and not others:
        return "old"
    return (age, most) == (0, 1)
'''


def test_what_is_changed() -> None:
    changes = {mutant.name for mutant in mutants(SOURCE)}
    assert changes >= {
        "module: 2 -> 3 in LIMIT: int = 2",
        "module: 2 -> 1 in LIMIT: int = 2",
        "old: if age > most and (not others): -> if True:",
        "old: if age > most and (not others): -> if False:",
        "old: age > most and (not others) -> age > most or not others",
        "old: age > most and (not others) -> age > most",
        "old: age > most and (not others) -> not others",
        "old: age > most -> age <= most",
        "old: age > most -> age >= most",
        "old: not others -> others",
        "old: return 'old' -> pass",
        "old: 'old' -> 'old~' in return 'old'",
        "old: (age, most) == (0, 1) -> (age, most) != (0, 1)",
        "old: (age, most) == (0, 1) -> (most,) == (1,)",
        "old: (age, most) == (0, 1) -> (age,) == (0,)",
    }
    assert not any(untouched in change for change in changes for untouched in ("Unchanged", "sys", "assert"))


def test_each_mutant_is_one_change() -> None:
    def outcomes(code: types.CodeType) -> list[object]:
        names: dict[str, object] = {}
        exec(code, names)
        old = names["old"]
        assert isinstance(old, types.FunctionType)
        return [old(1), old(2), old(3), old(3, 4), old(0, most=1)]

    usual = outcomes(compile(SOURCE, "usual", "exec"))
    different = {mutant.change for mutant in mutants(SOURCE) if outcomes(mutant.code("mutant")) != usual}
    assert "age > most -> age >= most" in different
    assert "if age > most and (not others): -> if True:" in different
    assert outcomes(next(mutants(SOURCE)).code("mutant")) != usual
    assert outcomes(compile(SOURCE, "usual", "exec")) == usual


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.tools.mutate", *arguments]
    root = Path(__file__).parent.parent.parent
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)


def mutate(*arguments: str) -> tuple[int, str]:
    done = run(*arguments)
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("target", ["denunciation", "answers"])
def test_no_decision_goes_unnoticed(target: str) -> None:
    status, told = mutate("--conditions", "--only", target)
    assert status == 0, told


def test_what_no_test_notices_is_told(tmp_path: Path) -> None:
    blind = tmp_path / "test_blind.py"
    blind.write_text("def test_nothing():\n    pass\n")
    status, told = mutate("--conditions", "--only", "answers", "--tests", str(blind))
    assert status == 1
    assert "_consensus_of: len(contents) == 1 -> len(contents) != 1" in told
    assert "NO REASON GIVEN" in told
    tried, noticed = re.findall(r"\d+", told)[:2]
    # Those are the ones with which the module cannot even be imported.
    assert int(noticed) < int(tried) / 10


def test_tests_that_fail_by_themselves_show_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_bad.py").write_text("def test_bad():\n    assert False\n")
    done = run("--conditions", "--only", "answers", "--tests", str(tmp_path / "test_bad.py"))
    assert done.returncode == 1
    assert "test_bad.py fails without any mutation" in done.stderr
