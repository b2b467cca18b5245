"""Pipes and connections in memory: what programs that are tasks of one process use.

They behave as the kernel's do: a writer waits while a pipe is full, what was written before the end
is read after it, and who writes to nobody is told so. A `Gate` holds up whoever is stopped. To close
something never waits, and is no checkpoint.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs
import trio

from ..._http.messages import HandingStream, Message

CAPACITY: Final = 65536
"""Bytes that a pipe takes before its writer waits, as a pipe of Linux."""


class Gate:
    """Whether a program goes on: all its reading and writing passes through its gate."""

    def __init__(self) -> None:
        self._opened: trio.Event | None = None

    @property
    def is_closed(self) -> bool:
        return self._opened is not None

    def close(self) -> None:
        """Hold up everything from now on."""
        if self._opened is None:
            self._opened = trio.Event()

    def open(self) -> None:
        """Let everything go on."""
        if self._opened is not None:
            self._opened.set()
            self._opened = None

    async def passed(self) -> None:
        """Wait while it is closed."""
        while self._opened is not None:
            await self._opened.wait()


class Pipe:
    """Bytes on their way from one end to the other."""

    def __init__(self) -> None:
        self._parts: deque[Message | bytes] = deque()
        self._size = 0
        self._written = False
        """Nothing more will be written."""
        self._unread = False
        """Nothing more will be read."""
        self._parked = trio.lowlevel.ParkingLot()

    def _wake(self) -> None:
        if self._parked:
            self._parked.unpark_all()

    def put(self, data: Message | bytes) -> None:
        """Write bytes, or a message in their place, without waiting.

        Raises ``BrokenResourceError`` and ``ClosedResourceError``.
        """
        if self._written:
            raise trio.ClosedResourceError("this end is closed")
        if self._unread:
            raise trio.BrokenResourceError("nobody reads")
        if data:
            self._parts.append(data)
            self._size += len(data)
            self._wake()

    async def room(self) -> None:
        """Wait while it is too full."""
        while self._size > CAPACITY and not (self._unread or self._written):
            await self._parked.park()

    async def take(self, gate: Gate | None, most: int | None) -> bytes:
        """Read the bytes that are there, once there are some; none at the end."""
        await self._filled(gate)
        data = b"".join(part if isinstance(part, bytes) else part.to_bytes() for part in self._parts)
        self._parts.clear()
        if most is not None and len(data) > most:
            data, rest = data[:most], data[most:]
            self._parts.append(rest)
        self._size = sum(map(len, self._parts))
        self._wake()
        return data

    async def take_part(self, gate: Gate | None) -> Message | bytes:
        """Read the next message, or bytes, once there is something; no bytes at the end."""
        await self._filled(gate)
        part = self.take_part_now()
        return b"" if part is None else part

    def take_part_now(self) -> Message | bytes | None:
        """Read the next message, or bytes, if there is something."""
        if not self._parts:
            return None
        part = self._parts.popleft()
        self._size -= len(part)
        self._wake()
        return part

    async def _filled(self, gate: Gate | None) -> None:
        """Wait until there is something, or the end. Raises ``ClosedResourceError``."""
        waited = False
        while True:
            if gate is not None and gate.is_closed:
                await gate.passed()
            if self._unread:
                raise trio.ClosedResourceError("this end is closed")
            if self._parts or self._written:
                if waited:
                    return
                waited = True
                # Others get their turn; what is there may change meanwhile.
                await trio.lowlevel.checkpoint()
            else:
                waited = True
                await self._parked.park()

    def close_writing(self) -> None:
        self._written = True
        self._wake()

    def close_reading(self) -> None:
        """The reading end is closed; what was not read is lost."""
        self._unread = True
        self._parts.clear()
        self._size = 0
        self._wake()


@attrs.define(eq=False, repr=False)
class Reader(trio.abc.ReceiveStream):
    pipe: Pipe
    gate: Gate | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What is there; nothing at the end."""
        return await self.pipe.take(self.gate, max_bytes)

    def close(self) -> None:
        self.pipe.close_reading()

    async def aclose(self) -> None:
        self.close()


@attrs.define(eq=False, repr=False)
class Connection(HandingStream):
    incoming: Pipe
    outgoing: Pipe
    gate: Gate | None = None
    port: int = 0
    """Of who connected, for whom was connected to."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What is there; nothing at the end."""
        return await self.incoming.take(self.gate, max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._send(bytes(data))

    async def hand(self, message: Message) -> None:
        """Send a message; its bytes, to whoever reads those."""
        await self._send(message)

    async def take(self) -> Message | bytes:
        """The next message, or bytes; none at the end."""
        return await self.incoming.take_part(self.gate)

    def take_now(self) -> Message | bytes | None:
        """The next message, or bytes, if there is something, and nothing holds them up."""
        is_held = self.gate is not None and self.gate.is_closed
        return None if is_held else self.incoming.take_part_now()

    async def _send(self, data: Message | bytes) -> None:
        # No turn of others: a writer that goes on and on waits for room soon enough.
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.gate is not None and self.gate.is_closed:
            await self.gate.passed()
        self.outgoing.put(data)
        await self.outgoing.room()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room."""
        await trio.lowlevel.checkpoint()
        await self.outgoing.room()

    def close(self) -> None:
        self.incoming.close_reading()
        self.outgoing.close_writing()

    async def aclose(self) -> None:
        self.close()


def connected(gate: Gate | None) -> tuple[Connection, Connection]:
    """The two ends of a new connection, the first one behind a gate."""
    there, back = Pipe(), Pipe()
    return Connection(back, there, gate), Connection(there, back)
