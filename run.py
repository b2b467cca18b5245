"""Run a session of the noxfile on a machine that has only Python 3.11 or later and pip.

``python3 run.py demo`` makes the virtual environment ``.venv`` with nox in it, if it is not
there, and runs the session ``demo``; further arguments go to what the session runs.
``python3 run.py --pythons`` prints the versions of Python that the package declares.

The environment is made without a pip of its own, and filled by the one that is there: so it
works where ensurepip is missing, and where the distribution guards its packages (PEP 668).
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent
ENVIRONMENT: Final = ROOT / ".venv"
PYTHON: Final = ENVIRONMENT / "bin" / "python"
MARK: Final = ENVIRONMENT / "complete"
NOX: Final = "nox>=2025.2.9"  # dependency groups with inclusion


def main() -> int:
    """Run the session that the first argument names; return its exit status."""
    if sys.argv[1:] == ["--pythons"]:
        import tomllib  # since 3.11

        classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
        print(*(name.rpartition(" ")[2] for name in classifiers if "Python :: 3." in name))
        return 0
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print("usage: python3 run.py SESSION [ARGUMENT...]", file=sys.stderr)
        print("sessions: demo, tests, lint, types; more in noxfile.py", file=sys.stderr)
        return 2
    if sys.version_info < (3, 11):  # noqa: UP036 - this file meets the Python that is there
        print("accuser needs Python 3.11 or later, and this is", sys.version, file=sys.stderr)
        return 2
    # Locked, for sessions that begin at the same time.
    with ROOT.joinpath("run.py").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not MARK.exists() and (status := _prepare()):
            return status
    session, *arguments = sys.argv[1:]
    command = [str(PYTHON), "-m", "nox", "--noxfile", str(ROOT / "noxfile.py"), "-s", session]
    # In place of this process, so that signals and the exit status are nox's own.
    os.chdir(ROOT)
    return os.execv(command[0], [*command, "--", *arguments] if arguments else command)


def _prepare() -> int:
    print(f"preparing {ENVIRONMENT} ...", file=sys.stderr, flush=True)
    venv.create(ENVIRONMENT, clear=True, symlinks=True, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(PYTHON)]
    status = subprocess.run([*pip, "install", "--quiet", NOX], check=False).returncode
    if status:
        print("pip could not install nox; is pip 22.3 or later there, and a network?", file=sys.stderr)
    else:
        MARK.touch()
    return status


if __name__ == "__main__":
    sys.exit(main())
