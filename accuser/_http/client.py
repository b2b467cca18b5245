"""HTTP/1.1 over any trio stream: one connection per request, chunks kept apart.

h11 does the protocol. Neither higher-level client keeps what this package needs: the borders of
HTTP chunks (Mavkit's own client takes one JSON value per chunk, and goes deaf on two) and a
connection over any stream, a socket or one in memory. One connection per request is what
Mavkit's daemons do (recorded run ``19-connections``).
"""

from __future__ import annotations

import json
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

import attrs
import trio

from .._text import without_credentials
from .asking import Exchange
from .errors import HttpError, NodeUnreachable

MAX_BODY: Final = 256 * 1024 * 1024
"""No answer of a node comes near this; a peer that sends more is not one."""

Connect = Callable[[], Awaitable[trio.abc.Stream]]


@attrs.frozen
class Response:
    """A complete answer. ``body`` is at most 256 MiB."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Decode the body as JSON. Raises ``ValueError`` if it is not."""
        return json.loads(self.body)


@attrs.frozen(eq=False)
class StreamingResponse:
    """An answer whose body is still coming."""

    status: int
    headers: dict[str, str]
    chunks: AsyncIterator[bytes]
    """The body: one value per HTTP chunk; without chunked encoding, whatever one read gave."""

    @property
    def media_type(self) -> str:
        """As in ``Response``."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def _without_slash(url: str) -> str:
    return url.rstrip("/")


@attrs.define(eq=False, repr=False)
class HttpClient:
    """A client of one server.

    Args:
        url: scheme, host and port, as in ``http://127.0.0.1:8732``; a path in it is a prefix. A user name and
            a password in it are sent as Basic authentication, and are no part of `url` afterwards.
        connect: opens the connections, in place of TCP (or TLS, for ``https``).
    """

    url: str = attrs.field(converter=_without_slash)
    _connect: Connect | None = attrs.field(default=None, kw_only=True)
    _authorization: tuple[tuple[str, str], ...] = attrs.field(default=(), init=False, repr=False)
    _place: tuple[str, str] = attrs.field(init=False, repr=False)
    """Host and port, and the prefix of every path."""

    def __attrs_post_init__(self) -> None:
        user_info, at, _ = urlsplit(self.url).netloc.rpartition("@")
        if at:
            user, _, password = user_info.partition(":")
            pair = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
            self._authorization = (("authorization", f"Basic {b64encode(pair).decode()}"),)
            self.url = without_credentials(self.url)
        parts = urlsplit(self.url)
        self._place = (parts.netloc, parts.path)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """Send a request and read the whole answer.

        Raises:
            NodeUnreachable: the connection could not be opened.
            HttpError: the connection broke, or what came was not HTTP.

        Cancelling closes the connection.
        """
        stream = await self._open()
        try:
            exchange = await self._asked(stream, method, path, body, headers)
            parts = []
            size = 0
            while (chunk := await exchange.chunk()) is not None:
                size += len(chunk)
                if size > MAX_BODY:
                    raise HttpError(f"{exchange.what}: the answer exceeds {MAX_BODY} bytes")
                parts.append(chunk)
            return Response(exchange.status, exchange.headers, b"".join(parts))
        finally:
            if not closed_at_once(stream):
                await trio.aclose_forcefully(stream)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> AsyncGenerator[StreamingResponse]:
        """Send a request and give the answer as soon as its head is there.

        The connection is closed at the end of the block. Raises as ``request`` does, from the
        iteration of the chunks too.
        """
        stream = await self._open()
        try:
            exchange = await self._asked(stream, method, path, body, headers)
            yield StreamingResponse(exchange.status, exchange.headers, _Chunks(exchange))
        finally:
            if not closed_at_once(stream):
                await trio.aclose_forcefully(stream)

    async def _asked(
        self,
        stream: trio.abc.Stream,
        method: str,
        path: str,
        body: bytes | None,
        headers: tuple[tuple[str, str], ...],
    ) -> Exchange:
        exchange = Exchange(stream, f"{method} {self.url}{path}")
        netloc, prefix = self._place
        fields = (("host", netloc), ("connection", "close"), *self._authorization, *headers)
        await exchange.ask(method, (prefix + path) or "/", fields, body)
        return exchange

    async def _open(self) -> trio.abc.Stream:
        if self._connect is not None:
            try:
                return await self._connect()
            except OSError as error:
                raise NodeUnreachable(url=self.url, reason=str(error) or repr(error)) from error
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise NodeUnreachable(url=self.url, reason="not an http or https URL with a host")
        try:
            port = parts.port or (443 if secure else 80)
            tcp = await trio.open_tcp_stream(parts.hostname, port)
            if not secure:
                return tcp
            context = ssl.create_default_context()
            tls = trio.SSLStream(tcp, context, server_hostname=parts.hostname, https_compatible=True)
            try:
                await tls.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(tcp)
                raise
            return tls
        except (OSError, ValueError, trio.BrokenResourceError) as error:
            # Of trio's attempts, one for each address, there is but one reason as a rule.
            attempts = error.__cause__.exceptions if isinstance(error.__cause__, ExceptionGroup) else [error]
            reasons = dict.fromkeys(map(_reason, attempts))
            raise NodeUnreachable(url=self.url, reason="; ".join(reasons)) from error


@attrs.define(eq=False, repr=False)
class _Chunks:
    """The chunks of an answer, as an iterator."""

    _exchange: Exchange

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        if (chunk := await self._exchange.chunk()) is None:
            raise StopAsyncIteration
        return chunk


def closed_at_once(stream: trio.abc.Stream) -> bool:
    """Close a stream that never waits for that, as one in memory; whether it was one.

    To close it as any other costs a cancelled scope, which is felt at every request.
    """
    close = getattr(stream, "close", None)
    if close is not None:
        close()
    return close is not None


def _reason(error: Exception) -> str:
    """What an error says, and of one of the system what the number does, without the address beside it."""
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror | ssl.SSLError):
        return f"[Errno {error.errno}] {os.strerror(error.errno)}"
    return str(error) or repr(error)
