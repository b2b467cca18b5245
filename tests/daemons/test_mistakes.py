"""What cannot be started."""

from __future__ import annotations

import math
import os
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import trio

from accuser import (
    SANDBOX,
    Accuser,
    AlreadyRunning,
    BinaryNotFound,
    Client,
    DirectoryError,
    Endpoint,
    EventPipeError,
    NodeUnreachable,
    PortTaken,
    Protocol,
    SpawnFailed,
    installed,
    open_accuser,
    open_node,
    retry,
    wait_for_any,
)
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.kept import remove_kept
from tests.support.scripts import FOLLOWS_SIGTERM

# Mistakes.


async def test_run_while_running(tmp_path: Path) -> None:
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path) as accuser:
        with pytest.raises(AlreadyRunning, match="accuser accuser1 is already running"):
            await accuser.run()
        assert accuser.running


async def test_a_missing_binary_tells_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAVKIT_BIN_DIR", "/nowhere/by/variable")
    monkeypatch.setenv("PATH", "/nowhere/on/path")
    with pytest.raises(BinaryNotFound) as caught:
        async with open_accuser(Protocol.ALPHA, NO_NODE, toolchain=installed(tmp_path)):
            pytest.fail("it cannot run")
    assert caught.value.binary == "mavkit-accuser-alpha"
    assert caught.value.searched == (
        f"{tmp_path} (the argument bin_dir)",
        "/nowhere/by/variable (the environment variable MAVKIT_BIN_DIR)",
        "/nowhere/on/path (PATH)",
    )
    assert "SANDBOX" in str(caught.value)


async def test_a_file_that_cannot_be_executed(tmp_path: Path) -> None:
    path = tmp_path / "mavkit-accuser-PtBoreas"
    path.write_text("no program")
    with pytest.raises(SpawnFailed, match="Permission denied") as caught:
        async with open_accuser(Protocol.BOREAS, NO_NODE, path=path):
            pytest.fail("it cannot run")
    assert caught.value.command[0] == str(path)
    cause = caught.value.__cause__
    assert isinstance(cause, PermissionError)
    assert cause.__traceback__ is None  # a report would have all of `subprocess`


@pytest.mark.parametrize(
    ("pipe", "reason"),
    [
        ("/proc/pipe", "cannot be made"),
        ("/tmp/no/such/folder/pipe", "cannot be made: No such file or directory"),
        ("relative", "must be absolute"),
        ("/tmp/with blank", "other characters"),
        ("/tmp/café", "other characters"),
    ],
)
async def test_an_event_pipe_that_cannot_be(tmp_path: Path, pipe: str, reason: str) -> None:
    with pytest.raises(EventPipeError, match=reason) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, event_pipe=pipe):
            pytest.fail("it cannot run")
    assert caught.value.path == Path(pipe)


async def test_an_event_pipe_in_use_is_not_shared(tmp_path: Path) -> None:
    path = Path(os.environ["TMPDIR"]) / "pipe"
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, event_pipe=path) as first:
        with pytest.raises(EventPipeError, match="in use"):
            async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, event_pipe=path):
                pytest.fail("it cannot run")
        assert first.running
    assert not path.exists()


async def test_a_pipe_that_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    path = Path(os.environ["TMPDIR"]) / "pipe"
    os.mkfifo(path)
    async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, event_pipe=path):
        pass
    assert not path.exists()


async def test_a_temporary_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("/proc", str(tmp_path / "missing")):
        monkeypatch.setattr(tempfile, "tempdir", place)
        with pytest.raises(DirectoryError, match="TMPDIR"):
            async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path):
                pytest.fail("it cannot run")


async def test_a_node_that_is_not_there() -> None:
    endpoint = Endpoint("http://127.0.0.1:1")
    with pytest.raises(NodeUnreachable) as caught:
        async with open_accuser(Protocol.BOREAS, endpoint):
            pytest.fail("there is no node")
    assert caught.value.url == "http://127.0.0.1:1"


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'wait_timout'; did you mean 'wait_timeout'"):
        Accuser(Protocol.BOREAS, NO_NODE, wait_timout=3)  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(TypeError, match="'colour'"):
        Client(NO_NODE, colour="")  # type: ignore[call-arg]  # wrong on purpose
    accuser = Accuser(Protocol.BOREAS, NO_NODE)
    with pytest.raises(TypeError, match="'timout'; did you mean 'timeout'"):
        accuser.expect("started.v0", timout=3)  # type: ignore[call-overload]  # wrong on purpose
    with pytest.raises(TypeError, match="'stderr'"):
        accuser.expect_line("x", stderr=True)  # type: ignore[call-overload]  # wrong on purpose
    with pytest.raises(TypeError, match="'foo'"):
        accuser.expect_no("started.v0", within=1, foo=1, unknown=True)  # type: ignore[call-arg]  # wrong on purpose


def test_preserved_levels_are_not_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        Accuser(Protocol.BOREAS, NO_NODE, preserved_levels=-1)


def test_an_endpoint_is_a_url() -> None:
    with pytest.raises(ValueError, match="no URL"):
        Endpoint("localhost:8732")


@pytest.mark.parametrize("port", ["rpc_port", "net_port"])
async def test_a_port_that_is_taken_is_told_from_a_crash(port: str) -> None:
    async with open_node(toolchain=SANDBOX) as first:
        with pytest.raises(PortTaken) as caught:
            async with open_node(toolchain=SANDBOX, **{port: getattr(first, port)}):
                pytest.fail("it runs")
    assert caught.value.address == f"127.0.0.1:{getattr(first, port)}"
    assert caught.value.status == 1
    remove_kept(caught.value)


@pytest.mark.parametrize("seconds", [-1, math.nan, "5", True, 10**400], ids=lambda seconds: repr(seconds)[:5])
async def test_a_time_that_no_wait_can_last(seconds: Any) -> None:
    accuser = Accuser(Protocol.BOREAS, NO_NODE)
    endpoint = Endpoint("http://127.0.0.1:1")
    for begin in (
        lambda: accuser.expect("a.v0", unknown=True, timeout=seconds),
        lambda: accuser.expect_line("a", timeout=seconds),
        lambda: accuser.expect_no("a.v0", unknown=True, within=seconds),
        lambda: Accuser(Protocol.BOREAS, NO_NODE, wait_timeout=seconds),
    ):
        with pytest.raises((TypeError, ValueError), match=r"(timeout|within) must be seconds >= 0"):
            begin()
    for wait in (
        lambda: accuser.wait_for_ready(timeout=seconds),
        lambda: accuser.wait_for_sequence(["a.v0"], unknown=True, timeout=seconds),
        lambda: wait_for_any({accuser: accuser.expect("a.v0", unknown=True)}, timeout=seconds),
        lambda: retry(trio.lowlevel.checkpoint, timeout=seconds),
        lambda: retry(trio.lowlevel.checkpoint, interval=seconds),
        lambda: endpoint.wait_for_ready(timeout=seconds),
        lambda: endpoint.rpc("get", "/version", timeout=seconds),
    ):
        with pytest.raises((TypeError, ValueError), match=r"(timeout|interval) must be seconds >= 0"):
            await wait()


@pytest.mark.parametrize(
    "seconds", [1, 0.5, 10**300, math.inf, Fraction(1, 2), None], ids=lambda seconds: repr(seconds)[:5]
)
async def test_times_that_a_wait_can_last(seconds: Any) -> None:
    Accuser(Protocol.BOREAS, NO_NODE, wait_timeout=seconds).expect("a.v0", unknown=True, timeout=seconds)
    await retry(trio.lowlevel.checkpoint, timeout=seconds)
