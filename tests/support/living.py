"""Chains in process for whole bakers."""

from __future__ import annotations

import datetime
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from accuser import (
    BOOTSTRAP,
    Accuser,
    Client,
    Node,
    Protocol,
    Sandbox,
    open_client,
    open_node,
)
from accuser._stream.event import Event

ALONE = ("--connections 0", "--synchronisation-threshold 0")
NAMES = [account.alias for account in BOOTSTRAP]


def now(sandbox: Sandbox) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(sandbox.clock()), datetime.UTC)


@asynccontextmanager
async def chain(
    sandbox: Sandbox, protocol: Protocol = Protocol.BOREAS, **parameters: Any
) -> AsyncGenerator[tuple[Node, Client]]:
    async with open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node, open_client(node) as client:
        await client.activate_protocol(protocol, timestamp=now(sandbox), parameters=parameters or None)
        yield node, client


def evidence(accuser: Accuser) -> list[str]:
    """The names of its denunciations, as they come."""
    found: list[str] = []

    def look(event: Event) -> None:
        if "denounced" in event.name:
            found.append(event.name)

    accuser.on_event(look)
    return found


async def fitness(node: Node, level: int) -> tuple[int, int | None]:
    """Round and locked round of a level's block."""
    header = await node.rpc("get", f"/chains/main/blocks/{level}/header")
    locked = header["fitness"][2]
    return int(header["fitness"][4], 16), int(locked, 16) if locked else None


async def attesters(node: Node, level: int) -> set[int]:
    """The slots of the attestations that a level's block has."""
    operations = await node.rpc("get", f"/chains/main/blocks/{level}/operations/0")
    contents = [operation["contents"][0] for operation in operations]
    return {one["slot"] for one in contents if one["kind"].startswith("attestation")}
