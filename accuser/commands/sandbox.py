"""``accuser sandbox``: a chain to play with."""

from __future__ import annotations

import shlex
from functools import partial

import click
import trio
from rich.console import Console
from rich.text import Text

from .._accuser import open_accuser
from .._client import Client, open_client
from .._errors import CommandFailed
from .._node import Node, open_node
from .._protocol import Protocol
from .._toolchain import SANDBOX
from .ending import unless_terminated
from .options import protocol_argument

BAKERS = tuple(f"bootstrap{number}" for number in range(1, 6))


@click.command()
@click.option(
    "--protocol",
    callback=protocol_argument,
    default=Protocol.BOREAS.tag,
    metavar="|".join(protocol.tag for protocol in Protocol),
    help="The protocol of the chain; boreas by default.",
)
@click.option(
    "--rpc-port", type=click.IntRange(1, 65535), metavar="PORT", help="Of the node; a free one by default."
)
@click.option(
    "--bake",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    help="Bake a block every so many seconds; by default only you bake.",
)
def sandbox(protocol: Protocol, rpc_port: int | None, bake: float | None) -> None:
    """Run a node and an accuser of the sandbox until Ctrl-C, to play with.

    The protocol is active at level 1. What is printed can be pasted into another terminal: requests
    with curl, and commands of the client. Everything is removed at the end.

    \b
    Examples:
      accuser sandbox
      accuser sandbox --protocol atlas --bake 5 --rpc-port 18731
    """
    trio.run(
        unless_terminated, partial(_play, protocol, rpc_port, bake, Console(highlight=False, soft_wrap=True))
    )


async def _play(protocol: Protocol, rpc_port: int | None, bake: float | None, console: Console) -> None:
    opening = open_node(
        toolchain=SANDBOX,
        arguments=("--connections 0", "--synchronisation-threshold 0"),
        rpc_port=rpc_port,
    )
    async with opening as node, open_client(node) as client, open_accuser(protocol, node) as accuser:
        accuser.on_event(
            lambda event: (
                console.print(f"{accuser.name}: {event.name} {event.value}")
                if event.name.endswith("_denounced.v0")
                else None
            )
        )
        await client.activate_protocol(protocol)
        await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
        _introduce(protocol, node, client, console)
        if bake is None:
            await trio.sleep_forever()
        while True:
            await trio.sleep(bake)
            try:
                console.print(f"level {await client.bake_for_and_wait(*BAKERS)}")
            except CommandFailed as error:
                # Whoever plays may have baked at the same time.
                console.print(Text(f"no block: {error}", "yellow"))


def _introduce(protocol: Protocol, node: Node, client: Client, console: Console) -> None:
    url = f"http://127.0.0.1:{node.rpc_port}"
    command = [*SANDBOX.command("mavkit-client"), "--endpoint", url, "--base-dir", str(client.base_dir)]
    console.print(Text(f"{node.name} serves {url}; {protocol.long_name} is active at level 1", "bold green"))
    console.print("an accuser watches it; in another terminal:")
    console.print()
    for line in (
        f"curl -s {url}/chains/main/blocks/head/header",
        f"curl -sN {url}/monitor/heads/main",
        f"curl -s {url}/chains/main/mempool/pending_operations",
        # A function works in scripts too, where aliases do not.
        f'client() {{ {shlex.join(command)} "$@"; }}',
        "client bake for bootstrap1 --minimal-timestamp",
        "client attest for bootstrap1 --force",
        "client rpc get /chains/main/blocks/head/hash",
    ):
        console.print(f"  {line}", style="cyan")
    console.print()
    console.print("Ctrl-C ends it")
