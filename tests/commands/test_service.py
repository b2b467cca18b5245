"""``accuser run`` as a service: what is said of it or asked of it never stops it or holds it up."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from accuser import Event
from accuser._http.client import HttpClient, Response
from accuser.commands.alarm import AT_A_TIME, WAITING, Alarm
from accuser.commands.notify import Notifier
from accuser.commands.output import Output
from accuser.testing import FaultyDaemon, Step, await_go, event, flood, line, ready
from tests.support.cli import COMMAND, accuser, typing

DENOUNCED = event("double_baking_denounced.v0", {"hash": "ooHash", "bytes": "00"})
INHERITS = r"""#!/bin/sh
env | grep -c '^NOTIFY_SOCKET\|^WATCHDOG'
echo Waiting for protocol x to start...
exec sleep 1000
"""
SEEN = event("block-seen-002-PtBoreas.v0", {"hash": "BL", "occurrence": {}, "header": {"level": 7}})


def words(folder: Path, *steps: Step) -> tuple[str, ...]:
    return ("run", "--accuser", str(FaultyDaemon(*steps).write(folder)), "--endpoint", "http://127.0.0.1:9")


# Output.


async def test_an_output_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (*COMMAND, *words(tmp_path, ready(), flood("stdout", None)), "--metrics", f"127.0.0.1:{port}")
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    with trio.fail_after(60):
        try:
            while dropped(await metrics(port)) < 1:  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        finally:
            await process.stdout.aclose()
            if process.returncode is None:
                process.kill()
                await process.wait()  # noqa: ASYNC102 - it was killed


async def metrics(port: int) -> str:
    try:
        response: Response = await HttpClient(f"http://127.0.0.1:{port}").request("GET", "/metrics")
    except Exception:
        return ""  # it does not listen yet
    return response.body.decode()


def dropped(page: str) -> float:
    name = "accuser_output_dropped_lines_total "
    return sum(float(row.removeprefix(name)) for row in page.splitlines() if row.startswith(name))


async def test_a_reader_that_leaves_ends_nothing(tmp_path: Path) -> None:
    command = (*COMMAND, *words(tmp_path, ready(), flood("stdout", None)))
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    with trio.fail_after(60):
        assert await process.stdout.receive_some()
        await process.stdout.aclose()
        await trio.sleep(0.3)  # it would have ended by now
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
)
async def test_what_cannot_be_encoded_is_escaped(tmp_path: Path, environment: dict[str, str]) -> None:
    steps = (ready(), line("a tick: \u2713"), DENOUNCED)
    async with typing(*words(tmp_path, *steps), **environment) as typed:
        await typed.until("denounced")
        await typed.until("a tick: \\u2713") if "\\u2713" not in typed.text else None
        typed.process.send_signal(signal.SIGTERM)
        assert await typed.end() == 0


async def test_other_commands_escape_it_too(tmp_path: Path) -> None:
    (tmp_path / "sink").write_text("caf\u00e9 is no event\n")
    done = await accuser("events", str(tmp_path / "sink"), PYTHONIOENCODING="ascii")
    assert "caf\\xe9 is no event" in done.stdout


def test_what_does_not_fit_is_dropped_as_a_whole() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="ascii") as stream, os.fdopen(reader, "rb") as taken:
        output = Output(stream, limit=200_000)
        for _ in range(50):
            output.write("x" * 9_999 + "\n")
        assert 0 < output.dropped < 50
        kept = 50 - output.dropped
        assert taken.read(kept * 10_000) == (b"x" * 9_999 + b"\n") * kept
        output.settle()
        output.write("\u2713\n")
        assert taken.readline() == b"\\u2713\n"
        output.settle()


def test_output_goes_on_when_it_can_be_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "log"
    with open("/dev/full", "w", encoding="ascii") as stream, place.open("wb") as file:
        output = Output(stream)
        for _ in range(3):
            output.write("lost\n")
        output.settle()
        assert output.dropped == 3
        os.dup2(file.fileno(), stream.fileno())
        output.write("kept\n")
        output.settle()
        write, limits = os.write, [2]

        def write_in_part(descriptor: int, data: bytes) -> int:
            if not limits:
                raise OSError(errno.ENOSPC, "full")
            return write(descriptor, data[: limits.pop()])

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write_in_part)
            output.write("torn\n")
            output.settle()
        output.write("whole\n")
        output.settle()
    assert place.read_text() == "kept\nto\nwhole\n"
    assert output.dropped == 4


async def test_nothing_takes_the_place_of_closed_standard_streams(tmp_path: Path) -> None:
    record = tmp_path / "record"
    run = (*COMMAND, *words(tmp_path, ready()), "--record", str(record))
    process = await trio.lowlevel.open_process(("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *run))
    with trio.fail_after(60):
        while not record.exists() or '"ready"' not in record.read_text():  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    # Lines of the output would be in it.
    assert all(line.startswith('{"') for line in record.read_text().splitlines())


# Health.


async def test_health_is_told_by_a_status_and_a_reason(tmp_path: Path) -> None:
    steps = (await_go(), ready())
    async with typing(*words(tmp_path, *steps), "--metrics", "127.0.0.1:0", "--name", "it") as typed:
        url = (await typed.until("metrics: ")).strip().replace("/metrics", "/healthz")
        answer = await HttpClient(url).request("GET", "")
        assert answer.status == 503
        assert answer.body.startswith(b"it is ")
        index = await HttpClient(url.removesuffix("/healthz")).request("GET", "/")
        assert (index.status, index.body) == (200, b"/metrics\n/healthz\n")


async def test_an_accuser_that_hears_of_no_block_is_deaf_and_can_be_restarted(tmp_path: Path) -> None:
    options = ("--metrics", "127.0.0.1:0", "--max-silence", "0.2")
    async with typing(*words(tmp_path, ready(), SEEN), *options, "--name", "it") as typed:
        url = (await typed.until("metrics: ")).strip().replace("/metrics", "/healthz")
        await typed.until("it has heard of no block for", "is its node running")
        answer = await HttpClient(url).request("GET", "")
        assert (answer.status, b"has heard of no block" in answer.body) == (503, True)
        page = (await HttpClient(url.replace("healthz", "metrics")).request("GET", "")).body
        assert b"\naccuser_deaf 1.0\n" in page
        # Two where it took long to get ready.
        assert b"\naccuser_silences_total %d.0\n" % typed.text.count("is its node running") in page
    async with typing(*words(tmp_path, ready(), SEEN), *options, "--restart-when-silent") as typed:
        await typed.until("accuser is restarted", "is its node running")
    done = await accuser("run", "--restart-when-silent")
    assert done.returncode == 2
    assert "--restart-when-silent needs --max-silence" in done.stderr


async def test_one_that_never_gets_ready_is_deaf_and_can_be_restarted(tmp_path: Path) -> None:
    options = ("--max-silence", "0.2", "--restart-when-silent", "--name", "it")
    async with typing(*words(tmp_path, await_go(), ready()), *options) as typed:
        await typed.until("it is running, and not ready, for", "is its node running")
        await typed.until("it is restarted")
        await typed.until("it is running, and not ready, for", "is its node running")


# Service managers.


async def test_a_service_manager_is_told_and_the_accuser_does_not_inherit_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000"}
        listener = trio.socket.from_stdlib_socket(manager)
        script = tmp_path / "daemon"
        script.write_text(INHERITS)
        script.chmod(0o755)
        told: list[bytes] = []
        run = ("run", "--accuser", str(script), "--endpoint", "http://127.0.0.1:9")
        async with typing(*run, **environment) as typed:
            await typed.until("accuser: 0")
            with trio.fail_after(60):
                while told.count(b"WATCHDOG=1") < 3 or not any(b"watching" in text for text in told):
                    told.append(await listener.recv(4096))
            typed.process.send_signal(signal.SIGTERM)
            assert await typed.end() == 0
            with trio.fail_after(60):
                while not told[-1].startswith(b"STOPPING=1"):
                    told.append(await listener.recv(4096))
    assert b"READY=1" in told


async def test_a_service_that_cannot_begin_is_not_said_to_be_ready(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        (tmp_path / "empty").mkdir()
        run = ("run", "--toolchain", str(tmp_path / "empty"))
        done = await accuser(*run, NOTIFY_SOCKET=str(tmp_path / "notify"), PATH="/nowhere")
        assert (done.returncode, "mavkit-accuser" in done.stderr) == (1, True)
        told = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(manager.recv(4096))
    assert told
    assert not any(b"READY" in text for text in told)


def test_a_manager_that_is_not_there_or_meant_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/no/such/socket")
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    notifier = Notifier.taken()
    assert notifier.watchdog is None
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)
    notifier.tell("READY=1")


# Options.


async def test_options_come_from_the_environment_and_the_rest_goes_to_the_accuser(tmp_path: Path) -> None:
    script = tmp_path / "daemon"
    script.write_text('#!/bin/sh\necho "words: $*"\nexec sleep 1000\n')
    script.chmod(0o755)
    environment = {"ACCUSER_RUN_ACCUSER": str(script), "ACCUSER_RUN_ENDPOINT": "http://127.0.0.1:7"}
    async with typing("run", "--name", "it", "--", "--keep-alive", "--name", **environment) as typed:
        told = await typed.until("it: words: ")
    assert told.startswith("-E http://127.0.0.1:7 ")
    assert told.endswith("run --keep-alive --name")
    done = await accuser("run", ACCUSER_RUN_RESTARTS="many")
    assert done.returncode == 2
    assert "'many' is neither 'forever' nor a number" in done.stderr


# Alarms.


async def test_a_denunciation_runs_a_command(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = f"sh -c 'cat > {told}.part && mv {told}.part {told}; exit 3'"
    run = (*words(tmp_path, ready(), DENOUNCED), "--exec-on-denunciation", command)
    async with typing(*run) as typed:
        await typed.until("the command for denunciations ended with status 3")
    assert '"kind": "double_baking"' in told.read_text()
    assert '"hash": "ooHash"' in told.read_text()


async def test_a_program_that_there_is_not_is_no_alarm() -> None:
    done = await accuser("run", "--exec-on-denunciation", "/no/such/command now")
    assert done.returncode == 2
    assert "there is no program '/no/such/command' that can be run" in done.stderr


async def stopped_at_once(alarm: Alarm, denunciations: int) -> None:
    for _ in range(denunciations):
        alarm.take(Event(event={"double_baking_denounced.v0": {}}, time_stamp=1.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.run)
        nursery.cancel_scope.cancel()
        alarm.finish()


async def test_what_was_denounced_just_before_the_end_wakes_somebody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    told = tmp_path / "told"
    alarm = Alarm(("sh", "-c", f"cat >> {told}"), "it", lambda text, _: said.append(text))
    await stopped_at_once(alarm, 2 * AT_A_TIME)
    assert told.read_text().count('"kind": "double_baking"') == 2 * AT_A_TIME
    assert (alarm.dropped, said) == (0, [])
    alarm.take(Event(event={"double_baking_denounced.v0": {}}, time_stamp=1.0))
    assert alarm.dropped == 1  # too late
    monkeypatch.setattr("accuser.commands.alarm.LAST", 0.1)
    slow = Alarm(("sleep", "1000"), "it", lambda text, _: said.append(text))
    await stopped_at_once(slow, AT_A_TIME + 2)
    assert slow.dropped == 2
    assert said == ["at the end: 2 denunciations without the command for them, or it was killed"]


async def test_alarms_are_bounded_in_number_and_in_time() -> None:
    said: list[str] = []
    alarm = Alarm(
        (sys.executable, "-c", "import time; time.sleep(1000)"), "it", lambda text, _: said.append(text), 0.1
    )

    for _ in range(WAITING + 3):
        alarm.take(Event(event={"double_baking_denounced.v0": {}}, time_stamp=1.0))
    assert alarm.dropped == 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.run)
        while not said:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.01)
        alarm.finish()
    assert said[0] == "the command for denunciations took longer than 0.1 s, and was killed"
    missing = Alarm(("/no/such/command",), "it", lambda text, _: said.append(text))
    assert "could not be run: No such file" in await missing._run_one(b"{}")
