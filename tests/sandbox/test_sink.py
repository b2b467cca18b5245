"""The event sink against the bytes that upstream's wrote."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing

from accuser.sandbox.sink.item import item, json_text, unbreakable, wrapped
from accuser.sandbox.sink.sink import Level, Sink, SinkError, SinkWriteError
from accuser.sandbox.sink.uri import Format, SinkUriError, parse, path_of

EVENTS = Path(__file__).parent.parent / "data" / "recorded-events"
HOST = "accuser-host"


def integer(text: str) -> float | int:
    return -0.0 if text == "-0" else int(text)


def number(text: str) -> float:
    # The largest float, as written with sixteen digits, is beyond the largest float.
    return min(float(text), sys.float_info.max)


def decoded(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8")
    text = re.sub(r'"float_value.v0":(-?inf|nan)', r'"float_value.v0":"FLOAT \1"', text)
    fields: dict[str, Any] = json.loads(text, parse_int=integer, parse_float=number)["fd-sink-item.v0"]
    event = fields["event"]
    if isinstance(event, dict) and str(event.get("float_value.v0", "")).startswith("FLOAT "):
        event["float_value.v0"] = float(event["float_value.v0"][6:])
    return fields


def recorded(name: str) -> list[bytes]:
    return [line for line in (EVENTS / f"{name}.events").read_bytes().split(b"\n") if line]


def again(fields: dict[str, Any], layout: Format = Format.ONE_PER_LINE) -> bytes:
    return item(
        layout,
        hostname=fields["hostname"],
        at=fields["time_stamp"],
        section=tuple(fields["section"]),
        event=fields["event"],
        name="",
        text="",
    )


@pytest.mark.parametrize(
    "name",
    [
        "01-default",
        "02-one-per-line-debug",
        "10-levels-at-least-debug",
        "12-sections-a-debug",
        "13-accuser-only-denunciation",
        "20-strings",
        "23-numbers",
        "73-hostname-0",
        "73-hostname-1",
        "73-hostname-2",
        "90-accuser-sigterm",
        "9b-accuser-bad-gateway",
    ],
)
def test_items_are_upstreams_bytes(name: str) -> None:
    for line in recorded(name):
        assert again(decoded(line)) == line + b"\n"


def test_netstrings_are_upstreams_bytes() -> None:
    data = (EVENTS / "21-strings-netstring.events").read_bytes()
    expected = b""
    rest = data
    while rest:
        size, _, rest = rest.partition(b":")
        expected += again(decoded(rest[: int(size)]), Format.NETSTRING)
        rest = rest[int(size) + 1 :]
    assert expected == data


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\xff\xfe \xc3".decode("utf-8", "surrogateescape"), '{"invalid_utf8_string":[255,254,32,195]}'),
        (b"\xed\xa0\x80".decode("utf-8", "surrogateescape"), '{"invalid_utf8_string":[237,160,128]}'),
        ("\ud800", '{"invalid_utf8_string":[237,160,128]}'),
        (float("nan"), "nan"),
        (1, "1"),
        (True, "true"),
        ({"a": [None, -0.0, 1e16]}, '{"a":[null,-0,1e+16]}'),
    ],
)
def test_json(value: object, text: str) -> None:
    assert json_text(value) == text


QUERIES = {
    "10-levels-at-least-debug": "level-at-least=debug",
    "10-levels-at-least-info": "level-at-least=info",
    "10-levels-at-least-notice": "level-at-least=notice",
    "10-levels-at-least-warning": "level-at-least=warning",
    "10-levels-at-least-error": "level-at-least=error",
    "10-levels-at-least-fatal": "level-at-least=fatal",
    "10-levels-at-least-upper-case-DEBUG": "level-at-least=DEBUG",
    "11-levels-default": "",
    "12-sections-a-only": "section-prefix=levels.a",
    "12-sections-a-debug": "section-prefix=levels.a:debug",
    "12-sections-a-none": "section-prefix=levels.a:none",
    "12-sections-a-error-b-debug": "section-prefix=levels.a:error&section-prefix=levels.b:debug",
    "12-sections-two-in-one-comma": "section-prefix=levels.a:error,levels.b:debug",
    "12-sections-order-general-first": "section-prefix=levels:none&section-prefix=levels.a:debug",
    "12-sections-order-specific-first": "section-prefix=levels.a:debug&section-prefix=levels:none",
    "12-sections-default-none-but-a": "section-prefix=levels.a:debug&section-prefix=:none",
    "12-sections-level-at-least-error-and-a-debug": "section-prefix=levels.a:debug&level-at-least=error",
    "12-sections-empty-prefix-debug": "section-prefix=:debug",
    "12-sections-partial-word": "section-prefix=lev:none",
}


@pytest.mark.parametrize("name", QUERIES)
def test_filters(name: str) -> None:
    uri = parse(f"file-descriptor-path:///p?{QUERIES[name]}")

    def shown(fields: dict[str, Any]) -> tuple[tuple[str, ...], object]:
        event = fields["event"]
        key = next(iter(event)) if isinstance(event, dict) else event
        return tuple(fields["section"]), key

    expected = [shown(decoded(line)) for line in recorded(name)]
    taken = []
    for line in recorded("10-levels-at-least-debug"):
        fields = decoded(line)
        value = next(iter(fields["event"].values())) if isinstance(fields["event"], dict) else "notice"
        level = Level.parse(value) if isinstance(value, str) else Level.NOTICE
        assert level is not None
        if uri.takes(tuple(fields["section"]), level):
            taken.append(shown(fields))
    assert taken == expected


MESSAGE_WITH_ERRORS = re.compile(
    r"(error while processing block \S+ |[^ ]+: error while baking: )(.*)", re.DOTALL
)


def test_short_layout_wraps_as_upstreams() -> None:
    pattern = re.compile(r"^\d{4}-\d\d-\d\dT\S+ \[(\S+)\] ", re.MULTILINE)
    long_form = (EVENTS / "04-pp-debug.events").read_text()
    starts = [*pattern.finditer(long_form)]
    ends = [found.start() for found in starts[1:]] + [len(long_form)]
    shown = []
    for found, end in zip(starts, ends, strict=True):
        text = long_form[found.end() : end - 1]
        if found[1].endswith(".rpc_http_attempt"):
            shown += text.split("\n")
            continue
        if errors := MESSAGE_WITH_ERRORS.fullmatch(text):
            text = errors[1] + unbreakable(errors[2].lstrip("\n"))
        shown += wrapped(text.replace(" \n", " "))
    recorded_lines = (EVENTS / "06-pp-short-debug.events").read_text().splitlines()
    assert shown == [line[len("Nov 22 22:03:07.216: ") :] for line in recorded_lines]


def test_short_layout() -> None:
    at = 1795384987.216
    fields: dict[str, Any] = {"hostname": "", "section": (), "event": {}, "name": "n"}
    line = item(Format.PP_SHORT, at=at, text="starting", **fields).decode()
    assert re.fullmatch(r"[A-Z][a-z]{2} \d\d \d\d:\d\d:07\.216: starting\n", line)
    colored = item(Format.PP_SHORT, at=at, text="bad", color=Level.ERROR, **fields).decode()
    assert colored.startswith("\x1b[1m")
    assert colored.endswith(": \x1b[0m\x1b[31mbad\x1b[0m\n")
    long_line = item(Format.PP_RFC5424, at=at, text=f"e {unbreakable('a b')}", **fields).decode()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:07\.216-00:00 \[\.n\] e a b\n", long_line)


BAD = re.compile(r"MAVRYK_EVENTS_CONFIG=(\S+)\n  exit status 2.*?error: (.*?)\\n\\n$", re.MULTILINE)


@pytest.mark.parametrize(
    ("configuration", "message"), BAD.findall((EVENTS / "81-bad-configurations.txt").read_text())
)
async def test_bad_configurations(configuration: str, message: str) -> None:
    with pytest.raises(SinkError) as caught:
        await Sink.from_environment({"MAVRYK_EVENTS_CONFIG": configuration}, "accuser")
    lines = message.replace('\\"', '"').split("\\n")
    assert list(caught.value.lines) == [*lines, "", ""]


def test_all_bad_configurations_are_tried() -> None:
    assert len(BAD.findall((EVENTS / "81-bad-configurations.txt").read_text())) == 6


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("file-descriptor-path:///p?section-prefix=a:b:c", 'Wrong section-level entry: "a:b:c"'),
        ("file-descriptor-path:///p?chmod=rw", 'Access-rights parameter should be an integer: "rw"'),
        ("file-descriptor-path:///p?daily-logs=often", 'daily-logs should be an integer : "often"'),
        ("file-descriptor-syslog:///", "the sandbox has no sink file-descriptor-syslog."),
        ("unix-files:///p", "the sandbox has no sink unix-files."),
    ],
)
def test_bad_options(uri: str, reason: str) -> None:
    with pytest.raises(SinkUriError, match=re.escape(f"Parsing URI: {uri}: {reason}")):
        parse(uri)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("file-descriptor-path:///a%20b", "/a%20b"),
        ("file-descriptor-path:///a%2Bb", "/a+b"),
        ("file-descriptor-path:///%C3%A9?x=y", "/%C3%A9"),
        ("file-descriptor-path:///é", "/%C3%A9"),
        ("/plain/path", "/plain/path"),
    ],
)
def test_paths_are_percent_encoded(written: str, path: str) -> None:
    assert path_of(written) == path


async def test_options_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "log.events"
    uri = f"file-descriptor-path://{path}?create-dirs=true&with-pid=true&chmod=0o640&level-at-least=fatal"
    umask = os.umask(0)
    try:
        (await Sink.from_environment({"MAVRYK_EVENTS_CONFIG": uri}, "accuser", default=(), pid=7)).close()
    finally:
        os.umask(umask)
    written = tmp_path / "sub" / "log-7.events"
    assert stat.S_IMODE(written.stat().st_mode) == 0o640


async def test_fresh_and_appended_files(tmp_path: Path) -> None:
    path = tmp_path / "events"
    for query, items in (("", 2), ("", 4), ("?fresh=true", 2)):
        uri = f"file-descriptor-path://{path}{query}"
        sink = await Sink.from_environment({"MAVRYK_EVENTS_CONFIG": uri}, "accuser", default=())
        await sink.emit(("a",), "tick", Level.INFO, 1)
        sink.close()
        assert len(path.read_bytes().splitlines()) == items


async def test_daily_logs_rotate(tmp_path: Path) -> None:
    now = 1795384987.0
    path = tmp_path / "daily.log"
    uri = f"file-descriptor-path://{path}?daily-logs=2"
    sink = await Sink.from_environment(
        {"MAVRYK_EVENTS_CONFIG": uri}, "accuser", default=(), clock=lambda: now
    )
    for _ in range(3):
        await sink.emit((), "tick", Level.INFO, {})
        now += 86400
    sink.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "daily-20261123.log",
        "daily-20261124.log",
    ]


async def test_several_uris_and_a_configuration_file(tmp_path: Path) -> None:
    first, second, config = tmp_path / "1", tmp_path / "2", tmp_path / "config.json"
    config.write_text(json.dumps({"active_sinks": [f"file-descriptor-path://{second}?format=netstring"]}))
    variable = f" file-descriptor-path://{first}\n\t{config} "
    environ = {"MAVRYK_EVENTS_CONFIG": variable, "MAVRYK_EVENT_HOSTNAME": HOST}
    sink = await Sink.from_environment(environ, "accuser", default=())
    await sink.emit(("a b",), "tick", Level.INFO, "x")
    sink.close()
    items = [decoded(line) for line in first.read_bytes().splitlines()]
    loaded = {"uri_loaded_from_env.v0": {"variable": "MAVRYK_EVENTS_CONFIG", "value": variable}}
    assert [each["event"] for each in items] == [loaded, {"tick.v0": "x"}]
    assert items[1]["section"] == ["a_b"]
    assert items[0]["hostname"] == HOST
    assert second.read_bytes().count(b'"fd-sink-item.v0"') == 2


async def test_without_the_variable_nothing_is_announced(capfd: pytest.CaptureFixture[str]) -> None:
    (await Sink.from_environment({}, "accuser")).close()
    assert capfd.readouterr() == ("", "")


async def test_the_log_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    sink = await Sink.from_environment({}, "accuser")
    await sink.emit((), "quiet", Level.INFO, {}, "not shown")
    await sink.emit((), "loud", Level.NOTICE, {}, "shown")
    sink.close()
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(r"[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{3}: shown\n", err)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


async def open_sink(path: Path) -> Sink:
    uri = f"file-descriptor-path://{path}?level-at-least=debug"
    return await Sink.from_environment({"MAVRYK_EVENTS_CONFIG": uri}, "accuser", default=())


async def test_opening_waits_for_a_reader_and_nothing_else_does(fifo: Path) -> None:
    opened = trio.Event()

    async def open_it() -> None:
        (await open_sink(fifo)).close()
        opened.set()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_it)
            await trio.testing.wait_all_tasks_blocked()
            assert not opened.is_set()
            read = await trio.to_thread.run_sync(fifo.read_bytes, abandon_on_cancel=True)
    assert opened.is_set()
    assert read.startswith(b'{"fd-sink-item.v0":')


async def test_opening_can_be_cancelled(fifo: Path) -> None:
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_sink, fifo)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        # A reader that comes later meets no end of it that stays.
        assert await trio.to_thread.run_sync(fifo.read_bytes, abandon_on_cancel=True) == b""


async def test_a_full_pipe_stops_the_emitter_and_nothing_else(fifo: Path) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = await open_sink(fifo)
    emitted = 0
    done = trio.Event()

    async def emit() -> None:
        nonlocal emitted
        for _ in range(3):
            await sink.emit((), "big", Level.INFO, "x" * 100_000)
            emitted += 1
        done.set()

    received = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(emit)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert emitted == 0
        with trio.fail_after(30):
            while not done.is_set() or received.count(b"\n") < 4:
                try:
                    received += os.read(reader, 65536)
                except BlockingIOError:
                    await trio.lowlevel.checkpoint()
    sink.close()
    os.close(reader)
    assert [len(line) > 100_000 for line in received.splitlines()] == [False, True, True, True]


async def test_closing_frees_an_emitter_that_waits(fifo: Path) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = await open_sink(fifo)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sink.emit, (), "big", Level.INFO, "x" * 100_000)
            await trio.testing.wait_all_tasks_blocked()
            sink.close()
    os.close(reader)


async def test_a_reader_that_has_gone(fifo: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    sink = await open_sink(fifo)
    os.close(reader)
    await sink.emit((), "daemon_setup", Level.INFO, {})
    await sink.emit((), "daemon_connection_lost", Level.ERROR, {})
    with pytest.raises(SinkWriteError, match="Unix error in write: Broken pipe"):
        await sink.emit((), "block-seen", Level.INFO, {}, strict=True)
    sink.close()
    sink.close()
    shown = capfd.readouterr().err
    recorded_text = (EVENTS / "98-accuser-keep-alive-reader-died-output.txt").read_text()
    for name in ("daemon_setup", "daemon_connection_lost"):
        message = re.search(rf"Failed to send event '{name}':.*?Broken pipe\n\n", recorded_text, re.DOTALL)
        assert message is not None
        assert message[0] in shown
