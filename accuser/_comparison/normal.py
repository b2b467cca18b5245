"""Values without the accidents of a run: hashes as symbols, times, places and ports left out (pure).

Two runs of one scenario write other hashes, times, ports and temporary paths. What remains when those
are taken away is equal in both, if the daemons did the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from .._mavryk import base58_patterns

Name = Callable[[str, str], str]
"""Gives a symbol, for a kind of hash (``block``) and the hash as it was written."""

# Hashes of protocols and addresses of accounts are not here: they are the same in every run.
_BASE58: Final = {
    "block": base58_patterns.BLOCK,
    "op": base58_patterns.OPERATION,
    "ops": base58_patterns.OPERATION_LISTS,
    "context": base58_patterns.CONTEXT,
    "payload": base58_patterns.PAYLOAD,
    "peer": base58_patterns.PEER,
    "chain": base58_patterns.CHAIN,
    "nonce": base58_patterns.NONCE,
    "signature": base58_patterns.SIGNATURE,
}
_HASHES: Final = "|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _BASE58.items())

_PATTERN: Final = re.compile(
    rf"(?<![0-9A-Za-z])(?:{_HASHES}|(?P<bytes>[0-9a-f]{{32,}}))(?![0-9A-Za-z])"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)"
    r"|\b[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{3}\b)"
    r"|(?P<duration>(?<![\w.])\d+(?:\.\d+)?(?:ns|us|µs|ms|s)\b)"
    r"|(?P<pid>(?<=\bpid )\d+|(?<=\bpid: )\d+)"
    r"|(?P<host>\b\d{1,3}(?:\.\d{1,3}){3}|\blocalhost|\[[0-9a-f:]+\]):(?P<port>\d{1,5})\b"
    # Not every absolute path: those of RPCs mean something.
    r"|(?P<folder>/(?:(?:private/)?(?:tmp|var)|run|home|root|Users|opt|usr|srv|mnt)/(?:[^\s/\"'?:,;]+/)*)"
)

# What they are called before the symbol, or instead of it.
_PLAIN: Final = frozenset({"time", "duration", "pid", "folder"})

# Fields of which the value is an accident whatever its form. In which round a block is baked depends
# on the rights, which are drawn by hashes; the fitness has rounds in it. How long a baker waits depends
# on when it begins to; what proves its work is found by trying.
_FIELDS: Final = frozenset(
    {
        *("timestamp", "fitness", "round", "pid", "hostname", "time_stamp"),
        *("timespan", "proof_of_work_nonce"),
    }
)


def normal_text(text: str, name: Name) -> str:
    """The text with ``<...>`` in the place of each accident, and its symbol in that of each hash."""

    def replace(match: re.Match[str]) -> str:
        kind = match.lastgroup
        assert kind is not None
        if kind in _PLAIN:
            return f"<{kind}>"
        if kind == "port":
            return f"{match['host']}:{name(kind, match['port'])}"
        return name(kind, match[0])

    return _PATTERN.sub(replace, text)


def normal_value(value: Any, name: Name, ignored: frozenset[str] = frozenset()) -> Any:
    """A JSON value, with `normal_text` for each text in it, keys too.

    Args:
        value: as decoded from JSON.
        name: gives the symbols.
        ignored: fields whose values are left out.
    """
    if isinstance(value, str):
        return normal_text(value, name)
    if isinstance(value, dict):
        return {normal_text(key, name): _field(key, content, name, ignored) for key, content in value.items()}
    if isinstance(value, list):
        return [normal_value(item, name, ignored) for item in value]
    return value


def _field(key: str, value: Any, name: Name, ignored: frozenset[str]) -> Any:
    if key in _FIELDS or key in ignored:
        return f"<{key}>"
    if isinstance(value, int) and not isinstance(value, bool) and (key == "port" or key.endswith("_port")):
        return name("port", str(value))
    return normal_value(value, name, ignored)


def as_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
