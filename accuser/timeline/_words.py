"""What a test did, in words (pure)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from .._recording.entries import Command, Done, Failure, Phase, Rpc, Step, type_of
from .._report import short_command

TEST: Final = "test"
"""Stands in the place of a daemon's name."""


def title_of(entry: Done) -> str:
    """What it was, in a few words: ``bake for bootstrap1``."""
    match entry:
        case Command():
            return short_command(entry.command)
        case Rpc():
            parts = urlsplit(entry.url)
            return f"{entry.method} {parts.path}{'?' * bool(parts.query)}{parts.query}"
        case Step() | Phase():
            return entry.what
        case Failure():
            return f"{entry.error}: {entry.message}".rstrip(": ").split("\n", 1)[0]


def failed(entry: Done) -> bool:
    """Whether it is something that went wrong."""
    match entry:
        case Command():
            return entry.status != 0
        case Rpc():
            return entry.status is None or not 200 <= entry.status < 300
        case Step() | Phase():
            return entry.outcome == "failed"
    return True


def name_of(entry: Done) -> str:
    """What it is called in a list: its type, and whether it failed; few names for many entries."""
    kind = type_of(entry)
    match entry:
        case Failure():
            return kind
        case Step() if not failed(entry):
            return "step" if entry.outcome == "noted" else f"step: {entry.outcome}"
    return f"{kind}: failed" if failed(entry) else kind
