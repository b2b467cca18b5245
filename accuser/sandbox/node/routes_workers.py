"""The RPCs about the node's workers (``src/lib_shell/worker_directory.ml``).

Requests are treated in the order of one lock here, and none waits in a queue that could be shown.
"""

from __future__ import annotations

from typing import Any, Final

from ..chain.chain import UnknownBlock
from .events import system_time
from .node import Node
from .places import on_chain
from .router import Call, Route, get

_WORKERS: Final = "/workers"
_VALIDATOR: Final = _WORKERS + "/chain_validators/{chain}"


def routes(node: Node) -> list[Route]:
    rpcs = _Workers(node)
    return [
        get(_WORKERS + "/block_validator", rpcs.state),
        get(_WORKERS + "/prevalidators", rpcs.of_chain),
        get(_WORKERS + "/prevalidators/{chain}", on_chain(node, rpcs.state)),
        get(_WORKERS + "/chain_validators", rpcs.of_chain),
        get(_VALIDATOR, on_chain(node, rpcs.state)),
        get(_VALIDATOR + "/ddb", on_chain(node, rpcs.database)),
        get(_VALIDATOR + "/peers_validators", on_chain(node, rpcs.peers)),
        get(_VALIDATOR + "/peers_validators/{peer}", on_chain(node, rpcs.peer)),
    ]


class _Workers:
    def __init__(self, node: Node) -> None:
        self.node = node

    @property
    def _status(self) -> dict[str, Any]:
        return {"phase": "running", "since": system_time(self.node.started)}

    @property
    def _information(self) -> dict[str, Any]:
        return {"instances": 1, "status": self._status, "queue_length": 0}

    def state(self, call: Call) -> object:
        return {"status": self._status, "pending_requests": []}

    def of_chain(self, call: Call) -> object:
        chain_id = self.node.chain.network.chain_id
        shown = {"chain_id": chain_id, "status": self._status, "information": self._information}
        return [{**shown, "pipelines": 0}]

    def peers(self, call: Call) -> object:
        pipelines = {"fetched_headers": 0, "fetched_blocks": 0}
        shown = {"status": self._status, "information": self._information, "pipelines": pipelines}
        return [{"peer_id": peer, **shown} for peer in self.node.peers]

    def peer(self, call: Call) -> object:
        if call.variables["peer"] not in self.node.peers:
            raise UnknownBlock(call.variables["peer"])
        return self.state(call)

    def database(self, call: Call) -> object:
        peers = len(self.node.peers)
        empty = {"table_length": 0, "scheduler_length": 0}
        return {
            "p2p_readers": peers,
            "active_chains": 1,
            "operation_db": empty,
            "operations_db": empty,
            "block_header_db": empty,
            "active_connections": peers,
            "active_peers": peers,
        }
