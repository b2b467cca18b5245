"""The accuser, held against recorded runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from accuser import Protocol
from accuser._http.client import HttpClient
from accuser.sandbox.accuser import daemon as accuser_daemon
from accuser.sandbox.accuser.client_daemon import Console, Unexpected
from accuser.sandbox.accuser.daemon import last_words
from accuser.sandbox.accuser.loop import Accuser
from accuser.sandbox.rpc.client import Rpc
from accuser.sandbox.rpc.request import RpcFailed
from accuser.sandbox.rpc.wire import MediaType
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
        self.uri = parse(uri)  # type: ignore[misc]  # of a stand-in
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
