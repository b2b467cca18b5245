"""Two recordings of one scenario, aligned (pure but for reading them).

1. What is compared goes in tracks, see `tracks`; the order within each is compared.
2. Tracks are aligned by shape, where each hash is its kind alone. What was aligned tells which hash of
   the one recording is which of the other.
3. Each such pair gets one symbol, and tracks are aligned again. So the recordings are equal if, and only
   if, each track has the same shapes and one renaming of hashes, over all tracks, makes them the same.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from .._recording.entries import Entry
from .._recording.reader import read_entries
from .align import aligned
from .partners import partners
from .tracks import CompareRules, Hash, Key, Moment, Tracks, text_of


@attrs.frozen
class Line:
    """Something that happened in one recording or in both, without the accidents of the run."""

    text: str
    a: float | None
    """When, in seconds since the first recording began; None: it is not there."""
    b: float | None
    """The same of the second recording."""

    @property
    def sign(self) -> str:
        """``-`` if only the first recording has it, ``+`` if only the second, else a blank."""
        return "-" if self.b is None else "+" if self.a is None else " "


@attrs.frozen
class Track:
    """What one part of one session of one daemon did, aligned."""

    daemon: str
    session: int
    """Counts the daemon's starts from 1."""
    part: str
    """``life``; ``stdout``, ``stderr``, ``waits``; or the section of events, ``events`` for all."""
    lines: tuple[Line, ...]

    @property
    def differences(self) -> int:
        """How many lines only one recording has."""
        return sum(line.sign != " " for line in self.lines)


@attrs.frozen
class Comparison:
    """Two recordings, track by track."""

    tracks: tuple[Track, ...]
    """By the names of the first recording."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Daemons with another name in the second recording: what they are called in the first, and there."""

    @property
    def differences(self) -> int:
        """How many lines only one recording has."""
        return sum(track.differences for track in self.tracks)

    @property
    def equal(self) -> bool:
        """Whether the recordings tell the same."""
        return self.differences == 0


def compare(a: str | Path, b: str | Path, rules: CompareRules | None = None) -> Comparison:
    """Align two recordings of a scenario; see ``docs/recording.md`` for what counts as the same.

    Args:
        a: a file that ``record=`` named.
        b: another one.
        rules: what is compared; by default events by section, and lives of processes.

    Raises:
        RecordingError: one of them is no recording.
    """
    return compare_entries(read_entries(Path(a)), read_entries(Path(b)), rules)


def compare_entries(a: Iterable[Entry], b: Iterable[Entry], rules: CompareRules | None = None) -> Comparison:
    """As `compare`, of the entries of two recordings."""
    tracks = Tracks(rules or CompareRules())
    kinds_a: dict[str, str] = {}
    kinds_b: dict[str, str] = {}
    tracks_a, tracks_b = tracks.of(a, kinds_a), tracks.of(b, kinds_b)
    names = partners(kinds_a, kinds_b)
    # One that has no partner must not get the tracks of another one that has its name.
    taken = set(names.values())
    for name in {key[0] for key in tracks_b} - names.keys():
        names[name] = f"{name} of the second" if name in taken else name
    renamed = tuple((name, other) for other, name in names.items() if name != other and name in kinds_a)
    tracks_b = {(names[key[0]], *key[1:]): _renamed(moments, renamed) for key, moments in tracks_b.items()}
    both = [(key, tracks_a.get(key, []), tracks_b.get(key, [])) for key in sorted({**tracks_a, **tracks_b})]
    symbols_a, symbols_b = _symbols(both)
    found = []
    texts: dict[str, str] = {}
    for key, one, other in both:
        said_a = [moment.said(symbols_a) for moment in one]
        said_b = [moment.said(symbols_b) for moment in other]
        lines = []
        for x, y in aligned(said_a, said_b):
            time_a = None if x is None else one[x].time
            time_b = None if y is None else other[y].time
            text = text_of(said_a[x] if x is not None else said_b[y or 0])
            lines.append(Line(texts.setdefault(text, text), time_a, time_b))
        found.append(Track(*key, tuple(lines)))
    return Comparison(tuple(found), renamed)


def _renamed(moments: list[Moment], renamed: Sequence[tuple[str, str]]) -> list[Moment]:
    """What a daemon of the second recording says, with the names of the first; pipes are called by them."""
    if not renamed:
        return moments
    names = {other: name for name, other in renamed}
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)")

    def said(moment: Moment) -> Moment:
        shape = pattern.sub(lambda match: names[match[0]], moment.shape)
        return moment if shape == moment.shape else attrs.evolve(moment, shape=shape)

    return [said(moment) for moment in moments]


def _symbols(
    both: Sequence[tuple[Key, Sequence[Moment], Sequence[Moment]]],
) -> tuple[dict[Hash, str], dict[Hash, str]]:
    """Find which hash of the one recording is which of the other; name them as they first appear.

    Where alignments disagree, what most of them say counts: an entry that is in one recording only
    may have been aligned wrongly, among others of its shape.
    """
    alike: list[tuple[Moment, Moment]] = []
    for _, one, other in both:
        for x, y in aligned([moment.shape for moment in one], [moment.shape for moment in other]):
            if x is not None and y is not None and one[x].hashes:
                alike.append((one[x], other[y]))
    pairs: Counter[tuple[Hash, Hash]] = Counter()
    for a, b in sorted(alike, key=lambda pair: pair[0].time):
        pairs.update(zip(a.hashes, b.hashes, strict=True))
    partners: tuple[dict[Hash, Hash], dict[Hash, Hash]] = {}, {}
    for (one_hash, other_hash), _ in pairs.most_common():
        if one_hash not in partners[0] and other_hash not in partners[1]:
            partners[0][one_hash], partners[1][other_hash] = other_hash, one_hash
    symbols: tuple[dict[Hash, str], dict[Hash, str]] = {}, {}
    counts: Counter[str] = Counter()
    for side in (0, 1):
        moments = [moment for tracks in both for moment in (tracks[1], tracks[2])[side] if moment.hashes]
        for moment in sorted(moments, key=operator.attrgetter("time")):
            for found in moment.hashes:
                if found not in symbols[side]:
                    counts[found[0]] += 1
                    symbol = symbols[side][found] = f"{found[0]}#{counts[found[0]]}"
                    if found in partners[side]:
                        symbols[1 - side][partners[side][found]] = symbol
    return symbols
