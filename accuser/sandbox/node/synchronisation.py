"""When a node counts as bootstrapped (``src/lib_shell/synchronisation_heuristic.ml``).

With a threshold of 0 it is from the start. Otherwise it is as soon as so many peers have each had
a block validated here whose time is not older than the latency; or, from two peers on, when the
best blocks of that many peers have all the same time (then the chain itself is stuck). A negative
threshold means never. Once bootstrapped, always bootstrapped.
"""

from __future__ import annotations

import attrs


@attrs.define(eq=False, repr=False)
class Synchronisation:
    """``latency`` is in seconds."""

    threshold: int = 4
    latency: int = 50
    is_bootstrapped: bool = attrs.field(init=False)
    _times: dict[str, int] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self.is_bootstrapped = self.threshold == 0

    def validated(self, peer: str, timestamp: int, now: float) -> bool:
        """A block of that time came from that peer; whether this made the node bootstrapped."""
        self._times[peer] = max(timestamp, self._times.get(peer, timestamp))
        if self.is_bootstrapped or self.status(now) == "unsynced":
            return False
        self.is_bootstrapped = True
        return True

    def status(self, now: float) -> str:
        """``synced``, ``stuck`` or ``unsynced``, as the RPCs say."""
        if self.threshold == 0:
            return "synced"
        if self.threshold < 0 or len(self._times) < self.threshold:
            return "unsynced"
        best = sorted(self._times.values(), reverse=True)[: self.threshold]
        if best[-1] + self.latency >= now:
            return "synced"
        return "stuck" if best[0] == best[-1] and self.threshold != 1 else "unsynced"
