"""Accusers: ``mavkit-accuser-*``.

Facts: ``tezt/lib_tezos/accuser.ml``, ``src/proto_*/lib_delegate/client_daemon.ml``.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self, Unpack

import attrs
import trio

from .._engine.readiness import ReadyLine
from .._hosts.host import Host
from .._hosts.places import check_reach
from .._hosts.toolchain import installed
from .._logs import fresh_name
from .._mavryk.protocol import Protocol
from .daemon import Daemon
from .endpoint import Endpoint
from .node import Node
from .options import DaemonOptions, EventLevel
from .spec import checked_arguments

READY: Final = ReadyLine(re.compile(r"^Waiting for protocol .+ to start...$"), label="Accuser started.")


class AccuserOptions(DaemonOptions, total=False):
    """The options of `Accuser`, which tells what they mean."""

    base_dir: str | Path | None
    preserved_levels: int | None
    arguments: Sequence[str]


@attrs.define(eq=False)
class _AccuserSpec:
    binary: str
    endpoint: str
    asks_json: bool
    preserved_levels: int | None
    base_dir: Callable[[], Path]
    host: Callable[[], Host]
    more: tuple[str, ...]
    kind: str = "accuser"
    ready: ReadyLine = READY
    environment: Mapping[str, str] = attrs.field(factory=dict)

    async def prepare(self) -> None:
        base_dir, host = self.base_dir(), self.host()
        await host.make_folder(base_dir)
        if self.asks_json:
            # The real accuser asks for binary answers; this file changes its mind, where an
            # argument would change its command line (recorded run 12c).
            config = json.dumps({"base_dir": str(base_dir), "media_type": "json"})
            await host.write_new(base_dir / "config", config)

    def arguments(self) -> tuple[str, ...]:
        levels = () if self.preserved_levels is None else ("--preserved-levels", str(self.preserved_levels))
        return ("-E", self.endpoint, "--base-dir", str(self.base_dir()), "run", *levels, *self.more)


@attrs.define(eq=False, init=False)
class Accuser(Daemon):
    """An accuser, which watches a node and denounces double signing.

    Args:
        protocol: chooses the executable.
        node: whom it watches.
        base_dir: value of ``--base-dir``, made if missing; by default a temporary folder.
        preserved_levels: levels that it remembers; by default its own default, 200.
        arguments: more arguments of its command ``run``, as in ``("--keep-alive",)``.
        options: those of all daemons, `DaemonOptions`; the default toolchain is that of the
            node, or what is installed.
    """

    node: Node | Endpoint = attrs.field(init=False)
    _base_dir: Path | None = attrs.field(init=False)

    def __init__(
        self,
        protocol: Protocol,
        node: Node | Endpoint,
        *,
        base_dir: str | Path | None = None,
        preserved_levels: int | None = None,
        arguments: Sequence[str] = (),
        **options: Unpack[DaemonOptions],
    ) -> None:
        if preserved_levels is not None and preserved_levels < 0:
            raise ValueError(f"preserved_levels must not be negative, and is {preserved_levels}")
        runner = options.get("runner")
        inherited = node.toolchain if isinstance(node, Node) else installed()
        toolchain = options.get("toolchain") or inherited
        check_reach(toolchain, node.toolchain if isinstance(node, Node) else None)
        is_real = options.get("path") is not None or not toolchain.is_sandbox
        spec = _AccuserSpec(
            protocol.accuser_binary,
            node.rpc_endpoint_from(runner),
            is_real and not node.speaks_binary,
            preserved_levels,
            lambda: self.base_dir,
            lambda: self._host,
            checked_arguments(arguments),
        )
        self._init(spec, options.get("name") or fresh_name("accuser"), toolchain, protocol, options)
        self.node = node
        self._base_dir = None if base_dir is None else self._host.absolute(base_dir)

    @property
    def protocol(self) -> Protocol:
        """The protocol that its executable is for."""
        assert self._protocol is not None
        return self._protocol

    @classmethod
    async def init(
        cls,
        nursery: trio.Nursery,
        protocol: Protocol,
        node: Node | Endpoint,
        *,
        event_level: EventLevel | None = None,
        **options: Unpack[AccuserOptions],
    ) -> Self:
        """Wait for the node, create an accuser, run it in ``nursery`` and wait until it is ready.

        Options are those of `Accuser`. Raises as `open_accuser` does.
        """
        accuser = cls(protocol, node, **options)
        await node.wait_for_ready()
        await accuser._start(nursery, event_level, may_exit=False)
        return accuser

    @property
    def node_rpc_port(self) -> int:
        """RPC port of the node that it watches."""
        return self.node.rpc_port

    @property
    def base_dir(self) -> Path:
        """Value of ``--base-dir``."""
        return self._workspace.folder(self.name) if self._base_dir is None else self._base_dir

    async def _after_run(self) -> None:
        # An accuser keeps nothing in its folder.
        await self._discard()


@asynccontextmanager
async def open_accuser(
    protocol: Protocol,
    node: Node | Endpoint,
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

    The end of the block stops it, whatever the block ends with.
    """
    accuser = Accuser(protocol, node, **options)
    await node.wait_for_ready()
    async with accuser._opened(event_level, may_exit) as opened:
        yield opened
