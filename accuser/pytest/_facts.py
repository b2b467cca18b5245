"""What the daemons of a recording did: its last words, not all of them (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import attrs

from .._engine.explain import short
from .._recording.entries import (
    Command,
    Entry,
    Exit,
    Failure,
    Happened,
    Head,
    Line,
    OfTest,
    Phase,
    Piece,
    Ready,
    Rpc,
    Signal,
    Start,
    Step,
    Wait,
)
from .._report import describe_status, short_command, words_of_failure
from .._stream.event import Event

LAST_EVENTS: Final = 8
LAST_LINES: Final = 12
LAST_DEEDS: Final = 20


@attrs.frozen
class OpenWait:
    """A wait that did not get what it was for."""

    daemon: str
    what: str
    where: str | None
    seconds: float
    """How long it lasted."""
    outcome: str
    """``cancelled``, ``timed out``, ``terminated`` or ``failed``."""
    ended: float = 0.0
    """In seconds since the recording began."""

    def __str__(self) -> str:
        where = f" where {self.where}" if self.where else ""
        return f"{self.daemon}: {self.what}{where}, {self.outcome} after {self.seconds:.1f} s"


@attrs.define
class DaemonFacts:
    """One daemon; of its last session where not said otherwise."""

    name: str
    kind: str = ""
    command: tuple[str, ...] = ()
    pid: int | None = None
    sessions: int = 0
    ready: bool = False
    status: int | None = None
    signals: list[str] = attrs.field(factory=list)
    """Those that we sent, in order."""
    events: deque[str] = attrs.field(factory=lambda: deque(maxlen=LAST_EVENTS))
    lines: deque[str] = attrs.field(factory=lambda: deque(maxlen=LAST_LINES))
    waits: list[OpenWait] = attrs.field(factory=list)
    """Of all its sessions."""

    @property
    def stopped_with(self) -> list[str]:
        """The signals of its stop: the last SIGTERM, and those after it."""
        if "SIGTERM" not in self.signals:
            return self.signals
        start = len(self.signals) - 1 - self.signals[::-1].index("SIGTERM")
        return self.signals[start:]

    @property
    def ended_unasked(self) -> bool:
        """Whether it ended without a signal of ours that ends a daemon."""
        return self.status is not None and not {"SIGTERM", "SIGKILL"} & set(self.signals)

    @property
    def end(self) -> str:
        """How it ended, in words."""
        if self.status is None:
            return "no exit was seen"
        how = describe_status(self.status)
        sent = [name for name in self.signals if name != "SIGCONT"]
        return f"{how}, after {', '.join(sent)} from here" if sent else f"{how}, without a signal from here"


def facts_of(entries: Iterable[Entry]) -> list[DaemonFacts]:
    """Gather the facts, the daemons in the order of their first starts."""
    daemons: dict[str, DaemonFacts] = {}
    for entry in entries:
        if isinstance(entry, Head | OfTest):
            continue
        daemon = daemons.setdefault(entry.daemon, DaemonFacts(entry.daemon))
        match entry:
            case Start(kind=kind, command=command, pid=pid):
                begun = DaemonFacts(daemon.name, kind, command, pid, daemon.sessions + 1)
                begun.waits = daemon.waits
                daemons[daemon.name] = begun
            case Ready():
                daemon.ready = True
            case Happened(event=event):
                daemon.events.append(_event(event))
            case Piece(reason=reason):
                daemon.events.append(f"malformed: {reason}")
            case Line(text=text):
                daemon.lines.append(text)
            case Signal(signal=name):
                daemon.signals.append(name)
            case Exit(status=status):
                daemon.status = status
            case Wait(outcome=outcome) if outcome != "satisfied":
                seconds = entry.t - entry.begun
                daemon.waits.append(OpenWait(daemon.name, entry.what, entry.where, seconds, outcome, entry.t))
    return list(daemons.values())


@attrs.frozen
class Deed:
    """Something that the test did."""

    t: float
    seconds: float
    what: str
    failed: bool
    said: tuple[str, ...] = ()
    """What it printed or was answered, if it failed."""

    def __str__(self) -> str:
        took = f" ({self.seconds:.3f} s)" if self.seconds else ""
        return f"{self.t:.3f} {self.what}{took}"


def cut_off(waits: Iterable[OpenWait]) -> OpenWait | None:
    """The wait that a time limit around it cut off, if there is one.

    That is the last one that was cancelled. What runs beside it is cancelled after it, for the error that
    the limit raises: of those that were waited for together, it is the first to end.
    """
    cut = sorted((wait for wait in waits if wait.outcome == "cancelled"), key=lambda wait: wait.ended)
    if not cut:
        return None
    last = cut[-1]
    together = [wait for wait in cut if last.ended - last.seconds < wait.ended > last.ended - TOGETHER]
    return together[0]


TOGETHER: Final = 0.1
"""Seconds in which all that an error cancels has ended."""


def deeds_of(entries: Iterable[Entry]) -> list[Deed]:
    """What the test did, in order; of a long story only the last."""
    deeds: deque[Deed] = deque(maxlen=LAST_DEEDS)
    for entry in entries:
        if isinstance(entry, OfTest):
            what, failed, said = _deed(entry)
            deeds.append(Deed(entry.t, entry.t - entry.begun, what, failed, said))
    return list(deeds)


def _deed(entry: Command | Rpc | Step | Phase | Failure) -> tuple[str, bool, tuple[str, ...]]:
    match entry:
        case Command(status=status):
            how = "did not end" if status is None else describe_status(status)
            said = tuple(words_of_failure(entry.stderr, entry.stdout)) if status else ()
            return f"{entry.name}: {short_command(entry.command)}: {how}", status != 0, said
        case Rpc(status=status):
            good = status is not None and 200 <= status < 300
            what = f"{entry.method} {entry.url}: {'no answer' if status is None else status}"
            return what, not good, () if good else tuple(entry.answer.splitlines()[:3])
        case Step():
            what = entry.what if entry.outcome == "noted" else f"{entry.what}: {entry.outcome}"
            return f"step {what}", entry.outcome == "failed", ()
        case Phase():
            return f"{entry.what} {entry.outcome}", entry.outcome == "failed", ()
        case Failure():
            first = f"{entry.error}: {entry.message}".rstrip(": ").split("\n", 1)[0]
            return f"failed with {first}", True, entry.place[-3:]


def _event(event: Event) -> str:
    return f"{event.name} {short(event.value)}" if event.name else short(event.value)
