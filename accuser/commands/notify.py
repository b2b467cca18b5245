"""What a service manager is told, as by ``sd_notify(3)``: datagrams to a socket that it names."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

import attrs
import trio

_SOCKET: Final = "NOTIFY_SOCKET"
_USEC: Final = "WATCHDOG_USEC"
_PID: Final = "WATCHDOG_PID"


@attrs.define(eq=False, repr=False)
class Notifier:
    """Tells a service manager what state the service is in; does nothing where there is none."""

    address: str | None
    watchdog: float | None
    """Seconds within which the manager wants a sign of life; None if it wants none."""
    _last: str = attrs.field(default="", init=False)

    @classmethod
    def taken(cls) -> Notifier:
        """Take the manager's variables out of the environment, so that no daemon speaks in our name."""
        address, usec = os.environ.pop(_SOCKET, None), os.environ.pop(_USEC, "")
        pid = os.environ.pop(_PID, "")
        for_us = pid in ("", str(os.getpid()))
        wanted = for_us and usec.isdecimal() and usec.isascii() and int(usec) > 0
        return cls(address, int(usec) / 1e6 if wanted else None)

    def tell(self, *lines: str) -> None:
        """Send assignments, as in ``READY=1``. Nothing is raised, and nothing waits."""
        if not self.address or self.address[0] not in "/@":
            return
        address = f"\0{self.address[1:]}" if self.address[0] == "@" else self.address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), address)

    def status(self, text: str) -> None:
        """Tell the state in words, if it is another one than before."""
        if text != self._last:
            self._last = text
            self.tell("STATUS=" + text.replace("\n", " "))

    async def keep_alive(self) -> None:
        """Give signs of life in time, from trio's loop, so that one that stands still gives none."""
        if self.watchdog is None or not self.address:
            return
        while True:
            self.tell("WATCHDOG=1")
            await trio.sleep(self.watchdog / 3)
