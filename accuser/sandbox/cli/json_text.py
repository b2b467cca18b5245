"""JSON as upstream's client prints it: fields and items fill lines of 78 columns.

Follows ``Json_repr.pp``: objects and arrays are boxes indented by 2, in which a line is broken only
before what does not fit any more (OCaml's ``Format``, hov boxes). Something fits if a column stays
free behind it: ``Format`` decides before it sees that nothing more comes. What is measured ends with
the comma between members, with the closing bracket, or with the value of a field, whose comma thus
may take the last column.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

MARGIN: Final = 78
MAX_INDENT: Final = MARGIN - 10


def pretty(value: object, *, column: int = 0) -> str:
    """The text of a decoded JSON value, without a newline at its end.

    Args:
        value: as ``json.loads`` gives it.
        column: where the text begins; it is not indented itself, its further lines are.
    """
    printer = _Printer(column)
    widths: _Widths = {}
    printer.value(value, _width(value, widths), widths)
    return "".join(printer.parts)


_Widths = dict[int, int]
"""Widths of objects and arrays by identity, so that each is measured once."""


class _Printer:
    def __init__(self, column: int) -> None:
        self.parts: list[str] = []
        self._column = column

    def value(self, value: object, width: int, widths: _Widths) -> None:
        if not isinstance(value, dict | list) or not value:
            self._text(_leaf(value))
            return
        fits, indent = self._open(width)
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        self._text(f"{opening} ")
        last = len(value) - 1
        for index, (name, member) in enumerate(_members(value)):
            inner = _member_width(name, member, widths)
            if index:
                self._text(",")
                self._break(1 + inner + (2 if index == last else 1), fits, indent)
            if name is None:
                self.value(member, inner, widths)
            else:
                self._field(name, member, inner, widths)
        self._text(f" {closing}")

    def _field(self, name: str, member: object, width: int, widths: _Widths) -> None:
        fits, indent = self._open(width)
        self._text(f"{_string(name)}:")
        inner = _member_width(None, member, widths)
        self._break(1 + inner, fits, indent)
        self.value(member, inner, widths)

    def _open(self, width: int) -> tuple[bool, int]:
        if self._column > MAX_INDENT:
            self._newline(MAX_INDENT)
        return width < MARGIN - self._column, self._column + 2

    def _break(self, size: int, fits: bool, indent: int) -> None:
        if fits or size < MARGIN - self._column:
            self._text(" ")
        else:
            self._newline(min(indent, MAX_INDENT))

    def _newline(self, indent: int) -> None:
        self.parts.append("\n" + " " * indent)
        self._column = indent

    def _text(self, text: str) -> None:
        self.parts.append(text)
        self._column += _size(text)


def _members(value: dict[str, object] | list[object]) -> Iterator[tuple[str | None, object]]:
    if isinstance(value, dict):
        yield from value.items()
    else:
        for item in value:
            yield None, item


def _width(value: object, widths: _Widths) -> int:
    """Bytes of a value on one line; those of objects and arrays are kept in ``widths``."""
    if not isinstance(value, dict | list) or not value:
        return _size(_leaf(value))
    width = 4 + 2 * (len(value) - 1)
    for name, member in _members(value):
        width += _width(member, widths) + (0 if name is None else _size(_string(name)) + 2)
    widths[id(value)] = width
    return width


def _member_width(name: str | None, member: object, widths: _Widths) -> int:
    known = widths.get(id(member))
    width = _width(member, widths) if known is None else known
    return width + (0 if name is None else _size(_string(name)) + 2)


def _leaf(value: object) -> str:
    if isinstance(value, str):
        return _string(value)
    if type(value) is int:
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.0f}" if value.is_integer() else f"{value:g}"
    return json.dumps(value)


# Files of marks and answers have the same few names and addresses again and again.
@lru_cache(maxsize=512)
def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
