"""The HTTP server of the sandbox's node."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing

from accuser._http import server as http_server
from accuser._http.server import (
    Answer,
    Feed,
    Request,
    serve_connection,
)

# HTTP


async def echo(request: Request) -> Answer | Feed:
    await trio.lowlevel.checkpoint()
    if request.path == ("stream",):
        return FEEDS[0]
    shown = f"{request.method} {'/'.join(request.path)} {request.query} {request.body!r}"
    return Answer(200, json.dumps(shown).encode())


FEEDS: list[Feed] = []


async def exchange(data: bytes, *, eof: bool = True, **options: Any) -> bytes:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await serve_connection(theirs, echo, **options)

        nursery.start_soon(serve)
        await ours.send_all(data)
        if eof:
            await ours.send_eof()
        answer = b""
        with trio.fail_after(100):
            while chunk := await ours.receive_some():
                answer += chunk
    return answer


HEAD = b"Host: x\r\n"


async def test_a_request_for_the_head_alone_gets_no_body_and_may_be_followed() -> None:
    answer = await exchange(b"HEAD /a HTTP/1.1\r\n" + HEAD + b"\r\nGET /b HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b"HEAD a" not in answer
    assert answer.endswith(b"GET b {} b''\"")


async def test_requests_with_length_and_in_chunks_on_one_connection() -> None:
    answer = await exchange(
        b"POST /a%20b/c?x=1&x=2&flag HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}"
        b"POST /d HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    )
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b"POST a b/c {'x': ['1', '2'], 'flag': ['']} b'{}'" in answer
    assert b"POST d {} b'{}'" in answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /%ff HTTP/1.1\r\n" + HEAD + b"\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 99\r\n\r\n" + b"x" * 99, 413),
        (
            b"GET / HTTP/1.1\r\n" + HEAD + b"Accept: application/json;q=1,application/bson;q=0.100\r\n\r\n",
            200,
        ),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"y" * 200_000, 431),
    ],
)
async def test_http_statuses(data: bytes, status: int) -> None:
    answer = await exchange(data, max_body=10)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]


@pytest.mark.parametrize("data", [b"", b"GET", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"])
async def test_half_a_request_ends_the_connection(data: bytes) -> None:
    assert await exchange(data) in (b"",) or (await exchange(data)).startswith(b"HTTP/1.1 400")


async def test_a_request_that_does_not_come(autojump_clock: trio.testing.MockClock) -> None:
    answer = await exchange(b"GET / HT", eof=False)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert trio.current_time() >= http_server.IDLE_TIMEOUT


async def test_an_idle_connection_is_closed_without_a_word(autojump_clock: trio.testing.MockClock) -> None:
    assert await exchange(b"", eof=False) == b""
    request = b"GET / HTTP/1.1\r\n" + HEAD + b"\r\n"
    assert (await exchange(request, eof=False)).count(b"HTTP/1.1 ") == 1


async def test_one_item_is_one_chunk() -> None:
    feed = Feed()
    FEEDS[:] = [feed]
    for item in ({"a": 1}, ["é"], 3):
        feed.push(item)
    feed.end()
    answer = await exchange(b"GET /stream HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n", eof=False)
    body = answer.partition(b"\r\n\r\n")[2]
    assert body == b'8\r\n{"a":1}\n\r\n7\r\n["\xc3\xa9"]\n\r\n2\r\n3\n\r\n0\r\n\r\n'


async def test_a_client_of_a_stream_that_leaves_is_noticed() -> None:
    feed, left = Feed(), trio.Event()
    feed.on_close.append(left.set)
    FEEDS[:] = [feed]
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_connection, theirs, echo)
        await ours.send_all(b"GET /stream HTTP/1.1\r\n" + HEAD + b"\r\n")
        await ours.receive_some()
        await ours.aclose()
        with trio.fail_after(5):
            await left.wait()


async def test_a_client_that_is_gone_before_its_stream_begins_ends_nothing_else() -> None:
    closed: list[bool] = []
    feed = Feed(on_close=[lambda: closed.append(True)])
    FEEDS[:] = [feed]
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(b"GET /stream HTTP/1.1\r\n" + HEAD + b"\r\n")
    # Whatever the server writes now breaks; what it reads does not end.
    await ours.receive_stream.aclose()
    await serve_connection(theirs, echo)
    assert closed == [True]


async def test_a_client_that_does_not_read_is_dropped_and_nobody_waits() -> None:
    feed, left = Feed(max_backlog=100_000), trio.Event()
    feed.on_close.append(left.set)
    FEEDS[:] = [feed]
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:

        async def serve(stream: trio.SocketStream) -> None:
            await serve_connection(stream, echo)

        nursery.start_soon(trio.serve_listeners, serve, listeners)
        client = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
        await client.send_all(b"GET /stream HTTP/1.1\r\n" + HEAD + b"\r\n")
        await client.receive_some(10)
        with trio.fail_after(20):
            while not left.is_set():
                feed.push("x" * 50_000)
                await trio.lowlevel.checkpoint()
        assert feed.overrun.is_set()
        await client.aclose()
        nursery.cancel_scope.cancel()
