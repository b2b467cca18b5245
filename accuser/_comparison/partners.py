"""Which daemon of one recording is which of another one, by names, roles and order (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping


def partners(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, str]:
    """The names in the first recording of daemons of the second.

    Names that were given are kept, and so are all names of a kind that are the same in both. Others have
    numbers that go on in one process (``node1``, ``node3``): the first node of the one recording is the
    first of the other, and so on.

    Args:
        a: the kind of each daemon of the first recording, by its name, in the order of their starts.
        b: the same of the second one.
    """
    found: dict[str, str] = {}
    for kind in dict.fromkeys(b.values()):
        ours, theirs = ([name for name, of in names.items() if of == kind] for names in (a, b))
        same = set(ours) == set(theirs)
        kept = [name for name in theirs if name in ours and (same or not _is_counted(name, kind))]
        found.update((name, name) for name in kept)
        ours, theirs = ([name for name in names if name not in kept] for names in (ours, theirs))
        found.update(zip(theirs, ours, strict=False))
    return found


def _is_counted(name: str, kind: str) -> bool:
    return re.fullmatch(rf"{re.escape(kind)}[0-9]+", name) is not None
