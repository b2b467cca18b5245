"""The RPCs about peers (``src/lib_p2p/p2p_directory.ml``)."""

from __future__ import annotations

from typing import Any, Final

from ..._http.server import HttpFailure
from ..chain.chain import UnknownBlock
from . import query
from .events import system_time
from .node import Node
from .p2p import HANDSHAKE_TIMEOUT, PeerNetwork
from .peer_connection import NETWORK_VERSION
from .points import PointInfo
from .query import flag, many, once
from .router import Call, Handle, Route, get

_POINTS: Final = "/network/points"
_PEERS: Final = "/network/peers"
_VERBS: Final = {"trust": "trust", "untrust": "open", "ban": "ban", "unban": "open"}
_COUNTED: Final = (
    "branch",
    "head",
    "block_header",
    "operations",
    "protocols",
    "operation_hashes_for_block",
    "operations_for_block",
    "checkpoint",
    "protocol_branch",
    "predecessor_header",
    "other",
)


def routes(node: Node, network: PeerNetwork) -> list[Route]:
    rpcs = _Network(node, network)
    point, peer = _POINTS + "/{point}", _PEERS + "/{peer}"
    return [
        get("/network/self", lambda call: node.peer_id),
        get("/network/version", lambda call: rpcs.version),
        get("/network/versions", lambda call: [rpcs.version]),
        get("/network/stat", rpcs.stat),
        get("/network/connections", rpcs.connections),
        get("/network/connections/{peer}", rpcs.connection),
        Route("DELETE", "/network/connections/{peer}", rpcs.kick, (flag("wait"),)),
        get(_POINTS, rpcs.points, many("filter", query.POINT_STATE)),
        get(point, rpcs.point),
        Route("PUT", point, rpcs.connect, (once("timeout", query.SPAN, HANDSHAKE_TIMEOUT),)),
        Route("PATCH", point, rpcs.patch_point),
        get(point + "/banned", rpcs.point_banned),
        *(get(f"{point}/{verb}", rpcs.point_becomes(acl)) for verb, acl in _VERBS.items()),
        get(_PEERS, rpcs.peers, many("filter", query.PEER_STATE)),
        get(peer, rpcs.peer),
        Route("PATCH", peer, rpcs.patch_peer),
        get(peer + "/banned", rpcs.peer_banned),
        *(get(f"{peer}/{verb}", rpcs.peer_becomes(acl)) for verb, acl in _VERBS.items()),
        # Nobody is ever put on these lists here.
        get("/network/greylist/ips", rpcs.greylisted_ips),
        get("/network/greylist/peers", lambda call: []),
        get("/network/greylist/clear", lambda call: {}),
        Route("DELETE", "/network/greylist", lambda call: {}),
    ]


class _Network:
    def __init__(self, node: Node, network: PeerNetwork) -> None:
        self.node = node
        self.network = network

    @property
    def version(self) -> dict[str, object]:
        return {"chain_name": self.node.chain.network.chain_name, **NETWORK_VERSION}

    def stat(self, call: Call) -> object:
        sent = sum(connection.sent for connection in self.network.connections.values())
        received = sum(connection.received for connection in self.network.connections.values())
        return {
            "total_sent": str(self.network.sent_before + sent),
            "total_recv": str(self.network.received_before + received),
            "current_inflow": 0,
            "current_outflow": 0,
        }

    def connections(self, call: Call) -> object:
        return [self._connection(peer) for peer in self.network.connections]

    def connection(self, call: Call) -> object:
        peer = call.variables["peer"]
        if peer not in self.network.connections:
            raise UnknownBlock(peer)
        return self._connection(peer)

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
        states = call.query["filter"]
        known = ((str(point), info.to_json()) for point, info in self.network.points.items())
        return [[point, info] for point, info in known if not states or info["state"]["event_kind"] in states]

    def point(self, call: Call) -> object:
        info = self.network.points.get(call.variables["point"])
        if info is None:
            raise UnknownBlock(str(call.variables["point"]))
        return info.to_json()

    def point_banned(self, call: Call) -> object:
        info = self.network.points.get(call.variables["point"])
        return info is not None and info.banned

    async def connect(self, call: Call) -> object:
        await self.network.connect(call.variables["point"], call.query["timeout"])
        return {}

    def patch_point(self, call: Call) -> object:
        point = call.variables["point"]
        acl = _acl(call)
        info = self.network.set_acl(point, acl) if acl else self.network.point(point)
        return info.to_json()

    def point_becomes(self, acl: str) -> Handle:
        def handle(call: Call) -> object:
            self.network.set_acl(call.variables["point"], acl)
            return {}

        return handle

    def peers(self, call: Call) -> object:
        states = call.query["filter"]
        return [
            [peer, info]
            for peer, info in ((known, self._peer(known)) for known in self._known_peers())
            if not states or info["state"] in states
        ]

    def peer(self, call: Call) -> object:
        peer = call.variables["peer"]
        if peer not in self._known_peers():
            raise UnknownBlock(peer)
        return self._peer(peer)

    def patch_peer(self, call: Call) -> object:
        acl = _acl(call)
        if acl:
            self.network.set_peer_acl(call.variables["peer"], acl)
        return self.peer(call)

    def peer_becomes(self, acl: str) -> Handle:
        def handle(call: Call) -> object:
            self.network.set_peer_acl(call.variables["peer"], acl)
            return {}

        return handle

    def peer_banned(self, call: Call) -> object:
        return call.variables["peer"] in self.network.banned_peers

    def greylisted_ips(self, call: Call) -> object:
        return {"ips": [], "not_reliable_since": None}

    def _known_peers(self) -> dict[str, PointInfo]:
        """Peers that were ever connected, each with the point where it was last."""
        known: dict[str, PointInfo] = {}
        for info in self.network.points.values():
            for event in (info.last_established, info.last_disconnection):
                if event is not None:
                    known[event[0]] = info
        return known

    def _peer(self, peer: str) -> dict[str, Any]:
        info, connection = self._known_peers()[peer], self.network.connections.get(peer)
        shown: dict[str, Any] = {"score": 0.0, "trusted": peer in self.network.trusted_peers}
        if connection is not None:
            theirs = connection.hello
            shown["conn_metadata"] = {
                "disable_mempool": theirs.disable_mempool,
                "private_node": theirs.private,
            }
        shown["peer_metadata"] = _METADATA
        shown["state"] = "disconnected" if connection is None else "running"
        point = None if connection is None else connection.point
        if point is not None:
            shown["reachable_at"] = {"addr": point.host, "port": point.port}
        shown["stat"] = {
            "total_sent": str(0 if connection is None else connection.sent),
            "total_recv": str(0 if connection is None else connection.received),
            "current_inflow": 0,
            "current_outflow": 0,
        }
        address = {"addr": point.host, "port": point.port} if point is not None else None
        for name, event in (
            ("last_established_connection", info.last_established),
            ("last_disconnection", info.last_disconnection),
        ):
            if event is not None and event[0] == peer and address is not None:
                shown[name] = [address, system_time(event[1])]
        return shown


_NONE_COUNTED: Final = dict.fromkeys(_COUNTED, "0")
_METADATA: Final = {
    # The peers of a sandbox speak a protocol of their own, whose messages are not counted by kind.
    "responses": {
        **dict.fromkeys(("sent", "failed", "received"), _NONE_COUNTED),
        "unexpected": "0",
        "outdated": "0",
    },
    "requests": dict.fromkeys(("sent", "received", "failed", "scheduled"), _NONE_COUNTED),
    "valid_blocks": "0",
    "old_heads": "0",
    "prevalidator_results": {
        **dict.fromkeys(
            ("cannot_download", "cannot_parse", "refused_by_prefilter", "refused_by_postfilter"), "0"
        ),
        **dict.fromkeys(
            ("applied", "branch_delayed", "branch_refused", "refused", "duplicate", "outdated"), "0"
        ),
    },
    "unactivated_chains": "0",
    "inactive_chains": "0",
    "future_blocks_advertised": "0",
    "unadvertised": dict.fromkeys(("block", "operations", "protocol"), "0"),
    "advertisements": {way: {"head": "0", "branch": "0"} for way in ("sent", "received")},
}


def _acl(call: Call) -> str | None:
    value = call.request.json()
    acl = value.get("acl") if isinstance(value, dict) else ""
    if acl not in (None, "trust", "ban", "open"):
        raise HttpFailure(400, "Failed to parse the request body: acl is trust, ban or open\n")
    return acl
