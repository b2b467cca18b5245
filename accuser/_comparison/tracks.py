"""What is compared of a recording: for each part of each session what it did, in order (pure).

The order between parts is that of processes, and of workers in a process, that run at the same time:
it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import attrs

from ..events import find
from .normal import (
    Name,
    as_text,
    normal_text,
    normal_value,
)

Entry = Mapping[str, Any]
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
"""A text, and apart from it the symbols in it, since a daemon may well print ``block#1`` itself."""


@attrs.frozen
class Moment:
    """One entry of a track."""

    time: float
    shape: Said
    """With each hash as its kind alone."""
    hashes: tuple[Hash, ...]
    """In the order of the text."""
    _label: str
    _value: Any
    _ignored: frozenset[str]

    @classmethod
    def of(cls, time: float, label: str, value: Any, ignored: frozenset[str]) -> Moment:
        """Make one; ``value`` is None for a label alone."""
        hashes: list[Hash] = []

        def name(kind: str, text: str) -> str:
            hashes.append((kind, text))
            return f"<{kind}>"

        text = _text(label, value, name, ignored)
        shape = (text, tuple(f"<{kind}>" for kind, _ in hashes))
        return cls(time, shape, tuple(hashes), label, value, ignored)

    def said(self, symbols: Mapping[Hash, str]) -> Said:
        """With the symbols of its hashes."""
        if not self.hashes:
            return self.shape
        text = _text(self._label, self._value, lambda kind, text: symbols[kind, text], self._ignored)
        return text, tuple(symbols[found] for found in self.hashes)


def _text(label: str, value: Any, name: Name, ignored: frozenset[str]) -> str:
    text = normal_text(label, name)
    return text if value is None else f"{text} {as_text(normal_value(value, name, ignored))}"


def tracks_of(entries: Sequence[Entry], rules: CompareRules) -> dict[Key, list[Moment]]:
    """The entries of a recording in tracks: what each part of each session did, in order."""
    tracks: dict[Key, list[Moment]] = {}
    for entry in entries:
        for part, label, value in _parts(entry, rules):
            key = (entry["daemon"], entry["session"], part)
            moment = Moment.of(entry["t"], label, value, rules.ignore_fields)
            tracks.setdefault(key, []).append(moment)
    return tracks


def _parts(entry: Entry, rules: CompareRules) -> Iterator[tuple[str, str, Any]]:
    match entry["type"]:
        case "event":
            yield from _event(entry["item"]["fd-sink-item.v0"], rules)
        case "malformed":
            yield "events" if rules.order == "session" else "malformed", "malformed", entry["reason"]
        case "start":
            yield "life", "start", {"kind": entry["kind"], "protocol": entry["protocol"]}
        case "ready":
            yield "life", "ready", None
        case "signal":
            yield "life", "signal", entry["signal"]
        case "restart":
            yield "life", "restart", {"status": entry["status"], "attempt": entry["attempt"]}
        case "exit":
            yield "life", "exit", entry["status"]
        case "line" if rules.lines:
            yield entry["stream"], entry["text"], None
        case "wait" if rules.waits:
            where = {} if entry["where"] is None else {"where": entry["where"]}
            yield "waits", entry["what"], {**where, "outcome": entry["outcome"]}


def _event(item: Mapping[str, Any], rules: CompareRules) -> Iterator[tuple[str, str, Any]]:
    payload, section = item["event"], ".".join(item["section"])
    single = isinstance(payload, dict) and len(payload) == 1
    name, value = next(iter(payload.items())) if single else ("event", payload)
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
