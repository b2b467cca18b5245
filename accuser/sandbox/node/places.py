"""What RPCs are about: the chain and the block of their path, and the protocol behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..chain.block import Block
from ..chain.chain import UnknownBlock
from ..chain.economy import Economy, economy
from ..chain.parameters import Calendar
from ..chain.views import View
from .node import Node
from .router import Call, Handle, is_chain

BLOCK: Final = "/chains/{chain}/blocks/{block}"

BlockHandle = Callable[[Call, Block], object]


def on_chain(node: Node, handle: Handle) -> Handle:
    """Serve an RPC of the chain; any other chain is not here (404)."""

    def handle_call(call: Call) -> object:
        if not is_chain(node.chain.network.chain_id, call.variables["chain"]):
            raise UnknownBlock(call.variables["chain"])
        return handle(call)

    return handle_call


def on_block(node: Node, handle: BlockHandle) -> Handle:
    """Serve an RPC of a block of the chain; a block that is not there is a 404."""
    return on_chain(node, lambda call: handle(call, node.chain.resolve(call.variables["block"])))


def calendar_of(block: Block) -> Calendar:
    """The calendar after a block. Raises ``UnknownBlock`` before a protocol with delegates is active."""
    if block.state.calendar is None:
        # Upstream has no such RPC then.
        raise UnknownBlock(block.hash)
    return block.state.calendar


def rules_of(block: Block) -> Economy:
    """The constants of money after a block. Raises ``UnknownBlock`` as `calendar_of`."""
    return economy(calendar_of(block).parameters, block.state.protocol)


def view_of(block: Block) -> View:
    """The ledger after a block. Raises ``UnknownBlock`` as `calendar_of`."""
    return View(block.state.ledger, calendar_of(block), rules_of(block), block.level)


def since_boreas(handle: BlockHandle) -> BlockHandle:
    """An RPC that Atlas does not have (404)."""

    def handle_call(call: Call, block: Block) -> object:
        if rules_of(block).is_atlas:
            raise UnknownBlock(block.hash)
        return handle(call, block)

    return handle_call
