"""``PUT /config/logging``: the event sinks of a running node are replaced."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from accuser._http.client import HttpClient, Response
from accuser.sandbox.node import routes_config
from accuser.sandbox.node.router import Router
from accuser.sandbox.sink.sink import SHORT_STDOUT, Level, Sink
from tests.sandbox.test_node_process import prepare, running
from tests.support.nodes import serve_memory


@attrs.define(eq=False)
class Server:
    sink: Sink
    client: HttpClient

    async def put(self, value: object) -> Response:
        return await self.client.request("PUT", "/config/logging", body=json.dumps(value).encode())

    async def tell(self, name: str) -> None:
        await self.sink.emit(("main",), name, Level.NOTICE, {})


@asynccontextmanager
async def serving(*uris: str) -> AsyncGenerator[Server]:
    sink = Sink(clock=lambda: 0.0)
    await sink.replace(uris)
    router = Router()
    routes_config.register(router, sink.replace)
    try:
        async with trio.open_nursery() as nursery:
            yield Server(sink, HttpClient("http://node", connect=serve_memory(router, nursery)))
            nursery.cancel_scope.cancel()
    finally:
        sink.close()


def path_uri(path: Path, query: str = "level-at-least=debug") -> str:
    return f"file-descriptor-path://{path}?{query}"


def names(path: Path) -> list[str]:
    items = [json.loads(line)["fd-sink-item.v0"] for line in path.read_text().splitlines()]
    return [name for each in items for name in each["event"]]


@pytest.mark.parametrize("key", ["active_sinks", "activate"])
async def test_the_new_sinks_take_the_place_of_the_old_ones(tmp_path: Path, key: str) -> None:
    old, one, two = (tmp_path / name for name in ("old", "one", "two"))
    async with serving(path_uri(old)) as server:
        await server.tell("first")
        answer = await server.put({key: [path_uri(one), path_uri(two)]})
        assert (answer.status, answer.media_type, answer.json()) == (200, "application/json", {})
        await server.tell("second")
        await server.put({key: [path_uri(two)]})
        await server.tell("third")
        await server.put({})
        await server.tell("fourth")
    assert names(old) == ["first.v0"]
    assert names(one) == ["second.v0"]
    assert names(two) == ["second.v0", "third.v0"]


async def test_sections(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    query = "section-prefix=rpc:debug&section-prefix=:none&fresh=true"
    async with serving() as server:
        await server.put({"active_sinks": [path_uri(kept, query)]})
        await server.sink.emit(("rpc",), "taken", Level.DEBUG, {})
        await server.tell("left")
    assert names(kept) == ["taken.v0"]


async def test_only_the_short_log_on_standard_output_stays(capfd: pytest.CaptureFixture[str]) -> None:
    other = "file-descriptor-stderr:///?format=pp-short&level-at-least=notice"
    async with serving(SHORT_STDOUT, other) as server:
        await server.put({})
        await server.tell("hello")
    out, err = capfd.readouterr()
    assert out.endswith(": hello\n")
    assert err == ""


@pytest.mark.parametrize(
    "value",
    [{"wrong": None}, {"active_sinks": [1]}, {"active_sinks": "x"}, {"active_sinks": [], "activate": []}, []],
)
async def test_bodies_of_another_form(tmp_path: Path, value: Any) -> None:
    async with serving(path_uri(tmp_path / "old")) as server:
        assert (await server.put(value)).status == 400
        await server.tell("still")
    assert names(tmp_path / "old") == ["still.v0"]


@pytest.mark.parametrize(
    ("uri", "case"), [("no-such:///x", "uri-scheme-not-registered"), ("/x", "missing-uri-scheme")]
)
async def test_schemes_that_no_sink_has(tmp_path: Path, uri: str, case: str) -> None:
    before = tmp_path / "before"
    async with serving() as server:
        answer = await server.put({"active_sinks": [path_uri(before), uri]})
        await server.tell("told")
    assert answer.status == 500
    error = {"kind": "permanent", "id": "internal-event-activation-error", case: {"uri": uri}}
    assert answer.json() == [error]
    assert names(before) == ["told.v0"], "those before it are active"


async def test_sinks_that_cannot_be(tmp_path: Path) -> None:
    async with serving() as server:
        for uri, reason in [
            (path_uri(tmp_path, "format=x"), "Unknown format"),
            (path_uri(tmp_path), "Is a directory"),
        ]:
            answer = await server.put({"active_sinks": [uri]})
            assert (answer.status, answer.json()[0]["id"]) == (500, "failure")
            assert reason in answer.json()[0]["msg"]


async def test_a_reader_that_does_not_read_is_left(tmp_path: Path) -> None:
    """A full pipe keeps an emitter waiting; the sinks are replaced all the same."""
    fifo, new = tmp_path / "fifo", tmp_path / "new"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with serving(path_uri(fifo)) as server, trio.open_nursery() as nursery:
            nursery.start_soon(server.sink.emit, ("main",), "big", Level.NOTICE, "x" * 1_000_000)
            await trio.testing.wait_all_tasks_blocked()
            assert (await server.put({"active_sinks": [path_uri(new)]})).status == 200
            await server.tell("after")
    finally:
        os.close(reader)
    assert names(new) == ["after.v0"]


async def test_a_node(tmp_path: Path) -> None:
    await prepare(tmp_path)
    new = tmp_path / "new"
    async with running(tmp_path) as (process, client, events):
        body = json.dumps({"active_sinks": [path_uri(new)]}).encode()
        answer = await client.request("PUT", "/config/logging", body=body)
        assert (answer.status, answer.json()) == (200, {})
        assert (await client.request("GET", "/config/logging")).status == 405
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(60):
            await process.wait()
    assert names(new)[-1] == "bye.v0"
    assert b"bye.v0" not in events.data


@pytest.mark.parametrize("header", [("origin", "http://page.example"), ("sec-fetch-site", "same-origin")])
async def test_pages_choose_no_sink(header: tuple[str, str], tmp_path: Path) -> None:
    async with serving() as server:
        body = json.dumps({"active_sinks": [f"file-descriptor-path://{tmp_path}/log"]}).encode()
        answer = await server.client.request("PUT", "/config/logging", body=body, headers=(header,))
        assert answer.status == 403
    assert not list(tmp_path.iterdir())
