"""Names, colours and log lines of daemons, through the standard ``logging``.

Every message begins with ``[name] ``, so that any handler shows who speaks; `LogFormatter`
adds colours where the stream is a terminal.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Final, TextIO

import attrs

from ._text import printable, printable_lines, secrets

logger: Final = logging.getLogger("accuser")

RESET: Final = "\033[0m"
BOLD: Final = "\033[1m"

# The colours of upstream's harness (tezt/lib_tezos/accuser.ml, node.ml, client.ml, baker.ml).
COLORS: Final = {
    "accuser": ("\033[43m\033[30m", "\033[43m\033[37m", "\033[43m\033[34m"),
    "node": ("\033[36m", "\033[35m", "\033[33m", "\033[32m"),
    "client": ("\033[34m",),
    "baker": ("\033[32m",),
}

_counters: Final[dict[str, Iterator[int]]] = {}
_color_counters: Final[dict[str, Iterator[int]]] = {}


def fresh_name(kind: str) -> str:
    """Give ``accuser1``, ``accuser2``, ... for the kind ``accuser``, and so on."""
    return f"{kind}{next(_counters.setdefault(kind, itertools.count(1)))}"


def next_color(kind: str) -> str:
    """Give the next SGR sequence of the kind's cycle."""
    colors = COLORS.get(kind, ("",))
    return colors[next(_color_counters.setdefault(kind, itertools.count())) % len(colors)]


def reset_names() -> None:
    """Begin again with ``accuser1`` and the first colour, as upstream does before each test."""
    _counters.clear()
    _color_counters.clear()


@attrs.define
class Unlogged:
    """What could not be logged."""

    lines: int = 0


unlogged: Final = Unlogged()
"""Of this process."""


def log(level: int, name: str, color: str, text: str, *, bold: bool = False) -> None:
    """Log a line for a daemon, its control characters made visible, without secrets.

    A handler or filter of somebody's that raises is told of once, on standard error, and counted in
    `unlogged`: what is said about a daemon must not decide over it.
    """
    if logger.isEnabledFor(level):
        extra = {"daemon": name, "color": color + BOLD if bold else color}
        try:
            logger.log(level, "[%s] %s", name, printable(secrets.hide(text)), extra=extra)
        except Exception as error:
            unlogged.lines += 1
            if unlogged.lines == 1:
                with contextlib.suppress(Exception):
                    print(f"accuser: a log line was lost: {error!r}", file=sys.stderr)


def log_command(name: str, color: str, command: Sequence[str]) -> None:
    """Log what is about to be started for a daemon, at level DEBUG."""
    if logger.isEnabledFor(logging.DEBUG):
        log(logging.DEBUG, name, color, shlex.join(command), bold=True)


class LogFormatter(logging.Formatter):
    """Time, daemon and text; coloured unless told otherwise.

    Args:
        color: whether to colour the daemons' lines; `wants_color` tells for a stream.
    """

    def __init__(self, *, color: bool) -> None:
        super().__init__("[%(asctime)s.%(msecs)03d] %(message)s", "%H:%M:%S")
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        # Of tracebacks too, and of what others log.
        text = printable_lines(super().format(record))
        color = getattr(record, "color", "")
        return f"{color}{text}{RESET}" if self._color and color else text


def wants_color(stream: TextIO) -> bool:
    """Whether to colour what goes to ``stream``.

    A terminal yes, unless ``NO_COLOR`` is set to anything but nothing or ``TERM`` is ``dumb``.
    """
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def setup_logging(level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Show the log lines of daemons on ``stream`` (standard error by default), coloured if it
    is a terminal. Events are logged at INFO by ``log_events``, output lines at DEBUG.
    """
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter(color=wants_color(stream)))
    logger.addHandler(handler)
    logger.setLevel(level)
