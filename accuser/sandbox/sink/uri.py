"""The URIs of event sinks: which events a sink takes, in which format, and where to.

Pure: nothing is opened here. Follows ``src/lib_base/unix/file_descriptor_sink.ml`` and the
``uri`` library: the path stays percent-encoded, in normal form.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import attrs


class Level(enum.IntEnum):
    """Levels of events, ordered."""

    DEBUG = 0
    INFO = 1
    NOTICE = 2
    WARNING = 3
    ERROR = 4
    FATAL = 5

    @classmethod
    def parse(cls, text: str) -> Level | None:
        """The level of that name, in any case; None if there is none."""
        return cls.__members__.get(text.upper()) if text.isascii() else None


class Format(enum.Enum):
    """Layouts of an item."""

    ONE_PER_LINE = "one-per-line"
    NETSTRING = "netstring"
    PP_SHORT = "pp-short"
    PP_RFC5424 = "pp-rfc5424"


class Target(enum.Enum):
    """Where a sink writes."""

    PATH = "file-descriptor-path"
    STDOUT = "file-descriptor-stdout"
    STDERR = "file-descriptor-stderr"


class SinkUriError(ValueError):
    """A URI that names no sink, or names it wrongly; ``str()`` is upstream's message."""


class UnknownScheme(SinkUriError):
    """A URI whose scheme is that of no sink; empty if it has none."""

    def __init__(self, uri: str, scheme: str) -> None:
        self.uri: Final = uri
        self.scheme: Final = scheme
        reason = "URI scheme not registered" if scheme else "Missing URI scheme"
        super().__init__(f'Internal Event Sink: Wrong Activation URI: {reason} "{uri}"')


SECTION_CHARACTERS: Final = re.compile(r"[^0-9A-Za-z@_+=~-]")
_INTEGER: Final = re.compile(r"-?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:0[uU])?[0-9][0-9_]*)")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_SAFE_IN_SEGMENT: Final = "!$&'()*+,;=:@-._~"
_ALIASES: Final = {"pp": "pp-rfc5424"}

Section = tuple[str, ...]


def sanitized(section: Iterable[str]) -> Section:
    """The section with ``_`` for each character that upstream forbids in a component."""
    return tuple(SECTION_CHARACTERS.sub("_", component) for component in section)


@attrs.frozen
class SinkUri:
    """What a sink's URI asks for."""

    text: str
    target: Target
    path: str = ""
    rules: tuple[tuple[Section, Level | None], ...] = ()
    """First entry whose section is a prefix of the event's decides; None drops the event."""
    default: Level = Level.INFO
    """Decides where no rule matches."""
    format: Format = Format.ONE_PER_LINE
    colors: bool = False
    fresh: bool = False
    with_pid: bool = False
    create_dirs: bool = False
    mode: int = 0o600
    daily_logs: int | None = None

    def takes(self, section: Section, level: Level) -> bool:
        """Whether an event of that section (sanitized) and level goes into this sink."""
        for prefix, threshold in self.rules:
            if section[: len(prefix)] == prefix:
                return threshold is not None and level >= threshold
        return level >= self.default


def scheme(text: str) -> str | None:
    """The scheme of a URI, or None for a bare path."""
    found = _SCHEME.match(text)
    return found and found[1]


def path_of(text: str) -> str:
    """The path of a URI, percent-encoded in normal form (``%2B`` is ``+``, ``é`` is ``%C3%A9``)."""
    found = _SCHEME.match(text)
    rest = text[found.end() :] if found else text
    rest = rest.partition("#")[0].partition("?")[0]
    if rest.startswith("//"):
        rest = "/" + rest[2:].partition("/")[2] if "/" in rest[2:] else ""
    segments = rest.split("/")
    return "/".join(quote(unquote_to_bytes(segment), safe=_SAFE_IN_SEGMENT) for segment in segments)


def parse(text: str) -> SinkUri:
    """Read the URI of a sink.

    Raises:
        SinkUriError: the scheme is unknown here, or an option is wrong.
    """
    kind = scheme(text)
    if kind in ("file-descriptor-syslog", "unix-files"):
        raise SinkUriError(f"Parsing URI: {text}: the sandbox has no sink {kind}.")
    try:
        target = Target(kind)
    except ValueError:
        raise UnknownScheme(text, kind or "") from None
    query = _query(text)

    def fail(reason: str) -> SinkUriError:
        return SinkUriError(f"Parsing URI: {text}: {reason}")

    def flag(name: str) -> bool:
        return _first(query, name) == "true"

    try:
        default, rules = _filter(query)
    except ValueError as error:
        raise fail(str(error)) from None
    wanted = _first(query, "format")
    try:
        layout = Format.ONE_PER_LINE if wanted is None else Format(_ALIASES.get(wanted, wanted))
    except ValueError:
        raise fail(f'Unknown format: "{wanted}"') from None
    uri = SinkUri(
        text=text, target=target, rules=rules, default=default, format=layout, colors=flag("colors")
    )
    if target is not Target.PATH:
        return uri
    daily, chmod = _first(query, "daily-logs"), _first(query, "chmod")
    if daily is not None and _integer(daily) is None:
        raise fail(f'daily-logs should be an integer : "{daily}"')
    if chmod is not None and _integer(chmod) is None:
        raise fail(f'Access-rights parameter should be an integer: "{chmod}"')
    mode = None if chmod is None else _integer(chmod)
    path = path_of(text)
    if path in ("", "/"):
        raise fail("Missing path configuration.")
    return attrs.evolve(
        uri,
        path=path,
        fresh=flag("fresh"),
        with_pid=flag("with-pid"),
        create_dirs=flag("create-dirs"),
        mode=0o600 if mode is None else mode,
        daily_logs=None if daily is None else _integer(daily),
    )


def _query(text: str) -> dict[str, list[list[str]]]:
    """Option -> one list of values (split at commas) for each time that it is written."""
    options: dict[str, list[list[str]]] = {}
    for pair in re.split("[&;]", text.partition("#")[0].partition("?")[2]):
        if pair:
            name, _, value = pair.partition("=")
            values = [_decoded(part) for part in value.split(",")]
            options.setdefault(_decoded(name), []).append(values)
    return options


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


def _first(query: dict[str, list[list[str]]], name: str) -> str | None:
    return ",".join(query[name][0]) if name in query else None


def _filter(
    query: dict[str, list[list[str]]],
) -> tuple[Level, tuple[tuple[Section, Level | None], ...]]:
    least = _first(query, "level-at-least")
    level = None if least is None else Level.parse(least)
    if "section-prefix" not in query:
        if least is None:
            return Level.INFO, ()
        if level is None:
            raise ValueError(f'Wrong level: "{least}"')
        return level, ()
    rules = [_rule(entry) for values in query["section-prefix"] for entry in values]
    if least is not None:
        if level is None:
            raise ValueError(f'Wrong level name "{least}" in level-at-least argument')
        rules.append(((), level))
    return Level.INFO, tuple(rules)


def _rule(entry: str) -> tuple[Section, Level | None]:
    match entry.split(":"):
        case [prefix]:
            # Upstream's quirk: an empty prefix without a level is the section "", which none has.
            return sanitized(prefix.split(".")), Level.INFO
        case [prefix, name]:
            threshold = Level.parse(name)
            if threshold is None and name.lower() != "none":
                raise ValueError(f'Wrong level name: "{name}" in argument "{name.lower()}"')
            return sanitized(prefix.split(".")) if prefix else (), threshold
        case _:
            raise ValueError(f'Wrong section-level entry: "{entry}"')


def _integer(text: str) -> int | None:
    """An integer as OCaml reads it: ``0o640`` and ``416``; a leading zero means nothing."""
    if not _INTEGER.fullmatch(text):
        return None
    digits = text.replace("_", "")
    if re.match("-?0[xXoObB]", digits):
        return int(digits, 0)
    return int(digits[2:] if digits[:2] in ("0u", "0U") else digits)
