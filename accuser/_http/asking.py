"""A client's half of one request and its answer, on a stream of its own.

The answer comes as bytes, which h11 reads, or as messages, which a `HandingStream` hands over.
"""

from __future__ import annotations

import contextlib

import attrs
import h11
import trio

from .errors import HttpError
from .messages import (
    READ_SIZE,
    Asked,
    Chunk,
    Fields,
    HandingStream,
    Message,
    Told,
    is_plain,
    written,
)


@attrs.define(eq=False, repr=False)
class Exchange:
    """A request, and what has come of its answer.

    Args:
        stream: the connection.
        what: the request in words, for errors.
    """

    stream: trio.abc.Stream
    what: str
    status: int = attrs.field(default=0, init=False)
    headers: dict[str, str] = attrs.field(factory=dict, init=False)
    _asked: Asked | None = attrs.field(default=None, init=False)
    _told: Told | None = attrs.field(default=None, init=False)
    """The head, if chunks follow it which are handed over too."""
    _body: bytes | None = attrs.field(default=None, init=False)
    """What is left of a body that was handed over with its head."""
    _connection: h11.Connection | None = attrs.field(default=None, init=False)

    async def ask(self, method: str, target: str, fields: Fields, body: bytes | None) -> None:
        """Send the request, and read the head of the answer. Raises ``HttpError``."""
        headers: list[tuple[str, str]] = [*fields]
        if body is not None:
            headers.append(("content-length", str(len(body))))
        if isinstance(self.stream, HandingStream) and is_plain(method, target, fields):
            self._asked = Asked(method, target, dict(headers), body or b"")
            # The server may have answered and closed before it read our request.
            with contextlib.suppress(trio.BrokenResourceError):
                await self.stream.hand(self._asked)
            part = await self._take(self.stream)
            if isinstance(part, Told):
                self.status, self.headers, self._body = part.status, part.headers, part.body
                self._told = part if part.body is None else None
                return
            # It is no server of ours that answers, or it is gone.
            connection = self._connection = h11.Connection(h11.CLIENT)
            written(connection, self._asked.events())
            self._receive(connection, part)
        else:
            connection = self._connection = h11.Connection(h11.CLIENT)
            data = self._written(connection, method, target, headers, body)
            with contextlib.suppress(trio.BrokenResourceError, OSError):
                await self.stream.send_all(data)
        await self._read_head(connection)

    def _written(
        self,
        connection: h11.Connection,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
    ) -> bytes:
        try:
            head = h11.Request(method=method, target=target, headers=headers)
            data = [] if body is None else [h11.Data(data=body)]
            return written(connection, [head, *data, h11.EndOfMessage()])
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:
            raise HttpError(f"{self.what}: {error}") from error

    async def _read_head(self, connection: h11.Connection) -> None:
        head = await self._next_event(connection)
        while isinstance(head, h11.InformationalResponse):
            head = await self._next_event(connection)
        if not isinstance(head, h11.Response):
            raise HttpError(f"{self.what}: the connection was closed without an answer")
        self.status = head.status_code
        self.headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}

    async def chunk(self) -> bytes | None:
        """The next of the body: an HTTP chunk, or else what one read gave; None at the end.

        Raises ``HttpError``.
        """
        if self._body is not None:
            body, self._body = self._body, b""
            return body or None
        if self._told is not None and isinstance(self.stream, HandingStream):
            part = await self._take(self.stream)
            if isinstance(part, Chunk):
                return part.data or None
            await self._go_on_by_h11(self._told, part)
        assert self._connection is not None
        parts: list[bytes] = []
        while isinstance(event := await self._next_event(self._connection), h11.Data):
            # h11 sets the two marks for chunked bodies only, and gives a chunk piecemeal when it
            # arrives so.
            parts.append(bytes(event.data))
            if not (event.chunk_start or len(parts) > 1) or event.chunk_end:
                return b"".join(parts)
        return None

    async def _go_on_by_h11(self, told: Told, part: Message | bytes) -> None:
        """The server is gone in the middle of its answer, of which h11 says the same for every stream."""
        assert self._asked is not None
        connection, self._told = h11.Connection(h11.CLIENT), None
        written(connection, self._asked.events())
        connection.receive_data(told.to_bytes())
        await self._read_head(connection)
        self._receive(connection, part)
        self._connection = connection

    def _receive(self, connection: h11.Connection, part: Message | bytes) -> None:
        connection.receive_data(part if isinstance(part, bytes) else part.to_bytes())

    async def _take(self, stream: HandingStream) -> Message | bytes:
        try:
            return await stream.take()
        except trio.BrokenResourceError as error:
            raise HttpError(f"{self.what}: {error or type(error).__name__}") from error

    async def _next_event(self, connection: h11.Connection) -> object:
        try:
            while (event := connection.next_event()) is h11.NEED_DATA:
                connection.receive_data(bytes(await self.stream.receive_some(READ_SIZE)))
            return event
        except (h11.ProtocolError, trio.BrokenResourceError) as error:
            raise HttpError(f"{self.what}: {error or type(error).__name__}") from error
