"""Scripts of daemons that several tests run."""

from __future__ import annotations

FOLLOWS_SIGTERM = """
ready()
event("started.v0")
sys.exit(until_term())
"""
