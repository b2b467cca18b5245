"""Bakers: ``mavkit-baker-*``.

Facts: ``tezt/lib_tezos/baker.ml``, ``src/proto_*/lib_delegate/client_daemon.ml``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, Self, Unpack

import trio

from .._engine.readiness import ReadyLine
from .._hosts.places import check_reach, runner_of
from .._hosts.selection import toolchain_of
from .._mavryk.protocol import Protocol
from .client import Client
from .daemon import Daemon
from .endpoint import Endpoint
from .node import Node, node_of
from .opening import open_daemon, start_in
from .options import DaemonOptions, EventLevel

READY: Final = ReadyLine(r"^Baker .+ for .+ started.$", label="Baker started.")

Vote = Literal["on", "off", "pass"]


class BakerOptions(DaemonOptions, total=False):
    """The options of `Baker`, which tells what they mean."""

    delegates: Sequence[str]
    base_dir: str | Path | None
    remotely: bool
    liquidity_baking_toggle_vote: Vote | None
    votefile: str | Path | None
    force_apply: bool
    operations_pool: str | None
    dal_node: str | None
    minimal_nanomav_per_gas_unit: int | None
    record_state: bool
    keep_alive: bool


class Baker(Daemon):
    """A baker, which bakes and attests for delegates with the keys of a client's wallet.

    It is ready when it says that it has started, which is after its protocol has: unlike an
    accuser, it is not ready before the protocol is active.

    The sandbox's baker takes the same words and asks its node by RPC alone. Bakers go on at the round
    of the present time: activate the protocol with ``timestamp=`` of now, or the first block is of a
    round of some hundreds.

    Args:
        protocol: chooses the executable.
        node: whose blocks it sees, and whose folder it reads.
        client: whose wallet it signs with.
        delegates: aliases, as in ``"bootstrap1"``; by default every account of the wallet.
        base_dir: the wallet's folder, in place of the client's; needed with ``runner=``.
        remotely: use the node's RPCs alone, not its folder; needed for a node of somebody else's
            or on another machine.
        liquidity_baking_toggle_vote: ``on``, ``off`` or ``pass``, by default ``pass``; None to
            leave the option out.
        votefile: value of ``--votefile``.
        force_apply: whether to apply blocks before injecting them.
        operations_pool: value of ``--operations-pool``, a file or URL.
        dal_node: URL of a DAL node.
        minimal_nanomav_per_gas_unit: value of the option of that name.
        record_state: whether to write the state down between runs.
        keep_alive: whether it waits for a node that is lost, in place of ending.
        options: those of all daemons, `DaemonOptions`; the default toolchain is that of the client.

    Raises:
        ValueError: ``remotely`` or ``base_dir`` is needed, or the node is in another sandbox of this process.
    """

    options_known = BakerOptions

    def __init__(
        self,
        protocol: Protocol | str,
        node: Node | Endpoint | str,
        client: Client,
        *,
        delegates: Sequence[str] = (),
        base_dir: str | Path | None = None,
        remotely: bool = False,
        liquidity_baking_toggle_vote: Vote | None = "pass",
        votefile: str | Path | None = None,
        force_apply: bool = False,
        operations_pool: str | None = None,
        dal_node: str | None = None,
        minimal_nanomav_per_gas_unit: int | None = None,
        record_state: bool = False,
        keep_alive: bool = False,
        **options: Unpack[DaemonOptions],
    ) -> None:
        protocol = Protocol.parse(protocol) if isinstance(protocol, str) else protocol
        node = node_of(node)
        if isinstance(delegates, str):
            raise ValueError(f'delegates are a sequence of aliases, as in ("bootstrap1",), not {delegates!r}')
        toolchain = options["toolchain"] = toolchain_of(options.get("toolchain")) or client.toolchain
        check_reach(toolchain, node.toolchain if isinstance(node, Node) else None)
        place = runner_of(toolchain, options.get("runner"))
        if not remotely and not (isinstance(node, Node) and node.runner is place):
            raise ValueError("the folder of the node is not on the baker's machine: give remotely=True")
        if client.runner is not place and base_dir is None:
            where = "this machine" if client.runner is None else client.runner
            raise ValueError(f"the client's wallet is on {where}: give the base_dir of one there")
        super().__init__(
            protocol.baker_binary,
            kind="baker",
            arguments=self._arguments,
            ready=READY,
            protocol=protocol,
            prepare=client.make_wallet if base_dir is None else None,
            keeps_directory=False,  # what a baker keeps is in the wallet's folder
            **options,
        )
        self.node: Node | Endpoint = node
        self.client: Client = client
        self.delegates: tuple[str, ...] = tuple(delegates)
        self._base_dir = base_dir
        self._remotely = remotely
        # In upstream's order, with the delegates in between.
        self._before: tuple[str, ...] = (
            *_option("--liquidity-baking-toggle-vote", liquidity_baking_toggle_vote),
            *_option("--votefile", votefile),
            *(("--force-apply",) if force_apply else ()),
            *_option("--operations-pool", operations_pool),
            *_option("--dal-node", dal_node),
        )
        self._after: tuple[str, ...] = (
            *_option("--minimal-nanomav-per-gas-unit", minimal_nanomav_per_gas_unit),
            *(("--record-state",) if record_state else ()),
            *(("--keep-alive",) if keep_alive else ()),
        )

    @property
    def protocol(self) -> Protocol:
        """The protocol that its executable is for."""
        assert self._protocol is not None
        return self._protocol

    @property
    def base_dir(self) -> Path:
        """Value of ``--base-dir``: the wallet's folder."""
        return self.client.base_dir if self._base_dir is None else self._host.absolute(self._base_dir)

    def _arguments(self) -> tuple[str, ...]:
        if self._remotely:
            mode: tuple[str, ...] = ("remotely",)
        else:
            assert isinstance(self.node, Node)
            mode = ("with", "local", "node", str(self.node.data_dir))
        return (
            *("--endpoint", self.node.rpc_endpoint_from(self.runner)),
            *("--base-dir", str(self.base_dir)),
            *("run", *mode, *self._before, *self.delegates, *self._after),
        )

    @classmethod
    async def init(
        cls,
        nursery: trio.Nursery,
        protocol: Protocol | str,
        node: Node | Endpoint | str,
        client: Client,
        *,
        event_level: EventLevel | None = None,
        **options: Unpack[BakerOptions],
    ) -> Self:
        """Wait for the node, create a baker, run it in ``nursery`` and wait until it is ready.

        Options are those of `Baker`. Raises as `open_baker` does.
        """
        baker = cls(protocol, node, client, **options)
        await baker.node.wait_for_ready()
        await start_in(nursery, baker, event_level)
        return baker


def _option(name: str, value: object) -> tuple[str, ...]:
    return () if value is None else (name, str(value))


@asynccontextmanager
async def open_baker(
    protocol: Protocol | str,
    node: Node | Endpoint | str,
    client: Client,
    *,
    event_level: EventLevel | None = None,
    may_exit: bool = False,
    **options: Unpack[BakerOptions],
) -> AsyncGenerator[Baker]:
    """Run a baker for the length of a block; it is ready when the block begins.

    Ready means that it has started, which it does when its protocol is active.

    Args:
        protocol: chooses the executable.
        node: whose blocks it sees; waited for first.
        client: whose wallet it signs with.
        event_level: least level of its events: ``debug``, ``info`` or ``notice``.
        may_exit: whether it may end unasked without ending the block.
        options: those of `Baker`.

    Raises:
        NodeUnreachable, TerminatedBeforeEvent: the node is not there, or has ended.
        BinaryNotFound: there is none.
        SpawnFailed, EventPipeError: it could not be started.
        EventTimeout: it was not ready within the time that its waits last.
        DaemonExited: it ended unasked; the block was cancelled.

    The end of the block stops it, also when an error ends the block.
    """
    baker = Baker(protocol, node, client, **options)
    await baker.node.wait_for_ready()
    async with open_daemon(baker, event_level=event_level, may_exit=may_exit) as opened:
        yield opened
