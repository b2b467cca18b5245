"""User names and passwords in an endpoint's URL: sent as Basic authentication, and shown nowhere."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from accuser import Accuser, Endpoint, HttpError, Node, NodeUnreachable, Protocol, RpcError, open_daemon
from accuser._http.server import Answer, Request, serve_connection
from accuser._text import without_credentials
from accuser.testing import FaultyDaemon, ready
from tests.support.cli import typing

SECRET = "pa%40ss"


@asynccontextmanager
async def serving(status: int = 200, body: bytes | None = None) -> AsyncIterator[tuple[str, list[Request]]]:
    """A server that keeps what it is asked; gives host and port."""
    asked: list[Request] = []

    async def answer(request: Request) -> Answer:
        await trio.lowlevel.checkpoint()
        asked.append(request)
        return Answer(status, b"{}" if body is None else body)

    serve_one = partial(serve_connection, handler=answer)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve_one, 0, host="127.0.0.1"))
        host, port = listeners[0].socket.getsockname()
        yield f"{host}:{port}", asked
        nursery.cancel_scope.cancel()


async def test_they_are_sent_as_basic_authentication() -> None:
    async with serving() as (place, asked):
        assert await Endpoint(f"http://us%3Aer:{SECRET}@{place}").rpc("GET", "/version") == {}
        await Endpoint(f"http://{place}").rpc("GET", "/version")
    assert asked[0].headers["authorization"] == "Basic dXM6ZXI6cGFAc3M="  # us:er:pa@ss
    assert asked[0].headers["host"] == place
    assert "authorization" not in asked[1].headers


async def test_they_are_shown_in_no_error_and_no_repr() -> None:
    async with serving(500, b"\x1b[2Jno") as (place, _):
        endpoint = Endpoint(f"http://user:{SECRET}@{place}")
        with pytest.raises(RpcError) as failed:
            await endpoint.rpc("GET", "/x")
    assert str(failed.value) == f"GET http://{place}/x returned 500: \\x1b[2Jno"
    with pytest.raises(NodeUnreachable) as unreachable:
        await endpoint.rpc("GET", "/x")
    for text in (str(unreachable.value), repr(endpoint), endpoint.url, endpoint.rpc_endpoint):
        assert place in text
        assert "user" not in text
        assert SECRET not in text
    with pytest.raises(ValueError, match="no URL of an RPC server") as wrong:
        Endpoint(f"ftp://user:{SECRET}@x")
    assert SECRET not in str(wrong.value)


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (b"[" * 200_000 + b"]" * 200_000, "the answer is nested in more than 256 levels"),
        (b"{", "the answer is no JSON: "),
    ],
)
async def test_an_answer_that_cannot_be_read_is_the_nodes_fault(body: bytes, note: str) -> None:
    async with serving(200, body) as (place, _):
        with pytest.raises(RpcError) as failed:
            await Endpoint(f"http://{place}").rpc("GET", "/x")
    (said,) = failed.value.__notes__
    assert said.startswith(note)


async def test_a_request_that_gets_no_answer_ends() -> None:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, _silent, 0, host="127.0.0.1"))
        endpoint = Endpoint(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        with pytest.raises(HttpError, match=r"GET http://.*/x: no whole answer within 0\.1 s"):
            await endpoint.rpc("GET", "/x", timeout=0.1)
        with pytest.raises(HttpError, match=r"POST http://.*/x: no whole answer within 0\.1 s"):
            await Node(rpc_port=endpoint.rpc_port).rpc("POST", "/x", {}, timeout=0.1)
        nursery.cancel_scope.cancel()


async def _silent(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def test_recordings_and_log_lines_lack_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = tmp_path / "run.jsonl"
    path = FaultyDaemon(ready()).write(tmp_path)
    endpoint = Endpoint(f"http://user:{SECRET}@127.0.0.1:9")
    accuser = Accuser(Protocol.BOREAS, endpoint, path=path, record=record)
    with caplog.at_level(logging.DEBUG, "accuser"):
        async with open_daemon(accuser):
            pass
    for text in (record.read_text(), caplog.text):
        assert "http://127.0.0.1:9" in text
        assert SECRET not in text


async def test_accuser_run_shows_them_nowhere(tmp_path: Path) -> None:
    path = FaultyDaemon(ready()).write(tmp_path)
    run = ("run", "--accuser", str(path), "--endpoint", f"http://user:{SECRET}@127.0.0.1:9", "--verbose")
    async with typing(*run) as typed:
        await typed.until("watching http://127.0.0.1:9")
    assert SECRET not in typed.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-E https://a:b@c/d e", "-E https://c/d e"),
        ("http://a@b@c:1/x@y", "http://c:1/x@y"),
        ("HTTP://a:b@[::1]:1", "HTTP://[::1]:1"),
        ("http://c/d?e=f@g", "http://c/d?e=f@g"),
        ("mail a@b", "mail a@b"),
        (f"{'a' * 50}://b:c@d", f"{'a' * 50}://d"),
        (f"http://a:b@c {'x' * 200_000}", f"http://c {'x' * 200_000}"),
    ],
)
def test_what_is_left_out(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("user:secr@host:80", "host:80"),
        ("http://user:se/cr@host:80", "http://host:80"),
        ("http://user:se?cr@host:80", "http://host:80"),
        ("http://user:se#c@r@host:x", "http://host:x"),
        ("ftp://user:secr@host", "ftp://host"),
    ],
)
def test_a_malformed_url_shows_no_password(url: str, shown: str) -> None:
    with pytest.raises(ValueError, match="is no URL") as caught:
        Endpoint(url)
    assert str(caught.value).startswith(f"'{shown}' is no URL")
