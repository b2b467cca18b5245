"""The spec of a daemon that users describe themselves."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

from .._engine.readiness import Ready, ReadySpawned

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


@attrs.frozen
class ProgramSpec:
    """A program, by what was given for it."""

    kind: str
    binary: str
    ready: Ready
    environment: Mapping[str, str]
    find_arguments: Callable[[], Sequence[str]]
    preparation: Callable[[], Awaitable[object]] | None

    async def prepare(self) -> None:
        """Run what must precede every start."""
        if self.preparation is not None:
            await self.preparation()

    def arguments(self) -> tuple[str, ...]:
        """The arguments of the next start."""
        return checked_arguments(self.find_arguments())


def program_spec(
    binary: str,
    kind: str,
    arguments: Sequence[str] | Callable[[], Sequence[str]],
    ready: Ready | None,
    environment: Mapping[str, str] | None,
    prepare: Callable[[], Awaitable[object]] | None,
) -> ProgramSpec:
    """Make a spec of what a user gives.

    Raises:
        ValueError: a kind that cannot begin a name, or arguments that are one text.
    """
    if not _KIND.fullmatch(kind):
        raise ValueError(f"kind begins names such as indexer1: A-Z a-z 0-9 . _ and -, not {kind!r}")
    if not callable(arguments):
        given = checked_arguments(arguments)
        find_arguments: Callable[[], Sequence[str]] = lambda: given  # noqa: E731
    else:
        find_arguments = arguments
    return ProgramSpec(
        kind, binary, ReadySpawned() if ready is None else ready, environment or {}, find_arguments, prepare
    )


def checked_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments, if they are a sequence of words.

    Raises:
        ValueError: they are one text, which would become an argument a letter.
    """
    if isinstance(arguments, str):
        raise ValueError(f'arguments are a sequence of words, as in ("run", "--verbose"), not {arguments!r}')
    return tuple(map(str, arguments))
