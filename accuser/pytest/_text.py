"""What reports say about the daemons of a test (pure)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from .._errors import DaemonExited, HandlerFailed, MalformedEvent, RunnerError
from ._facts import DaemonFacts

CAUSE_LINES: Final = 3
"""A cause, and all the rest of a summary, fits in ten lines."""

_ENDS: Final = (DaemonExited, HandlerFailed, MalformedEvent, RunnerError)


def summary(error: BaseException, daemons: Sequence[DaemonFacts], executables: str, bundle: str) -> list[str]:
    """Give ten lines at the most: what failed first, then which daemons, which waits, where more is."""
    lines = list(_cause(error))
    lines += [f"{facts.name}: {facts.end}" for facts in daemons if facts.ended_unasked][:2]
    waits = [wait for facts in daemons for wait in facts.waits]
    lines += [f"waited in vain: {wait}" for wait in waits[:2]]
    return [*lines, executables, f"failure bundle: {bundle}"]


def section(daemons: Sequence[DaemonFacts], executables: str) -> str:
    """Tell everything that helps: of each daemon command line, end, last events and lines, waits."""
    lines = [executables]
    for facts in daemons:
        again = f", session {facts.sessions}" if facts.sessions > 1 else ""
        lines += ["", f"{facts.name} (process {facts.pid}{again}): {facts.end}"]
        lines.append(f"  command: {shlex.join(facts.command)}")
        if not facts.ready:
            lines.append("  it was never ready")
        lines += _block("waits that did not end well", [str(wait) for wait in facts.waits[-10:]])
        lines += _block("last events", facts.events) or ["  it has written no event"]
        lines += _block("last output", facts.lines)
    return "\n".join(lines)


def _block(title: str, lines: Sequence[str]) -> list[str]:
    return [f"  {title}:", *(f"    {line}" for line in lines)] if lines else []


def _cause(error: BaseException) -> Iterator[str]:
    # What ended a daemon comes first: the rest often follows from it.
    leaves = sorted(_leaves(error), key=lambda leaf: not isinstance(leaf, _ENDS))
    for leaf in leaves[:2]:
        said = f"{type(leaf).__name__}: {leaf}".rstrip(": ").splitlines() or [""]
        yield from said[: 1 if len(leaves) > 1 else CAUSE_LINES]
        if isinstance(leaf.__cause__, DaemonExited):
            yield f"because {str(leaf.__cause__).splitlines()[0]}"
    if len(leaves) > 2:
        yield f"and {len(leaves) - 2} more"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
