"""``accuser run`` as process 1, as in a container."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import trio

from accuser._hosts.proc import read_stats
from accuser.testing import READY_LINE
from tests.support.cli import COMMAND

ORPHANS = """\
#!/bin/sh
trap 'exit 0' TERM
for each in 1 2 3; do (sh -c 'read line' <&0 &); done
echo {ready}
exec 0<&-
while :; do sleep 0.1; done
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare: install util-linux")
@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a namespace")
async def test_no_zombie_stays_where_it_is_process_1(tmp_path: Path) -> None:
    script = tmp_path / "daemon"
    script.write_text(ORPHANS.format(ready=READY_LINE.format(protocol="x")))
    script.chmod(0o755)
    words = ("unshare", "--pid", "--fork", "--mount-proc", *COMMAND, "run", "--accuser", str(script))
    process = await trio.lowlevel.open_process([*words, "--endpoint", "http://127.0.0.1:9"], stdout=-1)
    assert process.stdout is not None
    with trio.fail_after(60):
        try:
            # From here on SIGTERM is heeded; process 1 never hears of one that it has no handler for.
            said = b""
            while b"watching" not in said:
                said += await process.stdout.receive_some()
            while not zombies(process.pid):  # noqa: ASYNC110 - another program
                await trio.sleep(0.05)
            while zombies(process.pid):  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.05)
        finally:
            # Not heeded by unshare itself.
            for stat in read_stats():
                if stat.parent == process.pid:
                    os.kill(stat.pid, signal.SIGTERM)
            await process.stdout.aclose()
            await process.wait()  # noqa: ASYNC102 - it was ended
    assert process.returncode == 0


def zombies(unshare: int) -> list[int]:
    """The zombies that were left to the process that is process 1 there."""
    stats = list(read_stats())
    first = [stat.pid for stat in stats if stat.parent == unshare]
    return [stat.pid for stat in stats if stat.parent in first and not stat.living]
