"""Whether an accuser is of use: up, and not deaf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import trio

from .._daemons.accuser import Accuser
from .._engine.transcript import State
from .._errors import AccuserError
from .tally import Tally

UNDER_WAY: Final = (State.NEW.value, State.STARTING.value, State.STOPPING.value)
"""States between the wish for a restart and a new process."""


@attrs.define(eq=False, repr=False)
class Health:
    """Tells how an accuser is.

    It is deaf if ``max_silence`` seconds have passed without a block since it was started or was ready,
    or since the last block: a node that never answers keeps it from being ready, and is silent as well.
    """

    accuser: Accuser
    tally: Tally
    max_silence: float | None = None
    restart: bool = False
    """Whether one that is deaf is restarted."""
    deaf_times: int = attrs.field(default=0, init=False)
    """How often it went deaf."""
    _heard: tuple[int, int | None, bool] = attrs.field(default=(0, None, False), init=False)
    """Blocks, the process, and whether it is ready."""
    _since: float = attrs.field(factory=trio.current_time, init=False)
    _deaf: bool = attrs.field(default=False, init=False)
    _told_at: int | None = attrs.field(default=None, init=False)
    """Blocks that it had told of when it was said to be deaf; None when its recovery was said, too."""

    def look(self) -> float:
        """Look at what has come; return the seconds of silence."""
        now = trio.current_time()
        heard = self.tally.blocks_seen, self.accuser.pid, self.accuser.ready
        if heard != self._heard:
            self._heard, self._since = heard, now
        return now - self._since

    @property
    def deaf(self) -> bool:
        """Whether more than ``max_silence`` seconds have passed without a block."""
        silence = self.look()
        return self.max_silence is not None and silence > self.max_silence

    @property
    def trouble(self) -> str | None:
        """Why it is of no use now; None if it is."""
        if not self.accuser.ready:
            return f"{self.accuser.name} is {self.accuser.state}, and not ready, for {self.look():.0f} s"
        if self.deaf:
            return f"{self.accuser.name} has heard of no block for {self.look():.0f} s"
        return None

    async def watch(self, say: Callable[[str, str], None]) -> None:
        """Tell when it goes deaf and when it hears again, until cancelled.

        Args:
            say: takes a line, and its style.
        """
        if self.max_silence is None:
            return
        pause = min(1.0, self.max_silence / 4)
        while True:
            await trio.sleep(pause)
            deaf, blocks = self.deaf, self.tally.blocks_seen
            if deaf and not self._deaf:
                self._told_at = blocks
                self.deaf_times += 1
                say(f"{self.trouble}; is its node running and synchronised?", "red")
            elif not deaf and self._told_at is not None and (self.accuser.ready or blocks > self._told_at):
                # A new process alone is no recovery yet.
                how = "hears of blocks again" if blocks > self._told_at else "is ready"
                say(f"{self.accuser.name} {how}", "green")
                self._told_at = None
            self._deaf = deaf
            # One that is about to be restarted by itself waits for that.
            if deaf and self.restart and self.accuser.state == State.RUNNING.value:
                await self._restart(say, pause)

    async def _restart(self, say: Callable[[str, str], None], pause: float) -> None:
        """Restart it, and return when there is a new process: whether that is of use is seen later."""
        say(f"{self.accuser.name} is restarted", "yellow")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ask, say, nursery.cancel_scope)
            while True:
                await trio.sleep(pause)
                if self.accuser.state not in UNDER_WAY:
                    nursery.cancel_scope.cancel()
                    break
        self._since, self._deaf = trio.current_time(), False

    async def _ask(self, say: Callable[[str, str], None], done: trio.CancelScope) -> None:
        try:
            await self.accuser.restart()
        except AccuserError as error:
            # Its own restarts go on as they would.
            say(f"the restart failed: {error}", "yellow")
        done.cancel()
