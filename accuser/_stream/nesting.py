"""How deeply JSON may be nested: a limit of ours, since that of the interpreter differs. Pure.

Python 3.11 takes some hundred levels less than 1,000, depending on who calls; 3.13 takes ten thousand.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

MAX_DEPTH: Final = 256
"""Levels of arrays and objects of a JSON text, itself counted; items of daemons have some twenty. Under
this, what walks over values by recursion has room on every Python."""

MAX_MARKS: Final = 65536
"""Quotes, brackets, commas, colons and backslashes of an item: what it costs to decode is in these. Items of
daemons have some thousands, in long strings hardly any."""

_NO_MARK: Final = bytes(set(range(256)) - set(b'[]{},:"\\'))
_WINDOW: Final = 65536
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NO_OPENING: Final = bytes(set(range(256)) - set(b"[{"))
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[{]}"))
_STEPS: Final = tuple(1 if byte in b"[{" else -1 for byte in range(256))


def too_costly(text: bytes) -> bool:
    """Whether a piece has more than `MAX_MARKS` marks, for which nobody is to be held up."""
    if len(text) <= MAX_MARKS:
        return False
    marks = 0
    for start in range(0, len(text), _WINDOW):
        marks += len(text[start : start + _WINDOW].translate(None, _NO_MARK))
        if marks > MAX_MARKS:
            return True
    return False


def too_deep(text: bytes) -> bool:
    """Whether a JSON text, or a piece of one, has more than `MAX_DEPTH` levels.

    What is no JSON has the levels that it would have if more of it followed.
    """
    if len(text) <= MAX_DEPTH or (_few_openings(text[:_WINDOW]) and _few_openings(text)):
        return False
    depth = position = 0
    while position < len(text):
        window = _STRING.sub(b"", text[position : position + _WINDOW])
        position += _WINDOW
        if (quote := window.find(b'"')) >= 0 and position < len(text):
            # A string goes on behind the window: all that follows its quote is as it was in the text.
            position -= len(window) - quote
            window = window[:quote]
            if not window and (string := _STRING.match(text, position)):
                position = string.end()
            elif not window:
                return False
        elif quote >= 0:
            window = window[:quote]
        brackets = window.translate(None, _NO_BRACKET)
        if brackets:
            depths = list(accumulate(map(_STEPS.__getitem__, brackets), initial=depth))
            if max(depths) > MAX_DEPTH:
                return True
            depth = depths[-1]
    return False


def _few_openings(text: bytes) -> bool:
    return len(text.translate(None, _NO_OPENING)) <= MAX_DEPTH
