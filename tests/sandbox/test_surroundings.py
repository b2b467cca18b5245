"""What programs of the sandbox find around them, as processes."""

from __future__ import annotations

import subprocess
import sys

ENDS = """
import os, signal, sys, trio
from accuser.sandbox.surroundings.system import OwnProcess

async def program():
    async with OwnProcess().signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        async for number in signals:
            break
        # Nobody takes these.
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        await trio.lowlevel.checkpoint()
    os.kill(os.getpid(), signal.SIGTERM)
    return number

sys.exit(trio.run(program))
"""


def test_a_program_that_ends_by_a_signal_is_ended_by_no_other() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (15, b"")
