"""The RPCs that steer a mempool: its fees, and what it must not take.

Sources: ``src/lib_shell/prevalidator.ml`` (``build_rpc_directory``), ``block_services.ml``.
"""

from __future__ import annotations

import contextlib
from typing import Final

from ..._http.server import HttpFailure
from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..._mavryk.codec.fields import ForgeError
from ..chain.fee_filter import FeeFilter
from . import query
from .node import Node
from .places import on_chain
from .query import once
from .router import Call, Route, get, post

_MEMPOOL: Final = "/chains/{chain}/mempool"
_DEFAULTS: Final = once("include_default", query.BOOLEAN, True)


def routes(node: Node) -> list[Route]:
    """The RPCs."""
    rpcs = _Mempool(node)
    return [
        get(_MEMPOOL + "/filter", on_chain(node, rpcs.filter), _DEFAULTS),
        post(_MEMPOOL + "/filter", on_chain(node, rpcs.set_filter), _DEFAULTS),
        post(_MEMPOOL + "/ban_operation", on_chain(node, rpcs.ban)),
        post(_MEMPOOL + "/unban_operation", on_chain(node, rpcs.unban)),
        post(_MEMPOOL + "/unban_all_operations", on_chain(node, rpcs.unban_all)),
        # Peers of the sandbox tell each other of every operation as soon as they have it.
        post(_MEMPOOL + "/request_operations", on_chain(node, _nothing), once("peer_id", query.PEER)),
    ]


def _nothing(call: Call) -> object:
    return {}


class _Mempool:
    def __init__(self, node: Node) -> None:
        self.node = node

    def filter(self, call: Call) -> object:
        if self.node.chain.head.state.calendar is None:
            # The mempool of the genesis protocol has no filter.
            return {}
        return self.node.mempool.filter.to_json(with_defaults=call.query["include_default"])

    def set_filter(self, call: Call) -> object:
        # What it cannot read upstream logs, and leaves everything as it was.
        with contextlib.suppress(ForgeError):
            self.node.mempool.filter = FeeFilter.from_json(call.request.json())
        return self.filter(call)

    def ban(self, call: Call) -> object:
        self.node.mempool.ban(_hash(call))
        return {}

    def unban(self, call: Call) -> object:
        self.node.mempool.banned.discard(_hash(call))
        return {}

    def unban_all(self, call: Call) -> object:
        self.node.mempool.banned.clear()
        return {}


def _hash(call: Call) -> str:
    """The operation that the body names."""
    text = call.request.json()
    try:
        decode(Kind.OPERATION, str(text))
    except Base58Error as error:
        raise HttpFailure(400, f"Failed to parse the request body: {error}\n") from error
    return str(text)
