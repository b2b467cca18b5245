"""A server's half of a connection: the request that comes over it, and the answer that goes back.

`InBytes` leaves the bytes of both to h11. `Whole` has been handed a request by a `HandingStream`, and hands
over its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import attrs
import h11
import trio

from .messages import READ_SIZE, Asked, Chunk, HandingStream, Told, written

Fields = Sequence[tuple[str, str]]


class TooLarge(Exception):
    """A request's body exceeds what is taken."""


@attrs.define(eq=False, repr=False)
class InBytes:
    """Requests and answers as bytes, one after the other.

    Args:
        stream: the connection.
        read: what has been read from it already; nothing is its end.
    """

    stream: trio.abc.Stream
    read: bytes | None = None
    _connection: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.SERVER), init=False)

    def __attrs_post_init__(self) -> None:
        if self.read is not None:
            self._connection.receive_data(self.read)

    @property
    def is_idle(self) -> bool:
        """Whether nothing of the next request has come."""
        return self._connection.their_state is h11.IDLE and not self._connection.trailing_data[0]

    async def request(self, max_body: int) -> Asked | None:
        """The next one; None at the end of the connection.

        Raises:
            TooLarge: its body has more than ``max_body`` bytes.
            h11.RemoteProtocolError: what came is none.
        """
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        fields: dict[str, str] = {}
        for name, value in head.headers:
            key, text = name.decode("ascii"), value.decode("latin-1")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > max_body:
                raise TooLarge
        if not isinstance(event, h11.EndOfMessage):
            return None
        return Asked(head.method.decode("ascii"), head.target.decode("ascii"), fields, bytes(body))

    async def answer(self, status: int, fields: Fields, body: bytes, *, bodiless: bool) -> None:
        """Answer the request, of which only the head may have come."""
        connection = self._connection
        if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        head = _head(status, (("content-length", str(len(body))), *fields))
        data = () if bodiless else (h11.Data(data=body),)
        await self._send(head, *data, h11.EndOfMessage())
        if connection.their_state is not h11.DONE:
            # The client may still be sending what we refused: reading it a little lets our answer
            # reach it, where closing at once would reset the connection.
            with trio.move_on_after(1):
                for _ in range(64):
                    if not await self.stream.receive_some(READ_SIZE):
                        break

    async def begin(self, fields: Fields) -> None:
        """Begin an answer of status 200 whose body comes in chunks."""
        await self._send(_head(200, (*fields, ("transfer-encoding", "chunked"))))

    async def chunk(self, data: bytes) -> None:
        """Send a chunk of it, which has at least one byte."""
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        """End an answer that was begun."""
        await self._send(h11.EndOfMessage())

    def may_go_on(self) -> bool:
        """Whether another request may follow; from here on the next one is meant."""
        if self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()
            return True
        return False

    async def _next_event(self) -> object:
        connection = self._connection
        while (event := connection.next_event()) is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            connection.receive_data(bytes(await self.stream.receive_some(READ_SIZE)))
        return event

    async def _send(self, *events: h11.Event) -> None:
        await self.stream.send_all(written(self._connection, events))


def _head(status: int, fields: Fields) -> h11.Response:
    reason = HTTPStatus(status).phrase.encode("ascii")
    return h11.Response(status_code=status, headers=list(fields), reason=reason)


@attrs.define(eq=False, repr=False)
class Whole:
    """One request that was handed over, and its answer.

    Args:
        stream: the connection.
        asked: the request.
    """

    stream: HandingStream
    asked: Asked
    is_idle: bool = attrs.field(default=False, init=False)

    async def answer(self, status: int, fields: Fields, body: bytes, *, bodiless: bool = False) -> None:
        """Hand over the whole answer; the connection closes after it."""
        length = ("content-length", str(len(body)))
        await self.stream.hand(Told(status, dict((length, *fields, _CLOSE)), body))

    async def begin(self, fields: Fields) -> None:
        """See `InBytes.begin`."""
        headers = dict((*fields, ("transfer-encoding", "chunked"), _CLOSE))
        await self.stream.hand(Told(200, headers, None))

    async def chunk(self, data: bytes) -> None:
        """See `InBytes.chunk`."""
        await self.stream.hand(Chunk(data))

    async def end(self) -> None:
        """See `InBytes.end`."""
        await self.stream.hand(Chunk(b""))

    def may_go_on(self) -> bool:
        """Never: who hands over a request closes the connection after the answer."""
        return False

    async def in_bytes(self) -> InBytes:
        """The same request, to be answered in bytes."""
        other = InBytes(self.stream, self.asked.to_bytes())
        await other.request(len(self.asked.body))
        return other


_CLOSE: Final = ("connection", "close")
_BODILESS: Final = (204, 304)


def is_plain_answer(status: int, headers: Fields) -> bool:
    """Whether an answer can be handed over: h11 has to judge of other headers, and of other statuses."""
    return not headers and status >= 200 and status not in _BODILESS
