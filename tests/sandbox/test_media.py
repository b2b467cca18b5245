"""The media types that node and accuser speak, and the rest of the accuser's words and commands."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from accuser._http.client import HttpClient
from accuser._http.server import Feed
from accuser._http.server import Request as Asked
from accuser._mavryk.codec.binary import frames, words
from accuser._mavryk.codec.binary.services import service
from accuser.sandbox.accuser import daemon as accuser_daemon
from accuser.sandbox.accuser import pidfile
from accuser.sandbox.accuser.answers import chain_id
from accuser.sandbox.chain.trace import failure
from accuser.sandbox.node.media import Media, Voice, accepted
from accuser.sandbox.node.router import Call, Router
from accuser.sandbox.rpc.client import Items, Rpc
from accuser.sandbox.rpc.request import Request, RpcFailed
from accuser.sandbox.rpc.wire import BinaryWire

URL: Final = "http://127.0.0.1:8732"
CHAIN: Final = "NetXXAAR1wWQhhe"
BINARY_FIRST: Final = {"accept": "application/octet-stream;q=0.200"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "JB"),
        ("", "JB"),
        ("*/*", "JB"),
        ("application/json", "J"),
        ("application/json;q=1,application/bson;q=0.100", "J"),
        ("application/octet-stream;q=0.200", "B"),
        ("application/json;q=1,application/bson;q=0.100,application/octet-stream;q=0.200", "JB"),
        ("application/json;q=0.1, application/octet-stream; q=0.2", "BJ"),
        ("application/octet-stream, application/*;q=0.5", "BJ"),
        ("APPLICATION/JSON;charset=utf-8;q=0.3", "J"),
        ("application/json;q=0, application/octet-stream;q=0.000", ""),
        ("application/bson, text/html", ""),
        ("application/json;q=much", ""),
    ],
)
def test_what_a_client_takes(header: str | None, expected: str) -> None:
    letters = {Media.JSON: "J", Media.BINARY: "B"}
    assert "".join(letters[media] for media in accepted(header)) == expected


async def ask(
    handle: Callable[[Call], object],
    path: str = "/chains/main/chain_id",
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> Any:
    """What a node with one RPC answers."""
    router = Router(complain=lambda text: None)
    router.add(method, path, handle)
    parts = tuple(part for part in path.split("/") if part)
    return await router(Asked(method, parts, {}, body, BINARY_FIRST if headers is None else headers))


async def test_a_binary_answer() -> None:
    answer = await ask(lambda call: CHAIN)
    assert (answer.status, answer.content_type) == (200, "application/octet-stream")
    assert answer.body == frames.framed(words.CHAIN, CHAIN)
    answer = await ask(lambda call: CHAIN, headers={})
    assert (answer.content_type, json.loads(answer.body)) == ("application/json", CHAIN)


async def test_a_binary_error() -> None:
    def refuse(call: Call) -> object:
        raise failure("not now")

    answer = await ask(refuse)
    assert (answer.status, answer.content_type) == (500, "application/octet-stream")
    (error,) = frames.unframed_errors(answer.body)
    assert error["msg"] == "not now"


async def test_a_binary_request() -> None:
    path = "/injection/operation"
    found = service("POST", path)
    assert found is not None
    assert found.request is not None
    body = frames.framed(found.request, "abcd")
    told = {**BINARY_FIRST, "content-type": "application/octet-stream"}
    heard: list[object] = []

    def inject(call: Call) -> object:
        heard.append(call.request.json())
        return "oogmEAyxDPzcjSp2gQp3GyvjE1DdmwTYJdYP1hCPfiiDoDvhjMy"

    answer = await ask(inject, path, method="POST", headers=told, body=body)
    assert heard == ["abcd"]
    assert len(answer.body) == 36
    assert (await ask(inject, path, method="POST", headers=told, body=body[:-1])).status == 400
    strange = await ask(inject, path, method="POST", headers={"content-type": "text/html"}, body=b"x")
    assert strange.status == 415
    assert heard == ["abcd"]


async def test_a_binary_stream_and_what_it_held_before() -> None:
    feed = Feed()

    def heads(call: Call) -> Feed:
        feed.push(CHAIN)
        return feed

    assert await ask(heads) is feed
    feed.push(CHAIN)
    feed.end()
    assert feed.content_type == "application/octet-stream"
    assert [await feed.next(), await feed.next()] == [frames.framed(words.CHAIN, CHAIN)] * 2
    assert await feed.next() is None


async def test_what_has_no_binary_form() -> None:
    asked: list[object] = []
    for accept in ("application/octet-stream", "application/bson"):
        answer = await ask(asked.append, "/config/logging", headers={"accept": accept})
        assert (answer.status, answer.body, answer.content_type) == (406, b"application/json", None)
    assert not asked
    either = {"accept": "application/octet-stream, application/json;q=0.1"}
    answer = await ask(lambda call: {"no": "chain"}, headers=either)
    assert (answer.content_type, json.loads(answer.body)) == ("application/json", {"no": "chain"})
    answer = await ask(lambda call: CHAIN, headers={"accept": "application/bson"})
    assert answer.body == b"application/json, application/octet-stream"
    assert Voice.of(Asked("GET", ("version",), {}, b"", either)).accepts == (Media.BINARY, Media.JSON)


async def failed_or_answered(raw: bytes) -> Any:
    """What a binary call makes of an answer: the value, or the failure."""

    async def connect() -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        await ours.send_all(raw)
        await ours.send_eof()
        return theirs

    async def on_retry(attempt: int, delay: float, body: str) -> None:  # noqa: RUF029 - of the type that is wanted
        raise AssertionError("no gateway is bad here")

    rpc = Rpc(HttpClient(URL, connect=connect), "binary", on_retry)
    try:
        return await rpc.call(Request("GET", "/chains/main/chain_id", chain_id))
    except RpcFailed as error:
        return error


def run_main(*arguments: str) -> int:
    return accuser_daemon.main("./mavkit-accuser-PtBoreas", list(arguments))


def test_the_configuration_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    base, config = ("--base-dir", str(tmp_path)), tmp_path / "config"
    assert run_main(*base, "config", "show") == 0
    out, err = capfd.readouterr()
    defaults = {"base_dir": str(tmp_path), "endpoint": "http://localhost:8732", "web_port": 8080}
    assert json.loads(out) == {**defaults, "confirmations": 0}
    assert err.startswith(f"Warning: no config file at {config},\n")
    assert run_main(*base, "-E", "http://127.0.0.1:9", "config", "init") == 0
    assert json.loads(config.read_text())["endpoint"] == "http://127.0.0.1:9"
    assert run_main(*base, "config", "init") == 1
    assert "already exists" in capfd.readouterr().err
    assert run_main(*base, "-m", "json", "config", "update") == 0
    updated = json.loads(config.read_text())
    assert (updated["media_type"], updated["endpoint"]) == ("json", "http://127.0.0.1:9")
    assert run_main(*base, "config", "reset") == 0
    assert json.loads(config.read_text()) == {**defaults, "confirmations": 0}
    elsewhere = tmp_path / "elsewhere"
    assert run_main(*base, "-c", str(elsewhere), "config", "init") == 0
    assert json.loads(elsewhere.read_text()) == {**defaults, "confirmations": 0}


def test_light_mode_needs_sources(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_main("--mode", "light", "run") == 1
    assert capfd.readouterr().err.startswith("Error:\n  --mode light requires passing --sources.")


def test_a_pidfile_is_locked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pid"
    with pidfile.locked(str(path), 12):
        assert path.read_text() == "12"
        assert run_main("--base-dir", str(tmp_path), "run", "--pidfile", str(path)) == 1
        assert capfd.readouterr().err == f"Error:\n  Failed to create the pidfile: {path}\n"
        assert path.read_text() == ""
    with pidfile.locked(str(path), 13):
        assert path.read_text() == "13"


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (socket.gaierror(-2, "Name or service not known"), "resolution failed: name resolution failed"),
        (OSError(errno.ECONNREFUSED, "x"), 'Unix.Unix_error(Unix.ECONNREFUSED, "connect", "")'),
        (OSError(errno.EHOSTUNREACH, "x"), 'Unix.Unix_error(Unix.EHOSTUNREACH, "connect", "")'),
    ],
)
async def test_words_of_failed_connections(cause: OSError, text: str) -> None:
    async def connect() -> trio.abc.Stream:  # noqa: RUF029 - of the type that is wanted
        raise OSError("all attempts to connect failed") from cause

    error = await _failure(connect)
    assert error.trace[0]["error"] == {"kind": "connection_failed", "message": text}


async def test_words_of_a_connection_that_is_reset() -> None:
    class Reset(trio.abc.ReceiveStream):
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            raise trio.BrokenResourceError from OSError(errno.ECONNRESET, "x")

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    async def connect() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return trio.StapledStream(trio.testing.MemorySendStream(), Reset())

    error = await _failure(connect)
    assert error.trace[0]["error"]["message"] == 'IO error: Unix.Unix_error(Unix.ECONNRESET, "read", "")'


async def _failure(connect: Callable[[], Awaitable[trio.abc.Stream]]) -> RpcFailed:
    async def on_retry(attempt: int, delay: float, body: str) -> None:  # noqa: RUF029 - of the type that is wanted
        raise AssertionError("nothing answers")

    with pytest.raises(RpcFailed) as caught:
        await Rpc(HttpClient(URL, connect=connect), "json", on_retry).call(Request("GET", "/x", chain_id))
    return caught.value


BINARY = "application/octet-stream"


@pytest.mark.parametrize(
    ("status", "content_type", "body", "kind", "text"),
    [
        ("200 OK", BINARY, "0000000454a4956200", "unexpected_content", "binary data: Extra bytes."),
        ("200 OK", BINARY, "54a49562", "unexpected_content", "binary data: Not enough data."),
        (
            "500 Oops",
            "application/json",
            "5b5d",
            "unexpected_content_type",
            "media type we do not understand",
        ),
        ("500 Oops", "text/ocaml.exception", "4e6f", "ocaml_exception", "unexpected exception:"),
        ("500 Oops", BINARY, "5b5d", "unexpected_content", "Not enough data."),
    ],
)
async def test_binary_failures(status: str, content_type: str, body: str, kind: str, text: str) -> None:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body) // 2}\r\n\r\n"
    error = await failed_or_answered(head.encode() + bytes.fromhex(body))
    assert isinstance(error, RpcFailed)
    assert error.trace[0]["error"]["kind"] == kind
    assert text in error.text


async def test_binary_answers() -> None:
    wire = frames.framed(words.CHAIN, "NetXXAAR1wWQhhe")
    for media_type in (f"content-type: {BINARY}\r\n", f"content-type: {BINARY}; charset=utf-8\r\n", ""):
        head = f"HTTP/1.1 200 OK\r\n{media_type}content-length: {len(wire)}\r\n\r\n".encode()
        answer = await failed_or_answered(head + wire)
        assert answer == "NetXXAAR1wWQhhe"
    trace = [{"kind": "temporary", "id": "failure", "msg": "not now"}]
    body = frames.framed_errors(trace)
    head = f"HTTP/1.1 404 No\r\ncontent-type: {BINARY}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    error = await failed_or_answered(head + body)
    assert (error.trace, error.text) == (trace, "not now")


def test_binary_items_and_chunks() -> None:
    """As the real accuser was seen to: any cut will do, but no byte too many."""
    wire = frames.framed(words.CHAIN, "NetXXAAR1wWQhhe")

    def items(*chunks: bytes) -> list[str]:
        stream = Items(chain_id, BinaryWire(words.CHAIN, ""))
        return [item for chunk in chunks for item in stream.feed(chunk)]

    assert items(wire, wire) == ["NetXXAAR1wWQhhe"] * 2
    assert items(*(bytes([byte]) for byte in wire + wire)) == ["NetXXAAR1wWQhhe"] * 2
    assert items(wire + wire, wire) == []
    assert items(wire + b"\0", wire) == []
    assert items(wire[4:], wire) == []


@pytest.mark.parametrize(
    ("status", "body", "end"),
    [
        ("406 No", "this and\nthat\n", "able to serve: this and\nthat\n.\n"),
        ("406 No", "application/json", "able to serve: application/json.\n"),
        ("400 No", "not a block", f"invalid HTTP request.\n{' ' * 16}not a block\n"),
        ("400 No", "not a block\n", f"invalid HTTP request.\n{' ' * 16}not a block\n\n"),
        ("404 No", "x\n", f"The response body was:\n{' ' * 14}x\n\n"),
        ("500 No", "x\ny", f"The response body was:\n{' ' * 14}x\ny\n"),
    ],
)
async def test_line_ends_that_a_server_sends_are_not_indented(status: str, body: str, end: str) -> None:
    kind = "content-type: text/html\r\n"
    head = f"HTTP/1.1 {status}\r\n{kind}content-length: {len(body)}\r\n\r\n"
    error = await failed_or_answered(f"{head}{body}".encode())
    assert accuser_daemon.last_words(error).endswith(end)
    assert "\v" not in error.text
