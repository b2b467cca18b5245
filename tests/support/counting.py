"""What the tests of daemons share."""

from __future__ import annotations

from pathlib import Path

COUNTS = """
ready()
for number in range(5):
    event("count.v0", str(number))
until_term()
event("last.v0", '"words"')
os._exit(127)
"""


def gone(pid: int | None) -> bool:
    assert pid is not None
    return not Path(f"/proc/{pid}").exists()
