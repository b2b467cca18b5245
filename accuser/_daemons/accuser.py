"""Accusers: ``mavkit-accuser-*``.

Facts: ``tezt/lib_tezos/accuser.ml``, ``src/proto_*/lib_delegate/client_daemon.ml``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self, Unpack

import trio

from .._engine.program import checked_arguments
from .._engine.readiness import ReadyLine
from .._hosts.places import check_reach
from .._hosts.selection import toolchain_of
from .._hosts.toolchain import installed
from .._mavryk.protocol import Protocol
from .daemon import Daemon
from .endpoint import Endpoint
from .node import Node, node_of
from .opening import open_daemon, start_in
from .options import DaemonOptions, EventLevel
from .taken import port_taken

READY: Final = ReadyLine(re.compile(r"^Waiting for protocol .+ to start...$"), label="Accuser started.")


class AccuserOptions(DaemonOptions, total=False):
    """The options of `Accuser`, which tells what they mean."""

    base_dir: str | Path | None
    preserved_levels: int | None
    arguments: Sequence[str]


class Accuser(Daemon):
    """An accuser, which watches a node and denounces double signing.

    Args:
        protocol: chooses the executable; one of `Protocol`, or what it is called, as in ``"boreas"``.
        node: whom it watches; a node, an endpoint, or the URL of one.
        base_dir: value of ``--base-dir``, made if missing; by default a temporary folder.
        preserved_levels: levels that it remembers; by default its own default, 200.
        arguments: more arguments of its command ``run``, as in ``("--keep-alive",)``.
        options: those of all daemons, `DaemonOptions`; the default toolchain is that of the
            node, or what is installed.
    """

    node: Node | Endpoint
    """Whom it watches."""
    options_known = AccuserOptions

    def __init__(
        self,
        protocol: Protocol | str,
        node: Node | Endpoint | str,
        *,
        base_dir: str | Path | None = None,
        preserved_levels: int | None = None,
        arguments: Sequence[str] = (),
        **options: Unpack[DaemonOptions],
    ) -> None:
        if preserved_levels is not None and preserved_levels < 0:
            raise ValueError(f"preserved_levels must not be negative, and is {preserved_levels}")
        protocol = Protocol.parse(protocol) if isinstance(protocol, str) else protocol
        node = node_of(node)
        theirs = node.toolchain if isinstance(node, Node) else None
        toolchain = options["toolchain"] = toolchain_of(options.get("toolchain")) or theirs or installed()
        check_reach(toolchain, theirs)
        super().__init__(
            protocol.accuser_binary,
            kind="accuser",
            arguments=self._arguments,
            ready=READY,
            prepare=self._prepare,
            protocol=protocol,
            explain_exit=port_taken,  # of a node that is played as an accuser
            keeps_directory=False,
            **options,
        )
        self.node = node
        self._base_dir = None if base_dir is None else self._host.absolute(base_dir)
        self._preserved_levels = preserved_levels
        self._more = checked_arguments(arguments)

    def _arguments(self) -> tuple[str, ...]:
        kept = self._preserved_levels
        levels = () if kept is None else ("--preserved-levels", str(kept))
        endpoint = self.node.rpc_endpoint_from(self.runner)
        return ("-E", endpoint, "--base-dir", str(self.base_dir), "run", *levels, *self._more)

    async def _prepare(self) -> None:
        await self._host.make_folder(self.base_dir)

    @property
    def protocol(self) -> Protocol:
        """The protocol that its executable is for."""
        assert self._protocol is not None
        return self._protocol

    @classmethod
    async def init(
        cls,
        nursery: trio.Nursery,
        protocol: Protocol | str,
        node: Node | Endpoint | str,
        *,
        event_level: EventLevel | None = None,
        **options: Unpack[AccuserOptions],
    ) -> Self:
        """Wait for the node, create an accuser, run it in ``nursery`` and wait until it is ready.

        Options are those of `Accuser`. Raises as `open_accuser` does.
        """
        accuser = cls(protocol, node, **options)
        await accuser.node.wait_for_ready()
        await start_in(nursery, accuser, event_level)
        return accuser

    @property
    def node_rpc_port(self) -> int:
        """RPC port of the node that it watches."""
        return self.node.rpc_port

    @property
    def base_dir(self) -> Path:
        """Value of ``--base-dir``."""
        return self._workspace.folder(self.name) if self._base_dir is None else self._base_dir


@asynccontextmanager
async def open_accuser(
    protocol: Protocol | str,
    node: Node | Endpoint | str,
    *,
    event_level: EventLevel | None = None,
    may_exit: bool = False,
    **options: Unpack[AccuserOptions],
) -> AsyncGenerator[Accuser]:
    """Run an accuser for the length of a block; it is ready when the block begins.

    Ready means that the node is bootstrapped and that the accuser is about to wait for its
    protocol, which need not be active.

    Args:
        protocol: chooses the executable.
        node: whom it watches; waited for first.
        event_level: least level of its events: ``debug``, ``info`` or ``notice``.
        may_exit: whether it may end unasked without ending the block.
        options: those of `Accuser`.

    Raises:
        NodeUnreachable, TerminatedBeforeEvent: the node is not there, or has ended.
        BinaryNotFound, SpawnFailed, EventPipeError: the accuser could not be started.
        DaemonExited: it ended unasked; the block was cancelled.

    The end of the block stops it, also when an error ends the block.
    """
    accuser = Accuser(protocol, node, **options)
    await accuser.node.wait_for_ready()
    async with open_daemon(accuser, event_level=event_level, may_exit=may_exit) as opened:
        yield opened
