"""Bytes of an event pipe in ``format=netstring`` into lines, which `decoding` turns into records.

``<length>:<item>,`` says where an item ends, so that mixtures of the items of several writers are
told from items, which lines alone cannot (recorded events ``52-four-writers``, ``53-two-writers``).
A mixture that by chance is as long as its beginning says remains unnoticed: nothing in the bytes tells.

Invariants:
1. An item counts if it is whole: digits, colon, that many bytes, of which the last is ``}``, comma,
   and no beginning of another netstring inside.
2. All bytes between items that count are malformed records, one a line.
3. The result never depends on how the bytes were cut.
4. No more than two items of ``max_line`` bytes are held; each byte is looked at a bounded number of
   times.

A beginning, ``<digits>:{"fd-sink-item.v0":``, cannot occur inside an item: within JSON strings the
quotes are escaped, and a colon follows no digit elsewhere.
"""

from __future__ import annotations

from typing import ClassVar, Final

import attrs

from .decoding import ITEM_START, is_item
from .framing import (
    EXCERPT,
    MAX_ITEM,
    PEEK,
    STRAY,
    oversized,
)

_END: Final = b"},"
_MARGIN: Final = 64
"""More than the bytes of a length, a colon and `ITEM_START`: a beginning that was cut is in these."""


@attrs.define(eq=False, repr=False)
class NetstringFramer:
    """Cuts a stream of netstrings into blocks of lines; see `Framer`, whose interface it has.

    Every item becomes a line, every stray piece a line that is marked as such.
    """

    step: ClassVar[int] = 4096
    """Bytes that are read and fed at once, so that nobody is held up: a beginning takes some 30 us."""
    max_line: int = MAX_ITEM
    _held: bytearray = attrs.field(factory=bytearray, init=False)
    """What is not decided: the bytes from the end of the last item, or stray piece, on."""
    _body: int = attrs.field(default=-1, init=False)
    """Where in these the first item begins, if its beginning was found."""
    _next: int = attrs.field(default=-1, init=False)
    """Where the one after it begins, if it was found."""
    _seen: int = attrs.field(default=0, init=False)
    """How far beginnings have been looked for."""
    _tried: int = attrs.field(default=0, init=False)
    """Lengths up to this one do not fit the first item."""
    _strayed: bool = attrs.field(default=False, init=False)
    """Whether bytes were dropped since the last item."""
    _stray: bytearray = attrs.field(factory=bytearray, init=False)
    _stray_size: int = attrs.field(default=0, init=False)

    def feed(self, data: bytes) -> bytes:
        """Take bytes; return the lines that they complete, each with its LF, or nothing."""
        self._held += data
        lines: list[bytes] = []
        while self._step(lines, final=False):
            pass
        return b"".join(lines)

    def finish(self) -> bytes:
        """Return the lines for what the end of the stream left."""
        lines: list[bytes] = []
        while self._step(lines, final=True):
            pass
        self._drop(lines, len(self._held))
        self._end_stray(lines)
        return b"".join(lines)

    @property
    def pending(self) -> bytes:
        """The beginning of what is not complete yet, at most 4096 bytes of it."""
        return bytes((self._stray + self._held[:PEEK])[:PEEK])

    def _step(self, lines: list[bytes], *, final: bool) -> bool:
        """Decide about the first beginning that is held; False if that takes more bytes."""
        if self._body < 0 and (body := self._find_beginning()) >= 0:
            self._body = body
        if self._body < 0:
            # The margin may have the first part of a beginning.
            self._drop(lines, max(0, len(self._held) - _MARGIN))
            return False
        if self._next < 0:
            self._next = self._find_beginning()
        limit = len(self._held) if self._next < 0 else self._next
        decided = final or self._next >= 0
        if whole := self._whole_length():
            if self._body + whole < limit:
                if self._ends(whole):
                    self._take(lines, whole)
                    return True
                decided = True
            elif not decided:
                return False
        for length in self._lengths():
            if self._body + length >= limit:
                break
            if length > self._tried:
                self._tried = length
                if self._ends(length) and is_item(bytes(self._held[self._body : self._body + length])):
                    self._take(lines, length)
                    return True
        else:
            decided = True
        if decided:
            self._skip(lines, final)
        return decided

    def _find_beginning(self) -> int:
        held, at = self._held, self._seen
        while (at := held.find(ITEM_START, at)) >= 0:
            self._seen = at + 1
            if at >= 2 and held[at - 2 : at - 1].isdigit() and held[at - 1] == 0x3A:
                return at
            at += 1
        self._seen = max(self._seen, len(held) - len(ITEM_START) + 1)
        return -1

    def _digits(self, body: int) -> int:
        """Where the digits before an item begin; no more than lengths have."""
        at, first = body - 1, max(0, body - 1 - len(str(self.max_line)))
        while at > first and self._held[at - 1 : at].isdigit():
            at -= 1
        return at

    def _whole_length(self) -> int:
        """The length before the first item; 0 if it may not be all of it, or is none."""
        start = self._digits(self._body)
        if self._strayed or start > 0 or self._held[:1] == b"0":
            return 0
        length = int(self._held[: self._body - 1])
        return length if length <= self.max_line else 0

    def _lengths(self) -> list[int]:
        """What the length may be, ascending: digits in front may be the end of something else."""
        colon = self._body - 1
        texts = [self._held[at:colon] for at in range(self._digits(self._body), colon)]
        return [int(text) for text in reversed(texts) if text[:1] != b"0" and int(text) <= self.max_line]

    def _ends(self, length: int) -> bool:
        end = self._body + length
        return self._held[end - 1 : end + 1] == _END and self._held.find(b"\n", self._body, end) < 0

    def _take(self, lines: list[bytes], length: int) -> None:
        """The first item has this length: give it, and what is before it."""
        self._drop(lines, self._body - 1 - len(str(length)))
        self._end_stray(lines)
        self._strayed = False
        lines.append(b"%s\n" % self._held[self._body : self._body + length])
        self._forget(self._body + length + 1)

    def _skip(self, lines: list[bytes], final: bool) -> None:
        """The first beginning is none of an item that counts."""
        if self._next >= 0:
            # Of the next length's digits the first ones may still belong here.
            self._drop(lines, self._digits(self._next))
        else:
            self._body = -1
            self._drop(lines, len(self._held) if final else max(0, len(self._held) - _MARGIN))

    def _drop(self, lines: list[bytes], size: int) -> None:
        """So many bytes are stray."""
        self._strayed = self._strayed or size > 0
        first, *others = bytes(self._held[:size]).split(b"\n")
        self._stray_goes_on(first)
        for piece in others:
            self._end_stray(lines)
            self._stray_goes_on(piece)
        self._forget(size)

    def _stray_goes_on(self, piece: bytes) -> None:
        self._stray_size += len(piece)
        if self._stray_size <= self.max_line:
            self._stray += piece
        else:
            self._stray = (self._stray[:EXCERPT] + piece[:EXCERPT])[:EXCERPT]

    def _end_stray(self, lines: list[bytes]) -> None:
        if self._stray_size > self.max_line:
            lines.append(oversized(self._stray, self._stray_size) + b"\n")
        elif self._stray.strip():
            lines.append(STRAY + self._stray + b"\n")
        self._stray, self._stray_size = bytearray(), 0

    def _forget(self, size: int) -> None:
        del self._held[:size]
        self._seen = max(0, self._seen - size)
        if self._body < size:
            self._body, self._next, self._tried = self._next, -1, 0
        self._body = max(-1, self._body - size)
        self._next = max(-1, self._next - size)
