"""Failures of the system and of JSON, in the words of the OCaml libraries that upstream's client uses."""

from __future__ import annotations

import errno
import json
import re

_CLOSERS = {"[": "array", "{": "object"}


def unix_error(error: OSError, call: str, argument: str = "") -> str:
    """A failure of a system call as ``Printexc`` writes it."""
    name = errno.errorcode.get(error.errno or 0, f"EUNKNOWNERR {error.errno}")
    return f'Unix.Unix_error(Unix.{name}, "{call}", "{argument}")'


def cannot_read(error: OSError | ValueError, path: str) -> str:
    """What the client says of a file that it cannot read."""
    if not isinstance(error, OSError):
        return f"cannot read file ({error})"
    # A directory can be opened, but not read.
    where = ("read", "") if error.errno == errno.EISDIR else ("open", path)
    return f"cannot read file ({unix_error(error, *where)})"


def json_error(error: json.JSONDecodeError) -> str:
    """Why a text is no JSON, in the words of ``jsonm`` where these are known."""
    rest = error.doc[error.pos :]
    if literal := re.match(r"[A-Za-z]+", rest):
        return f"JSON.of_buffer illegal literal ({literal[0]})"
    if error.msg.startswith("Unterminated string"):
        return "JSON.of_buffer unclosed string"
    if not rest.strip() and (open_ones := _unclosed(error.doc)):
        return f"JSON.of_buffer unclosed {_CLOSERS[open_ones[-1]]}"
    return f"JSON.of_buffer {error.msg[:1].lower()}{error.msg[1:]}"


def _unclosed(text: str) -> list[str]:
    stack: list[str] = []
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', '""', text):
        if character in _CLOSERS:
            stack.append(character)
        elif character in "]}" and stack:
            stack.pop()
    return stack
