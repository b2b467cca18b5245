"""The layouts of an event's item, byte for byte as upstream writes them.

Pure. JSON is that of ``ezjsonm``/``jsonm`` (minified, ``%.16g`` floats, ``\\u001F`` escapes); the
short layout wraps a message as OCaml's ``Format`` does at its margin of 78 columns.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from .uri import Format, Level, Section

MARGIN: Final = 78
NO_BREAK_SPACE: Final = "\N{NO-BREAK SPACE}"
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
_COLORS: Final = {Level.WARNING: "\x1b[33m", Level.ERROR: "\x1b[31m", Level.FATAL: "\x1b[31m"}


def unbreakable(text: str) -> str:
    """The text with spaces that ``wrapped`` does not break at: a parameter inside a message."""
    return text.replace(" ", NO_BREAK_SPACE)


def json_text(value: object) -> str:
    """Minified JSON of strings, numbers, booleans, None, lists and dictionaries.

    A string that is no valid UTF-8 (surrogate escapes) becomes ``{"invalid_utf8_string":[...]}``;
    infinities and not-a-number are written raw, which is not JSON: so does upstream.
    """
    match value:
        case str():
            return _string(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            return f"{value:.16g}"
        case dict():
            return "{" + ",".join(f"{_string(str(k))}:{json_text(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(json_text, value)) + "]"
        case _:
            raise TypeError(f"no JSON for {type(value).__name__}")


# Names of fields and sections, hashes and addresses come again with every event.
@lru_cache(maxsize=1024)
def _string(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            data = text.encode("utf-8", "surrogatepass")
        return json_text({"invalid_utf8_string": list(data)})
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in '"\\':
        return "\\" + character
    return "\\n" if character == "\n" else f"\\u{ord(character):04X}"


def item(
    layout: Format,
    *,
    hostname: str,
    at: float,
    section: Section,
    event: object,
    name: str,
    text: str,
    color: Level | None = None,
    verbatim: bool = False,
) -> bytes:
    """One event in that layout.

    Args:
        at: seconds since the epoch.
        event: the value of the field ``event``.
        name: the event's name, without version; only ``PP_RFC5424`` shows it.
        text: the message for people; see ``wrapped``.
        color: colour the short layout for this level.
        verbatim: the lines of ``text`` as they are.
    """
    if layout is Format.PP_SHORT:
        return _pp_short(at, text.split("\n") if verbatim else wrapped(text), color)
    if layout is Format.PP_RFC5424:
        stamp = datetime.fromtimestamp(at, UTC)
        date = f"{stamp:%Y-%m-%dT%H:%M:%S}.{stamp.microsecond // 1000:03d}-00:00"
        message = text if verbatim else _on_one_line(text)
        return _bytes(f"{date} [{'.'.join(section)}.{name}] {message}\n")
    fields = {"hostname": hostname, "time_stamp": at, "section": list(section), "event": event}
    line = _bytes(json_text({"fd-sink-item.v0": fields}))
    return line + b"\n" if layout is Format.ONE_PER_LINE else b"%d:%b," % (len(line), line)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _pp_short(at: float, lines: list[str], color: Level | None) -> bytes:
    local = time.localtime(at)
    clock = f"{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}.{int(at * 1000 % 1000):03d}"
    stamp = f"{_MONTHS[local.tm_mon - 1]} {local.tm_mday:02d} {clock}: "
    if color is None:
        return _bytes("".join(f"{stamp}{line}\n" for line in lines))
    tint = _COLORS.get(color, "")
    reset = "\x1b[0m"
    parts = []
    for index, line in enumerate(lines):
        head = f"\x1b[1m{stamp}{reset}" if index == 0 else stamp
        parts.append(f"{head}{tint}{line}{reset if tint else ''}\n")
    return _bytes("".join(parts))


def _on_one_line(text: str) -> str:
    words = text.split(" ")
    shown = [" \n" + word if "\n" in word else " " + word for word in words[1:]]
    return "".join([words[0], *shown]).replace(NO_BREAK_SPACE, " ")


def wrapped(text: str) -> list[str]:
    """The lines of a message in an ``hov 2`` box: spaces break where needed, no-break ones never.

    A word of several lines (an error) begins a line of its own.
    """
    if len(text) < MARGIN and "\n" not in text:
        return [text.replace(NO_BREAK_SPACE, " ")]
    lines = [""]
    words = text.split(" ")
    for index, word in enumerate(words):
        # A break's size includes the width of the next one, hence one column less but at the end.
        room = MARGIN - (index < len(words) - 1)
        if index == 0:
            lines[0] = word
        elif "\n" in word or len(lines[-1]) + 1 + len(word) > room:
            lines.extend("  " + line for line in word.split("\n"))
        else:
            lines[-1] += " " + word
    return [line.replace(NO_BREAK_SPACE, " ") for line in lines]
