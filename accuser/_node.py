"""Nodes: ``mavkit-node`` with an identity, a configuration and three ports of its own.

Facts: ``tezt/lib_tezos/node.ml``.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self, TypedDict, Unpack

import attrs
import trio

from ._command import run_command
from ._daemon import WAIT_TIMEOUT, Daemon, EventLevel
from ._decode import Event
from ._logs import fresh_name, next_color
from ._ports import reserve_port
from ._rpc import call_rpc
from ._session import ReadyEvent, Session
from ._temp import Workspace
from ._toolchain import Toolchain, installed
from ._waits import DEFAULT, Default, terminated, time_limit

HOST: Final = "127.0.0.1"
"""Deliberately no host name (``tezt/lib_tezos/constant.ml``)."""

BINARY: Final = "mavkit-node"
READY: Final = ReadyEvent("node_is_ready.v0")
LEVEL_EVENTS: Final = ("head_increment.v0", "branch_switch.v0", "set_head.v0")
_DEFAULT_ARGUMENTS: Final = ("--expected-pow 0", "--network sandbox")


class NodeOptions(TypedDict, total=False):
    """The options of `Node`."""

    toolchain: Toolchain | None
    arguments: Sequence[str]
    name: str | None
    color: str | None
    event_pipe: str | Path | None
    data_dir: str | Path | None
    rpc_port: int | None
    net_port: int | None
    metrics_port: int | None
    path: str | Path | None
    wait_timeout: float | None


@attrs.define(eq=False)
class _NodeSpec:
    toolchain: Toolchain
    path: Path | None
    name: str
    color: str
    config_arguments: tuple[str, ...]
    rpc_port: int
    net_port: int
    metrics_port: int
    data_dir: Callable[[], Path]
    kind: str = "node"
    binary: str = BINARY
    ready: ReadyEvent = READY

    async def prepare(self) -> None:
        data_dir = self.data_dir()
        command = (str(self.path),) if self.path else self.toolchain.command(BINARY)
        if not (data_dir / "identity.json").exists():
            await self._run(*command, "identity", "generate", "--data-dir", str(data_dir), "0")
        if not (data_dir / "config.json").exists():
            await self._run(*command, "config", "init", "--data-dir", str(data_dir), *self.config_arguments)

    async def _run(self, *command: str) -> None:
        await run_command(command, name=self.name, color=self.color)

    def arguments(self) -> tuple[str, ...]:
        rpc = f"{HOST}:{self.rpc_port}"
        return (
            *("run", "--data-dir", str(self.data_dir())),
            *("--net-addr", f"{HOST}:{self.net_port}"),
            *("--metrics-addr", f"{HOST}:{self.metrics_port}"),
            *("--rpc-addr", rpc, "--max-active-rpc-connections", "500", "--allow-all-rpc", rpc),
        )


@attrs.define(eq=False, init=False)
class Node(Daemon):
    """A node.

    Args:
        toolchain: where ``mavkit-node`` comes from; by default what is installed.
        arguments: options of ``config init``, each as it is typed, as in
            ``("--synchronisation-threshold 0", "--private-mode")``. ``--network sandbox`` and
            ``--expected-pow 0`` are added unless given.
        name: by default ``node1``, ``node2``, ...
        color: SGR sequence of its log lines.
        event_pipe: absolute path of the FIFO; by default a temporary one.
        data_dir: the node's folder; by default a temporary one, which lives as long as the
            handle or, if the node was opened by `open_node`, as the block.
        rpc_port, net_port, metrics_port: by default reserved for this process.
        path: the executable, in place of the toolchain's.
        wait_timeout: seconds that waits last by default; None for no limit.
    """

    rpc_port: int
    """Port of the RPC server."""
    net_port: int
    """Port for other nodes."""
    metrics_port: int
    """Port of the metrics server."""
    _data_dir: Path | None
    _level: int = attrs.field(init=False)
    _identity: str | None = attrs.field(init=False)
    _connections: int = attrs.field(init=False)

    def __init__(
        self,
        *,
        toolchain: Toolchain | None = None,
        arguments: Sequence[str] = (),
        name: str | None = None,
        color: str | None = None,
        event_pipe: str | Path | None = None,
        data_dir: str | Path | None = None,
        rpc_port: int | None = None,
        net_port: int | None = None,
        metrics_port: int | None = None,
        path: str | Path | None = None,
        wait_timeout: float | None = WAIT_TIMEOUT,
    ) -> None:
        toolchain = installed() if toolchain is None else toolchain
        name = fresh_name("node") if name is None else name
        color = next_color("node") if color is None else color
        workspace = Workspace(name)
        self.rpc_port = reserve_port() if rpc_port is None else rpc_port
        self.net_port = reserve_port() if net_port is None else net_port
        self.metrics_port = reserve_port() if metrics_port is None else metrics_port
        self._data_dir = None if data_dir is None else Path(data_dir).absolute()
        executable = None if path is None else Path(path).absolute()
        spec = _NodeSpec(
            toolchain,
            executable,
            name,
            color,
            _config_arguments(arguments),
            self.rpc_port,
            self.net_port,
            self.metrics_port,
            lambda: self.data_dir,
        )
        pipe = None if event_pipe is None else Path(event_pipe)
        self.__attrs_init__(
            spec,
            name,
            color,
            toolchain,
            executable,
            pipe,
            wait_timeout,
            workspace,
            self.rpc_port,
            self.net_port,
            self.metrics_port,
            self._data_dir,
        )
        self.on_event(self._note)

    @classmethod
    async def init(
        cls, nursery: trio.Nursery, *, event_level: EventLevel | None = None, **options: Unpack[NodeOptions]
    ) -> Self:
        """Create a node, run it in ``nursery`` and wait until it is ready. Options as above."""
        node = cls(**options)
        await node._start(nursery, event_level, may_exit=False)
        return node

    @property
    def data_dir(self) -> Path:
        """The node's folder."""
        return self._workspace.folder(self.name) if self._data_dir is None else self._data_dir

    @property
    def rpc_endpoint(self) -> str:
        """URL of the RPC server, as in ``http://127.0.0.1:18731``."""
        return f"http://{HOST}:{self.rpc_port}"

    @property
    def net_address(self) -> str:
        """Address for other nodes, as in ``127.0.0.1:18732``."""
        return f"{HOST}:{self.net_port}"

    @property
    def speaks_binary(self) -> bool:
        """Whether it answers in Mavkit's binary format, which accusers ask for by default."""
        return not self.toolchain.is_sandbox

    async def rpc(self, method: str, path: str, data: object = None) -> Any:
        """Send one request to its RPC server; return the decoded JSON, None if it is empty.

        Raises:
            NodeUnreachable: it does not listen.
            RpcError: any status but a 2xx one.
            HttpError: the connection broke.
        """
        return await call_rpc(self.rpc_endpoint, method, path, data)

    @property
    def level(self) -> int:
        """The highest level that this session's events have told; 0 before the first."""
        return self._level

    async def wait_for_level(self, level: int, *, timeout: float | Default | None = DEFAULT) -> int:
        """Wait until the node's head has reached ``level``; return the highest level seen.

        Raises as `wait_for` does.
        """
        where = f"level >= {level}"
        await self._wait_until(lambda: self._level >= level, " / ".join(LEVEL_EVENTS[:2]), where, timeout)
        return self._level

    async def wait_for_identity(self, *, timeout: float | Default | None = DEFAULT) -> str:
        """Wait for the node to tell its identity, as in ``idrP8q...``. Raises as `wait_for` does."""
        await self._wait_until(lambda: self._identity is not None, "read_identity.v0", None, timeout)
        assert self._identity is not None
        return self._identity

    async def wait_for_connections(self, count: int, *, timeout: float | Default | None = DEFAULT) -> None:
        """Wait until ``count`` connections were made in this session. Raises as `wait_for` does."""
        where = f"{count} in this session"
        await self._wait_until(lambda: self._connections >= count, "connection.v0", where, timeout)

    async def wait_for_request(self, request: str, *, timeout: float | Default | None = DEFAULT) -> Any:
        """Wait for the next request of this kind that the mempool completes; return its view.

        ``inject`` and ``flush`` come at every level, ``notify`` and ``arrived`` at ``debug``.
        Raises as `wait_for` does.
        """
        return await self.expect_request(request, timeout=timeout)

    def expect_request(self, request: str, *, timeout: float | Default | None = DEFAULT) -> Any:
        """As `wait_for_request`, with the waiting beginning now; see `expect`."""
        level = "info" if request in ("inject", "flush") else "debug"

        def view(value: Any) -> Any:
            return value["view"] if value["view"].get("request") == request else None

        where = f"request is {request}"
        return self.expect(f"request_completed_{level}.v0", view, where=where, timeout=timeout)

    async def _wait_until(
        self, condition: Callable[[], bool], event: str, where: str | None, timeout: float | Default | None
    ) -> None:
        session = self._session
        with time_limit(session, self._seconds(timeout), event, where, lambda: 0):
            await trio.lowlevel.checkpoint()
            index = session.events.next_index
            # Handlers have run when waiters wake, so the condition is up to date here.
            while not condition():
                if session.events.closed:
                    raise terminated(session, event, where)
                await session.events.more(None, index)
                index = session.events.next_index

    def _note(self, event: Event) -> None:
        if event.name in LEVEL_EVENTS:
            value = event.value
            level = value[1] if event.name == "set_head.v0" else value["level"]
            self._level = max(self._level, level)
        elif event.name == "connection.v0":
            self._connections += 1
        elif event.name == "read_identity.v0":
            self._identity = event.value

    def _new_session(self) -> Session:
        self._level = 0
        self._connections = 0
        self._identity = None
        return super()._new_session()


def _config_arguments(arguments: Sequence[str]) -> tuple[str, ...]:
    given = {argument.split()[0] for argument in arguments}
    defaults = [option for option in _DEFAULT_ARGUMENTS if option.split()[0] not in given]
    # Upstream keeps the list with its defaults in front, and writes it out backwards.
    return tuple(word for option in reversed([*defaults, *arguments]) for word in shlex.split(option))


@asynccontextmanager
async def open_node(
    *, event_level: EventLevel | None = None, may_exit: bool = False, **options: Unpack[NodeOptions]
) -> AsyncGenerator[Node]:
    """Run a node for the length of a block; it is ready when the block begins.

    Args:
        event_level: least level of its events: ``debug``, ``info`` or ``notice``.
        may_exit: whether it may end unasked without ending the block.
        options: those of `Node`.

    Raises:
        DaemonExited: it ended unasked; the block was cancelled.
        BinaryNotFound, SpawnFailed, EventPipeError, CommandFailed: it could not be started.

    The end of the block stops it, whatever the block ends with.
    """
    async with Node(**options)._opened(event_level, may_exit) as node:
        yield node
