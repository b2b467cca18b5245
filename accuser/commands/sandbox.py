"""``accuser sandbox``: a chain to play with."""

from __future__ import annotations

import datetime
import ipaddress
import shlex
import sys
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import click
import trio
from rich.console import Console
from rich.text import Text

from .._daemons.accuser import Accuser
from .._daemons.baker import Baker
from .._daemons.client import Client
from .._daemons.node import Node, open_node
from .._errors import CommandFailed
from .._hosts.container.runner import ContainerRunner
from .._hosts.local.machine import THIS_MACHINE
from .._hosts.selection import IMAGE, INSTALLED
from .._hosts.toolchain import SANDBOX, Toolchain
from .._mavryk.accounts import BOOTSTRAP
from .._mavryk.protocol import Protocol
from .._stream.event import Event
from .._text import counted
from ..events import CLASSES
from ..scenarios import NODE_ARGUMENTS
from .ending import until_stopped
from .options import Seconds, protocol_option, toolchain_option
from .output import echo
from .tally import DENOUNCED
from .text import compact, printable

_FORBIDDEN: Final = "it is temporarily not allowed to bake"
"""What a node says of a delegate whose misbehaviour is on the chain."""

_TROUBLE: Final = frozenset(cls.NAME for cls in CLASSES if cls.LEVEL == "error")


@attrs.define(eq=False, repr=False)
class Playground:
    """A node whose protocol is active, its client, and an accuser."""

    protocol: Protocol
    rpc_port: int | None
    pace: float | None
    """Seconds between two blocks; None for none."""
    keep: bool
    bakers: int = 0
    """How many bakers share the accounts."""
    toolchain: Toolchain = SANDBOX
    """What runs."""
    addresses: tuple[str, ...] = ()
    """Where the node answers besides."""
    console: Console = attrs.field(factory=lambda: Console(highlight=False, soft_wrap=True), init=False)

    async def open(self) -> None:
        """Start everything, tell of it, and go on until cancelled."""
        options: dict[str, Any] = {} if self.rpc_port is None else {"rpc_port": self.rpc_port}
        options["rpc_addresses"] = self.addresses
        async with open_node(toolchain=self.toolchain, arguments=NODE_ARGUMENTS, **options) as node:
            client = Client(node)
            try:
                await self._play(node, client)
            finally:
                client.remove()

    async def _play(self, node: Node, client: Client) -> None:
        async with trio.open_nursery() as nursery:
            # Bakers go on from the present round, which a chain of yesterday has many of.
            now = datetime.datetime.now(datetime.UTC).replace(microsecond=0) if self.bakers else None
            await client.activate_protocol(self.protocol, timestamp=now)
            accuser = Accuser(self.protocol, node)
            accuser.on_event(self._of_the_accuser)
            started = accuser.expect("daemon_start.v0")
            await nursery.start(accuser.run)
            await started
            if self.keep:
                for owner in (node, client, accuser):
                    self._say(f"the files of {owner.name} stay in {owner.keep_directory()}")
            self._tell(node, client, accuser, await node.rpc("get", "/chains/main/chain_id"))
            node.on_event(self._of_the_node)
            for index in range(self.bakers):
                names = [account.alias for account in BOOTSTRAP[index :: self.bakers]]
                await nursery.start(Baker(self.protocol, node, client, delegates=names).run)
            if self.pace is not None:
                await self._bake(client, self.pace)
            await trio.sleep_forever()

    async def _bake(self, client: Client, pace: float) -> None:
        while True:
            await trio.sleep(pace)
            if (complaint := await bake_next(client)) is not None:
                # As when somebody else has just baked this level.
                self._say(f"no block: {complaint}")

    def _tell(self, node: Node, client: Client, accuser: Accuser, chain_id: str) -> None:
        program = program_of(client, node.rpc_endpoint)
        for label, text in (
            ("node", node.rpc_endpoint),
            *(("also at", f"http://{address}") for address in self.addresses),
            ("chain", f"{chain_id}, protocol {self.protocol.long_name}, at level {node.level}"),
            ("accuser", f"{accuser.name}, process {accuser.pid}"),
            ("wallet", f"{client.base_dir}, of {BOOTSTRAP[0].alias} to {BOOTSTRAP[-1].alias}"),
            ("client", shlex.join(program)),
            ("blocks", self._blocks()),
        ):
            self.console.print(Text.assemble((f"{label:8}", "bold"), text))
        self.console.print("\nIn another terminal:\n")
        for what, command in examples(node.rpc_endpoint, client, program, self.protocol):
            self.console.print(Text.assemble((f"# {what}\n", "dim"), (f"{command}\n", "cyan")))
        self.console.print("Ctrl-C stops everything. What happens:")

    def _blocks(self) -> str:
        if self.bakers:
            return f"of {counted(self.bakers, 'baker')}, which share the accounts"
        return f"one every {self.pace:g} s" if self.pace else "as you bake them"

    def _of_the_accuser(self, event: Event) -> None:
        name, value = event.name, event.value
        if kind := DENOUNCED.get(name):
            self._say(f"the accuser denounced a {kind.replace('_', ' ')}: {value['hash']}", "bold green")
        elif name in _TROUBLE:
            self._say(f"the accuser: {name} {compact(value, 160)}", "red")

    def _of_the_node(self, event: Event) -> None:
        if event.name in ("head_increment.v0", "branch_switch.v0"):
            value = event.value
            self._say(
                f"level {value['level']}: {value['view']['hash'] if 'view' in value else ''}".rstrip(": ")
            )

    def _say(self, text: str, style: str = "") -> None:
        self.console.print(Text.assemble((f"{time.strftime('%H:%M:%S')}  ", "dim"), (printable(text), style)))


def _word(toolchain: Toolchain) -> str:
    """The word that chooses a toolchain on a command line."""
    if isinstance(toolchain.host, ContainerRunner):
        return f"{IMAGE}{toolchain.host.image}"
    if toolchain.is_sandbox:
        return toolchain.name
    return str(toolchain.bin_dir or INSTALLED)


async def bake_next(client: Client) -> str | None:
    """Bake a block by the first account that may; give a complaint if there is none.

    Who was denounced is passed over when its turn comes, as a chain goes on at a later round.
    """
    names = [account.alias for account in BOOTSTRAP]
    while True:
        try:
            await client.bake_for(*names)
        except CommandFailed as error:
            said = error.stderr.strip() or error.stdout.strip()
            about = [one.alias for one in BOOTSTRAP if one.pkh in said and one.alias in names]
            if _FORBIDDEN not in said or not about or names == about:
                return said.splitlines()[-1]
            names = [name for name in names if name not in about]
        else:
            return None


def program_of(client: Client, url: str) -> tuple[str, ...]:
    """The words that call the client by hand, with its endpoint and its base directory.

    On this machine they are one, ``mavkit-client`` beside the wallet, which is written here.
    """
    place = client.toolchain.host
    found = client.toolchain.command("mavkit-client")
    words = place.by_hand(found) if isinstance(place, ContainerRunner) else found
    program = (*words, "--endpoint", url, "--base-dir", str(client.base_dir))
    if isinstance(place, ContainerRunner):
        return program
    path = client.base_dir / "mavkit-client"
    path.write_text(f'#!/bin/sh\nexec {shlex.join(program)} "$@"\n')
    path.chmod(0o755)
    return (str(path),)


def examples(
    url: str, client: Client, program: tuple[str, ...], protocol: Protocol
) -> Iterator[tuple[str, str]]:
    """Commands to paste, with what they do. All but the last two end by themselves."""

    def mavkit_client(*words: str) -> str:
        return shlex.join((*program, *words))

    yield "the head", f"curl -s {url}/chains/main/blocks/head/header"
    yield "what waits for the next block", f"curl -s {url}/chains/main/mempool/pending_operations"
    yield "bake a block", mavkit_client("bake", "for", "--minimal-timestamp")
    yield "attest the head", mavkit_client("attest", "for", BOOTSTRAP[0].alias, "--force")
    yield "who is in the wallet", mavkit_client("list", "known", "addresses")
    yield "any RPC", mavkit_client("rpc", "get", "/chains/main/blocks/head/hash")
    yield "the heads as they come, until Ctrl-C", f"curl -sN {url}/monitor/heads/main"
    again = ("run", "--toolchain", _word(client.toolchain), "--endpoint", url, "--protocol", protocol.tag)
    yield "another accuser, which runs until Ctrl-C", shlex.join((sys.executable, "-m", "accuser", *again))


def _addresses(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Each with a port."""
    return tuple(map(_address, values))


def _address(text: str) -> str:
    parts = urlsplit(f"//{text}")
    try:
        port = parts.port
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error
    if not parts.hostname or parts.netloc != text or "@" in text or text.endswith(":") or port == 0:
        raise click.BadParameter(f"{text!r} is not ADDRESS or ADDRESS:PORT")
    return text if port is not None else f"{text}:{THIS_MACHINE.reserve_port()}"


def _is_loopback(address: str) -> bool:
    host = urlsplit(f"//{address}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@click.command(
    short_help="Run a chain to experiment with; Ctrl-C stops it.",
    epilog="""\b
Examples:
  accuser sandbox                       bake by hand: it prints how
  accuser sandbox --bake 5              a block every five seconds
  accuser sandbox --bakers 3            it lives by itself
  accuser sandbox --rpc-port 8732       where clients look by default
  accuser sandbox --rpc-addr 192.0.2.1  for other machines too

\b
Exit status:
  0  it was stopped by SIGTERM, SIGINT (Ctrl-C) or SIGHUP
  1  it could not begin, or could not go on: the message says why
  2  a wrong argument""",
)
@toolchain_option(SANDBOX.name, "What runs", alone=False)
@protocol_option("The protocol that is activated.")
@click.option(
    "--bake",
    "pace",
    type=Seconds(0.1),
    metavar="SECONDS",
    help="Bake a block every SECONDS seconds; by default none is baked.",
)
@click.option(
    "--bakers",
    type=click.IntRange(1, len(BOOTSTRAP)),
    metavar="NUMBER",
    help=f"Run this many bakers, which share the {len(BOOTSTRAP)} accounts: a block a second, with votes.",
)
@click.option(
    "--rpc-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Port of the node's RPC server; by default a free one.",
)
@click.option(
    "--rpc-addr",
    "addresses",
    multiple=True,
    callback=_addresses,
    metavar="ADDRESS[:PORT]",
    help="Let the node answer there too, as for other machines; by default at a free port. Repeatable.",
)
@click.option("--keep", is_flag=True, help="Keep the directories, and say where they are.")
def sandbox(
    toolchain: Toolchain,
    protocol: Protocol,
    pace: float | None,
    bakers: int | None,
    rpc_port: int | None,
    addresses: tuple[str, ...],
    keep: bool,
) -> None:
    """Run a node with an active protocol, and an accuser; Ctrl-C stops them.

    Prints their addresses, and commands to paste into another terminal. Everything is the embedded
    sandbox unless you say otherwise: nothing else needs to be installed. The directories are removed at the
    end.
    """
    if bakers and pace is not None:
        raise click.UsageError("--bake and --bakers exclude each other: bakers have a pace of their own")
    if others := [address for address in addresses if not _is_loopback(address)]:
        echo(
            f"warning: whoever reaches {' or '.join(others)} controls this node, and the keys of its "
            "accounts are public",
            err=True,
        )
    stopped = until_stopped(
        Playground(protocol, rpc_port, pace, keep, bakers or 0, toolchain, addresses).open
    )
    echo(f"stopped by {stopped}{'' if keep else '; everything was removed'}")
