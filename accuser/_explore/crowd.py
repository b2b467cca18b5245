"""All bakers of an exploration, and the time that passes for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from .._mavryk.codec.operations import Operation
from ..sandbox.chain.block import Block
from .bakers import Living, Signed
from .schedule import Halt, Maker, Resume
from .stations import NEVER, Station

HandIn = Callable[[Living, Signed], Awaitable[None]]
"""Hands what a baker has signed to its node."""

_MOST: Final = 10_000
"""Things that bakers may do at one time: more would never end."""


@attrs.define(eq=False, repr=False)
class Crowd:
    """The bakers of a network. Times are seconds of its links."""

    bakers: list[Living]
    hand_in: HandIn

    @classmethod
    def of(cls, makers: tuple[Maker, ...], stations: list[Station], hand_in: HandIn) -> Crowd:
        """Make the bakers of a schedule."""
        bakers = [
            Living(index, maker, stations[maker.node % len(stations)]) for index, maker in enumerate(makers)
        ]
        return cls(bakers, hand_in)

    def begin(self, now: float, station: Station | None = None) -> None:
        """Let them begin: all, or those of a node that runs again."""
        for each in self.bakers:
            if station is None or each.station is station:
                each.begin(now)

    def lose(self, station: Station) -> None:
        """A node is gone."""
        for each in self.bakers:
            if each.station is station:
                each.lose_node()

    def end(self) -> None:
        for each in self.bakers:
            each.halt()

    def do(self, step: Halt | Resume, now: float) -> None:
        """End or start one, if there are any."""
        if not self.bakers:
            return
        each = self.bakers[step.maker % len(self.bakers)]
        if isinstance(step, Halt):
            each.halt()
        else:
            each.resume(now, forgets=step.forgets)

    def heard(self, station: Station, what: Block | Operation, *, is_head: bool, now: float) -> None:
        """A node has taken something."""
        for each in self.bakers:
            if each.station is station:
                each.heard(what, is_head=is_head, now=now)

    def next_at(self) -> float:
        """When somebody acts next."""
        return min((each.next_at() for each in self.bakers), default=NEVER)

    async def act(self, now: float) -> None:
        """Let everybody do what is to be done by now."""
        done = 0
        while (each := min(self.bakers, key=Living.next_at, default=None)) and each.next_at() <= now:
            for signed in each.act(now):
                await self.hand_in(each, signed)
                done += 1
                assert done < _MOST, "bakers never come to an end"
