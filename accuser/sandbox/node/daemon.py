"""``mavkit-node``: a node of the sandbox network as a process.

``execute`` reads the command line; ``serve`` is the node itself, which ends when it is cancelled.
Exit statuses: 0, 1 for every error (the command line included), 127 after SIGTERM or SIGINT, as
every program of upstream's that uses ``Lwt_exit``.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from ..._http.server import serve_each, serve_listener
from ..chain.chain import Chain
from ..chain.trace import NodeError
from ..sink.descriptor import say
from ..sink.sink import Level, Sink, SinkError
from ..surroundings.system import (
    SIGNALLED,
    Listening,
    OwnProcess,
    System,
    open_sink,
)
from . import arguments as node_arguments
from . import commands as node_commands
from . import log_config, routes, routes_config
from .arguments import Arguments, UsageError
from .config import Config, ConfigError
from .events import NodeEvents
from .identity import IDENTITY_FILE, Identity, IdentityError
from .node import Node
from .p2p import PeerNetwork
from .points import Point
from .sandbox_mode import listening, sandboxed
from .store import STORE_FILE, DataDirError, FileStore, ensure_data_dir, lock_data_dir
from .synchronisation import Synchronisation

VERSION_TEXT: Final = "sandbox (Mavkit 0.0+dev, played by the Python package accuser)"
SHUTDOWN_LIMIT: Final = 3.0
"""Seconds that the last events may take; their reader may be gone or asleep."""
SETTLE_LIMIT: Final = 1.0
"""Seconds of these for the events of a change that was under way."""


class Complaints(logging.Handler):
    """What trio logs of connections that it cannot accept, as far as standard error takes it at once.

    Python's own handler would wait for a reader, and the node and its signals with it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        say(2, f"mavkit-node: {record.getMessage()}\n")


class StartError(Exception):
    """The node cannot start; says why."""


@attrs.frozen
class Setup:
    """What a node runs with."""

    config: Config
    identity: Identity
    data_dir: Path
    is_new: bool
    """Whether the identity was made just now."""
    sandbox: Path | None = None
    """The file of ``--sandbox``."""


def main(program: str, arguments: list[str]) -> int:
    """Run a command line (without the program's name); return the exit status."""
    logging.getLogger("trio").addHandler(Complaints())
    return trio.run(execute, program, arguments, OwnProcess())


async def execute(program: str, arguments: Sequence[str], system: System) -> int:
    """Run the program in any surroundings; its exit status. Arguments as those of `main`."""
    try:
        parsed = node_arguments.parse(arguments)
        if parsed is None:
            system.write(1, node_arguments.help_text())
        elif parsed.flag("version"):
            system.write(1, VERSION_TEXT + "\n")
        elif parsed.command.path == ("run",):
            return await _run(program, parsed, system)
        elif parsed.command.path[0] == "identity":
            node_commands.identity(parsed, system)
        else:
            node_commands.config(parsed, system)
    except UsageError as error:
        system.write(2, str(error))
        return 1
    except (ConfigError, IdentityError, DataDirError, StartError) as error:
        system.write(2, f"mavkit-node: {error}\n")
        return 1
    except SinkError as error:
        system.write(2, "mavkit-node: " + "\n  ".join(error.lines).rstrip() + "\n")
        return 1
    return 0


async def _run(program: str, arguments: Arguments, system: System) -> int:
    config = Config.read(node_commands.config_path_of(arguments, system.environ))
    config.patch(arguments)
    data_dir = node_commands.data_dir_of(arguments, system.environ)
    given = arguments.last("sandbox")
    if given is not None and data_dir == node_commands.default_data_dir():
        raise ConfigError("Cannot use default data directory while in sandbox mode")
    default = log_config.sinks(config, len(arguments.values.get("v", ())), system.environ)
    ensure_data_dir(data_dir)
    lock = lock_data_dir(data_dir)
    try:
        sink = await open_sink(system, program, default)
        try:
            path = data_dir / IDENTITY_FILE
            is_new = not path.exists()
            if is_new:
                # Upstream's node makes one too when there is none.
                identity = Identity.generate(float(config.get("p2p", "expected-proof-of-work", default=26.0)))
                identity.write(path)
            else:
                identity = Identity.read(path)
            setup = Setup(config, identity, data_dir, is_new, None if given is None else Path(given))
            async with system.signals() as signals:
                return await _run_until_signal(program, setup, sink, system, signals)
        finally:
            sink.close()
    finally:
        os.close(lock)


async def _run_until_signal(
    program: str, setup: Setup, sink: Sink, system: System, signals: AsyncIterator[int]
) -> int:
    # Only the first one is taken: as upstream's, a node that ends takes no other notice of them.
    received, latest = 0, math.inf
    failed: StartError | ConfigError | None = None
    node: Node | None = None
    async with trio.open_nursery() as nursery:

        @trio.lowlevel.enable_ki_protection
        async def watch() -> None:
            nonlocal received, latest
            async for number in signals:
                received = number
                break
            latest = trio.current_time() + SHUTDOWN_LIMIT
            if node is not None:
                # A head that it has begun to tell of is told of to the end.
                with trio.move_on_after(SETTLE_LIMIT):
                    await node.settle()
            nursery.cancel_scope.cancel(reason="signal")

        nursery.start_soon(watch)
        try:
            node = await nursery.start(serve, setup, sink, system)
        except (StartError, ConfigError) as error:
            # Kept out of the nursery, which would wrap it into a group.
            failed = error
            nursery.cancel_scope.cancel(reason="no start")
    if failed is not None:
        raise failed
    name = signal.Signals(received).name.removeprefix("SIG")
    events = NodeEvents(sink, system.wall)
    with trio.CancelScope(deadline=latest):
        await system.outlets.standard(2).write(f"({program}) {name}: triggering shutdown.\n".encode())
        await events.main("shutting_down_node", {}, "shutting down the Mavryk node")
        text = "shutting down the local RPC server"
        await events.main("shutting_down_local_rpc_server", {}, text, Level.INFO)
        await events.main("bye", SIGNALLED, "bye")
    return SIGNALLED


def _made(setup: Setup, store: FileStore, sink: Sink, system: System) -> Node:
    config, network = setup.config, setup.config.network()
    if setup.sandbox is not None:
        network = sandboxed(network, config, setup.sandbox)
    return Node(
        setup.identity.peer_id,
        Chain(network),
        sink,
        clock=system.wall,
        store=store,
        synchronisation=Synchronisation(config.threshold, config.latency),
        use_mempool=not config.get("p2p", "disable_mempool", default=False),
        history_mode=config.history_mode,
        settings=config.value,
    )


@trio.lowlevel.enable_ki_protection
async def serve(
    setup: Setup,
    sink: Sink,
    system: System,
    *,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Be the node, until cancelled; ``started`` with it once it is ready.

    Raises:
        StartError: an address cannot be listened on.
        ConfigError: the configuration makes no node.
    """
    config = setup.config
    points = [config.net_point()]
    if setup.sandbox is not None:
        points = listening(points[0])
    store = FileStore(setup.data_dir / STORE_FILE)
    node = _made(setup, store, sink, system)
    await _tell_start(node, setup)
    try:
        store.load(node.chain)
        async with (
            _listening(system, points, _peers_taken) as peers,
            _listening(system, config.rpc_points(), _clients_taken) as clients,
            trio.open_nursery() as nursery,
        ):
            own_port = peers[0].port if peers else 0
            advertised = int(config.get("p2p", "advertised-net-port", default=own_port))
            private = bool(config.get("p2p", "private-mode", default=False))

            async def open_stream(point: Point) -> trio.abc.Stream:
                return await system.open_stream(point.host, point.port)

            peer_network = PeerNetwork(node, nursery, advertised, private, open_stream)
            for peer in peers:
                nursery.start_soon(_accept, peer, peer_network)
            handler = routes.router(node, peer_network, partial(system.say, 2), cors=config.cors())
            routes_config.register(handler, sink.replace)
            for client in clients:
                value = {"host": client.host, "port": client.port, "acl_policy": "AllowAll"}
                text = f"starting local RPC server on {client.host}:{client.port} (acl = AllowAll)"
                await node.events.main("starting_local_rpc_server", value, text)
                nursery.start_soon(serve_listener, client.listener, handler)
            if node.synchronisation.is_bootstrapped:
                await node.events.bootstrapped()
            await node.events.main("node_is_ready", {}, "the Mavryk node is now running")
            task_status.started(node)
            for point in config.bootstrap_peers() if setup.sandbox is None else []:
                peer_network.set_acl(point, "trust")
                nursery.start_soon(_connect_once, peer_network, point)
    finally:
        store.close()


async def _tell_start(node: Node, setup: Setup) -> None:
    events, peer_id = node.events, setup.identity.peer_id
    if setup.is_new:
        await events.identity("generating_identity", {}, "generating an identity file")
        await events.identity("identity_generated", peer_id, "identity file generated")
    else:
        await events.identity("read_identity", peer_id, "read identity file")
    text = f"starting the Mavkit node 0.0+dev ({routes.COMMIT})"
    # The name of the configuration, in sandbox mode too.
    await events.starting(setup.config.network().chain_name, routes.VERSION, routes.COMMIT, text)
    if setup.config.get("p2p", "discovery-addr") is None:
        await events.main("disabled_discovery_addr", {}, "disabled local peer discovery")


@asynccontextmanager
async def _listening(
    system: System, points: list[Point], taken: Callable[[Point], str]
) -> AsyncGenerator[list[Listening]]:
    """Listeners on these points. Raises ``StartError``, with the words of ``taken`` where one is."""
    listening: list[Listening] = []
    try:
        for point in points:
            try:
                listening += await system.listen(point.host, point.port)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise StartError(taken(point)) from error
                raise StartError(f"Cannot listen on {point}: {error}") from error
        yield listening
    finally:
        for one in listening:
            await trio.aclose_forcefully(one.listener)


def _clients_taken(point: Point) -> str:
    # src/bin_node/node_run_command.ml
    return (
        f"Another mavryk node is probably running on one of these addresses ({point}). "
        "Please choose another RPC port."
    )


def _peers_taken(point: Point) -> str:
    # src/lib_p2p/p2p_fd.ml
    return (
        f"An error occured while initializing P2P server on this address: {point}.\n"
        "  Reason: Address already in use.\n"
        "  Another mavryk node is probably running on this address.\n"
        "  Please choose another P2P port using --net-addr."
    )


@trio.lowlevel.enable_ki_protection
async def _accept(listening: Listening, network: PeerNetwork) -> None:
    await serve_each(listening.listener, network.accept)


@trio.lowlevel.enable_ki_protection
async def _connect_once(network: PeerNetwork, point: Point) -> None:
    try:
        await network.connect(point)
    except NodeError:
        # A node starts as well when the peers that it was told of are away.
        return
