"""Exception groups made plain where one error alone was meant."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import trio

from ._errors import DaemonExited, TerminatedBeforeEvent


@contextmanager
def plain_errors() -> Generator[None]:
    """Raise the one error of a group, bare, if it is the only one that is no cancellation.

    A wait that failed because its daemon ended, and the end itself, count as one: the wait's
    error, with the end as its cause. Other groups pass unchanged.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = [leaf for leaf in _leaves(group) if not isinstance(leaf, trio.Cancelled)]
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


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _only(leaves: list[BaseException]) -> BaseException | None:
    if len(leaves) == 1:
        return leaves[0]
    if len(leaves) == 2:
        for wait, end in (leaves, leaves[::-1]):
            if (
                isinstance(wait, TerminatedBeforeEvent)
                and isinstance(end, DaemonExited)
                and wait.daemon == end.daemon
            ):
                wait.__cause__ = end
                return wait
    return None
