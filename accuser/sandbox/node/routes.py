"""The node's RPCs, all but those of a block and of the network.

Sources: ``src/lib_shell_services/{monitor,chain,injection}_services.ml``,
``src/lib_shell/{monitor_directory,prevalidator,injection_directory}.ml``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..._http.server import Answer, Feed, HttpFailure
from ..._mavryk.codec.base58 import Kind, decode
from ..._mavryk.codec.fields import Fields, ForgeError, hex_bytes
from ..._mavryk.codec.forge import BlockHeader
from ..._mavryk.protocol import DEMO_PROTOCOL, GENESIS_PROTOCOL, Protocol
from ..chain.block import Operations
from ..chain.mempool import Class
from ..chain.trace import NodeError, failure
from . import render, routes_block, routes_network
from .feeds import OperationFilter, ProtocolFilter
from .node import Node, parse_operation
from .p2p import PeerNetwork
from .peer_connection import NETWORK_VERSION
from .router import Call, Router, check_chain, to_stderr

VERSION: Final[dict[str, object]] = {"major": 0, "minor": 0, "additional_info": "dev"}
COMMIT: Final = "sandbox"


def router(node: Node, network: PeerNetwork, complain: Callable[[str], object] = to_stderr) -> Router:
    """All RPCs of a node; for ``complain`` see `Router`."""
    routes = Router(complain)
    _Monitor(node).register(routes)
    _Chain(node).register(routes)
    _Injection(node).register(routes)
    routes_block.register(routes, node)
    routes_network.register(routes, node, network)
    return routes


class _Monitor:
    def __init__(self, node: Node) -> None:
        self.node = node

    def register(self, routes: Router) -> None:
        routes.add("GET", "/monitor/bootstrapped", self.bootstrapped)
        routes.add("GET", "/monitor/heads/{chain}", self.heads)
        routes.add("GET", "/monitor/applied_blocks", self.applied_blocks)

    def bootstrapped(self, call: Call) -> Feed:
        return self.node.feeds.bootstrapping(bootstrapped=self.node.synchronisation.is_bootstrapped)

    def heads(self, call: Call) -> Answer | Feed:
        wanted = _protocols(call)
        if not check_chain(self.node.chain.network.chain_id, call.variables["chain"]):
            return Answer(404, b"")
        return self.node.feeds.heads(wanted)

    def applied_blocks(self, call: Call) -> Feed:
        wanted = _protocols(call)
        ours = self.node.chain.network.chain_id
        chains = [check_chain(ours, text) for text in call.request.query.get("chain", [])]
        if chains and not any(chains):
            # Nothing happens on chains that do not exist.
            return Feed()
        return self.node.feeds.applied(wanted)


class _Chain:
    def __init__(self, node: Node) -> None:
        self.node = node

    def register(self, routes: Router) -> None:
        routes.add("GET", "/version", self.version)
        routes.add("GET", "/protocols", self.protocols)
        routes.add("GET", "/config/network/user_activated_upgrades", self.upgrades)
        routes.add("GET", "/config/network/user_activated_protocol_overrides", self.overrides)
        routes.add("GET", "/chains/{chain}/chain_id", self.chain_id)
        routes.add("GET", "/chains/{chain}/is_bootstrapped", self.is_bootstrapped)
        routes.add("GET", "/chains/{chain}/mempool/pending_operations", self.pending_operations)
        routes.add("GET", "/chains/{chain}/mempool/monitor_operations", self.monitor_operations)

    def version(self, call: Call) -> object:
        network_version = {"chain_name": self.node.chain.network.chain_name, **NETWORK_VERSION}
        return {"version": VERSION, "network_version": network_version, "commit_info": None}

    def protocols(self, call: Call) -> object:
        # A real node has this one in it too; ours only knows that it could be voted for.
        return [GENESIS_PROTOCOL, DEMO_PROTOCOL, *(protocol.hash for protocol in Protocol)]

    def upgrades(self, call: Call) -> object:
        upgrades = self.node.chain.network.upgrades.items()
        return [{"level": level, "replacement_protocol": protocol} for level, protocol in upgrades]

    def overrides(self, call: Call) -> object:
        overrides = self.node.chain.network.overrides.items()
        return [{"replaced_protocol": old, "replacement_protocol": new} for old, new in overrides]

    def chain_id(self, call: Call) -> object:
        return self.node.chain.network.chain_id if self._is_main(call) else Answer(404, b"")

    def is_bootstrapped(self, call: Call) -> object:
        if not self._is_main(call):
            return Answer(404, b"")
        synchronisation = self.node.synchronisation
        return {
            "bootstrapped": synchronisation.is_bootstrapped,
            "sync_state": synchronisation.status(self.node.clock()),
        }

    def pending_operations(self, call: Call) -> object:
        version = call.version("1", "2", default=2)
        classes = _classes(call, default=frozenset(Class))
        passes = frozenset(call.fields("validation_pass", int))
        if not self._is_main(call):
            return Answer(404, b"")
        return render.pending(self.node.mempool, classes, passes, version=version)

    def monitor_operations(self, call: Call) -> Answer | Feed:
        legacy = call.version("0", "1", default=1) == 0
        classes = _classes(call, default=frozenset({Class.VALIDATED, Class.BRANCH_DELAYED}))
        passes = frozenset(call.fields("validation_pass", int))
        if not self._is_main(call):
            return Answer(404, b"")
        present = list(self.node.mempool.entries.values())
        return self.node.feeds.operations(OperationFilter(classes, passes, legacy), present)

    def _is_main(self, call: Call) -> bool:
        return check_chain(self.node.chain.network.chain_id, call.variables["chain"])


class _Injection:
    def __init__(self, node: Node) -> None:
        self.node = node

    def register(self, routes: Router) -> None:
        routes.add("POST", "/injection/block", self.block)
        routes.add("POST", "/injection/operation", self.operation)
        routes.add("POST", "/private/injection/operation", self.private_operation)
        routes.add("POST", "/private/injection/operations", self.private_operations)

    async def block(self, call: Call) -> object:
        force = call.flag("force")
        if not self._takes(call):
            return Answer(404, b"")
        fields = Fields(call.request.json())
        data = fields.hex("data")
        operations = _block_operations(fields.items("operations"))
        fields.end()
        try:
            return await self.node.inject_block(data, operations, force=force)
        except NodeError:
            if not call.flag("async"):
                raise
            return _header_hash(data)

    async def operation(self, call: Call) -> object:
        return await self._operation(call, force=False)

    async def private_operation(self, call: Call) -> object:
        return await self._operation(call, force=True)

    async def _operation(self, call: Call, *, force: bool) -> object:
        if not self._takes(call):
            return Answer(404, b"")
        return await self._inject(call, _hex(call.request.json()), force=force)

    async def _inject(self, call: Call, data: bytes, *, force: bool) -> str:
        """The hash; with ``?async`` also that of an operation which is then refused."""
        try:
            return await self.node.inject_operation(data, force=force)
        except NodeError:
            if not call.flag("async"):
                raise
            return parse_operation(data).hash

    async def private_operations(self, call: Call) -> object:
        force = call.flag("force")
        if not self._takes(call):
            return Answer(404, b"")
        values = call.request.json()
        if not isinstance(values, list):
            raise HttpFailure(400, "Failed to parse the request body: not a list\n")
        operations = [_hex(value) for value in values]
        return [await self._inject(call, data, force=force) for data in operations]

    def _takes(self, call: Call) -> bool:
        ours = self.node.chain.network.chain_id
        return all(check_chain(ours, text) for text in call.request.query.get("chain", []))


def _protocols(call: Call) -> ProtocolFilter:
    def convert(text: str) -> str:
        decode(Kind.PROTOCOL, text)
        return text

    return ProtocolFilter(
        frozenset(call.fields("protocol", convert)), frozenset(call.fields("next_protocol", convert))
    )


def _classes(call: Call, default: frozenset[Class]) -> frozenset[Class]:
    return frozenset(kind for kind in Class if call.flag(kind.value, kind in default))


def _header_hash(data: bytes) -> str:
    try:
        return BlockHeader.from_bytes(data).hash
    except ForgeError as error:
        raise failure("Cannot parse block header.") from error


def _hex(value: object) -> bytes:
    if not isinstance(value, str):
        raise HttpFailure(400, "Failed to parse the request body: not a string\n")
    return hex_bytes(value, "/")


def _block_operations(passes: list[object]) -> Operations:
    operations = []
    for index, passed in enumerate(passes):
        if not isinstance(passed, list):
            raise ForgeError(f"/operations/{index}", "not a list")
        parsed = []
        for value in passed:
            fields = Fields(value, f"/operations/{index}")
            branch = decode(Kind.BLOCK, fields.hash(Kind.BLOCK, "branch"))
            parsed.append(parse_operation(branch + fields.hex("data")))
            fields.end()
        operations.append(tuple(parsed))
    return tuple(operations)
