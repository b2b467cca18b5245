"""``accuser run`` with several protocols: at a migration two accusers must run."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from accuser import Protocol
from accuser._http.client import HttpClient
from accuser.commands.running import run
from accuser.testing import FaultyDaemon, Step, event, exit_with, ready
from tests.support.cli import accuser, typing

DENOUNCED = event("double_baking_denounced.v0", {"hash": "ooHash", "bytes": "00"})
BOTH = ("--protocol", "atlas", "--protocol", "boreas", "--protocol", "boreas")


def words(folder: Path, atlas: tuple[Step, ...], boreas: tuple[Step, ...]) -> tuple[str, ...]:
    FaultyDaemon(*atlas).write(folder, protocol=Protocol.ATLAS)
    FaultyDaemon(*boreas).write(folder, protocol=Protocol.BOREAS)
    return ("run", "--toolchain", str(folder), "--endpoint", "http://127.0.0.1:9", *BOTH)


async def test_each_has_lines_numbers_and_a_part_of_the_recording(tmp_path: Path) -> None:
    record = tmp_path / "record"
    both = words(tmp_path, (ready(), DENOUNCED), (ready(), event("x.v0"), DENOUNCED))
    async with typing(*both, "--metrics", "127.0.0.1:0", "--record", str(record)) as typed:
        url = await typed.until("metrics: ")
        for _ in range(2):
            await typed.until("denounced a double baking")
        client = HttpClient(url.strip().removesuffix("/metrics"))
        asked = (("accept", "application/openmetrics-text"),)
        page = (await client.request("GET", "/metrics", headers=asked)).body.decode()
        assert (await client.request("GET", "/healthz")).status == 200
        typed.process.send_signal(signal.SIGTERM)
        assert await typed.end() == 0
    for name in ("accuser-atlas", "accuser-boreas"):
        assert f"{name}: denounced a double baking: ooHash" in typed.text
    families = {family.name: family for family in text_string_to_metric_families(page)}  # type: ignore[no-untyped-call]  # its library has no types
    names = {Protocol.ATLAS.long_name, Protocol.BOREAS.long_name}
    for family in ("accuser", "accuser_up", "accuser_restarts", "accuser_deaf", "accuser_process_open_fds"):
        assert {sample.labels["protocol"] for sample in families[family].samples} == names
    (one,) = (
        sample
        for sample in families["accuser_events"].samples
        if sample.name == "accuser_events_total" and sample.labels["event"] == "x.v0"
    )
    assert (one.labels["protocol"], one.value) == (Protocol.BOREAS.long_name, 1)
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    assert {entry.get("daemon") for entry in entries} >= {"accuser-atlas", "accuser-boreas"}


async def test_one_that_gives_up_ends_all_of_them(tmp_path: Path) -> None:
    done = await accuser(*words(tmp_path, (ready(), exit_with(4)), (ready(),)), "--restarts", "0")
    assert done.returncode == 3
    assert "accuser-atlas ended unasked" in done.stderr
    assert "Traceback" not in done.stderr


async def test_both_end_at_once_as_when_the_node_is_gone(tmp_path: Path) -> None:
    steps = (ready(), exit_with(1))
    done = await accuser(*words(tmp_path, steps, steps), "--restarts", "1", "--restart-delay", "0")
    assert done.returncode == 3
    assert "ended unasked after 1 restart" in done.stderr
    assert "Traceback" not in done.stderr


async def test_one_executable_is_of_one_protocol(tmp_path: Path) -> None:
    path = FaultyDaemon(ready()).write(tmp_path)
    done = await accuser("run", "--accuser", str(path), *BOTH)
    assert done.returncode == 2
    assert "--accuser is one executable" in done.stderr


def test_the_variable_of_the_environment_may_name_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCUSER_RUN_PROTOCOL", "atlas boreas")
    words = ["--endpoint", "http://127.0.0.1:1"]
    with run.make_context("run", words, auto_envvar_prefix="ACCUSER_RUN") as context:
        assert context.params["protocols"] == (Protocol.ATLAS, Protocol.BOREAS)
