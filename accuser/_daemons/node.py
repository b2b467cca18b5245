"""Nodes: ``mavkit-node`` with an identity, a configuration and three ports of its own.

Facts: ``tezt/lib_tezos/node.ml``.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self, Unpack

import trio

from .._engine.explain import status_report
from .._engine.readiness import ReadyEvent
from .._engine.waits import (
    DEFAULT,
    Default,
    recorded,
    terminated,
)
from .._hosts.remote.runner import Runner, address_from
from .._mavryk.network_file import Overrides, Upgrades, network_file
from .._recording.doings import command_told
from .._stream.event import Event
from .daemon import Daemon
from .endpoint import Endpoint, call_rpc
from .opening import open_daemon, start_in
from .options import DaemonOptions, EventLevel
from .taken import port_taken

BINARY: Final = "mavkit-node"
READY: Final = ReadyEvent("node_is_ready.v0")
LEVEL_EVENTS: Final = ("head_increment.v0", "branch_switch.v0", "set_head.v0")
_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})
_DEFAULT_ARGUMENTS: Final = ("--expected-pow 0", "--network sandbox")


class NodeOptions(DaemonOptions, total=False):
    """The options of `Node`, which tells what they mean."""

    arguments: Sequence[str]
    upgrades: Upgrades
    overrides: Overrides
    data_dir: str | Path | None
    rpc_port: int | None
    net_port: int | None
    metrics_port: int | None
    rpc_addresses: Sequence[str]


class Node(Daemon):
    """A node.

    Args:
        arguments: options of ``config init``, each as it is typed, as in
            ``("--synchronisation-threshold 0", "--private-mode")``. ``--network sandbox`` and
            ``--expected-pow 0`` are added unless given.
        upgrades: user-activated upgrades, by level: the protocol that follows the block of that
            level, which is the migration block, as in ``{4: Protocol.BOREAS}``. All nodes of a
            chain need the same.
        overrides: user-activated protocol overrides: what is activated in place of a protocol,
            as in ``{"PsTest...": Protocol.BOREAS}``. Neither goes with a ``--network`` of yours,
            and both are written when the node's configuration is.
        data_dir: the node's folder; by default a temporary one, which lives as long as the
            handle or, if the node was opened by `open_node`, as the block.
        rpc_port, net_port, metrics_port: by default reserved for this process.
        rpc_addresses: where it answers RPCs besides, as in ``("192.0.2.1:8732",)``. Whoever reaches them
            may call whatever there is.
        options: those of all daemons, `DaemonOptions`; the default toolchain is what is
            installed.
    """

    options_known = NodeOptions
    rpc_port: int
    """Port of the RPC server."""
    net_port: int
    """Port for other nodes."""
    metrics_port: int
    """Port of the metrics server."""

    def __init__(
        self,
        *,
        arguments: Sequence[str] = (),
        upgrades: Upgrades = _NOTHING,
        overrides: Overrides = _NOTHING,
        data_dir: str | Path | None = None,
        rpc_port: int | None = None,
        net_port: int | None = None,
        metrics_port: int | None = None,
        rpc_addresses: Sequence[str] = (),
        **options: Unpack[DaemonOptions],
    ) -> None:
        network = network_file(upgrades, overrides)
        config_arguments = _config_arguments(arguments, own_network=network is not None)
        super().__init__(
            BINARY,
            kind="node",
            arguments=self._arguments,
            ready=READY,
            prepare=self._prepare,
            explain_exit=port_taken,
            **options,
        )
        self.rpc_port, self.net_port, self.metrics_port = (
            self._host.reserve_port() if port is None else port for port in (rpc_port, net_port, metrics_port)
        )
        self._data_dir = None if data_dir is None else self._host.absolute(data_dir)
        self._config_arguments, self._network = config_arguments, network
        self._rpc_addresses = tuple(rpc_addresses)
        self._level, self._connections = 0, 0
        self._identity: str | None = None
        self.on_event(self._note)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, {self.rpc_endpoint}>"

    async def _prepare(self) -> None:
        # A session begins.
        self._level, self._connections, self._identity = 0, 0, None
        data_dir, host = self.data_dir, self._host
        await host.make_folder(data_dir)
        if not await host.exists(data_dir / "identity.json"):
            await self._set_up("identity", "generate", "--data-dir", str(data_dir), "0")
        if not await host.exists(data_dir / "config.json"):
            network: tuple[str, ...] = ()
            if self._network is not None:
                # Not in the data directory, where a node takes nothing that it does not know.
                path = self._workspace.path / "network.json"
                await host.make_folder(path.parent)
                await host.write_new(path, self._network)
                network = ("--network", str(path))
            words = ("--data-dir", str(data_dir), *network, *self._config_arguments)
            await self._set_up("config", "init", *words)

    async def _set_up(self, *words: str) -> None:
        command = (*self._sessions.command(), *words)
        with command_told(self.name, command) as told:
            told.said = (await self._host.run(command, name=self.name, color=self.color), "")

    def _arguments(self) -> tuple[str, ...]:
        # On another machine it listens everywhere (``tezt/lib_tezos/node.ml``).
        host = self._host.listen_address
        rpc = f"{host}:{self.rpc_port}"
        return (
            *("run", "--data-dir", str(self.data_dir)),
            *("--net-addr", f"{host}:{self.net_port}"),
            *("--metrics-addr", f"{host}:{self.metrics_port}"),
            *("--rpc-addr", rpc, "--max-active-rpc-connections", "500", "--allow-all-rpc", rpc),
            *(word for also in self._rpc_addresses for word in ("--rpc-addr", also, "--allow-all-rpc", also)),
        )

    @classmethod
    async def init(
        cls, nursery: trio.Nursery, *, event_level: EventLevel | None = None, **options: Unpack[NodeOptions]
    ) -> Self:
        """Create a node, run it in ``nursery`` and wait until it is ready. Options as above."""
        node = cls(**options)
        await start_in(nursery, node, event_level)
        return node

    @property
    def data_dir(self) -> Path:
        """The node's folder."""
        return self._workspace.folder(self.name) if self._data_dir is None else self._data_dir

    @property
    def rpc_endpoint(self) -> str:
        """URL of the RPC server as seen from here, as in ``http://127.0.0.1:18731``."""
        return self.rpc_endpoint_from(None)

    def rpc_endpoint_from(self, runner: Runner | None) -> str:
        """URL of the RPC server as seen from the machine of ``runner``; None is this one."""
        return f"http://{address_from(runner, self.runner)}:{self.rpc_port}"

    @property
    def net_address(self) -> str:
        """Address for other nodes, as in ``127.0.0.1:18732``."""
        return self.net_address_from(None)

    def net_address_from(self, runner: Runner | None) -> str:
        """Address for nodes on the machine of ``runner``; None is this one."""
        return f"{address_from(runner, self.runner)}:{self.net_port}"

    async def rpc(
        self, method: str, path: str, data: object = None, *, timeout: float | Default | None = DEFAULT
    ) -> Any:
        """Send one request to its RPC server; return the decoded JSON, None if it is empty.

        Args:
            timeout: seconds, 60 by default; None for no limit.

        Raises:
            NodeUnreachable: it does not listen.
            RpcError: any status but a 2xx one, or an answer that is no JSON, or nested too deeply.
            HttpError: the connection broke, the whole answer has not come in time, or is beyond 256 MiB.
        """
        connect = self._host.connect_to(self.rpc_endpoint)
        return await call_rpc(self.rpc_endpoint, method, path, data, connect=connect, timeout=timeout)

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
        self,
        condition: Callable[[], bool],
        event: str,
        where: str | None,
        timeout: float | Default | None,
    ) -> None:
        session = self._session

        async def wait() -> None:
            await trio.lowlevel.checkpoint()
            # Handlers have run when this task goes on, so that the condition is up to date.
            while not condition():
                if session.events.closed:
                    raise terminated(session, event, "", where, status_report(session))
                await session.events.park()

        with recorded(session, event, where):
            await self._waits.until(session, wait, event, where, timeout)

    def _note(self, event: Event) -> None:
        if event.name in LEVEL_EVENTS:
            value = event.value
            level = value[1] if event.name == "set_head.v0" else value["level"]
            self._level = max(self._level, level)
        elif event.name == "connection.v0":
            self._connections += 1
        elif event.name == "read_identity.v0":
            self._identity = event.value


def _config_arguments(arguments: Sequence[str], *, own_network: bool) -> tuple[str, ...]:
    if isinstance(arguments, str) or not all(argument.strip() for argument in arguments):
        raise ValueError(f'arguments are a sequence of options, as in ("--private-mode",), not {arguments!r}')
    given = {argument.split()[0].partition("=")[0] for argument in arguments}
    if own_network:
        if "--network" in given:
            raise ValueError("upgrades and overrides are those of the sandbox network: leave --network out")
        given.add("--network")
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

    The end of the block stops it, also when an error ends the block.
    """
    async with open_daemon(Node(**options), event_level=event_level, may_exit=may_exit) as node:
        yield node


def node_of(given: Node | Endpoint | str) -> Node | Endpoint:
    """Give a node, or the endpoint that a URL is of. Raises `ValueError` if it is none."""
    return Endpoint(given) if isinstance(given, str) else given
