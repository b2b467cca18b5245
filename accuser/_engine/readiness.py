"""When a daemon counts as ready."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import attrs

Stream = Literal["stdout", "stderr"]


@attrs.frozen
class ReadyEvent:
    """Ready when an event of this name was seen."""

    name: str
    """With its version, as in ``node_is_ready.v0``."""

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.name


def _compiled(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(pattern)


@attrs.frozen
class ReadyLine:
    """Ready when a line of output was seen in which ``pattern`` is found."""

    pattern: re.Pattern[str] = attrs.field(converter=_compiled)
    """A regular expression, searched in each line without its line end."""
    stream: Stream = attrs.field(default="stdout", kw_only=True)
    """Where to look: ``stdout`` or ``stderr``."""
    label: str = attrs.field(kw_only=True)
    """What messages call it; by default the stream and the pattern."""

    @label.default
    def _default_label(self) -> str:
        return f"line of {self.stream} that matches {self.pattern.pattern!r}"


@attrs.frozen
class ReadySpawned:
    """Ready as soon as there is a process."""

    label: str = "start of the process"


Ready: TypeAlias = ReadyEvent | ReadyLine | ReadySpawned
