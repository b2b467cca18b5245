"""Exception groups made plain where one error alone was meant."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from ._errors import AccuserError, DaemonExited, TerminatedBeforeEvent

NURSERY: Final = "Exceptions from Trio nursery"
"""What trio says of the groups that its nurseries raise."""

_OF_NOBODY: Final = (NURSERY, "errors in async test and trio fixtures")
"""The same, and pytest-trio: groups that nobody has made on purpose."""


@contextmanager
def plain_errors() -> Generator[None]:
    """Raise the one error of a group, bare, if it is the only one that is no cancellation.

    Waits that failed because their daemon ended, and what ended it, count as one: a single wait's
    error with an exit as its cause, else what ended the daemon. Other groups pass unchanged; one that
    somebody has made is an error itself.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = [leaf for leaf in _met_by_nurseries(group) if not isinstance(leaf, trio.Cancelled)]
        leaf = _only(leaves)
        if leaf is None:
            raise
        cause, context = leaf.__cause__, leaf.__context__
        try:
            raise leaf
        finally:
            # The group would show as the context of its own member.
            leaf.__cause__, leaf.__context__ = cause, context
            del leaf, leaves, cause, context


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group, and in the groups in it; otherwise the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    else:
        yield error


def _met_by_nurseries(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup) and error.message in _OF_NOBODY:
        for inner in error.exceptions:
            yield from _met_by_nurseries(inner)
    else:
        yield error


def is_cancellation(error: BaseException) -> bool:
    """Whether it is a cancellation, or a group of nothing else."""
    return all(isinstance(leaf, trio.Cancelled) for leaf in leaves_of(error))


def _only(leaves: list[BaseException]) -> BaseException | None:
    # Ctrl-C twice means what it means once.
    interrupts = [leaf for leaf in leaves if isinstance(leaf, KeyboardInterrupt)]
    leaves = [leaf for leaf in leaves if leaf not in interrupts[1:]]
    if len(leaves) == 1:
        return leaves[0]
    waits = [leaf for leaf in leaves if isinstance(leaf, TerminatedBeforeEvent)]
    ends = [leaf for leaf in leaves if not isinstance(leaf, TerminatedBeforeEvent)]
    if len(ends) != 1 or (isinstance(ends[0], Exception) and not isinstance(ends[0], AccuserError)):
        return None
    (end,) = ends
    daemon = getattr(end, "daemon", None)
    if not all(daemon in (None, wait.daemon) for wait in waits):
        return None
    if len(waits) > 1 or not isinstance(end, DaemonExited):
        return end
    waits[0].__cause__ = end
    return waits[0]
