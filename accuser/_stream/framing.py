"""Cuts the bytes of a pipe into whole lines, each of bounded size."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs

MAX_ITEM: Final = 64 * 1024 * 1024
"""A line beyond this is no item of any daemon; it would only fill the memory."""

_OVERSIZED: Final = b"\0oversized\0"
"""Begins the excerpt that stands for a line beyond the limit; NUL begins no JSON text."""

STRAY: Final = b"\0stray\0"
"""Begins a line that stands for bytes which are no whole netstring; items are not looked for in it."""

EXCERPT: Final = 256
"""Bytes that are kept of what was beyond the limit."""

PEEK: Final = 4096


@attrs.define(eq=False, repr=False)
class Framer:
    """Cuts a stream into blocks of whole lines, each line at most ``max_line`` bytes long.

    Of a longer one the first bytes and the size are kept.
    """

    step: ClassVar[int] = 65536
    """Bytes that are read and fed at once, so that nobody is held up."""
    max_line: int = MAX_ITEM
    _held: bytearray = attrs.field(factory=bytearray, init=False)
    _skipped: int = attrs.field(default=0, init=False)
    """Size of the line so far, if it is beyond the limit."""

    def feed(self, data: bytes) -> bytes:
        """Take bytes; return the lines that they complete, each with its LF, or nothing."""
        end = data.rfind(b"\n") + 1
        if end == len(data) <= self.max_line and not self._held:
            return data  # as nearly always
        if end == 0:
            self._keep(data)
            return b""
        block = self._taken(data if end == len(data) else data[:end])
        if end < len(data):
            self._keep(data[end:])
        return block

    def finish(self) -> bytes:
        """Return the line that the end of the stream left without its LF, or nothing."""
        return self._taken(b"") if self._held else b""

    @property
    def pending(self) -> bytes:
        """The beginning of a line that is not complete yet, at most 4096 bytes of it."""
        return bytes(self._held[:PEEK])

    def _keep(self, data: bytes) -> None:
        if self._skipped:
            self._skipped += len(data)
            # Of a small limit the excerpt may not be full yet.
            self._held += data[: EXCERPT - len(self._held)] if len(self._held) < EXCERPT else b""
            return
        self._held += data
        if len(self._held) > self.max_line:
            self._skipped = len(self._held)
            self._held = self._held[:EXCERPT]

    def _taken(self, lines: bytes) -> bytes:
        if self._skipped:
            end, line_end, lines = lines.partition(b"\n")
            self._keep(end)
            block = oversized(self._held, self._skipped) + line_end
            self._skipped = 0
        else:
            # Nothing is held where the reads end with the lines; then the bytes are not copied.
            block, lines = b"".join((self._held, lines)) if self._held else lines, b""
        if self._held:
            self._held = bytearray()
        return self._limited(block) + self._limited(lines)

    def _limited(self, block: bytes) -> bytes:
        if len(block) <= self.max_line:
            return block
        return b"\n".join(map(self._limited_line, block.split(b"\n")))

    def _limited_line(self, line: bytes) -> bytes:
        if len(line) <= self.max_line or line.startswith(_OVERSIZED):
            return line
        return oversized(line, len(line))


def oversized(line: bytes | bytearray, size: int) -> bytes:
    """Give the line that stands for one of ``size`` bytes that begins like ``line``."""
    return b"%s%d\0%s" % (_OVERSIZED, size, line[:EXCERPT])
