"""Text of daemons, files and servers on a terminal or in a log, where it must not do more than be read.

And what must not be read there: passwords, tokens and secret keys. The root of the errors stands here: its
text is such text, and a program that raises few need not load all.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line ends of any kind, and what reverses the direction of writing."""

_CONTROL_IN_LINES: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""The same but for the line feed."""


_SCHEME: Final = r"[a-z][a-z0-9+.-]{0,40}://"  # of a limited length, each of which a long word would have
_CREDENTIALS: Final = re.compile(rf"({_SCHEME})[^\s/?#]*@", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """Leave user names and passwords out of the URLs in a text."""
    return _CREDENTIALS.sub(r"\1", text) if "://" in text else text


def without_any_credentials(text: str) -> str:
    """The same for what is no URL, though it was to be one: all that stands before the last ``@`` goes."""
    scheme = re.match(_SCHEME, text, re.IGNORECASE)
    return f"{scheme[0] if scheme else ''}{text.rpartition('@')[2]}" if "@" in text else text


def printable(text: str) -> str:
    """Write control characters as their numbers: an event may hold anything."""
    # Most text has none, and is found to have none fastest so.
    return text if text.isprintable() else _CONTROL.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """As `printable`, for a text of several lines, which stay lines."""
    return _CONTROL_IN_LINES.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


HIDDEN: Final = "(not shown)"

_SECRET_NAME: Final = re.compile(r"PASS|SECRET|TOKEN|KEY|AUTH(?!OR)|CREDENTIAL", re.IGNORECASE)
_PASSWORD: Final = re.compile(rf"{_SCHEME}[^\s/?#:@]*:([^\s/?#]+)@", re.IGNORECASE)
# Secret keys as Mavryk writes them: plain and encrypted, of each curve.
_KEY_PREFIXES: Final = ("edsk", "edesk", "spsk", "spesk", "p2sk", "p2esk", "BLsk", "BLesk")
# Of 53 characters or more, and at the beginning of a word or behind a ``\n``: the hash of one block in some
# three thousand begins as a BLS key does, and has 51; any of these letters may be in a long signature.
_SECRET_KEY: Final = re.compile(
    rf"(?<![0-9A-Za-z]{{2}})(?:{'|'.join(_KEY_PREFIXES)})[1-9A-HJ-NP-Za-km-z]{{49,}}"
)
_JSON_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
# What settings are, too, and what a value would have to be to be part of half the words of a text.
_NO_SECRETS: Final = frozenset({"true", "false", "none", "null", "auto", "always", "never", "enabled"})
_SHORTEST: Final = 4
_WORD: Final = 8
"""Shorter secrets are hidden only where they stand alone."""
_LONG: Final = 16
"""Of secrets of this length or more the ends are hidden too, where a text was shortened by ``...``."""
_END: Final = 8
_SHORTENED_KEY: Final = re.compile(
    rf"(?:{'|'.join(_KEY_PREFIXES)})[1-9A-HJ-NP-Za-km-z]*\.\.\.[1-9A-HJ-NP-Za-km-z]*"
)


@functools.lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds what is not to be shown."""
    return _SECRET_NAME.search(name) is not None


class Secrets:
    """Texts that are shown nowhere: in no log, recording, error or report.

    Passwords in URLs and secret keys are known by their form; others are told by `learn`.
    """

    def __init__(self) -> None:
        self._known: dict[str, re.Pattern[str]] = {}
        self._needles: tuple[bytes, ...] = tuple(prefix.encode() for prefix in _KEY_PREFIXES)
        self._looked_at: dict[str, str] = {}

    def learn(self, *values: str) -> None:
        """Hide these values from now on, wherever they occur; not those of three characters and less."""
        for value in values:
            if len(value) < _SHORTEST or value.lower() in _NO_SECRETS or value in self._known:
                continue
            pattern = re.escape(value)
            alone = rf"(?<!\w){pattern}(?!\w)" if len(value) < _WORD else pattern
            self._known[value] = re.compile(alone)
            # In JSON it may be written otherwise.
            written = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
            encoded = (text.encode("utf-8", "surrogateescape") for text in written)
            self._needles = (*self._needles, *encoded)

    def learn_environment(self, environment: Mapping[str, str]) -> None:
        """Hide what variables hold whose names tell of a secret, and passwords in the URLs of others."""
        looked_at = self._looked_at
        for name, value in environment.items():
            if looked_at.get(name) == value:
                continue  # each start of a daemon comes with nearly the same ones
            if is_secret_name(name):
                self.learn(value)
            if "://" in value:
                self.learn(*_PASSWORD.findall(value))
            looked_at[name] = value

    def hide(self, text: str) -> str:
        """The text with `HIDDEN` in the place of each secret, and URLs without user and password."""
        for value, pattern in self._known.items():
            if value in text:
                text = pattern.sub(HIDDEN, text)
        if "sk" in text:
            text = _SECRET_KEY.sub(HIDDEN, text)
        if "..." in text:
            text = self._without_ends(text)
        return without_credentials(text)

    def _without_ends(self, text: str) -> str:
        """What is left of secrets that somebody shortened, as in ``edsk3Ve...8Eu7``."""
        text = _SHORTENED_KEY.sub(HIDDEN, text)
        for value in self._known:
            if len(value) >= _LONG and (value[:_END] in text or value[-_END:] in text):
                begin, end = re.escape(value[:_END]), re.escape(value[-_END:])
                text = re.sub(rf"{begin}[^\s'\"]*\.\.\.(?:[^\s'\"]*{end})?", HIDDEN, text)
                text = re.sub(rf"\.\.\.[^\s'\"]*{end}", HIDDEN, text)
        return text

    def hide_in_json(self, data: bytes, kept: frozenset[str] = frozenset()) -> bytes:
        """JSON with `hide` for each text in it, but for those that are one of ``kept``."""
        if not (any(needle in data for needle in self._needles) or (b"://" in data and b"@" in data)):
            return data

        def hidden(match: re.Match[bytes]) -> bytes:
            try:
                text = json.loads(match[0])
            except ValueError:
                return match[0]
            said = text if text in kept else self.hide(text)
            return match[0] if said == text else json.dumps(said).encode()

        return _JSON_STRING.sub(hidden, data)


secrets: Final = Secrets()
"""Those of this process."""


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: ``1 seed``, ``2 seeds``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def shortened(text: str, limit: int = 4000) -> str:
    """Leave out what is beyond so many characters, and say so."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def one_line(text: str, limit: int = 1000) -> str:
    """What was written in several lines, in one."""
    first, *more = (line.strip().removeprefix("- ") for line in text.splitlines() or [""])
    if rest := "; ".join(line for line in more if line):
        first += f" {rest}" if first.endswith(":") else f" ({rest})"
    return shortened(first, limit)


class AccuserError(Exception):
    """Root of the exceptions of this package.

    In their text and notes control characters are made visible, whoever said them.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if (text := cls.__dict__.get("__str__")) is not None:
            cls.__str__ = _made_visible(text)  # type: ignore[method-assign]  # of each class once

    def __str__(self) -> str:
        return printable_lines(super().__str__())

    def __repr__(self) -> str:
        # Of all of them: each program that loads them would have attrs write one for each class.
        names: tuple[str, ...] | None = getattr(self, "__match_args__", None)
        if names is None:
            return super().__repr__()
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def add_note(self, note: str, /) -> None:
        """Add a note, as to any exception."""
        super().add_note(printable_lines(note))


def _made_visible(text: Callable[[AccuserError], str]) -> Callable[[AccuserError], str]:
    @functools.wraps(text)
    def made_visible(error: AccuserError) -> str:
        return printable_lines(text(error))

    return made_visible
