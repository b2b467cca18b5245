"""What differs between daemons, as data: everything that a session needs to know of the program it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

from .._errors import DaemonExited
from .readiness import Ready, ReadySpawned


@attrs.frozen(kw_only=True)
class Program:
    """A program that runs as a daemon."""

    kind: str
    """``accuser``: the base of default names, and the word in messages."""
    binary: str
    """Name of the executable."""
    arguments: Sequence[str] | Callable[[], Sequence[str]] = ()
    """Its arguments, or what gives them; asked at each start, after `prepare`."""
    ready: Ready = attrs.field(factory=ReadySpawned)
    """When it counts as ready."""
    environment: Mapping[str, str] = attrs.field(factory=dict)
    """What it has in its environment beside what we have in ours."""
    prepare: Callable[[], Awaitable[object]] | None = None
    """What must precede every start."""
    explain_exit: Callable[[DaemonExited], DaemonExited] | None = None
    """Gives a more telling error for an exit that nobody asked for, or the same one."""
    keeps_directory: bool = True
    """Whether its temporary directory has something that the next run needs."""

    def words(self) -> tuple[str, ...]:
        """The arguments of the next start.

        Raises:
            ValueError: they are one text.
        """
        return checked_arguments(self.arguments() if callable(self.arguments) else self.arguments)

    def exited(self, error: DaemonExited) -> DaemonExited:
        """The error of an exit that nobody asked for."""
        return error if self.explain_exit is None else self.explain_exit(error)


def checked_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments, if they are a sequence of words.

    Raises:
        ValueError: they are one text, which would become one argument for each letter.
    """
    if isinstance(arguments, str):
        raise ValueError(f'arguments are a sequence of words, as in ("run", "--verbose"), not {arguments!r}')
    return tuple(map(str, arguments))
