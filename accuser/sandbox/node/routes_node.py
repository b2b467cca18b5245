"""The RPCs about the node itself: version, protocols, configuration, memory.

Sources: ``src/lib_shell/{version,protocol,config,stat}_directory.ml``.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, Final

from ..._mavryk.protocol import DEMO_PROTOCOL, GENESIS_PROTOCOL, Protocol
from ..chain.chain import UnknownBlock
from ..chain.trace import failure
from .node import Node
from .peer_connection import NETWORK_VERSION
from .router import Call, Route, get

VERSION: Final[dict[str, object]] = {"major": 0, "minor": 0, "additional_info": "dev"}
COMMIT: Final = "sandbox"

_ENVIRONMENTS: Final = {Protocol.ATLAS.hash: 11, Protocol.BOREAS.hash: 12, Protocol.ALPHA.hash: 12}
"""The version of the environment that each protocol is compiled against (``MAVRYK_PROTOCOL``)."""

NOOPS_PROTOCOL: Final = "ProtoDemoNoopsDemoNoopsDemoNoopsDemoNoopsDemo6XBoYp"

_EMBEDDED: Final = (GENESIS_PROTOCOL, DEMO_PROTOCOL, NOOPS_PROTOCOL)
"""Protocols of the first environment that every node has besides; ours only knows their names."""

_STATM: Final = Path("/proc/self/statm")
_STATM_FIELDS: Final = ("size", "resident", "shared", "text", "lib", "data", "dt")


def routes(node: Node) -> list[Route]:
    rpcs = _Node(node)
    return [
        get("/version", rpcs.version),
        get("/protocols", rpcs.protocols),
        get("/protocols/{protocol}/environment", rpcs.environment),
        get("/fetch_protocol/{protocol}", rpcs.fetch),
        get("/config", rpcs.config),
        get("/config/history_mode", rpcs.history_mode),
        get("/config/network/dal", rpcs.dal),
        get("/config/network/user_activated_upgrades", rpcs.upgrades),
        get("/config/network/user_activated_protocol_overrides", rpcs.overrides),
        get("/stats/memory", rpcs.memory),
    ]


class _Node:
    def __init__(self, node: Node) -> None:
        self.node = node

    def version(self, call: Call) -> object:
        network_version = {"chain_name": self.node.chain.network.chain_name, **NETWORK_VERSION}
        return {"version": VERSION, "network_version": network_version, "commit_info": None}

    def protocols(self, call: Call) -> object:
        return [*_EMBEDDED, *(protocol.hash for protocol in Protocol)]

    def environment(self, call: Call) -> object:
        protocol = call.variables["protocol"]
        if protocol in _EMBEDDED:
            return 0
        return _ENVIRONMENTS.get(protocol) or self._unknown(protocol)

    def fetch(self, call: Call) -> object:
        protocol = call.variables["protocol"]
        if protocol in _EMBEDDED or protocol in _ENVIRONMENTS:
            return {}
        raise failure(f"The protocol {protocol} is not one of this node's, and no peer has any.")

    def _unknown(self, protocol: str) -> object:
        raise UnknownBlock(protocol)

    def config(self, call: Call) -> object:
        return self.node.settings

    def history_mode(self, call: Call) -> object:
        return {"history_mode": self.node.history_mode}

    def dal(self, call: Call) -> object:
        return {"activated": False, "use_mock_srs_for_testing": False, "bootstrap_peers": []}

    def upgrades(self, call: Call) -> object:
        upgrades = self.node.chain.network.upgrades.items()
        return [{"level": level, "replacement_protocol": protocol} for level, protocol in upgrades]

    def overrides(self, call: Call) -> object:
        overrides = self.node.chain.network.overrides.items()
        return [{"replaced_protocol": old, "replacement_protocol": new} for old, new in overrides]

    def memory(self, call: Call) -> object:
        """What the process takes; in the sandbox in memory, that of all daemons together."""
        try:
            pages = _STATM.read_text().split()
        except OSError as error:
            raise failure(f"Unix error in open: {error.strerror}") from error
        shown: dict[str, Any] = {"page_size": mmap.PAGESIZE}
        return {**shown, **dict(zip(_STATM_FIELDS, pages, strict=True))}
