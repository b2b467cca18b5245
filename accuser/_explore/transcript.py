"""The recording of an exploration, in the format of `Recording`, with the explorer's own clock."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import msgspec

from .._recording.entries import VERSION, EventLine, Exit, Head, Line, OnFile
from .._recording.entries import Start as Started
from .schedule import Step, Watcher

EXPLORER = "explorer"
"""The name under which the steps stand, as lines of standard output."""

_encode = msgspec.json.Encoder(order="deterministic").encode


@attrs.define(eq=False, repr=False)
class Transcript:
    """``now`` gives seconds since the beginning."""

    started_at: float
    now: Callable[[], float]
    _lines: list[bytes] = attrs.field(factory=list, init=False)
    _sessions: dict[str, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._write(Head(version=VERSION, started=self.started_at))
        self._sessions[EXPLORER] = 1
        t = self._time()
        self._write(
            Started(t=t, daemon=EXPLORER, session=1, kind="explorer", protocol=None, command=(), pid=0)
        )

    def _time(self) -> float:
        return round(self.now(), 6)

    def _write(self, entry: OnFile) -> None:
        self._lines.append(_encode(entry) + b"\n")

    def started(self, name: str, protocol: str, watcher: Watcher) -> None:
        """An accuser was started."""
        session = self._sessions[name] = self._sessions.get(name, 0) + 1
        kept = watcher.preserved_levels
        words = ["run", *(() if kept is None else ("--preserved-levels", str(kept)))]
        command = (*words, *(("--keep-alive",) if watcher.keep_alive else ()))
        self._write(
            Started(
                t=self._time(),
                daemon=name,
                session=session,
                kind="accuser",
                protocol=protocol,
                command=command,
                pid=0,
            )
        )

    def event(self, name: str, item: bytes) -> None:
        """It wrote an event."""
        if item:
            self._write(
                EventLine(t=self._time(), daemon=name, session=self._sessions[name], item=msgspec.Raw(item))
            )

    def ended(self, name: str, status: int | None) -> None:
        """It ended."""
        self._write(
            Exit(
                t=self._time(),
                daemon=name,
                session=self._sessions[name],
                status=0 if status is None else status,
            )
        )

    def step(self, number: int, step: Step) -> None:
        """A step is about to be done."""
        text = f"{number} {_encode(step).decode()}"
        self._write(Line(t=self._time(), daemon=EXPLORER, session=1, stream="stdout", text=text))

    def content(self) -> bytes:
        """The file."""
        return b"".join(self._lines)
