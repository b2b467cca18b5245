"""Compares recordings of every scenario, again and again: ``python -m tests.tools.same_recordings``.

Each scenario runs with daemons that are tasks and with daemons that are processes; the recordings must be
equal to each other, and to those of the real accuser that are beside the checkout. ``--burners`` lets
processes compute at the same time, as on a machine that has other work.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.both_forms import HERE, RECORDED, differences


@contextlib.contextmanager
def burning(count: int) -> Iterator[None]:
    """Let so many processes compute while the block runs."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def main() -> int:
    """Compare; the exit status is 1 if something differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=HERE, help="scenarios; by default all")
    parser.add_argument("--times", type=int, default=5, help="runs of each; 5")
    parser.add_argument("--burners", type=int, default=0, help="processes that compute meanwhile; 0")
    arguments = parser.parse_args()
    print(f"recordings of the real accuser: {RECORDED if RECORDED.is_dir() else 'none'}")
    failed = 0
    with burning(arguments.burners):
        for name in arguments.names:
            begin, different = time.monotonic(), 0
            for _ in range(arguments.times):
                with tempfile.TemporaryDirectory() as folder:
                    found = differences(name, Path(folder))
                different += bool(found)
                print(*found, sep="\n", end="\n" if found else "", flush=True)
            seconds = (time.monotonic() - begin) / arguments.times
            print(f"{name}: {different} of {arguments.times} differed, {seconds:.1f} s each", flush=True)
            failed += bool(different)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
