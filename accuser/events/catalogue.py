"""Which events there are: by class, by daemon and by name."""

from __future__ import annotations

import difflib
import functools
from typing import Final

from .._mavryk.protocol import Protocol
from . import of_accusers, of_nodes
from .of_accusers import BlockSeen
from .typed import PLACE, TypedEvent

CLASSES: Final[tuple[type[TypedEvent], ...]] = tuple(
    value
    for module in (of_accusers, of_nodes)
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, TypedEvent) and value.NAME
)
"""The classes of all events that are known, in the order of their modules."""


@functools.cache
def catalogue(kind: str, protocol: Protocol | None) -> frozenset[str]:
    """The names of events that a daemon of this kind can emit; empty for a kind that is not known.

    Of the accuser it is all of them; nodes emit many more than upstream's tests use.
    """
    if kind not in ("accuser", "node"):
        return frozenset()
    protocols = list(Protocol) if protocol is None else [protocol]
    classes = [cls for cls in CLASSES if cls.KIND in (kind, "any")]
    return frozenset(cls.event_name(one) for cls in classes for one in protocols)


@functools.cache
def find(name: str) -> type[TypedEvent] | None:
    """Give the class of an event's name, of whatever protocol; None if it has none."""
    for cls in CLASSES:
        if name in {cls.event_name(protocol) for protocol in Protocol}:
            return cls
    return None


def suggest(name: str, known: frozenset[str]) -> tuple[str, ...]:
    """Give up to three known names that may have been meant, the likeliest first."""
    if f"{name}.v0" in known:
        return (f"{name}.v0",)
    # The names of protocols differ by more than a slip of the pen.
    stem = BlockSeen.NAME.partition("-" + PLACE)[0]
    if name.startswith(stem):
        return tuple(sorted(one for one in known if one.startswith(stem)))
    return tuple(difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.8))
