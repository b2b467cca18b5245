"""Whether an accuser is of use: up, and not deaf."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from .._daemons.accuser import Accuser
from .._engine.transcript import State
from .._errors import AccuserError
from .tally import Tally


@attrs.define(eq=False)
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
        while True:
            await trio.sleep(min(1.0, self.max_silence / 4))
            deaf = self.deaf
            if deaf and not self._deaf:
                self.deaf_times += 1
                say(f"{self.trouble}; is its node running and synchronised?", "red")
            elif self._deaf and not deaf:
                how = "hears of blocks again" if self.tally.blocks_seen else "is ready"
                say(f"{self.accuser.name} {how}", "green")
            self._deaf = deaf
            # One that is about to be restarted by itself waits for that.
            if deaf and self.restart and self.accuser.state == State.RUNNING.value:
                await self._restart(say)

    async def _restart(self, say: Callable[[str, str], None]) -> None:
        say(f"{self.accuser.name} is restarted", "yellow")
        try:
            await self.accuser.restart()
        except AccuserError as error:
            # Its own restarts go on as they would.
            say(f"the restart failed: {error}", "yellow")
        self._since, self._deaf = trio.current_time(), False
