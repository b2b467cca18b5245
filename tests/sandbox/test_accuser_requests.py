"""The accuser's requests, and its process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from accuser._http.client import HttpClient
from accuser.sandbox.accuser.answers import chain_id
from accuser.sandbox.rpc.client import Items, Rpc
from accuser.sandbox.rpc.request import Request, RpcFailed
from accuser.sandbox.rpc.wire import MediaType
from tests.support.replay import (
    RUNS,
    URL,
    Recording,
    ReplayedNode,
    lines,
)

SAID_WHEN_SLOW: Final = ("Waiting for the node to be bootstrapped...", "Current head: ")

# Requests


def test_streams_take_one_value_per_chunk() -> None:
    def items(*chunks: str) -> list[str]:
        stream = Items(chain_id)
        return [value for chunk in chunks for value in stream.feed(chunk.encode())]

    a = json.dumps("NetXXAAR1wWQhhe")
    value = json.loads(a)
    assert items(a, a) == [value, value]
    assert items(a[:5], a[5:] + "\n", "\n", f" {a} \n") == [value, value]
    assert items(a + a, a) == [], "two values in a chunk"
    assert items(f"{a}\n{a}\n", a) == []
    assert items(a[:5], a[5:] + a[:5], a[5:]) == [], "an end and a beginning"
    assert items('"NetX"', a) == [], "a value that cannot be decoded"
    assert items("}", a) == []


Retry = tuple[int, float, str]


async def answered(raw: bytes, media_type: MediaType = "json") -> tuple[Any, list[Retry], int]:
    """What a call makes of an answer; the retries; the number of connections."""
    retries: list[Retry] = []
    connections = 0

    async def connect() -> trio.abc.Stream:
        nonlocal connections
        connections += 1
        ours, theirs = memory_stream_pair()
        await ours.send_all(raw)
        await ours.send_eof()
        return theirs

    async def on_retry(attempt: int, delay: float, body: str) -> None:
        await trio.lowlevel.checkpoint()
        retries.append((attempt, delay, body))

    rpc = Rpc(HttpClient(URL, connect=connect), media_type, on_retry)
    try:
        return await rpc.call(Request("GET", "/x", chain_id)), retries, connections
    except RpcFailed as error:
        return error, retries, connections


def raw(status: str, body: str, content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


@pytest.mark.parametrize(
    ("answer", "identifier", "kind", "text"),
    [
        (raw("404 Not Found", "[]"), "RPC.Empty_error_list", None, "no associated error"),
        (raw("404 Not Found", ""), "RPC_context.Not_found", None, "Did not find service"),
        (
            raw("500 Oops", '[{"kind":"temporary","id":"failure","msg":"not now"}]'),
            "failure",
            None,
            "not now",
        ),
        (raw("500 Oops", "nonsense"), "rpc_client.request_failed", "unexpected_content", "Failed to parse"),
        (raw("400 Bad", "why"), "rpc_client.request_failed", "bad_request", "why"),
        (raw("403 Forbidden", ""), "rpc_client.request_failed", "forbidden", "forbids"),
        (raw("401 Who", ""), "rpc_client.request_failed", "unauthorized_uri", "ACL"),
        (raw("418 Teapot", "x"), "rpc_client.request_failed", "unexpected_status_code", "error 418"),
        (raw("200 OK", ""), "rpc_client.request_failed", "empty_answer", "empty"),
        (raw("200 OK", '"NetX"'), "rpc_client.request_failed", "unexpected_content", "Chain_id"),
        (
            raw("200 OK", "x", "application/octet-stream"),
            "rpc_client.request_failed",
            "unexpected_content_type",
            "do not understand: application/octet-stream",
        ),
        (b"", "rpc_client.request_failed", "connection_failed", "Unable to connect"),
    ],
)
async def test_failures(answer: bytes, identifier: str, kind: str | None, text: str) -> None:
    error, _, _ = await answered(answer)
    assert isinstance(error, RpcFailed)
    assert error.trace[0]["id"] == identifier
    assert kind is None or error.trace[0]["error"]["kind"] == kind
    assert text in error.text


async def test_a_bad_gateway_is_asked_ten_times(autojump_clock: MockClock) -> None:
    error, retries, connections = await answered(raw("502 Bad Gateway", "<html>bad gateway</html>\n"))
    assert [attempt for attempt, _, _ in retries] == list(range(1, 11))
    assert [delay for _, delay, _ in retries] == [n / 10 for n in range(10)]
    assert trio.current_time() == pytest.approx(3.6)
    assert connections == 10
    assert isinstance(error, RpcFailed)
    assert error.trace[0]["error"] == {
        "kind": "unexpected_status_code",
        "code": 502,
        "content": "<html>bad gateway</html>\n",
    }
    recorded = (RUNS.parent / "recorded-events" / "9b-accuser-bad-gateway-output.txt").read_text()
    assert "Unexpected error 502:" in recorded
    assert error.text.endswith('Unexpected error 502:\n              "<html>bad gateway</html>\\n"')


async def test_media_types() -> None:
    assert (await answered(raw("200 OK", '"NetXXAAR1wWQhhe"'), "any"))[0] == "NetXXAAR1wWQhhe"
    error, _, _ = await answered(raw("200 OK", '"NetXXAAR1wWQhhe"'), "binary")
    assert "a media type we do not understand: application/json" in error.text


# The process


@attrs.define(eq=False)
class Running:
    process: trio.Process
    events: trio.MemoryReceiveChannel[bytes]
    stdout: trio.MemoryReceiveChannel[bytes]

    async def until(self, name: bytes) -> bytes:
        with trio.fail_after(60):
            async for line in self.events:
                if name in line:
                    return line
        raise AssertionError(name)


async def pump(stream: trio.abc.ReceiveStream, channel: trio.MemorySendChannel[bytes]) -> None:
    buffer = b""
    with channel:
        async for data in stream:
            *whole, buffer = (buffer + data).split(b"\n")
            for line in whole:
                channel.send_nowait(line)


@asynccontextmanager
async def started(
    tmp_path: Path, url: str, *options: str, read_events: bool = True, **kwargs: Any
) -> AsyncIterator[Running]:
    """Our accuser as a process, with a pipe for its events."""
    fifo, base_dir = tmp_path / "events", tmp_path / "base"
    base_dir.mkdir()
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    uri = f"file-descriptor-path://{fifo}?level-at-least=debug"
    program = [sys.executable, "-m", "accuser.sandbox", "mavkit-accuser-PtBoreas"]
    # The recorded node answers in JSON, whatever it is asked.
    asked = ("--media-type", "json")
    command = [*program, "-E", url, "--base-dir", str(base_dir), *asked, "run", *options]
    environ = {**os.environ, "MAVRYK_EVENTS_CONFIG": uri}
    events_in, events = trio.open_memory_channel[bytes](10_000)
    stdout_in, stdout = trio.open_memory_channel[bytes](10_000)
    process = await trio.lowlevel.open_process(
        command, env=environ, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **kwargs
    )
    keep_open = os.open(fifo, os.O_WRONLY)
    try:
        async with trio.open_nursery() as nursery:
            assert process.stdout is not None
            nursery.start_soon(pump, process.stdout, stdout_in)
            stream = trio.lowlevel.FdStream(reader)
            if read_events:
                nursery.start_soon(pump, stream, events_in)
            yield Running(process, events, stdout)
            nursery.cancel_scope.cancel()
    finally:
        os.close(keep_open)
        with trio.move_on_after(60, shield=True):
            await stream.aclose()
            await end(process)


async def end(process: trio.Process) -> None:
    """Kill a process if need be, and close its pipes."""
    if process.poll() is None:
        process.kill()
    await process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            await pipe.aclose()


@asynccontextmanager
async def served(name: str) -> AsyncIterator[str]:
    """A recorded node on a real port; its time begins with the first request."""
    recording = Recording.load(name)
    node = ReplayedNode(recording)
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]

    async def serve(stream: trio.abc.Stream) -> None:
        node.begin_now()
        await node.answer(stream)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve, [listener])
        yield f"http://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("number", "word"), [(signal.SIGTERM, "TERM"), (signal.SIGINT, "INT")])
async def test_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals, word: str) -> None:
    recording = Recording.load("01-double-baking")
    pidfile = tmp_path / "pid"
    async with (
        served("01-double-baking") as url,
        started(tmp_path, url, "-P", str(pidfile), stderr=subprocess.PIPE) as accuser,
    ):
        await accuser.until(b"double_baking_denounced")
        assert pidfile.read_text() == str(accuser.process.pid)
        accuser.process.send_signal(number)
        with trio.fail_after(30):
            assert await accuser.process.wait() == 127
            out = [line.decode() async for line in accuser.stdout]
            assert accuser.process.stderr is not None
            err = b"".join([data async for data in accuser.process.stderr]).decode()
    # Where the answer takes a second, as on a busy machine, it tells that it waits, as upstream.
    told = [line for line in lines("\n".join(out)) if not line.startswith(SAID_WHEN_SLOW)]
    # Of a program with a pidfile upstream says no more.
    fatal = ["Fatal error:", "  Lwt.Resolution_loop.Canceled"]
    assert told == [line for line in recording.stdout if line not in fatal]
    # The line of the block in progress may still follow.
    assert f"(mavkit-accuser-PtBoreas) {word}: triggering shutdown." in err.splitlines()
    assert pidfile.exists()


async def test_nobody_reads_the_events(tmp_path: Path) -> None:
    fifo, config = tmp_path / "events", tmp_path / "config-pipe"
    os.mkfifo(fifo)
    os.mkfifo(config)
    environ = {**os.environ, "MAVRYK_EVENTS_CONFIG": f"file-descriptor-path://{fifo}"}
    program = [sys.executable, "-m", "accuser.sandbox", "./mavkit-accuser-PtBoreas"]
    command = [*program, "--base-dir", str(tmp_path), "--config-file", str(config), "run"]
    process = await trio.lowlevel.open_process(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        with trio.fail_after(60):
            # Its configuration read, it has nothing more to do than to open the pipe.
            await trio.to_thread.run_sync(config.write_text, '{"base_dir": "x"}', abandon_on_cancel=True)
            process.terminate()
            assert await process.wait() == 127
            assert process.stdout is not None
            assert process.stderr is not None
            out = b"".join([data async for data in process.stdout])
            err = b"".join([data async for data in process.stderr])
    finally:
        with trio.move_on_after(60, shield=True):
            await end(process)
    assert (out, err) == (b"", b"(./mavkit-accuser-PtBoreas) TERM: triggering shutdown.\n")


async def test_sigterm_with_nobody_reading_anything(tmp_path: Path) -> None:
    """Full pipes for the events and for standard error: it ends all the same."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write_end, True)
    try:
        async with (
            served("01-double-baking") as url,
            started(tmp_path, url, stderr=write_end) as accuser,
        ):
            # The line of the first block on standard error is where it stops.
            await accuser.until(b"accuser_saw_block")
            accuser.process.terminate()
            with trio.fail_after(30):
                assert await accuser.process.wait() == 127
    finally:
        os.close(read_end)
        os.close(write_end)


async def test_no_node(tmp_path: Path) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with started(tmp_path, f"http://127.0.0.1:{port}", stderr=subprocess.DEVNULL) as accuser:
        with trio.fail_after(30):
            assert await accuser.stdout.receive() == b"Connection failed. Retrying in 1.00 seconds..."
            assert await accuser.stdout.receive() == b"Waiting for the node to be bootstrapped..."
        accuser.process.terminate()
        with trio.fail_after(30):
            assert await accuser.process.wait() == 127
            rest = [line async for line in accuser.stdout]
    assert rest[-2:] == [b"Fatal error:", b"  Lwt.Resolution_loop.Canceled"]
