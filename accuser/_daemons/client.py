"""The client: ``mavkit-client`` and ``mavkit-admin-client``, one process a command.

Facts: ``tezt/lib_tezos/client.ml``.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, TypedDict, Unpack

import attrs
import trio

from .._checks import check_options
from .._errors import CommandFailed, RunnerError, SigningUnavailable
from .._hosts.host import Host, Workspace
from .._hosts.places import check_reach, host_of, runner_of
from .._hosts.remote.runner import Runner
from .._hosts.remote.workspace import RemoteWorkspace
from .._hosts.selection import toolchain_of
from .._hosts.toolchain import Toolchain, installed
from .._logs import fresh_name, log, next_color
from .._mavryk.accounts import ACTIVATOR, BOOTSTRAP
from .._mavryk.parameters import parameters_text, write_parameter_file
from .._mavryk.protocol import Protocol
from .._recording.doings import command_told
from .._text import secrets
from .endpoint import Endpoint
from .node import Node, node_of
from .wallets import WalletThere, write_wallet

ACTIVATION_AGE: Final = datetime.timedelta(days=1)
"""How far back the chain begins, so that blocks with minimal time-stamps are never in the future."""

LEAVE: Final = 10.0
"""Seconds that the removal of a wallet on another machine may take."""

_ENVIRONMENT: Final = {"MAVRYK_CLIENT_UNSAFE_DISABLE_DISCLAIMER": "Y"}


class ClientOptions(TypedDict, total=False):
    """What `Client` takes by name."""

    name: str | None
    color: str | None
    base_dir: str | Path | None
    toolchain: Toolchain | str | None


@attrs.define(eq=False, init=False, repr=False)
class Client:
    """A client of one node, with a wallet that holds the well-known accounts.

    Each method runs one command to its end. All of them raise `CommandFailed` when it fails,
    `BinaryNotFound` and `SpawnFailed` when it cannot run; cancelling stops the command.

    Args:
        node: whom it talks to.
        name: by default ``client1``, ``client2``, ...
        color: SGR sequence of its log lines.
        base_dir: the wallet's folder; by default a temporary one.
        toolchain: where the executables come from; by default that of the node.
    """

    node: Node | Endpoint
    name: str
    color: str
    toolchain: Toolchain
    _base_dir: Path | None
    _host: Host
    _runner: Runner | None
    _workspace: Workspace
    _there: WalletThere | None
    """The wallet, if it is not on this machine."""

    def __init__(self, node: Node | Endpoint | str, **options: Unpack[ClientOptions]) -> None:
        check_options(options, ClientOptions)
        node = node_of(node)
        inherited = node.toolchain if isinstance(node, Node) else installed()
        base_dir = options.get("base_dir")
        self.node = node
        self.name = options.get("name") or fresh_name("client")
        self.color = options.get("color") or next_color("client")
        self.toolchain = toolchain_of(options.get("toolchain")) or inherited
        self._base_dir = None if base_dir is None else Path(base_dir).absolute()
        check_reach(self.toolchain, node.toolchain if isinstance(node, Node) else None)
        self._host = host_of(self.toolchain)
        self._runner = runner = runner_of(self.toolchain)
        self._workspace = self._host.workspace(self.name)
        self._there = None
        if runner is not None and not runner.has_files_here:
            if isinstance(node, Node) and node.runner is runner:
                # It goes with that of the node, also if we are lost.
                self._workspace = RemoteWorkspace(self.name, PurePosixPath(node.directory))
            self._there = WalletThere(runner, self._folder)

    def __repr__(self) -> str:
        return f"<Client {self.name} of {getattr(self.node, 'name', self.node.rpc_endpoint)}>"

    @property
    def runner(self) -> Runner | None:
        """The machine that its commands run on; None for this one."""
        return self._runner

    @property
    def _folder(self) -> Path:
        return self._workspace.folder(self.name) if self._base_dir is None else self._base_dir

    @property
    def base_dir(self) -> Path:
        """The wallet's folder, with the well-known keys in it from the first use on.

        It is on the machine of `runner`, if the toolchain has one of its own that is reached by SSH.
        """
        folder = self._folder
        if self._there is None:
            write_wallet(folder)
        return folder

    async def make_wallet(self) -> None:
        """Have the wallet where the commands run, as each command does. Raises `DirectoryError`."""
        if self._there is None:
            write_wallet(self._folder)
            await trio.lowlevel.checkpoint()
        else:
            await self._there.make()

    async def command(self, *words: str, binary: str = "mavkit-client") -> str:
        """Run any command, as in ``command("list", "known", "addresses")``; return its output."""
        if self._there is None:
            return await self._run(words, binary)
        # Held, so that what is opened there has somebody who closes it.
        async with self._host.connected():
            await self._there.make()
            return await self._run(words, binary)

    async def _run(self, words: tuple[str, ...], binary: str) -> str:
        command = (
            *self.toolchain.command(binary, self._host),
            *("--endpoint", self.node.rpc_endpoint_from(self._runner)),
            *("--base-dir", str(self.base_dir)),
            *words,
        )
        with command_told(self.name, command) as told:
            output = await self._host.run(command, name=self.name, color=self.color, environment=_ENVIRONMENT)
            told.said = (output, "")
        return output

    async def admin(self, *words: str) -> str:
        """Run a command of ``mavkit-admin-client``."""
        return await self.command(*words, binary="mavkit-admin-client")

    async def activate_protocol(
        self,
        protocol: Protocol | str,
        *,
        parameters: Mapping[str, object] | None = None,
        parameter_file: str | Path | None = None,
        timestamp: datetime.datetime | datetime.timedelta | Literal["now"] | None = None,
    ) -> None:
        """Activate ``protocol`` on a chain that has only its genesis, and wait for level 1.

        Args:
            protocol: what to activate.
            parameters: changes to the sandbox parameters, by dotted path, as in
                ``{"blocks_per_cycle": 4, "dal_parametric.feature_enable": False}``. A value replaces
                the old one whole; None takes the field away.
            parameter_file: by default the sandbox parameters with the bootstrap accounts.
            timestamp: time of the first block, with its zone, or how long from now it is, or ``"now"``, as
                bakers want it: they go on at the round of the present time. By default a day ago.

        Raises:
            ValueError: a path of ``parameters`` names no parameter of the protocol, or both they
                and a file are given.
        """
        protocol = Protocol.parse(protocol) if isinstance(protocol, str) else protocol
        if parameter_file is not None and parameters is not None:
            raise ValueError("parameters are changes to the sandbox's, and so exclude a parameter_file")
        if self._there is not None:
            if parameter_file is None:
                text = parameters_text(protocol, parameters)
            else:
                text = await trio.Path(parameter_file).read_text(encoding="utf-8")
            # Not beside the wallet, which may be in a folder of the user's.
            path = self._workspace.path / "parameters.json"
            await self._there.place(path, text)
            parameter_file = path
        elif parameter_file is None:
            path = self._workspace.path / "parameters.json"
            parameter_file = write_parameter_file(protocol, path, parameters)
        if not isinstance(timestamp, datetime.datetime):
            now = datetime.datetime.fromtimestamp(int(self._host.now()), datetime.UTC)
            from_now = datetime.timedelta() if timestamp == "now" else timestamp
            timestamp = now - ACTIVATION_AGE if from_now is None else now + from_now
        when = timestamp.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await self.command(
            *("activate", "protocol", protocol.hash, "with", "fitness", "1"),
            *("and", "key", ACTIVATOR.alias, "and", "parameters", str(parameter_file)),
            *("--timestamp", when),
        )
        if isinstance(self.node, Node):
            await self.node.wait_for_level(1)

    async def bake_for(
        self,
        *delegates: str,
        count: int = 1,
        minimal_timestamp: bool = True,
        options: Sequence[str] = (),
    ) -> None:
        """Bake a block for the first of ``delegates`` that has a right to; for any if none is given.

        Args:
            delegates: aliases, as in ``"bootstrap1"``.
            count: how many blocks, one on top of the other, in one command.
            minimal_timestamp: give each block the earliest time that is valid; otherwise the
                command waits until the time of its round has come.
            options: further options of ``bake for``, as in ``("--force",)``.

        Raises:
            ValueError: ``count`` is not positive.
            TypeError: the delegates are in a list.
        """
        for delegate in delegates:
            if not isinstance(delegate, str):
                one_by_one = 'delegates are given one by one, as in bake_for("bootstrap1", "bootstrap2")'
                raise TypeError(f"{one_by_one}, not {delegate!r}")
        if count < 1:
            raise ValueError(f"count must be at least 1, and is {count}")
        minimal = ("--minimal-timestamp",) if minimal_timestamp else ()
        several = ("--count", str(count)) if count > 1 else ()
        await self.command("bake", "for", *delegates, *minimal, *several, *options)

    async def bake_for_and_wait(self, *delegates: str, count: int = 1, **options: Any) -> int:
        """`bake_for`, then wait until the node has ``count`` levels more; return its level."""
        if not isinstance(self.node, Node):
            raise TypeError("bake_for_and_wait needs a Node, whose events tell the level")
        level = self.node.level
        await self.bake_for(*delegates, count=count, **options)
        return await self.node.wait_for_level(level + count)

    async def attest_for(self, delegate: str, *, force: bool = False) -> None:
        """Inject an attestation of the head by ``delegate``."""
        await self.command("attest", "for", delegate, *(("--force",) if force else ()))

    async def preattest_for(self, delegate: str, *, force: bool = False) -> None:
        """Inject a preattestation of the head by ``delegate``."""
        await self.command("preattest", "for", delegate, *(("--force",) if force else ()))

    async def propose_for(self, delegate: str, *, force: bool = False) -> None:
        """Propose a block for the current level by ``delegate``."""
        await self.command(
            "propose", "for", delegate, "--minimal-timestamp", *(("--force",) if force else ())
        )

    async def submit_proposals(
        self, *protocols: Protocol | str, delegate: str = BOOTSTRAP[0].alias, force: bool = False
    ) -> None:
        """Propose protocols, or hashes of some, in a proposal period; a later block has to include it."""
        hashes = [_hash(protocol) for protocol in protocols]
        words = ("--wait", "none", "submit", "proposals", "for", delegate, *hashes)
        await self.command(*words, *(("--force",) if force else ()))

    async def submit_ballot(
        self, protocol: Protocol | str, ballot: Literal["yay", "nay", "pass"], *, delegate: str
    ) -> None:
        """Vote on the current proposal, which is ``protocol``; a later block has to include it."""
        words = ("submit", "ballot", "for", delegate, _hash(protocol), ballot)
        await self.command("--wait", "none", *words)

    async def import_secret_key(self, alias: str, secret_key: str, *, force: bool = False) -> None:
        """Add an unencrypted secret key (``edsk...``) to the wallet.

        The files of the wallet are written here, as the client would: a command line can be read by every
        user of the machine. From now on the key is shown in no log, recording or report.

        Raises:
            SigningUnavailable: the package ``cryptography`` is not there, which knows the public key.
            CommandFailed: the alias is taken, or the key is none of Ed25519.
        """
        from ..sandbox.client.wallet import Wallet, WalletError

        await trio.lowlevel.checkpoint()
        secret_key = secret_key.removeprefix("unencrypted:")
        secrets.learn(secret_key)

        def add(folder: Path) -> None:
            Wallet(folder).import_secret(alias, f"unencrypted:{secret_key}", force=force)

        try:
            if self._there is None:
                add(self.base_dir)
            else:
                await self._there.change(add)
        except ImportError as error:
            raise SigningUnavailable(alias) from error
        except WalletError as error:
            command = ("mavkit-client", "import", "secret", "key", alias)
            raise CommandFailed(command, 1, "", f"Error:\n  {secrets.hide(str(error))}\n") from None

    async def trust_address(self, peer: Node) -> None:
        """Make the node trust the address of ``peer``; private nodes talk to nobody else.

        Raises:
            ValueError: ``peer`` is of another world, as a node in memory for one that is a process.
        """
        await self.admin("trust", "address", await self._address_of(peer))

    async def connect_address(self, peer: Node) -> None:
        """Connect the node to ``peer``. Raises as `trust_address` does."""
        await self.admin("connect", "address", await self._address_of(peer))

    async def _address_of(self, peer: Node) -> str:
        check_reach(self.toolchain, peer.toolchain)  # its node is of the same world
        text = peer.net_address_from(self.node.runner if isinstance(self.node, Node) else None)
        host, _, port = text.rpartition(":")
        with suppress(ValueError):
            ipaddress.ip_address(host.strip("[]"))
            return text
        try:
            # The client takes addresses alone.
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
        except OSError:
            return text  # of which the client says that it is none
        address = str(found[0][4][0])
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    async def rpc(self, method: str, path: str, data: object = None) -> Any:
        """Send a request through the client; return the decoded JSON that it prints."""
        words = ("rpc", method.lower(), path)
        output = await self.command(*words, *(() if data is None else ("with", json.dumps(data))))
        return json.loads(output)

    def keep_directory(self) -> Path:
        """Never remove the temporary wallet; return its folder."""
        path = self._workspace.path
        self._workspace.keep()
        return path

    async def aclose(self) -> None:
        """Remove the wallet that this client made, wherever it is; a wallet that was given stays."""
        if self._there is not None and self._there.begun and not self._workspace.kept:
            path = self._workspace.path
            reason: str | None = f"no answer within {LEAVE:g} s"
            with trio.move_on_after(LEAVE, shield=True):
                try:
                    async with self._host.connected():
                        reason = await self._host.discard(self._workspace)
                except RunnerError as error:
                    reason = str(error)
            if reason:
                # It has keys, which the owner of that machine may want to remove by hand.
                left = f"its wallet may be left there, in {path}: {reason}"
                log(logging.WARNING, self.name, self.color, left)
        self.remove()

    def remove(self) -> None:
        """Remove the wallet that this client made here; a wallet that was given stays."""
        self._workspace.remove()


def _hash(protocol: Protocol | str) -> str:
    return protocol.hash if isinstance(protocol, Protocol) else protocol


@asynccontextmanager
async def open_client(
    node: Node | Endpoint | str, **options: Unpack[ClientOptions]
) -> AsyncGenerator[Client]:
    """Give a client of ``node`` for the length of a block; its temporary wallet goes with it."""
    client = Client(node, **options)
    try:
        yield client
    finally:
        await client.aclose()


async def init_with_protocol(
    node: Node,
    protocol: Protocol | str,
    *,
    parameters: Mapping[str, object] | None = None,
    parameter_file: str | Path | None = None,
) -> Client:
    """Give a client of ``node`` after activating ``protocol`` there.

    ``parameters`` and ``parameter_file`` are those of `Client.activate_protocol`.
    """
    client = Client(node)
    await client.activate_protocol(protocol, parameters=parameters, parameter_file=parameter_file)
    return client
