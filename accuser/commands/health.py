"""Whether an accuser is of use: up, and not deaf."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from .._daemons.accuser import Accuser
from .._errors import AccuserError
from .tally import Tally


@attrs.define(eq=False)
class Health:
    """Tells how an accuser is.

    It is deaf if it is ready, and ``max_silence`` seconds have passed without a block since it was, or
    since the last block.
    """

    accuser: Accuser
    tally: Tally
    max_silence: float | None = None
    restart: bool = False
    """Whether one that is deaf is restarted."""
    deaf_times: int = attrs.field(default=0, init=False)
    """How often it went deaf."""
    _blocks: int = attrs.field(default=0, init=False)
    _pid: int | None = attrs.field(default=None, init=False)
    _since: float = attrs.field(factory=trio.current_time, init=False)
    _deaf: bool = attrs.field(default=False, init=False)

    def look(self) -> float:
        """Look at what has come; return the seconds of silence, 0 while it is not ready."""
        now = trio.current_time()
        accuser, tally = self.accuser, self.tally
        heard = tally.blocks_seen, accuser.pid
        if not accuser.ready or heard != (self._blocks, self._pid):
            self._blocks, self._pid = heard
            self._since = now
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
            return f"{self.accuser.name} is {self.accuser.state}, and not ready"
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
        while True:
            await trio.sleep(min(1.0, self.max_silence / 4))
            deaf = self.deaf
            if deaf and not self._deaf:
                self.deaf_times += 1
                say(f"{self.trouble}; is its node running and synchronised?", "red")
            elif self._deaf and not deaf:
                say(f"{self.accuser.name} hears of blocks again", "green")
            self._deaf = deaf
            if deaf and self.restart:
                await self._restart(say)

    async def _restart(self, say: Callable[[str, str], None]) -> None:
        say(f"{self.accuser.name} is restarted", "yellow")
        try:
            await self.accuser.restart()
        except AccuserError as error:
            # Its own restarts go on as they would.
            say(f"the restart failed: {error}", "yellow")
        self._since, self._deaf = trio.current_time(), False
