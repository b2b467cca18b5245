"""Scripts and programs that several tests run."""

from __future__ import annotations

import sys

FOLLOWS_SIGTERM = """
ready()
event("started.v0")
sys.exit(until_term())
"""

SLEEPS = (sys.executable, "-IS", "-c", "import time; time.sleep(600)")
"""Words that start a process which does nothing, and is killed by the test."""
