"""Run the tests of a daemon's life again and again, executed and forked.

``python -m tests.tools.lifecycle [ROUNDS]``, which the session ``lifecycle`` of the noxfile runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from accuser._text import counted
from tests.support.forked import FORM, FORMS

ROOT: Final = Path(__file__).parents[2]
BOTH: Final = "tests/hosts/test_lifecycle.py"
"""Has each test in each form, and on other machines too."""

LIVES: Final = ("start", "run", "stop", "restart")
PATHS: Final = (*(f"tests/daemons/test_{each}.py" for each in LIVES), "tests/engine/test_supervise.py")


def run(form: str) -> tuple[int, list[str]]:
    """Run the tests once; return how many passed, and the lines about those that did not."""
    paths = (BOTH, *PATHS) if form == "executed" else PATHS
    command = (sys.executable, "-m", "pytest", "-q", "-n", "2", "-k", "not ssh and not container", *paths)
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, FORM: form}, capture_output=True, text=True, check=False
    )
    wrong = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if ended.returncode and not wrong:
        wrong = [ended.stdout[-2000:] + ended.stderr[-2000:]]
    passed = re.search(r"(\d+) passed", ended.stdout)
    return int(passed[1]) if passed else 0, wrong


def main(rounds: int = 20) -> int:
    """Run so many rounds; tell each, and what failed in all."""
    failures = 0
    for number in range(1, rounds + 1):
        for form in FORMS:
            passed, wrong = run(form)
            failures += len(wrong)
            print(f"round {number}, {form}: {passed} passed", *wrong, sep="\n  ", flush=True)
    print(f"{counted(rounds, 'round')} in each form, {counted(failures, 'failure')}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
