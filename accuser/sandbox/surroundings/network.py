"""A network in memory: who listens at which address, and how to reach them."""

from __future__ import annotations

import errno
import itertools
import os
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from ..._http.messages import HandingListener
from .hosts import normal_host
from .memory import Connection, Gate, connected

EVERYWHERE: Final = ("0.0.0.0", "::")
HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Whom one reaches who connects to everywhere."""
FIRST_FREE_PORT: Final = 49_152
"""For who listens on port 0."""
PORTS_OF_CONNECTING: Final = range(32_768, FIRST_FREE_PORT)
"""Of who connects, one after the other."""


class Listener(HandingListener):
    """Takes the connections to one address, which wait for it in their order."""

    def __init__(
        self,
        network: Network,
        address: tuple[str, int],
        gate: Gate | None,
        own: Callable[[Connection], object],
    ) -> None:
        self._network = network
        self.address: Final = address
        self._gate = gate
        self._own = own
        self._waiting: deque[Connection] = deque()
        self._parked = trio.lowlevel.ParkingLot()
        self._closed = False

    def arrive(self, connection: Connection) -> None:
        connection.gate = self._gate
        self._own(connection)
        is_held = self._gate is not None and self._gate.is_closed
        if self.on_arrival is None or is_held or self._waiting:
            self._waiting.append(connection)
            self._parked.unpark_all()
        else:
            self.on_arrival(connection)

    async def accept(self) -> Connection:
        await trio.lowlevel.checkpoint()
        while True:
            if self._gate is not None:
                await self._gate.passed()
            if self._closed:
                raise trio.ClosedResourceError("this listener is closed")
            if self._waiting:
                return self._waiting.popleft()
            await self._parked.park()

    def close(self) -> None:
        """Refuse connections, those that wait too. Safe to repeat."""
        if not self._closed:
            self._closed = True
            self._network.leave(self)
            for connection in self._waiting:
                connection.close()
            self._parked.unpark_all()

    async def aclose(self) -> None:
        self.close()


class Network:
    """Who listens where, on the only machine that there is."""

    def __init__(self) -> None:
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._free_port = FIRST_FREE_PORT
        self._ports = itertools.cycle(PORTS_OF_CONNECTING)

    def listen(
        self, host: str, port: int, gate: Gate | None, own: Callable[[Connection], object]
    ) -> Listener:
        """Listen at an address; at a free port for 0.

        Args:
            host: its name or address.
            port: its port.
            gate: what everything passes that is done with the connections.
            own: told of every connection that arrives.

        Raises:
            OSError: somebody listens there.
        """
        if port == 0:
            port, self._free_port = self._free_port, self._free_port + 1
        address = (normal_host(host), port)
        if self._find(*address) is not None or (host in EVERYWHERE and self._anybody(port)):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        listener = self._listeners[address] = Listener(self, address, gate, own)
        return listener

    def leave(self, listener: Listener) -> None:
        del self._listeners[listener.address]

    def connect(self, host: str, port: int, gate: Gate | None = None) -> Connection:
        """Connect to who listens there. Raises ``ConnectionRefusedError`` where nobody does."""
        normal = normal_host(host)
        listener = self._find(HERE.get(normal, normal), port)
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        ours, theirs = connected(gate)
        theirs.port = next(self._ports)
        listener.arrive(theirs)
        return ours

    def _find(self, host: str, port: int) -> Listener | None:
        places = [self._listeners.get((each, port)) for each in (host, *EVERYWHERE)]
        return next((listener for listener in places if listener is not None), None)

    def _anybody(self, port: int) -> bool:
        return any(taken == port for _, taken in self._listeners)
