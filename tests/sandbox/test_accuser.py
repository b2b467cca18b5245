"""The sandbox's accuser against recorded runs of upstream's."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from accuser import Protocol
from accuser._http.client import HttpClient
from accuser.sandbox.accuser import daemon as accuser_daemon
from accuser.sandbox.accuser.answers import chain_id
from accuser.sandbox.accuser.daemon import last_words
from accuser.sandbox.accuser.loop import Accuser, Console, Unexpected
from accuser.sandbox.rpc.client import Items, MediaType, Rpc
from accuser.sandbox.rpc.request import Request, RpcFailed
from accuser.sandbox.sink.sink import Output, Sink
from accuser.sandbox.sink.uri import parse
from tests.support.replay import (
    RUNS,
    URL,
    Recording,
    ReplayedNode,
    item,
    lines,
    streams_apart,
)


class MemoryOutput(Output):
    """A sink that keeps what it would write."""

    def __init__(self, uri: str) -> None:
        self.uri = parse(uri)  # type: ignore[misc]
        self.items: list[bytes] = []

    @property
    def colored(self) -> bool:
        return False

    async def write(self, data: bytes, at: float) -> None:
        self.items.append(data)


class MemoryConsole(Console):
    """Keeps the lines."""

    def __init__(self, stdout: list[str], stderr: list[str]) -> None:
        self._lines = stdout, stderr

    async def message(self, text: str) -> None:
        self._lines[0].append(text)

    async def warning(self, text: str) -> None:
        self._lines[1].append(text)


class Replay:
    """What our accuser does when a recorded node answers it."""

    def __init__(self, name: str) -> None:
        self.recording = Recording.load(name)
        self.node = ReplayedNode(self.recording, AWAY.get(name))
        self.options = OPTIONS.get(name, {})
        self.media_type = MEDIA_TYPES.get(name, "json")
        self.stdout: list[str] = []
        query = "" if "default-level" in name else "?level-at-least=debug"
        self.pipe = MemoryOutput(f"file-descriptor-path:///pipe{query}")
        self.errors = MemoryOutput("file-descriptor-stderr:///?level-at-least=notice&format=pp-short")
        self.status = 127

    @property
    def events(self) -> list[dict[str, Any]]:
        return [item(line) for line in self.pipe.items]

    @property
    def stderr(self) -> list[str]:
        return lines("".join(each.decode() for each in self.errors.items))

    async def run(self) -> None:
        stderr = _Lines(self.errors)
        sink = Sink([self.errors, self.pipe], clock=lambda: 0.0, hostname="here")

        async def on_retry(attempt: int, delay: float, body: str) -> None:
            await trio.lowlevel.checkpoint()
            raise AssertionError("no recorded run has a bad gateway")

        accuser = Accuser(
            protocol=Protocol.BOREAS,
            rpc=Rpc(HttpClient(URL, connect=self.node.connect), self.media_type, on_retry),
            sink=sink,
            console=MemoryConsole(self.stdout, stderr),
            wall=lambda: 0.0,
            **self.options,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(self.node.serve)
            await trio.sleep_until(self.recording.begin)
            with trio.move_on_at(self.recording.end + 0.001):
                try:
                    await accuser.run()
                except (RpcFailed, Unexpected) as error:
                    self.status = 1
                    stderr.append(last_words(error))
            nursery.cancel_scope.cancel()


class _Lines(list[str]):
    """Keeps lines of standard error in one order with the sink's."""

    def __init__(self, output: MemoryOutput) -> None:
        super().__init__()
        self._output = output

    def append(self, text: str) -> None:
        self._output.items.append(f"{text}\n".encode())


AWAY = {
    "10b-keep-alive-node-away-3-seconds": (0.4429, 5.0),
    "10e-node-gone": (0.4395, 1e9),
    "10f-keep-alive-node-gone-mempool-stream-ends-first": (0.4390, 1e9),
    "10g-keep-alive-sigterm-while-the-node-is-away": (0.2075, 1e9),
    "13-node-comes-after-3-seconds": (0.0, 4.0),
    "13b-node-never-comes": (0.0, 1e9),
    "13c-sigterm-while-retrying": (0.0, 1e9),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "06-too-old-too-far": {"preserved_levels": 0},
    "09-cleaning": {"preserved_levels": 2},
    "09b-not-yet-cleaned": {"preserved_levels": 2},
    "10b-keep-alive-node-away-3-seconds": {"keep_alive": True},
    "10d-mempool-stream-refused-keep-alive": {"keep_alive": True},
    "10f-keep-alive-node-gone-mempool-stream-ends-first": {"keep_alive": True},
    "10g-keep-alive-sigterm-while-the-node-is-away": {"keep_alive": True},
    "10h-keep-alive-block-stream-ends-node-still-there": {"keep_alive": True},
}
FORGOTTEN = ("GET", "/chains/main/blocks/head/helpers/validators?level=9", None)
"""In run 06 the rights of level 9 have left the cache of two levels when they are needed again. The
recorded build has unbounded caches, and does not ask again."""

CHANCE = {"15f-protocols-404"}
"""Runs that end while the mempool stream is being reopened: whether it is, is chance."""

MEDIA_TYPES: dict[str, MediaType] = {"12-default-media-type": "binary", "12b-media-type-any": "any"}
ELSEWHERE = {"12d-config-file-without-base-dir": "has no node: a test of its own below"}
NAMES = sorted(path.name.removesuffix("-output.txt") for path in RUNS.glob("*-output.txt"))


@pytest.fixture
def autojump() -> MockClock:
    return MockClock(autojump_threshold=0)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ELSEWHERE])
def test_recorded_run(name: str, autojump: MockClock) -> None:
    replay = Replay(name)
    trio.run(replay.run, clock=autojump)
    recording = replay.recording
    expected = [
        (each["method"], each["path"], each["request_body"] and json.loads(each["request_body"]))
        for each in recording.requests
    ]
    if name == "06-too-old-too-far":
        expected.insert(-3, FORGOTTEN)
    seen, reopened = streams_apart(replay.node.seen)
    wanted, recorded_reopened = streams_apart(expected)
    assert seen == wanted
    assert name in CHANCE or reopened == recorded_reopened
    assert replay.events == recording.events
    assert replay.status == recording.status
    stopped = recording.status == 127
    told = recording.stdout[: recording.stdout.index("Fatal error:")] if stopped else recording.stdout
    assert lines("\n".join(replay.stdout)) == told
    assert [line.strip() for line in replay.stderr] == [
        line.strip() for line in recording.stderr if "triggering shutdown" not in line
    ]
    ours = zip((method for method, _, _ in replay.node.seen), replay.node.headers, strict=True)
    theirs = ((each["method"], each["request_headers"]) for each in recording.requests)
    assert headers_of(ours) == headers_of(theirs)


def headers_of(requests: Iterable[tuple[str, Mapping[str, str]]]) -> set[tuple[str | None, ...]]:
    """What requests of each method say; that ours announce a length and a close is our own."""
    names = ("accept", "content-type", "host")
    return {(method, *(headers.get(name) for name in names)) for method, headers in requests}


def test_a_configuration_file_without_base_dir(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recorded = Recording.load("12d-config-file-without-base-dir")
    (tmp_path / "config").write_text('{"media_type": "json"}')
    arguments = ["-E", URL, "--base-dir", str(tmp_path), "run"]
    assert accuser_daemon.main("./mavkit-accuser-PtBoreas", arguments) == recorded.status
    out, err = capfd.readouterr()
    assert lines(out) == recorded.stdout == []
    assert lines(err) == [line.replace("/run/mavryk/accuser", str(tmp_path)) for line in recorded.stderr]


def test_every_recorded_run_is_there() -> None:
    assert len(NAMES) >= 40
    assert set(ELSEWHERE) <= set(NAMES)
    assert all(Path(RUNS / f"{name}.events").exists() for name in NAMES)


# The command line


@attrs.frozen
class CommandLine:
    command: str
    environ: dict[str, str]
    arguments: list[str]
    status: int
    stdout: list[str]
    stderr: list[str]


def command_lines() -> Iterator[CommandLine]:
    text = (RUNS / "13f-command-line.txt").read_text()
    for part in re.split(r"(?m)^(?=\$ )", text)[1:]:
        found = re.fullmatch(
            r"\$ (.*)\nexit status (\d+)\n--- standard output\n(.*?)--- standard error\n(.*)", part, re.DOTALL
        )
        assert found
        words = shlex.split(found[1])
        environ = {}
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environ[name] = value
        shown = [text.rstrip("\n").split("\n") for text in (found[3], found[4])]
        yield CommandLine(found[1], environ, words[1:], int(found[2]), *shown)


COMMAND_LINES = list(command_lines())


@pytest.mark.parametrize("index", range(len(COMMAND_LINES)))
def test_command_lines(
    index: int, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = COMMAND_LINES[index]
    own = str(tmp_path)
    for name, value in {"HOME": own, **recorded.environ}.items():
        monkeypatch.setenv(name, value)
    config = "base_dir" if "unexpected object field" in "".join(recorded.stderr) else "{no JSON"
    if "configuration file" in "".join(recorded.stderr[:2]):
        content = '{"base_dir": "x", "no_such_key": 1}' if config == "base_dir" else config
        (tmp_path / "config").write_text(content)
    arguments = [own if word == "/run/mavryk/accuser" else word for word in recorded.arguments]
    status = accuser_daemon.main("./mavkit-accuser-PtBoreas", arguments)
    shown = [text.rstrip("\n").split("\n") for text in capfd.readouterr()]
    assert status == recorded.status
    for ours, theirs in zip(shown, (recorded.stdout, recorded.stderr), strict=True):
        expected = [line.replace("/run/mavryk/accuser", own).rstrip() for line in theirs]
        if "--version" in recorded.arguments:
            assert re.fullmatch(r"\S+ \([^)]*\) \(Mavkit [^)]*\)" if theirs[0] else "", ours[0])
        elif "as a JSON" in expected[min(1, len(expected) - 1)]:
            # The words of the JSON parser are its own.
            assert ours[:3] == expected[:3]
        else:
            whole = [line.rstrip() for line in ours]
            cut = next((n for n, line in enumerate(expected) if line.startswith("(…")), None)
            assert (whole if cut is None else whole[:cut]) == expected[:cut]


def test_command_lines_are_all_there() -> None:
    assert len(COMMAND_LINES) == 25


def test_the_name_of_the_program_chooses_the_protocol(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for protocol in Protocol:
        arguments = ["--base-dir", str(tmp_path), "list", "understood", "protocols"]
        assert accuser_daemon.main(f"/bin/{protocol.accuser_binary}", arguments) == 0
        assert capfd.readouterr().out == f"{protocol.hash[:12]}\n"
    with pytest.raises(ValueError, match="mavkit-node"):
        accuser_daemon.main("mavkit-node", [])


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
    command = [*program, "-E", url, "--base-dir", str(base_dir), "run", *options]
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
    assert lines("\n".join(out)) == recording.stdout
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
