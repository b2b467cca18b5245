"""Requests that a stream in memory hands over: nobody can tell them from those that go as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing

from accuser import HttpError
from accuser._http.client import HttpClient
from accuser._http.messages import Asked, Chunk, Told
from accuser._http.server import Answer, Feed, Request, serve_connection
from accuser.sandbox.surroundings.memory import Gate, connected

Pair = tuple[trio.abc.Stream, trio.abc.Stream]
WAYS: list[Callable[[], Pair]] = [lambda: connected(None), trio.testing.memory_stream_pair]
URL = "http://127.0.0.1:8732"


async def echo(request: Request) -> Answer | Feed:  # noqa: RUF029 - a handler
    """Answer as the path wants."""
    match request.path:
        case ("status", code):
            return Answer(int(code), b"" if code == "204" else b"so")
        case ("bare",):
            return Answer(404, b"", None)
        case ("more",):
            return Answer(200, b"{}", headers=(("x-more", "yes"), ("allow", "GET")))
        case ("stream",):
            feed = Feed()
            items: tuple[object, ...] = ({"a": 1}, "x" * 100_000, [])
            for item in items:
                feed.push(item)
            feed.end()
            return feed
    fields = sorted(request.headers.items())
    return Answer(
        200, json.dumps([request.method, request.path, request.query, fields]).encode() + request.body
    )


async def both_ways(ask: Callable[[HttpClient], Any], **options: Any) -> list[Any]:
    """What comes of a question that is asked each way."""
    results = []
    for pair in WAYS:
        async with trio.open_nursery() as nursery:

            async def connect(  # noqa: RUF029 - what makes connections
                pair: Callable[[], Pair] = pair, nursery: trio.Nursery = nursery
            ) -> trio.abc.Stream:
                ours, theirs = pair()

                async def serve() -> None:
                    await serve_connection(theirs, echo, **options)

                nursery.start_soon(serve)
                return ours

            try:
                results.append(await ask(HttpClient(URL, connect=connect)))
            except HttpError as error:
                results.append(str(error))
    return results


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", "/a/b", None, ()),
        ("GET", "/", None, ()),
        ("GET", "//a//b/", None, ()),
        ("GET", "/a%2Fb/%C3%A9?x=1&x=&y=%20", None, (("accept", "application/json;q=1,a/b"),)),
        ("GET", "/%FF", None, ()),
        ("GET", "/a b", None, ()),
        ("GET", "/é", None, ()),
        ("POST", "/a", b"body \xff", (("Content-Type", "application/json"),)),
        ("POST", "/a", b"", (("content-type", "application/json"),)),
        ("POST", "/a", b"x" * 200, ()),
        ("HEAD", "/a", None, ()),
        ("BREW", "/a", None, ()),
        ("GET", "/a", None, (("x-a", "1"), ("x-a", "2"))),
        ("GET", "/a", None, (("x-a", " padded "),)),
        ("GET", "/a", None, (("x-a", "two\r\nlines"),)),
        ("GET", "/a", None, (("expect", "100-continue"),)),
        ("GET", "/status/204", None, ()),
        ("GET", "/status/500", None, ()),
        ("GET", "/bare", None, ()),
        ("GET", "/more", None, ()),
        ("GET", "/stream", None, ()),
    ],
)
async def test_an_answer_is_the_same(
    method: str, path: str, body: bytes | None, headers: tuple[tuple[str, str], ...]
) -> None:
    def ask(client: HttpClient) -> Any:
        return client.request(method, path, body=body, headers=headers)

    handed, in_bytes = await both_ways(ask, max_body=100)
    assert handed == in_bytes


async def test_the_borders_of_chunks_are_the_same() -> None:
    async def ask(client: HttpClient) -> Any:
        async with client.stream("GET", "/stream") as response:
            return response.status, response.headers, [chunk async for chunk in response.chunks]

    handed, in_bytes = await both_ways(ask)
    assert handed == in_bytes
    assert len(handed[2]) == 3


@pytest.mark.parametrize("told", [(), (Told(200, {"transfer-encoding": "chunked"}, None), Chunk(b"[]\n"))])
async def test_a_server_that_is_gone_is_reported_in_the_same_words(told: tuple[Told | Chunk, ...]) -> None:
    complaints = []
    for pair, is_handed in zip(WAYS, (True, False), strict=True):
        ours, theirs = pair()

        async def connect(  # noqa: RUF029 - what makes connections
            ours: trio.abc.Stream = ours,
        ) -> trio.abc.Stream:
            return ours

        async def serve(theirs: Any = theirs, is_handed: bool = is_handed) -> None:
            await (theirs.take() if is_handed else theirs.receive_some())
            for message in told:
                await (theirs.hand(message) if is_handed else theirs.send_all(message.to_bytes()))
            await theirs.aclose()

        chunks = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with pytest.raises(HttpError) as caught:
                async with HttpClient(URL, connect=connect).stream("GET", "/a") as response:
                    async for chunk in response.chunks:
                        chunks.append(chunk)
        complaints.append((str(caught.value), chunks))
    assert complaints[0] == complaints[1]
    assert len(complaints[0][1]) == len(told) // 2


async def test_who_reads_bytes_gets_those_of_the_message_and_may_answer_in_bytes() -> None:
    asked = []
    for pair in WAYS:
        ours, theirs = pair()

        async def connect(  # noqa: RUF029 - what makes connections
            ours: trio.abc.Stream = ours,
        ) -> trio.abc.Stream:
            return ours

        async def serve(theirs: trio.abc.Stream = theirs) -> None:
            asked.append(await theirs.receive_some())
            await theirs.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            answer = await HttpClient(URL, connect=connect).request("POST", "/a", body=b"b")
        assert (answer.status, answer.headers, answer.body) == (200, {"content-length": "2"}, b"ok")
    assert asked[0] == asked[1]


async def test_a_server_answers_bytes_in_bytes() -> None:
    ours, theirs = connected(None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_connection, theirs, echo)
        await ours.send_all(b"GET /bare HTTP/1.1\r\nhost: a\r\n\r\nGET /status/500 HTTP/1.1\r\n")
        await ours.send_all(b"host: a\r\nconnection: close\r\n\r\n")
        answer = b""
        while data := await ours.receive_some():
            answer += data
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert answer.endswith(b"\r\n\r\nso")


async def test_a_message_waits_while_its_reader_is_stopped(autojump_clock: object) -> None:
    gate = Gate()
    theirs, ours = connected(gate)
    gate.close()
    await ours.hand(Asked("GET", "/", {"host": "a"}))
    assert theirs.take_now() is None
    with trio.move_on_after(1) as waited:
        await theirs.take()
    assert waited.cancelled_caught
    gate.open()
    assert await theirs.take() == Asked("GET", "/", {"host": "a"})


async def test_who_hands_nothing_over_is_let_go(autojump_clock: object) -> None:
    ours, theirs = connected(None)
    await serve_connection(theirs, echo, idle_timeout=5)
    assert trio.current_time() >= 5
    with suppress(trio.BrokenResourceError):
        assert await ours.receive_some() == b""


def test_messages_have_the_bytes_that_h11_reads() -> None:
    head = Told(404, {"content-length": "2", "content-type": "text/plain"}, b"no")
    assert head.to_bytes() == (
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nno"
    )
    assert Chunk(b"[]\n").to_bytes() + Chunk(b"").to_bytes() == b"3\r\n[]\n\r\n0\r\n\r\n"
