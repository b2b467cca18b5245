"""An HTTP/1.1 server over any trio stream, for RPCs that answer once or stream.

Invariants: a handler is never cancelled because its client left (an injection must not stop half
way); a stream's items never wait for its client (see `Feed`); nothing that a client sends ends
anything but its own connection.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import attrs
import h11
import trio

from .answering import InBytes, TooLarge, Whole, is_plain_answer
from .client import closed_at_once
from .messages import READ_SIZE, Asked, HandingListener, HandingStream

MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of a request's body; a greater one is answered by 413."""

MAX_BACKLOG: Final = 16 * 1024 * 1024
"""Bytes that a stream keeps for a client which does not read; beyond it the client is dropped."""

IDLE_TIMEOUT: Final = 60.0
"""Seconds that a connection may take to send a request."""

_JSON: Final = "application/json"
_TEXT: Final = "text/plain"
_has_parts_alone: Final = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+/?").fullmatch
"""Of a target: nothing in it is quoted, and no query follows."""


# `json.dumps` would make an encoder for each value.
_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@attrs.frozen
class Request:
    """A request as handlers see it: the path without query, percent-decoded in its parts."""

    method: str
    path: tuple[str, ...]
    query: dict[str, list[str]]
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """By their names in lower case."""
    decoded: tuple[Any, ...] = ()
    """The value of a body that is not JSON."""

    def json(self) -> Any:
        """The value of the body. Raises ``HttpFailure`` 400 if it is not JSON."""
        if self.decoded:
            return self.decoded[0]
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise HttpFailure(400, f"Failed to parse the request body: {error}\n") from error


@attrs.frozen(eq=False)
class HttpFailure(Exception):
    """An answer that is no success, with a text for people."""

    status: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.status} {self.text}"

    def answer(self) -> Answer:
        """What is sent; nothing, and a refusal of every media type, are in none."""
        kind = None if self.status == 406 or not self.text else _TEXT
        return Answer(self.status, self.text.encode(), kind)


@attrs.frozen
class Answer:
    status: int
    body: bytes
    content_type: str | None = _JSON
    """None for what is in no media type."""
    headers: tuple[tuple[str, str], ...] = ()
    """More of them."""


@attrs.define(eq=False, repr=False)
class Feed:
    """The items of one stream, from those who make them to the one client that reads them.

    `push` and `end` never wait. What the client has not read is kept up to ``max_backlog`` bytes;
    then the feed is `overrun` and the server drops the connection.
    """

    max_backlog: int = MAX_BACKLOG
    headers: tuple[tuple[str, str], ...] = ()
    """More of the answer's headers."""
    content_type: str = attrs.field(init=False, default=_JSON)
    on_close: list[Callable[[], None]] = attrs.field(factory=list)
    """Called once, when the client has left or the stream has ended."""
    overrun: trio.Event = attrs.field(init=False, factory=trio.Event)
    _write: Callable[[Any], bytes] = attrs.field(init=False, default=lambda item: dump(item))
    _values: list[object] | None = attrs.field(init=False, factory=list)
    """What was pushed before it was known how to write it."""
    _items: deque[bytes] = attrs.field(init=False, factory=deque)
    _size: int = attrs.field(init=False, default=0)
    _ended: bool = attrs.field(init=False, default=False)
    _closed: bool = attrs.field(init=False, default=False)
    _wake: trio.Event = attrs.field(init=False, factory=trio.Event)

    def push(self, item: object) -> None:
        """Send one JSON value; ignored when the stream is over."""
        if self._ended or self._closed or self.overrun.is_set():
            return
        self._items.append(data := self._write(item))
        self._size += len(data)
        if self._values is not None:
            self._values.append(item)
        if self._size > self.max_backlog:
            self.overrun.set()
            self._items.clear()
        self._wake.set()

    def write_as(self, content_type: str, write: Callable[[Any], bytes]) -> None:
        """Write values in another way, those too that were pushed before `sealed`."""
        assert self._values is not None
        self.content_type, self._write = content_type, write
        self._items = deque(write(item) for item in self._values)
        self._size = sum(map(len, self._items))

    def sealed(self) -> Feed:
        """The same; from here on it is certain how values are written."""
        self._values = None
        return self

    def end(self) -> None:
        """End the stream after the items that were pushed."""
        self._ended = True
        self._wake.set()

    async def next(self) -> bytes | None:
        """The next item; None at the end. Raises ``trio.BrokenResourceError`` when overrun."""
        while not self._items:
            if self.overrun.is_set():
                raise trio.BrokenResourceError("the client does not read")
            if self._ended:
                return None
            self._wake = trio.Event()
            await self._wake.wait()
        data = self._items.popleft()
        self._size -= len(data)
        return data

    def close(self) -> None:
        """The client is gone: tell those who asked."""
        if not self._closed:
            self._closed = True
            self._items.clear()
            for callback in self.on_close:
                callback()


Handler = Callable[[Request], Awaitable[Answer | Feed]]


def dump(value: object) -> bytes:
    """A JSON value and a line end, as every answer and every item of a stream is written."""
    return _encode(value).encode() + b"\n"


@trio.lowlevel.enable_ki_protection
async def serve_connection(
    stream: trio.abc.Stream,
    handler: Handler,
    *,
    max_body: int = MAX_BODY,
    idle_timeout: float = IDLE_TIMEOUT,
    send_timeout: float = math.inf,
) -> None:
    """Answer the requests of one connection until it ends; the stream is closed then.

    Args:
        stream: the connection.
        handler: answers a request.
        max_body: bytes that a request's body may have.
        idle_timeout: seconds that a request may take to come.
        send_timeout: seconds that the client may take to read an answer which is no stream.
    """
    server = _Server(handler, max_body, idle_timeout, send_timeout)
    try:
        connection = await _opened(stream, server)
        while await _serve_request(connection, server):
            pass
    except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    except (OSError, h11.LocalProtocolError):
        pass
    finally:
        if not closed_at_once(stream):
            await trio.aclose_forcefully(stream)


@trio.lowlevel.enable_ki_protection
async def serve_listener(listener: trio.abc.Listener[trio.abc.Stream], handler: Handler) -> None:
    """Answer the requests of all connections to a listener, for ever."""
    await serve_each(listener, partial(serve_connection, handler=handler))


@trio.lowlevel.enable_ki_protection
async def serve_each(
    listener: trio.abc.Listener[trio.abc.Stream], serve: Callable[[trio.abc.Stream], Awaitable[object]]
) -> None:
    """Serve each connection to a listener, for ever, in a task that Ctrl-C is no business of."""
    if isinstance(listener, trio.SocketListener):
        # Which knows what to do when there are no more descriptors.
        await trio.serve_listeners(serve, [listener])
    async with trio.open_nursery() as nursery:

        def start(stream: trio.abc.Stream) -> None:
            nursery.start_soon(serve, stream)

        if isinstance(listener, HandingListener):
            listener.on_arrival = start
        try:
            while True:
                start(await listener.accept())
        finally:
            if isinstance(listener, HandingListener):
                listener.on_arrival = None


@attrs.frozen
class _Server:
    """What `serve_connection` takes."""

    handler: Handler
    max_body: int
    idle_timeout: float
    send_timeout: float


async def _opened(stream: trio.abc.Stream, server: _Server) -> InBytes | Whole:
    """The connection, once it is known what comes over it. Raises ``trio.TooSlowError`` if nothing does."""
    if not isinstance(stream, HandingStream):
        return InBytes(stream)
    if (part := stream.take_now()) is None:
        with trio.fail_after(server.idle_timeout):
            part = await stream.take()
    if isinstance(part, Asked):
        return Whole(stream, part)
    return InBytes(stream, part if isinstance(part, bytes) else part.to_bytes())


async def _serve_request(connection: InBytes | Whole, server: _Server) -> bool:
    """Answer one request; whether another one may follow."""
    asked = None
    try:
        if isinstance(connection, Whole):
            asked = connection.asked
        else:
            with trio.fail_after(server.idle_timeout):
                asked = await connection.request(server.max_body)
        if asked is None:
            return False
        if len(asked.body) > server.max_body:
            raise TooLarge
        answer = await server.handler(_read(asked))
    except HttpFailure as failure:
        answer = failure.answer()
    except TooLarge:
        answer = Answer(413, f"The request body exceeds {server.max_body} bytes.\n".encode(), _TEXT)
    except h11.RemoteProtocolError as error:
        answer = Answer(error.error_status_hint, f"{error}\n".encode(), _TEXT)
    except trio.TooSlowError:
        if connection.is_idle:
            # Nothing was asked, and so nothing is answered: a client would take it for the answer
            # to what it asks next.
            return False
        answer = Answer(408, b"The request did not come.\n", _TEXT)
    if isinstance(connection, Whole) and not _is_plain(answer):
        connection = await connection.in_bytes()
    if isinstance(answer, Feed):
        try:
            await _send_feed(connection, answer)
        finally:
            answer.close()
    else:
        bodiless = asked is not None and asked.method == "HEAD"
        if server.send_timeout == math.inf:
            await _send_answer(connection, answer, bodiless=bodiless)
        else:
            with trio.fail_after(server.send_timeout):
                await _send_answer(connection, answer, bodiless=bodiless)
    return connection.may_go_on()


def _read(asked: Asked) -> Request:
    """The request as handlers see it. Raises ``HttpFailure``."""
    target = asked.target
    if _has_parts_alone(target):
        path, query = tuple(part for part in target.split("/") if part), dict[str, list[str]]()
    else:
        try:
            parts = urlsplit(target)
            query = parse_qs(parts.query, keep_blank_values=True, errors="strict")
            path = tuple(unquote(part, errors="strict") for part in parts.path.split("/") if part)
        except ValueError as error:
            raise HttpFailure(400, f"Bad request target: {error}\n") from error
    return Request(asked.method, path, query, asked.body, asked.headers)


def _is_plain(answer: Answer | Feed) -> bool:
    status = 200 if isinstance(answer, Feed) else answer.status
    return is_plain_answer(status, answer.headers)


async def _send_answer(connection: InBytes | Whole, answer: Answer, *, bodiless: bool) -> None:
    fields = [*answer.headers]
    if answer.content_type is not None:
        fields.append(("content-type", answer.content_type))
    await connection.answer(answer.status, fields, answer.body, bodiless=bodiless)


async def _send_feed(connection: InBytes | Whole, feed: Feed) -> None:
    @trio.lowlevel.enable_ki_protection
    async def watch_client() -> None:
        # A client of a stream has nothing more to say; the end of its side means that it left.
        try:
            while await connection.stream.receive_some(READ_SIZE):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        nursery.cancel_scope.cancel()

    @trio.lowlevel.enable_ki_protection
    async def watch_overrun() -> None:
        # The stream may be waiting for a client that does not read.
        await feed.overrun.wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_client)
        nursery.start_soon(watch_overrun)
        # A client that is gone must end no more than this: the nursery would make a group of it.
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await connection.begin((("content-type", feed.content_type), *feed.headers))
            while (item := await feed.next()) is not None:
                # One item, one flush, one chunk: Mavkit's clients go deaf on anything else.
                await connection.chunk(item)
            await connection.end()
        nursery.cancel_scope.cancel()
