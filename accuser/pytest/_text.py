"""What reports say about the daemons of a test (pure)."""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Iterator, Sequence
from typing import Final

import trio

from .._errors import (
    CommandFailed,
    DaemonExited,
    EventTimeout,
    HandlerFailed,
    MalformedEvent,
    PortTaken,
    RunnerError,
    TerminatedBeforeEvent,
)
from .._text import printable, secrets
from .._unwrap import leaves_of
from ._facts import DaemonFacts, Deed, OpenWait, cut_off
from ._frames import is_engine

CAUSE_LINES: Final = 5
"""A cause, and all the rest of a summary, fits in ten lines."""
WORDS: Final = 3
"""Last lines of a daemon that ended."""

_ENDS: Final = (DaemonExited, HandlerFailed, MalformedEvent, RunnerError)


def summary(
    error: BaseException,
    daemons: Sequence[DaemonFacts],
    executables: str,
    bundle: str,
    never_awaited: Sequence[str] = (),
) -> list[str]:
    """Give ten lines at the most: what failed first, then which daemons, which waits, where more is."""
    waits = [wait for facts in daemons for wait in facts.waits]
    lines = [f"{one} was never awaited: await it" for one in never_awaited[:1]]
    lines += _cause(error, waits)
    lines += [f"{facts.name}: {facts.end}" for facts in daemons if facts.ended_unasked][:2]
    told = "\n".join(lines)
    lines += [f"waited in vain: {wait}" for wait in waits if wait.what not in told][:2]
    return [*lines[:8], executables, f"failure bundle: {bundle}"]


def in_full(error: BaseException) -> list[str]:
    """An error that came from no code of the test; of a group each, with the places that led to it."""
    leaves = _sorted_leaves(error)
    if len(leaves) == 1:
        return f"{type(leaves[0]).__name__}: {leaves[0]}".splitlines()[:FULL]
    lines = []
    for number, leaf in enumerate(leaves[:LEAVES], 1):
        lines.append(f"error {number} of {len(leaves)}, {type(leaf).__name__}:")
        lines += [f"  {line}" for line in list(_said(leaf, ()))[:4]]
        frames = traceback.extract_tb(leaf.__traceback__)
        seen = [frame for frame in frames if not is_engine(frame.filename)][-2:]
        lines += [f"  at {frame.filename}:{frame.lineno}: {frame.line}" for frame in seen]
    return lines


LEAVES: Final = 4
FULL: Final = 15
"""Lines of an error."""


def headline(error: BaseException, daemons: Sequence[DaemonFacts] = ()) -> str:
    """One line that begins with what decides: the event, not the class of the error."""
    leaf = _sorted_leaves(error)[0]
    waits = [wait for facts in daemons for wait in facts.waits]
    match leaf:
        case EventTimeout():
            return f"no {leaf.event} within {leaf.seconds:g} s: {leaf.daemon}"
        case TerminatedBeforeEvent():
            return f"no {leaf.event}: {leaf.daemon} ended before"
        case CommandFailed():
            first, *said = str(leaf).splitlines()
            return f"{' '.join(line.strip() for line in said[:2])}: {first}"
        case trio.TooSlowError() if (cut := cut_off(waits)) is not None:
            return f"{cut.what} was cut off: {cut.daemon}, by trio.fail_after"
        case PortTaken():
            pass
        case DaemonExited():
            return " ".join(line.strip() for line in [leaf.headline, *leaf.tail[-1:]])
    return " ".join(line.strip() for line in list(_said(leaf, waits))[:3])


def story(deeds: Sequence[Deed]) -> str:
    """Tell what the test did, in order; what failed with what was said."""
    lines = ["what the test did, in seconds since the recording began:"] if deeds else []
    for deed in deeds:
        lines += [f"  {deed}", *(f"      {line}" for line in deed.said)]
    return "\n".join(lines)


def overview(deeds: Sequence[Deed], daemons: Sequence[DaemonFacts]) -> str:
    """The last things that the test did, and how each daemon ended: a few lines."""
    done = [deed for deed in deeds if not deed.what.startswith(("setup ", "call ", "teardown "))]
    lines = [_shortened(str(deed)) for deed in done[-OVERVIEW:]]
    lines += [_shortened(f"{facts.name} (process {facts.pid}): {facts.end}") for facts in daemons[:OVERVIEW]]
    return "\n".join([*lines, "report.txt in the bundle, or -vv, has the rest"])


OVERVIEW: Final = 5
WIDTH: Final = 160


def _shortened(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


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


def _sorted_leaves(error: BaseException) -> list[BaseException]:
    # What ended a daemon comes first: the rest often follows from it. Others are in the order of time.
    return sorted(leaves_of(error), key=lambda leaf: not isinstance(leaf, _ENDS))


def _cause(error: BaseException, waits: Sequence[OpenWait]) -> Iterator[str]:
    leaves = _sorted_leaves(error)
    said = list(_said(leaves[0], waits))
    if len(leaves) == 1:
        yield from said[:CAUSE_LINES]
        return
    first = "failed first: " if not isinstance(leaves[0], _ENDS) else ""
    yield f"{first}{said[0]}"
    yield from said[1:3]
    yield f"then {next(_said(leaves[1], ()))}"
    if len(leaves) > 2:
        yield f"and {len(leaves) - 2} more"


def _said(leaf: BaseException, waits: Sequence[OpenWait]) -> Iterator[str]:
    name = type(leaf).__name__
    match leaf:
        case PortTaken():
            yield f"{name}: {leaf}"
        case DaemonExited():
            yield f"{name}: {leaf.headline}"
            yield from (f"  {secrets.hide(printable(line))}" for line in leaf.tail[-WORDS:] if line.strip())
        case EventTimeout() | TerminatedBeforeEvent():
            yield f"{name}: {leaf}"
            if isinstance(leaf.__cause__, DaemonExited):
                yield from _because(leaf.__cause__)
            if leaf.report is not None:
                yield from leaf.report.decisive(leaf.event)
            else:
                yield from (
                    line for note in getattr(leaf, "__notes__", ())[:1] for line in note.splitlines()[:2]
                )
        case trio.TooSlowError():
            if (cut := cut_off(waits)) is not None:
                yield f"{name}: trio.fail_after cut off the wait of {cut}"
            else:
                yield f"{name}: the time of trio.fail_after was over"
        case _:
            lines = f"{name}: {leaf}".rstrip(": ").splitlines() or [name]
            yield from lines
            if isinstance(leaf.__cause__, DaemonExited):
                yield from _because(leaf.__cause__)


def _because(end: DaemonExited) -> Iterator[str]:
    yield f"because {end.headline}"
    yield from (f"  {secrets.hide(printable(line))}" for line in end.tail[-1:] if line.strip())
