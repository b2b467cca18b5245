"""``accuser run``, as a user types it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from accuser import Event, open_replay
from accuser._http.client import HttpClient
from accuser._http.server import Answer, Request, serve_connection
from accuser.commands import exposition
from accuser.commands.exposition import serve
from accuser.commands.tally import NAMES, OTHER, Tally
from accuser.testing import FaultyDaemon, Step, event, exit_with, ignore_sigterm, line, raw, ready
from tests.support.cli import accuser, typing
from tests.support.proc import state_of
from tests.support.terminal import on_a_terminal
from tests.tools.endurance import endure

DENOUNCED = event("double_baking_denounced.v0", {"hash": "ooHash", "bytes": "00"})
SEEN = event("block-seen-002-PtBoreas.v0", {"hash": "BL", "occurrence": {}, "header": {"level": 7}})


def words(folder: Path, *steps: Step) -> tuple[str, ...]:
    """The command line for an accuser that does these steps."""
    return ("run", "--accuser", str(FaultyDaemon(*steps).write(folder)), "--endpoint", "http://127.0.0.1:9")


# Kept running.


async def test_it_is_back_each_time_that_the_node_is_killed() -> None:
    told: list[str] = []
    endurance = await endure(kills=2, blocks=2, outages=[0.0], pace=0.0, report=told.append)
    assert len(told) == 2
    last = endurance.samples[-1]
    assert last["accuser_restarts_total"] >= 2
    assert last["accuser_blocks_processed_total"] >= 6
    assert last["accuser_process_resident_memory_bytes"] > 2**20
    assert last["process_resident_memory_bytes"] > 2**20


async def test_it_gives_up_when_its_restarts_are_used_up(tmp_path: Path) -> None:
    crashes = words(tmp_path, ready(), line("no luck", "stderr"), exit_with(4))
    done = await accuser(*crashes, "--restarts", "2", "--restart-delay", "0")
    assert done.returncode == 3
    assert "ended unasked after 2 restarts: exit status 4" in done.stderr
    assert "no luck" in done.stderr
    assert [text in done.stdout for text in ("restart 1 in", "restart 2 in", "restart 3")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_is_its_good_end(tmp_path: Path, signum: signal.Signals) -> None:
    async with typing(*words(tmp_path, ready(), SEEN), "--verbose") as typed:
        await typed.until("block-seen")
        typed.process.send_signal(signum)
        assert await typed.end() == 0
    assert f"stopped by {signum.name}; blocks processed: 0, restarts: 0" in typed.text
    assert "Traceback" not in typed.text


async def test_more_signals_change_nothing() -> None:
    async with typing("demo") as typed:
        await typed.until("is active at level 1")
        for _ in range(5):
            typed.process.send_signal(signal.SIGTERM)
            typed.process.send_signal(signal.SIGHUP)
        assert await typed.end() in (143, 129)
    assert "every daemon was stopped" in typed.text


async def test_a_second_ctrl_c_kills_what_does_not_end(tmp_path: Path) -> None:
    stubborn = words(tmp_path, ignore_sigterm(), ready(), SEEN)
    record = tmp_path / "record"
    async with typing(*stubborn, "--verbose", "--grace", "1000", "--record", str(record)) as typed:
        await typed.until("block-seen")
        typed.process.send_signal(signal.SIGINT)
        with trio.fail_after(60):
            while '"signal":"SIGTERM"' not in record.read_text():  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.001)
        typed.process.send_signal(signal.SIGINT)
        assert await typed.end() == 0
    assert "stopped by SIGINT" in typed.text


async def test_an_accuser_that_somebody_kills_is_run_again(tmp_path: Path) -> None:
    record = tmp_path / "record"
    kept = words(tmp_path, ready(), SEEN)
    async with typing(*kept, "--restart-delay", "0", "--record", str(record), "--verbose") as typed:
        await typed.until("block-seen")
        pid = int(re.findall(r'"pid":(\d+)', record.read_text())[0])
        os.kill(pid, signal.SIGKILL)
        await typed.until("ended unasked (status -9); restart 1 in 0 s", "block-seen")
        assert state_of(pid) == "Z"


async def test_a_restart_that_fails_says_why(tmp_path: Path) -> None:
    record = tmp_path / "record"
    kept = words(tmp_path, ready(), SEEN)
    async with typing(*kept, "--restart-delay", "0", "--record", str(record), "--verbose") as typed:
        await typed.until("block-seen")
        Path(kept[2]).unlink()
        os.kill(int(re.findall(r'"pid":(\d+)', record.read_text())[0]), signal.SIGKILL)
        await typed.until("accuser is down: cannot start", "No such file", "; restart 2 in 0 s")


async def test_what_it_records_can_be_played_back(tmp_path: Path) -> None:
    record = tmp_path / "record"
    async with typing(*words(tmp_path, ready(), SEEN), "--verbose", "--record", str(record)) as typed:
        await typed.until("block-seen")
    async with open_replay(record, "accuser") as player:
        value = await player.wait_for("block-seen-002-PtBoreas.v0")
        assert value["header"] == {"level": 7}


# Mistakes, and what a machine does to one.


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("--endpoint", "nonsense"), 2, "'nonsense' is no URL of an RPC server; one looks like http://"),
        (("--metrics", "nonsense"), 2, "'nonsense' is no HOST:PORT; one looks like 127.0.0.1:9100"),
        (("--metrics", "127.0.0.1:99999"), 2, "is no HOST:PORT"),
        (("--restarts", "-1"), 2, "'-1' is neither 'forever' nor a number from 0 on"),
        (("--restart-max-delay", "inf"), 2, "max_delay must be a number from 0 on, and is inf"),
        (("--grace", "nan"), 2, "'--grace': 'nan' is no number of seconds"),
        (("--max-silence", "nan"), 2, "'--max-silence': 'nan' is no number of seconds"),
        (("--preserved-levels", "-1"), 2, "-1 is not in the range"),
        (("--protocol", "nosuch"), 2, "unknown protocol 'nosuch'"),
        (("--toolchain", "/no/such/folder"), 2, "neither 'sandbox' nor 'memory' nor"),
        ((), 1, "BinaryNotFound: no executable 'mavkit-accuser-PtBoreas' was found"),
        (
            ("--accuser", "/bin/sh", "--record", "/dev/full"),
            1,
            "cannot write the recording /dev/full: No",
        ),
        (("--accuser", "/bin/sh", "--record", "/no/such/folder/x"), 1, "cannot write the recording /no/such"),
        (
            ("--accuser", "/bin/sh", "--base-dir", "/dev/null/x"),
            1,
            "DirectoryError: cannot write /dev/null",
        ),
        (("--metrics", "192.0.2.1:9100"), 1, "cannot serve metrics at 192.0.2.1:9100: "),
    ],
)
async def test_a_mistake_gets_a_sentence_and_a_status(
    arguments: tuple[str, ...], status: int, text: str
) -> None:
    done = await accuser("run", *arguments, PATH="/nowhere")
    assert done.returncode == status
    assert text in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_taken_port_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = await accuser(*words(tmp_path, ready()), "--metrics", address)
    assert done.returncode == 1
    assert (
        f"cannot serve metrics at {address}: Address already in use; choose another HOST:PORT" in done.stderr
    )
    assert "Waiting for protocol" not in done.stdout


# Metrics.


async def test_metrics_need_a_package(tmp_path: Path) -> None:
    missing = "raise ModuleNotFoundError(name='prometheus_client')\n"
    (tmp_path / "prometheus_client.py").write_text(missing)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = await accuser("run", "--metrics", "127.0.0.1:0", PYTHONPATH=path)
    assert done.returncode == 1
    assert "install it with: pip install 'accuser[metrics]'" in done.stderr


async def test_the_metrics_tell_what_the_accuser_did(tmp_path: Path) -> None:
    steps = (ready(), SEEN, DENOUNCED, raw(b"garbage\n"), event('na"me\n', 1), event("last.v0"))
    async with typing(*words(tmp_path, *steps), "--verbose", "--metrics", "127.0.0.1:0") as typed:
        url = await typed.until("metrics: ")
        await typed.until("denounced a double baking: ooHash", "malformed event: not JSON", "last.v0")
        response = await HttpClient(url).request("GET", "", headers=(("accept", OPEN_METRICS),))
    assert response.media_type == "application/openmetrics-text"
    samples = {
        (sample.name, *dict(sorted(sample.labels.items())).values()): sample.value
        for family in text_string_to_metric_families(response.body.decode())  # type: ignore[no-untyped-call]  # its library has no types
        for sample in family.samples
    }
    assert samples["accuser_info", "http://127.0.0.1:9", "002-PtBoreas", "mavkit"] == 1
    assert samples["accuser_up",] == 1
    assert samples["accuser_highest_level",] == 7
    assert samples["accuser_denunciations_total", "double_baking"] == 1
    assert samples["accuser_denunciations_total", "double_attestation"] == 0
    assert samples["accuser_malformed_events_total",] == 1
    assert samples["accuser_events_total", 'na"me\n'] == 1
    assert samples["accuser_events_total", "last.v0"] == 1
    assert samples["accuser_process_open_fds",] > 3


OPEN_METRICS = "application/openmetrics-text;version=1.0.0"


NUMBERS = Answer(200, b"numbers")


async def request(data: bytes, page: Answer | Exception) -> list[bytes]:
    """Send bytes to a server of this page; return what it answers, head and body."""

    async def render(accepted: str) -> Answer:
        await trio.lowlevel.checkpoint()
        if isinstance(page, Exception):
            raise page
        return page

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(serve, listeners, render)
        async with await trio.open_tcp_stream(*listeners[0].socket.getsockname()) as stream:
            await stream.send_all(data)
            await stream.send_eof()
            answer = b"".join([piece async for piece in stream])
        nursery.cancel_scope.cancel()
    return answer.split(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200, b"numbers"),
        (b"GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n", 200, b"numbers"),
        (b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200, b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404, b"the metrics are at /metrics\n"),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 405, b"only GET and HEAD are"),
        (b"\x16\x03\x01 nonsense\r\n\r\n", 400, b"illegal"),
    ],
)
async def test_what_is_answered(data: bytes, status: int, body: bytes) -> None:
    head, answered = await request(data, NUMBERS)
    assert int(head.split()[1]) == status
    assert answered.startswith(body)
    assert body or not answered


async def test_a_connection_may_ask_twice() -> None:
    ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    _, second, last = await request(ask * 2, NUMBERS)
    assert second.startswith(b"numbersHTTP/1.1 200")
    assert last == b"numbers"


async def test_a_client_that_leaves_is_no_harm() -> None:
    assert await request(b"", NUMBERS) == [b""]
    head, _ = await request(b"GET /metr", NUMBERS)
    assert b" 400 " in head


async def test_idle_clients_keep_nobody_out() -> None:
    async def render(accepted: str) -> Answer:
        await trio.lowlevel.checkpoint()
        return NUMBERS

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = listeners[0].socket.getsockname()
    async with trio.open_nursery() as nursery, contextlib.AsyncExitStack() as stack:
        nursery.start_soon(serve, listeners, render)
        burst = range(2 * exposition.CONNECTIONS)
        idle = [await trio.open_tcp_stream(*address) for _ in burst]
        for stream in idle:
            await stack.enter_async_context(stream)
        client = await stack.enter_async_context(await trio.open_tcp_stream(*address))
        await client.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"numbers" in b"".join([piece async for piece in client])
        # The oldest ones made room, and were told nothing.
        with trio.fail_after(60):
            for stream in idle[: exposition.CONNECTIONS + 1]:
                assert await stream.receive_some() == b""
        nursery.cancel_scope.cancel()


async def test_a_client_that_does_not_take_its_answer_is_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def large(request: Request) -> Answer:
        await trio.lowlevel.checkpoint()
        return Answer(200, b"x" * 100_000)

    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve_connection, theirs, large, send_timeout=exposition.PATIENCE))
        await ours.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert trio.current_time() >= exposition.PATIENCE


async def test_a_fault_in_the_metrics_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    head, body = await request(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", RuntimeError("a fault"))
    assert b" 500 " in head
    assert b"the log tells why" in body
    assert "a fault" in caplog.text


def test_invented_names_are_not_counted_apart_for_ever() -> None:
    tally = Tally()
    for number in range(NAMES + 50):
        tally.take(Event(event={f"e{number}.v0": 1}, time_stamp=1.0))
    tally.take(Event(event="started", time_stamp=0.5))
    assert len(tally.events) == NAMES + 1
    assert tally.events[OTHER] == 51
    assert tally.last_event == 1.0


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"header": None}, {"header": {"level": "7"}}])
def test_any_value_can_be_counted(value: object) -> None:
    tally = Tally()
    for name in ("block-seen-alpha.v0", "double_baking_denounced.v0", "accuser_processed_block.v0"):
        tally.take(Event(event={name: value}, time_stamp="2.5"))
    assert (tally.level, tally.blocks, tally.denunciations["double_baking"]) == (0, 1, 1)
    assert tally.last_event == 2.5


# On a terminal.


async def test_the_panel_on_a_terminal(tmp_path: Path) -> None:
    async with on_a_terminal(*words(tmp_path, ready(), SEEN, DENOUNCED)) as screen:
        await screen.until("denounced a double baking: ooHash")
        await screen.until("ready, process", "level", "7", "double baking 1", "MiB")
        screen.press(b"\x03")
        assert await screen.end() == 0
    assert "stopped by SIGINT" in screen.text
    assert screen.text.count("\x1b[?25l") == screen.text.count("\x1b[?25h") == 1


async def test_a_terminal_can_have_plain_lines(tmp_path: Path) -> None:
    async with on_a_terminal(*words(tmp_path, ready(), DENOUNCED), "--plain") as screen:
        await screen.until("denounced a double baking: ooHash")
        screen.press(b"\x03")
        assert await screen.end() == 0
    assert "\x1b[?25l" not in screen.text


async def test_what_events_hold_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    evil = event("evil\x1b]0;title\x07.v0", "\x1b[2J\u009b2J")
    async with on_a_terminal(*words(tmp_path, ready(), evil), "--verbose", "--plain") as screen:
        await screen.until("\\x9b2J")
        screen.press(b"\x03")
        await screen.end()
    assert "\x1b]0" not in screen.text
    assert "\x1b[2J" not in screen.text
