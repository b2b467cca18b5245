"""The RPCs about peers (``src/lib_p2p_services/p2p_services.ml``)."""

from __future__ import annotations

import re

from ..._http.server import Answer, HttpFailure
from .node import Node
from .p2p import HANDSHAKE_TIMEOUT, PeerNetwork
from .points import Point
from .router import Call, Router


def register(routes: Router, node: Node, network: PeerNetwork) -> None:
    """Add the RPCs."""
    rpcs = _Network(node, network)
    routes.add("GET", "/network/self", rpcs.self_)
    routes.add("GET", "/network/connections", rpcs.connections)
    routes.add("GET", "/network/connections/{peer}", rpcs.connection)
    routes.add("DELETE", "/network/connections/{peer}", rpcs.kick)
    routes.add("GET", "/network/points", rpcs.points)
    routes.add("GET", "/network/points/{point}", rpcs.point)
    routes.add("PUT", "/network/points/{point}", rpcs.connect)
    routes.add("PATCH", "/network/points/{point}", rpcs.patch)
    routes.add("GET", "/network/points/{point}/banned", rpcs.banned)


class _Network:
    def __init__(self, node: Node, network: PeerNetwork) -> None:
        self.node = node
        self.network = network

    def self_(self, call: Call) -> object:
        return self.node.peer_id

    def connections(self, call: Call) -> object:
        return [self._connection(peer) for peer in self.network.connections]

    def connection(self, call: Call) -> object:
        peer = call.variables["peer"]
        return self._connection(peer) if peer in self.network.connections else Answer(404, b"")

    def _connection(self, peer: str) -> object:
        return self.network.connections[peer].to_json(
            self.node.chain.network.chain_name,
            private=self.network.private,
            disable_mempool=not self.node.use_mempool,
        )

    def kick(self, call: Call) -> object:
        self.network.kick(call.variables["peer"])
        return {}

    def points(self, call: Call) -> object:
        known = self.network.points.items()
        return [[str(point), info.to_json()] for point, info in known]

    def point(self, call: Call) -> object:
        info = self.network.points.get(_point(call))
        return Answer(404, b"") if info is None else info.to_json()

    def banned(self, call: Call) -> object:
        info = self.network.points.get(_point(call))
        return info is not None and info.banned

    async def connect(self, call: Call) -> object:
        timeout = call.field("timeout", _seconds, HANDSHAKE_TIMEOUT)
        await self.network.connect(_point(call), timeout)
        return {}

    def patch(self, call: Call) -> object:
        value = call.request.json()
        acl = value.get("acl") if isinstance(value, dict) else None
        if acl not in ("trust", "ban", "open"):
            raise HttpFailure(400, "Failed to parse the request body: acl is trust, ban or open\n")
        return self.network.set_acl(_point(call), acl).to_json()


def _point(call: Call) -> Point:
    try:
        return Point.parse(call.variables["point"])
    except ValueError as error:
        raise HttpFailure(400, f"Failed to parse argument 'point': {error}\n") from error


def _seconds(text: str) -> float:
    # A span is written with or without its unit.
    match = re.fullmatch(r"(\d+(?:\.\d*)?)(ms|s)?", text, re.ASCII)
    if match is None:
        raise ValueError(text)
    return float(match[1]) / (1000 if match[2] == "ms" else 1)
