"""What is compared of a recording: for each part of each session what it did, in order (pure).

The order between parts is that of processes, and of workers in a process, that run at the same time:
it says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypeVar

import attrs

from .._recording.entries import (
    Entry,
    Exit,
    Happened,
    Head,
    Line,
    OfDaemon,
    OfTest,
    Piece,
    Ready,
    Restart,
    Signal,
    Start,
    Wait,
)
from .._stream.event import Event
from ..events import find
from .normal import (
    Name,
    as_text,
    normal_text,
    normal_value,
)

T = TypeVar("T")

Order = Literal["section", "session"]
"""Within what the order of events is compared; see `CompareRules`."""

LEVELS: Final = ("debug", "info", "notice", "warning", "error", "fatal")


@attrs.frozen(kw_only=True)
class CompareRules:
    """What is compared, and what is passed over."""

    order: Order = "section"
    """``section``: the order of events of one section; sections are workers that run side by side.
    ``session``: the order of all events of a session."""
    apart: tuple[str, ...] = ()
    """Events that have no order with others, only among those of their own name: names or patterns."""
    ignore_events: tuple[str, ...] = ()
    """Names of events, or patterns as in ``request_*``."""
    ignore_levels: frozenset[str] = frozenset()
    """Levels as upstream declares them (`accuser.events`), since items do not tell theirs. An event
    that is not declared there has none."""
    ignore_sections: tuple[str, ...] = ()
    """Sections, each with those below it, as in ``validator.chain``; or patterns."""
    ignore_fields: frozenset[str] = frozenset()
    """Fields anywhere in an event, whose values may differ."""
    lines: bool = False
    """Whether lines of output are compared."""
    waits: bool = False
    """Whether waits are compared, in the order in which they ended."""


Key = tuple[str, int, str]
"""Of a track: daemon, session and part."""
Hash = tuple[str, str]
"""Its kind, and how it was written."""
Said = tuple[str, tuple[str, ...]]
"""A shape, and apart from it the symbols in it, since a daemon may well print ``block#1`` itself."""

# What stands around the kind and the number of a hash in a shape. Where daemons write it themselves,
# it is doubled.
_MARK: Final = "\ufdd0"
_PLACE: Final = re.compile(f"{_MARK}([^{_MARK}]+){_MARK}([0-9]+){_MARK}|{_MARK}{_MARK}")


@attrs.frozen
class Moment:
    """One entry of a track; without its value, since very many are held at once."""

    time: float
    shape: str
    """Its text, with the kind of a hash and its number in `hashes` in the place of each."""
    hashes: tuple[Hash, ...]
    """In the order of the text."""

    def said(self, symbols: Mapping[Hash, str]) -> Said:
        """With the symbols of its hashes."""
        return self.shape, tuple([symbols[found] for found in self.hashes])


def text_of(said: Said) -> str:
    """The text of a moment for people."""
    shape, symbols = said
    return _PLACE.sub(lambda place: symbols[int(place[2])] if place[1] else _MARK, shape)


@attrs.define
class Tracks:
    """Sorts entries into tracks; equal texts are held once over all that is given."""

    rules: CompareRules
    _known: dict[Any, Any] = attrs.field(factory=dict, init=False)

    def of(self, entries: Iterable[Entry], kinds: dict[str, str] | None = None) -> dict[Key, list[Moment]]:
        """The entries of a recording in tracks: what each part of each session did, in order.

        Args:
            entries: those of the recording.
            kinds: gets the kind of each daemon, by its name, in the order of the first starts.
        """
        tracks: dict[Key, list[Moment]] = {}
        for entry in entries:
            # What a test did is not what its daemons did.
            if isinstance(entry, Head | OfTest):
                continue
            if kinds is not None and isinstance(entry, Start):
                kinds.setdefault(entry.daemon, entry.kind)
            for part, label, value in _parts(entry, self.rules):
                moment = self._moment(entry.t, label, value)
                tracks.setdefault((entry.daemon, entry.session, part), []).append(moment)
        return tracks

    def _moment(self, time: float, label: str, value: Any) -> Moment:
        hashes: list[Hash] = []

        def name(kind: str, text: str) -> str:
            # Numbered, so that two hashes that are keys of one object remain two keys.
            hashes.append(self._once((kind, text)))
            return f"{_MARK}{kind}{_MARK}{len(hashes) - 1}{_MARK}"

        text = _text(label, value, name, self.rules.ignore_fields)
        return Moment(time, self._once(text), tuple(hashes))

    def _once(self, value: T) -> T:
        known: T = self._known.setdefault(value, value)
        return known


def _text(label: str, value: Any, name: Name, ignored: frozenset[str]) -> str:
    text = normal_text(label.replace(_MARK, _MARK * 2), name)
    if value is None:
        return text
    if _MARK in as_text(value):
        value = _doubled(value)
    return f"{text} {as_text(normal_value(value, name, ignored))}"


def _doubled(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(_MARK, _MARK * 2)
    if isinstance(value, dict):
        return {_doubled(key): _doubled(content) for key, content in value.items()}
    return [_doubled(item) for item in value] if isinstance(value, list) else value


def _parts(entry: OfDaemon, rules: CompareRules) -> Iterator[tuple[str, str, Any]]:
    match entry:
        case Happened(event=event):
            yield from _event(event, rules)
        case Piece(reason=reason):
            yield "events" if rules.order == "session" else "malformed", "malformed", reason
        case Start(kind=kind, protocol=protocol):
            yield "life", "start", {"kind": kind, "protocol": protocol}
        case Ready():
            yield "life", "ready", None
        case Signal(signal=name):
            yield "life", "signal", name
        case Restart(status=status, attempt=attempt):
            yield "life", "restart", {"status": status, "attempt": attempt}
        case Exit(status=status):
            yield "life", "exit", status
        case Line(stream=stream, text=text) if rules.lines:
            yield stream, text, None
        case Wait(what=what, where=where, outcome=outcome) if rules.waits:
            yield "waits", what, {**({} if where is None else {"where": where}), "outcome": outcome}


def _event(event: Event, rules: CompareRules) -> Iterator[tuple[str, str, Any]]:
    name, value, section = event.name or "event", event.value, ".".join(event.section)
    if _matches(name, rules.ignore_events) or any(
        section == ignored or section.startswith(f"{ignored}.") or fnmatchcase(section, ignored)
        for ignored in rules.ignore_sections
    ):
        return
    if rules.ignore_levels:
        declared = find(name)
        if declared is not None and declared.LEVEL in rules.ignore_levels:
            return
    if _matches(name, rules.apart):
        yield name, name, value
    elif rules.order == "session":
        yield "events", name, value
    else:
        yield section or "(no section)", name, value


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
