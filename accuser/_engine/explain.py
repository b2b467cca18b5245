"""Why a wait failed: what did happen, from the history of its session."""

from __future__ import annotations

import json
from typing import Any, Final

from .._report import WaitReport
from .._stream.event import Event, Malformed, Record
from .._stream.history import History
from .._stream.watch import Watch, converted
from .transcript import Transcript

MISSES: Final = 3
LAST_EVENTS: Final = 8
LOOKED_AT: Final = 50
VALUE_LENGTH: Final = 200


def explain(
    session: Transcript, history: History[Any], watch: Watch[Any], start: int, begun: int
) -> WaitReport:
    """Look at what has come last, for a wait from the index ``start`` on.

    ``begun`` is where the whole began of which it is a step: what is between is of neither side.
    """
    before: list[Any] = []
    since: list[Any] = []
    # The newest part alone: a thousand waits may fail at once, and each explains itself.
    for index, record in history.read(history.hot_index):
        named = history.name_of is None or history.name_of(record) in watch.names
        if named and not isinstance(record, Malformed):
            if index < begun:
                before.append(record)
            elif index >= start:
                since.append(record)
    return WaitReport(
        state=session.state.value,
        pid=session.pid,
        status=session.status,
        seen=watch.seen,
        misses=tuple(_shown(record) for record in since[-MISSES:]),
        before=len(before),
        taken_before=_taken(watch, before[-LOOKED_AT:]),
        last_events=_last_events(session.events),
        last_lines=session.tail(),
        filtered=watch.filter is not None,
        taken=len(watch.taken),
        malformed=session.malformed,
    )


def _taken(watch: Watch[Any], records: list[Any]) -> str | None:
    # A filter with a memory would be led astray by the question.
    if not watch.memoryless:
        return None
    return next((_shown(record) for record in reversed(records) if _takes(watch, record)), None)


def _last_events(events: History[Record]) -> tuple[str, ...]:
    start = max(events.hot_index, events.next_index - LAST_EVENTS)
    return tuple(
        f"{record.name or '(no name)'} {_shown(record)}"
        for _, record in events.read(start)
        if isinstance(record, Event)
    )


def _shown(record: Any) -> str:
    return short(record.value if isinstance(record, Event) else record)


def _takes(watch: Watch[Any], record: Any) -> bool:
    try:
        (item,) = converted(watch.convert, (record,))
        return watch.filter is None or watch.filter(item) is not None
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: ASYNC103 - of a plain function
        # The filter is asked for the sake of the message alone, and may not be made for this.
        return False  # noqa: ASYNC104 - as above


def short(value: object) -> str:
    """Write a value as JSON, cut."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_LENGTH else text[:VALUE_LENGTH] + "..."


def status_report(session: Transcript) -> WaitReport:
    """Report for a wait that looked for no event of a name."""
    nothing: Watch[Any] = Watch(frozenset(), lambda record: record, None, 1, "")
    return explain(session, session.events, nothing, 0, 0)
