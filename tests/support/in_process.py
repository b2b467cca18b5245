"""What the tests of daemons in one process share."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from accuser import (
    Accuser,
    Client,
    Node,
    Protocol,
    Sandbox,
    open_accuser,
    open_client,
    open_node,
    open_sandbox,
)
from accuser._hosts.owner.guardian import guardian

ALONE = ("--connections 0", "--synchronisation-threshold 0")

FORBIDDEN = (
    *("os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "subprocess.Popen"),
    *("socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo"),
)
"""Audit events of what this form of the sandbox does without."""

_watching: list[list[str]] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event in FORBIDDEN:
        _watching[-1].append(f"{event}{arguments}")


# A hook cannot be taken away again; it does nothing while nobody watches.
sys.addaudithook(_audit)


@contextlib.contextmanager
def nothing_of_the_system(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail if the block uses a thread, a process, a socket or a named pipe."""

    used: list[str] = []

    def refuse(*_: object, **__: object) -> None:
        used.append("a thread or a named pipe")
        raise OSError("not here")

    guarded = guardian.pid
    with monkeypatch.context() as patch:
        # trio hands work to threads that wait for some, so that not every use starts one.
        patch.setattr(trio.to_thread, "run_sync", refuse)
        patch.setattr(threading.Thread, "start", refuse)
        patch.setattr(os, "mkfifo", refuse)
        _watching.append(used)
        try:
            yield
        finally:
            _watching.pop()
    assert (used, guardian.pid) == ([], guarded)


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Sandbox]:
    with nothing_of_the_system(monkeypatch):
        async with open_sandbox() as opened:
            yield opened


@asynccontextmanager
async def alone(sandbox: Sandbox, **options: Any) -> AsyncGenerator[tuple[Node, Client]]:
    """A node without peers, its protocol active at level 1, and a client of it."""
    async with (
        open_node(toolchain=sandbox.toolchain, arguments=ALONE, **options) as node,
        open_client(node) as client,
    ):
        await client.activate_protocol(Protocol.BOREAS)
        yield node, client


@asynccontextmanager
async def watched(sandbox: Sandbox, **options: Any) -> AsyncGenerator[tuple[Node, Client, Accuser]]:
    """The same with an accuser that sees every block from now on."""
    async with alone(sandbox) as (node, client), open_accuser(Protocol.BOREAS, node, **options) as accuser:
        await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
        yield node, client, accuser


START = 1_900_000_000.0
