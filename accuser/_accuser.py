"""Accusers: ``mavkit-accuser-*``.

Facts: ``tezt/lib_tezos/accuser.ml``, ``src/proto_*/lib_delegate/client_daemon.ml``.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self, TypedDict, Unpack

import attrs
import trio

from ._daemon import WAIT_TIMEOUT, Daemon, EventLevel
from ._logs import fresh_name, next_color
from ._node import Node
from ._protocol import Protocol
from ._rpc import Endpoint
from ._session import ReadyLine
from ._temp import Workspace, writing
from ._toolchain import Toolchain, installed

READY: Final = ReadyLine(re.compile(r"^Waiting for protocol .+ to start...$"), "Accuser started.")


class AccuserOptions(TypedDict, total=False):
    """The options of `Accuser`."""

    name: str | None
    color: str | None
    event_pipe: str | Path | None
    base_dir: str | Path | None
    preserved_levels: int | None
    path: str | Path | None
    toolchain: Toolchain | None
    wait_timeout: float | None


@attrs.define(eq=False)
class _AccuserSpec:
    binary: str
    endpoint: str
    asks_json: bool
    preserved_levels: int | None
    base_dir: Callable[[], Path]
    kind: str = "accuser"
    ready: ReadyLine = READY

    async def prepare(self) -> None:
        base_dir = self.base_dir()
        config = base_dir / "config"
        with writing(base_dir):
            base_dir.mkdir(parents=True, exist_ok=True)
            if self.asks_json and not config.exists():
                # The real accuser asks for binary answers; this file changes its mind, where an
                # argument would change its command line (recorded run 12c).
                config.write_text(json.dumps({"base_dir": str(base_dir), "media_type": "json"}))

    def arguments(self) -> tuple[str, ...]:
        levels = () if self.preserved_levels is None else ("--preserved-levels", str(self.preserved_levels))
        return ("-E", self.endpoint, "--base-dir", str(self.base_dir()), "run", *levels)


@attrs.define(eq=False, init=False)
class Accuser(Daemon):
    """An accuser, which watches a node and denounces double signing.

    Args:
        protocol: chooses the executable.
        node: whom it watches.
        name: by default ``accuser1``, ``accuser2``, ...
        color: SGR sequence of its log lines.
        event_pipe: absolute path of the FIFO; by default a temporary one.
        base_dir: value of ``--base-dir``, made if missing; by default a temporary folder.
        preserved_levels: levels that it remembers; by default its own default, 200.
        path: the executable, in place of the toolchain's.
        toolchain: where the executable comes from; by default that of the node.
        wait_timeout: seconds that waits last by default; None for no limit.
    """

    protocol: Protocol
    node: Node | Endpoint
    _base_dir: Path | None

    def __init__(
        self,
        protocol: Protocol,
        node: Node | Endpoint,
        *,
        name: str | None = None,
        color: str | None = None,
        event_pipe: str | Path | None = None,
        base_dir: str | Path | None = None,
        preserved_levels: int | None = None,
        path: str | Path | None = None,
        toolchain: Toolchain | None = None,
        wait_timeout: float | None = WAIT_TIMEOUT,
    ) -> None:
        if preserved_levels is not None and preserved_levels < 0:
            raise ValueError(f"preserved_levels must not be negative, and is {preserved_levels}")
        if toolchain is None:
            toolchain = node.toolchain if isinstance(node, Node) else installed()
        name = fresh_name("accuser") if name is None else name
        color = next_color("accuser") if color is None else color
        is_real = path is not None or not toolchain.is_sandbox
        spec = _AccuserSpec(
            protocol.accuser_binary,
            node.rpc_endpoint,
            is_real and not node.speaks_binary,
            preserved_levels,
            lambda: self.base_dir,
        )
        self.__attrs_init__(
            spec,
            name,
            color,
            toolchain,
            None if path is None else Path(path).absolute(),
            None if event_pipe is None else Path(event_pipe),
            wait_timeout,
            Workspace(name),
            protocol,
            node,
            None if base_dir is None else Path(base_dir).absolute(),
        )

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

    def _after_run(self) -> None:
        # An accuser keeps nothing in its folder; a block or a user's nursery that goes on may
        # still want to look at it, or to restart.
        if self._nursery is None:
            self._workspace.remove()


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
