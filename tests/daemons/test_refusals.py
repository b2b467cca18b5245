"""What the waits and handles refuse, and errors of users' functions that reach them as they are."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from accuser import (
    SANDBOX,
    Accuser,
    Client,
    Daemon,
    Node,
    NotRunning,
    Protocol,
    open_daemon,
    open_node,
    open_sandbox,
)
from accuser.testing import NO_NODE, FaultyDaemon, ScriptedDaemon, event, ready
from tests.support.kept import remove_kept
from tests.support.scripts import FOLLOWS_SIGTERM


def accuser() -> Accuser:
    return Accuser(Protocol.BOREAS, NO_NODE, unknown_events=True)


@pytest.mark.parametrize("option", [{"timeout": 1}, {"nth": 2}, {"count": 2}, {"timeout": None}])
def test_options_that_mean_nothing_to_an_absence(option: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(option))}'"):
        accuser().expect_no("a.v0", within=1, **option)


@pytest.mark.parametrize("option", [{"full": True}, {"unknown": True}, {"full": False}, {"within": 1}])
async def test_options_that_mean_nothing_to_a_line(option: dict[str, Any]) -> None:
    named = f"unexpected keyword argument '{next(iter(option))}'"
    with pytest.raises(TypeError, match=named):
        accuser().expect_line("a", **option)
    with pytest.raises(TypeError, match=named):
        await accuser().wait_for_line("a", **option)


@pytest.mark.parametrize("option", [{"count": 1}, {"within": 1}, {"wher": "x"}])
async def test_options_that_mean_nothing_to_a_sequence(option: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(option))}'"):
        await accuser().wait_for_sequence([], **option)


class Asynchronous:
    async def __call__(self, value: object) -> object:
        return value

    async def method(self, value: object) -> object:
        return value


async def coroutine(value: object) -> object:  # noqa: RUF029 - its kind is what is tested
    return value


async def generator(value: object) -> AsyncIterator[object]:  # noqa: RUF029 - as above
    yield value


ASYNCHRONOUS: list[Any] = [
    coroutine,
    generator,
    Asynchronous(),
    Asynchronous().method,
    functools.partial(functools.partial(coroutine)),
    functools.partial(Asynchronous()),
]

NAMES = ["function", "generator", "object", "method", "partial", "partial of an object"]


@pytest.mark.parametrize("function", ASYNCHRONOUS, ids=NAMES)
async def test_an_asynchronous_filter_is_refused(function: Any) -> None:
    daemon = accuser()
    waits: list[Callable[[], Any]] = [
        lambda: daemon.expect("a.v0", function),
        lambda: daemon.expect_no("a.v0", function, within=1),
        lambda: daemon.expect_line("a", function),
    ]
    for wait in waits:
        with pytest.raises(TypeError, match="a filter is a plain function"):
            wait()
    with pytest.raises(TypeError, match="a filter is a plain function"):
        await daemon.wait_for("a.v0", function)
    with pytest.raises(TypeError, match="a filter is a plain function"):
        await daemon.wait_for_sequence([("a.v0", function)])


@pytest.mark.parametrize("function", ASYNCHRONOUS, ids=NAMES)
def test_an_asynchronous_handler_is_refused(function: Any) -> None:
    daemon = accuser()
    adders: list[Callable[[Any], None]] = [
        daemon.on_event,
        daemon.on_stdout,
        daemon.on_stderr,
        daemon.on_malformed,
        daemon.on_restart,
    ]
    for add in adders:
        with pytest.raises(TypeError, match="a handler is a plain function"):
            add(function)


async def test_a_filter_that_answers_with_a_coroutine_is_refused() -> None:
    answering: Any = lambda value: coroutine(value)  # noqa: E731 - as users write it
    async with FaultyDaemon(ready(), event("a.v0", 1)).open(unknown_events=True) as daemon:
        with pytest.raises(TypeError, match="this one answered with a coroutine"):
            await daemon.wait_for("a.v0", answering, since=daemon.start_mark())


def test_plain_functions_of_every_sort_are_taken() -> None:
    class Plain:
        def __call__(self, value: object) -> object:
            return value

        def method(self, value: object) -> object:
            return value

    daemon = accuser()
    for function in (
        Plain(),
        Plain().method,
        functools.partial(Plain()),
        dict,
        len,
        "x".join,
        re.compile("a").match,
    ):
        daemon.expect("a.v0", function)


async def test_a_client_without_a_toolchain_takes_that_of_its_node() -> None:
    async with open_sandbox() as sandbox:
        node = Node(toolchain=sandbox.toolchain)
        client = Client(node, toolchain=None, name=None, color=None, base_dir=None)
        assert client.toolchain is sandbox.toolchain
        assert client.name.startswith("client")
        async with open_node(toolchain=sandbox.toolchain) as running:
            assert await Client(running, toolchain=None).rpc("get", "/version") is not None
    assert Client(NO_NODE, toolchain=SANDBOX).toolchain is SANDBOX


@pytest.mark.parametrize("error", [RuntimeError("mine"), ValueError("mine"), OSError("mine")], ids=repr)
async def test_a_restart_raises_what_the_preparation_raised(tmp_path: Path, error: Exception) -> None:
    starts = 0

    async def prepare() -> None:  # noqa: RUF029 - the interface
        nonlocal starts
        starts += 1
        if starts == 2:
            raise error

    path = ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path)
    daemon = Daemon("indexer", path=path, prepare=prepare)
    with pytest.raises(type(error), match="mine") as caught:
        async with open_daemon(daemon):
            await daemon.terminate()
            await daemon.restart()
    assert caught.value is error
    remove_kept(error)


async def test_a_restart_in_a_closed_nursery(tmp_path: Path) -> None:
    path = ScriptedDaemon(FOLLOWS_SIGTERM).write(tmp_path)
    async with open_daemon(Daemon("indexer", path=path)) as daemon:
        pass
    with pytest.raises(NotRunning, match=r"await nursery\.start\(daemon\.run\)"):
        await daemon.restart()
    assert daemon.state == "ended"
    async with trio.open_nursery() as nursery:
        await nursery.start(daemon.run)
        await daemon.terminate()
