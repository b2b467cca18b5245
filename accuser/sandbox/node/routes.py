"""The node's RPCs: all rooms of them together, and the injection of blocks and operations.

Sources: ``src/lib_shell_services/injection_services.ml``, ``src/lib_shell/injection_directory.ml``.
"""

from __future__ import annotations

from collections.abc import Callable

from ..._http.server import Answer, HttpFailure
from ..._mavryk.codec.base58 import Kind, decode
from ..._mavryk.codec.fields import Fields, ForgeError, hex_bytes
from ..._mavryk.codec.forge import BlockHeader
from ..chain.block import Operations
from ..chain.trace import NodeError, failure
from . import (
    query,
    routes_block,
    routes_chain,
    routes_context,
    routes_contracts,
    routes_describe,
    routes_ledger,
    routes_mempool,
    routes_monitor,
    routes_network,
    routes_node,
    routes_operations,
    routes_scripts,
    routes_workers,
)
from .cors import Cors
from .node import Node, parse_operation
from .p2p import PeerNetwork
from .query import flag
from .router import Call, Route, Router, is_chain, post, to_stderr
from .routes_node import COMMIT, VERSION

__all__ = ["COMMIT", "VERSION", "router"]


def router(
    node: Node,
    network: PeerNetwork,
    complain: Callable[[str], object] = to_stderr,
    *,
    cors: Cors | None = None,
) -> Router:
    """All RPCs of a node; for ``complain`` and ``cors`` see `Router`."""
    routes = Router(complain, cors or Cors())
    for served in (
        routes_monitor.routes(node),
        routes_chain.routes(node),
        routes_mempool.routes(node),
        routes_node.routes(node),
        routes_workers.routes(node),
        routes_network.routes(node, network),
        routes_block.routes(node),
        routes_operations.routes(node),
        routes_ledger.routes(node),
        routes_contracts.routes(node),
        routes_scripts.routes(node),
        routes_context.routes(node),
        _injections(node),
        routes_describe.routes(routes),
    ):
        routes.serve(served)
    return routes


def _injections(node: Node) -> list[Route]:
    rpcs = _Injection(node)
    chain, later, force = once_chain(), flag("async"), flag("force")
    return [
        post("/injection/block", rpcs.block, later, force, chain),
        post("/injection/operation", rpcs.operation, later, chain),
        post("/private/injection/operation", rpcs.private_operation, later, chain),
        post("/private/injection/operations", rpcs.private_operations, later, force, chain),
    ]


def once_chain() -> query.Parameter:
    """The chain that something is injected into; the main one where it is absent."""
    return query.once("chain", query.CHAIN, "main")


class _Injection:
    def __init__(self, node: Node) -> None:
        self.node = node

    async def block(self, call: Call) -> object:
        if not self._takes(call):
            return Answer(404, b"")
        fields = Fields(call.request.json())
        data = fields.hex("data")
        operations = _block_operations(fields.items("operations"))
        fields.end()
        try:
            return await self.node.inject_block(data, operations, force=call.query["force"])
        except NodeError:
            if not call.query["async"]:
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
            if not call.query["async"]:
                raise
            return parse_operation(data).hash

    async def private_operations(self, call: Call) -> object:
        if not self._takes(call):
            return Answer(404, b"")
        values = call.request.json()
        if not isinstance(values, list):
            raise HttpFailure(400, "Failed to parse the request body: not a list\n")
        operations = [_hex(value) for value in values]
        return [await self._inject(call, data, force=call.query["force"]) for data in operations]

    def _takes(self, call: Call) -> bool:
        return is_chain(self.node.chain.network.chain_id, call.query["chain"])


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
