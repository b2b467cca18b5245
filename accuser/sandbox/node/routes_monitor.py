"""The streams of ``/monitor`` (``src/lib_shell/monitor_directory.ml``)."""

from __future__ import annotations

from typing import Final

from ..._http.server import Feed
from ..chain.chain import UnknownBlock
from . import query, render
from .feeds import ProtocolFilter
from .node import Node
from .places import on_chain
from .query import many
from .router import Call, Route, get, is_chain
from .routes_node import COMMIT

_PROTOCOLS: Final = (many("protocol", query.PROTOCOL_HASH), many("next_protocol", query.PROTOCOL_HASH))
_BLOCKS: Final = (*_PROTOCOLS, many("chain", query.CHAIN))


def routes(node: Node) -> list[Route]:
    rpcs = _Monitor(node)
    return [
        get("/monitor/bootstrapped", rpcs.bootstrapped),
        get("/monitor/heads/{chain}", on_chain(node, rpcs.heads), *_PROTOCOLS),
        get("/monitor/applied_blocks", rpcs.applied_blocks, *_BLOCKS),
        get("/monitor/validated_blocks", rpcs.validated_blocks, *_BLOCKS),
        get("/monitor/valid_blocks", rpcs.valid_blocks, *_BLOCKS),
        get("/monitor/received_blocks/{chain}", on_chain(node, rpcs.received_blocks)),
        get("/monitor/active_chains", rpcs.active_chains),
        get("/monitor/protocols", lambda call: Feed()),
        get("/monitor/commit_hash", lambda call: COMMIT),
    ]


class _Monitor:
    def __init__(self, node: Node) -> None:
        self.node = node

    def bootstrapped(self, call: Call) -> Feed:
        return self.node.feeds.bootstrapping(bootstrapped=self.node.synchronisation.is_bootstrapped)

    def heads(self, call: Call) -> Feed:
        return self.node.feeds.heads(_protocols(call))

    def applied_blocks(self, call: Call) -> Feed:
        return self.node.feeds.applied(_protocols(call)) if self._has_chain(call) else Feed()

    def validated_blocks(self, call: Call) -> Feed:
        # A block is validated and applied in one step here. Upstream looks at the next protocol alone.
        if not all(is_chain(self.node.chain.network.chain_id, text) for text in call.query["chain"]):
            raise UnknownBlock("chain")
        wanted = ProtocolFilter(next_protocols=_protocols(call).next_protocols)
        return self.node.feeds.new_blocks(wanted, render.applied_item)

    def valid_blocks(self, call: Call) -> Feed:
        if not self._has_chain(call):
            return Feed()
        return self.node.feeds.new_blocks(_protocols(call), render.valid_item)

    def received_blocks(self, call: Call) -> Feed:
        return self.node.feeds.new_blocks(ProtocolFilter(), lambda chain, block: block.hash)

    def active_chains(self, call: Call) -> Feed:
        feed = Feed()
        feed.push([{"chain_id": self.node.chain.network.chain_id}])
        return feed

    def _has_chain(self, call: Call) -> bool:
        # Nothing happens on chains that do not exist.
        chains = call.query["chain"]
        return not chains or any(is_chain(self.node.chain.network.chain_id, text) for text in chains)


def _protocols(call: Call) -> ProtocolFilter:
    return ProtocolFilter(frozenset(call.query["protocol"]), frozenset(call.query["next_protocol"]))
