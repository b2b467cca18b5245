"""Supervision: when a daemon that exited unasked is run again. Pure: the waiting is done elsewhere."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import attrs


def _not_negative(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{attribute.name} must be a number from 0 on, and is {value}")


@attrs.frozen(kw_only=True)
class RestartPolicy:
    """How a daemon that exits unasked is restarted: ever later, and not for ever.

    The n-th restart in a row comes ``first_delay * factor ** (n - 1)`` seconds after the exit, at
    most ``max_delay``, and up to the part ``jitter`` of that earlier, by chance, so that daemons
    that failed together do not come back together.

    Raises:
        ValueError: a number that makes no sense.
    """

    limit: int | None = 5
    """How many restarts in a row; None for any number. The next exit ends the daemon."""
    first_delay: float = attrs.field(default=1.0, validator=_not_negative)
    """Seconds."""
    factor: float = 2.0
    """At least 1."""
    max_delay: float = attrs.field(default=60.0, validator=_not_negative)
    """Seconds."""
    jitter: float = 0.1
    """From 0 to 1."""
    reset_after: float = attrs.field(default=60.0, validator=_not_negative)
    """Seconds: when it has run so long, its restarts are no more in a row with those before."""
    random: Callable[[], float] = attrs.field(default=random.random, eq=False, repr=False)
    """Gives numbers from 0 to 1: the chance of the jitter."""

    def __attrs_post_init__(self) -> None:
        if self.limit is not None and self.limit < 0:
            raise ValueError(f"limit must not be negative, and is {self.limit}")
        if not 1 <= self.factor < math.inf:
            raise ValueError(f"factor must be at least 1, and is {self.factor}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be from 0 to 1, and is {self.jitter}")

    def delay(self, attempt: int) -> float:
        """Seconds to wait before the ``attempt``-th restart in a row, which counts from 1."""
        try:
            delay = min(self.max_delay, self.first_delay * self.factor ** (attempt - 1))
        except OverflowError:
            delay = self.max_delay if self.first_delay else 0.0
        return delay * (1 - self.jitter * self.random())


@attrs.frozen
class Restart:
    """What handlers hear of a restart to come; see `Daemon.on_restart`."""

    status: int | None
    """Exit status of the session that ended; the negative number of a signal; None if nobody knows it, or
    nothing could be started; then ``reason`` says why."""
    attempt: int
    """Its number in a row, from 1 on."""
    delay: float
    """Seconds until then."""
    tail: tuple[str, ...]
    """The last lines that the daemon printed."""
    reason: str | None = None
    """Why it ended, or could not be started, in one line; None where the status says all that is known."""


@attrs.define(eq=False, repr=False)
class Supervisor:
    """Counts the restarts of one run."""

    policy: RestartPolicy
    attempt: int = attrs.field(default=0, init=False)
    """How many restarts in a row there were."""
    begun: bool = attrs.field(default=False, init=False)
    """Whether there was a process in any session."""

    def next(
        self, status: int | None, uptime: float, tail: tuple[str, ...], reason: str | None = None
    ) -> Restart | None:
        """Decide after an exit; None when there have been enough restarts."""
        if uptime >= self.policy.reset_after:
            self.attempt = 0
        if self.policy.limit is not None and self.attempt >= self.policy.limit:
            return None
        self.attempt += 1
        return Restart(status, self.attempt, self.policy.delay(self.attempt), tail, reason)
