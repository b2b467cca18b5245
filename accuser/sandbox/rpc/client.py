"""Calls of a node's RPC as upstream's client makes them, and their failures as traces.

Answers are read in the media type that was asked for. A stream gives one value for each HTTP chunk,
with upstream's rule: bytes are gathered until they decode as exactly one value of the expected shape;
a chunk with the end of one value and the beginning of the next makes the stream deaf, for good and
without a word.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Generic, TypeVar

import trio

from ..._http.client import HttpClient, Response, StreamingResponse
from ..._http.errors import HttpError, NodeUnreachable
from ..._mavryk.codec.binary.schema import BinaryError
from .error_text import EMPTY_TRACE, describe
from .request import Request, RpcFailed, Undecodable
from .wire import (
    ACCEPT,
    JsonWire,
    MediaType,
    NotYet,
    Wire,
    headers_and_body,
    understood,
)

USER_AGENT: Final = "mavkit-sandbox"
ATTEMPTS: Final = 10
"""A gateway that answers 502 is asked this often, with delays of 0, 0.1, 0.2 ... seconds."""


T = TypeVar("T")
OnRetry = Callable[[int, float, str], Awaitable[None]]


class ConnectionFailed(RpcFailed):
    """No answer: the node is not there."""


def failed(error: object) -> RpcFailed:
    """A failure with a trace of one error."""
    return RpcFailed([error], describe(error))


class Items(Generic[T]):
    """The values of a stream, out of its chunks. Pure."""

    def __init__(self, decode: Callable[[object], T], wire: Wire | None = None) -> None:
        self._decode = decode
        self._wire = JsonWire() if wire is None else wire
        self._buffer = b""
        self._deaf = False

    def feed(self, chunk: bytes) -> list[T]:
        """The value that the chunk completes, if any."""
        if self._deaf:
            return []
        self._buffer += chunk
        value = self._wire.read_item(self._buffer)
        if value is NotYet.MORE:
            return []
        self._buffer = b""
        if value is NotYet.NEVER:
            self._deaf = True
            return []
        try:
            return [self._decode(value)]
        except Undecodable:
            self._deaf = True
            return []


class Rpc:
    """The RPC of one node.

    Args:
        http: connects to the node.
        media_type: what to ask for.
        on_retry: told of each answer 502: attempt, delay in seconds before the next, body.
        protocol: the hash of the program's protocol, which binary answers are taken to be of.
    """

    def __init__(
        self, http: HttpClient, media_type: MediaType, on_retry: OnRetry, protocol: str = ""
    ) -> None:
        self._http = http
        self._media_type: MediaType = media_type
        self._on_retry = on_retry
        self._protocol = protocol

    async def call(self, request: Request) -> Any:
        """Send a request; the decoded answer. Raises ``RpcFailed``."""
        try:
            headers, body = headers_and_body(self._media_type, request.method, request.path, request.body)
        except BinaryError as error:
            raise failed({"kind": "generic", "error": str(error)}) from error
        fields = (*headers.items(), ("user-agent", USER_AGENT))
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = await self._http.request(request.method, request.path, body=body, headers=fields)
            except (NodeUnreachable, HttpError) as error:
                raise self.unreachable(request.method, request.path, error) from error
            if not await self._try_again(response.status, response.body, attempt):
                break
        return self._decoded(request.method, request.path, response, request.decode)

    @asynccontextmanager
    async def stream(
        self, path: str, decode: Callable[[object], T]
    ) -> AsyncGenerator[AsyncGenerator[T, None]]:
        """Open a stream: its values until it ends, in whatever way. Raises ``RpcFailed`` at once."""
        for attempt in range(1, ATTEMPTS + 1):
            async with self._opened(path) as response:
                if response.status == 200:
                    if (wire := self._wire("GET", path, response.media_type)) is None:
                        # The complaint shows the whole answer, so it is awaited, as upstream does.
                        body = await _all(response.chunks)
                        raise self._misunderstood("GET", path, response.media_type, body)
                    async with aclosing(self._items(response.chunks, Items(decode, wire))) as items:
                        yield items
                    return
                body = await _all(response.chunks)
            if not await self._try_again(response.status, body, attempt):
                break
        self._decoded("GET", path, Response(response.status, response.headers, body), decode)
        raise AssertionError("an error status has no answer")

    @asynccontextmanager
    async def _opened(self, path: str) -> AsyncGenerator[StreamingResponse]:
        fields = (("accept", ACCEPT[self._media_type]), ("user-agent", USER_AGENT))
        opened = self._http.stream("GET", path, headers=fields)
        try:
            response = await opened.__aenter__()
        except (NodeUnreachable, HttpError) as error:
            raise self.unreachable("GET", path, error) from error
        try:
            yield response
        finally:
            with trio.CancelScope(shield=True):
                # Closes the connection, which does not block.
                await opened.__aexit__(None, None, None)

    async def _items(self, chunks: AsyncIterator[bytes], items: Items[T]) -> AsyncGenerator[T, None]:
        try:
            async for chunk in chunks:
                for item in items.feed(chunk):
                    yield item
        except HttpError:
            # However the stream ends, it has ended.
            return

    async def _try_again(self, status: int, body: bytes, attempt: int) -> bool:
        if status != 502:
            return False
        delay = (attempt - 1) / 10
        await self._on_retry(attempt, delay, body.decode("utf-8", "surrogateescape"))
        if attempt < ATTEMPTS:
            await trio.sleep(delay)
        return attempt < ATTEMPTS

    def _request_failed(self, method: str, path: str, error: object) -> RpcFailed:
        uri = f"{self._http.url}{path}"
        whole = {"kind": "permanent", "id": "rpc_client.request_failed", "meth": method, "uri": uri}
        return failed({**whole, "error": error})

    def unreachable(self, method: str, path: str, error: NodeUnreachable | HttpError) -> RpcFailed:
        """The failure of a request that got no answer."""
        whole = self._request_failed(method, path, {"kind": "connection_failed", "message": _reason(error)})
        return ConnectionFailed(whole.trace, whole.text)

    def _wire(self, method: str, path: str, received: str) -> Wire | None:
        return understood(self._media_type, received, method, path, self._protocol)

    def _misunderstood(self, method: str, path: str, media_type: str, body: bytes) -> RpcFailed:
        error = {
            "kind": "unexpected_content_type",
            "received": media_type,
            "acceptable": [part.partition(";")[0] for part in ACCEPT[self._media_type].split(",")],
            "body": _text(body),
        }
        return self._request_failed(method, path, error)

    def _decoded(self, method: str, path: str, response: Response, decode: Callable[[object], T]) -> T:
        if response.status not in (200, 201, 202, 204):
            raise self.refused(method, path, response)
        if response.status == 204 or not response.body:
            raise self._request_failed(method, path, {"kind": "empty_answer"})
        if (wire := self._wire(method, path, response.media_type)) is None:
            raise self._misunderstood(method, path, response.media_type, response.body)
        try:
            return decode(wire.read(response.body))
        except ValueError as error:
            raise self._undecodable(method, path, wire, response.body, str(error)) from error

    def _undecodable(self, method: str, path: str, wire: Wire, body: bytes, complaint: str) -> RpcFailed:
        error = {
            "kind": "unexpected_content",
            "content": _text(body),
            "media_type": wire.media_type,
            "error": complaint,
        }
        return self._request_failed(method, path, error)

    def refused(self, method: str, path: str, response: Response) -> RpcFailed:
        """The failure of a request whose answer has a status of an error."""
        status, body = response.status, response.body
        uri = f"{self._http.url}{path}"
        if status == 400:
            return self._request_failed(method, path, {"kind": "bad_request", "message": _text(body)})
        if status == 405:
            allowed = [word.strip() for word in response.headers.get("allow", "").split(",") if word.strip()]
            return self._request_failed(method, path, {"kind": "method_not_allowed", "allowed": allowed})
        if status == 406:
            error = {
                "kind": "not_acceptable",
                "proposed": ACCEPT[self._media_type],
                "acceptable": _text(body),
            }
            return self._request_failed(method, path, error)
        if status == 415:
            return self._request_failed(method, path, {"kind": "unsupported_media_type"})
        if status not in (401, 403, 404, 409, 410, 500):
            unexpected = {"kind": "unexpected_status_code", "code": status, "content": _text(body)}
            return self._request_failed(method, path, unexpected)
        if not body:
            match status:
                case 401:
                    return self._request_failed(method, path, {"kind": "unauthorized_uri"})
                case 403:
                    return self._request_failed(method, path, {"kind": "forbidden"})
                case 404 | 410:
                    identifier = "RPC_context.Not_found" if status == 404 else "RPC_context.Gone"
                    return failed({"kind": "branch", "id": identifier, "method": method, "uri": uri})
                case _:
                    generic = "RPC_context.Generic_error"
                    return failed({"kind": "branch", "id": generic, "method": method, "uri": uri})
        if response.media_type == "text/ocaml.exception":
            return self._request_failed(method, path, {"kind": "ocaml_exception", "message": _text(body)})
        if (wire := self._wire(method, path, response.media_type)) is None:
            return self._misunderstood(method, path, response.media_type, body)
        try:
            trace = wire.read_errors(body)
            if not isinstance(trace, list):
                raise ValueError(f"Unexpected {type(trace).__name__} instead of array")
        except ValueError as error:
            return self._undecodable(method, path, wire, body, str(error))
        if not trace:
            return failed({"kind": "branch", "id": EMPTY_TRACE})
        return RpcFailed(trace, describe(trace[0]))


def _reason(error: NodeUnreachable | HttpError) -> str:
    """What OCaml's libraries say of it."""
    cause = error.__cause__
    causes: list[BaseException] = [cause] if cause is not None else []
    while causes:
        each = causes.pop()
        if isinstance(each, socket.gaierror):
            return "resolution failed: name resolution failed"
        if isinstance(each, OSError) and each.errno is not None and each.errno in errno.errorcode:
            name = errno.errorcode[each.errno]
            if isinstance(error, NodeUnreachable):
                return f'Unix.Unix_error(Unix.{name}, "connect", "")'
            call = "write" if each.errno == errno.EPIPE else "read"
            return f'IO error: Unix.Unix_error(Unix.{name}, "{call}", "")'
        causes += [deeper for deeper in (each.__cause__, each.__context__) if deeper is not None]
        if isinstance(each, BaseExceptionGroup):
            causes += each.exceptions
    return error.reason if isinstance(error, NodeUnreachable) else str(error)


def _text(body: bytes) -> str:
    return body.decode("utf-8", "surrogateescape")


async def _all(chunks: AsyncIterator[bytes]) -> bytes:
    parts = []
    try:
        async for chunk in chunks:
            parts.append(chunk)
    except HttpError:
        # What came of an error's text is enough.
        pass
    return b"".join(parts)
