"""The RPCs about scripts, which the sandbox does not have: an error that says so, in place of a 404.

What can be said without a script is right: nobody has tickets, and no contract is in the cache.
Sources: ``lib_plugin/RPC.ml`` (``Scripts``, ``Contract``, ``Big_map``), ``contract_services.ml``.
"""

from __future__ import annotations

from typing import Final

from ..._mavryk.codec.fields import Fields
from ..chain.block import Block
from ..chain.chain import UnknownBlock
from ..chain.trace import failure
from . import query
from .node import Node
from .places import BLOCK, BlockHandle, calendar_of, on_block
from .query import Unreadable
from .router import Call, Route, post

_CONTRACT: Final = BLOCK + "/context/contracts/{contract}"

_OF_MICHELSON: Final = (
    "entrypoint",
    "entrypoints",
    "normalize_data",
    "normalize_script",
    "normalize_stack",
    "normalize_type",
    "pack_data",
    "run_code",
    "run_instruction",
    "run_script_view",
    "run_view",
    "script_size",
    "trace_code",
    "typecheck_code",
    "typecheck_data",
)


def routes(node: Node) -> list[Route]:
    """The RPCs."""
    served: dict[str, BlockHandle] = {
        **{f"{BLOCK}/helpers/scripts/{name}": _michelson for name in _OF_MICHELSON},
        **{f"{_CONTRACT}/{name}/normalized": _script for name in ("script", "storage")},
        _CONTRACT + "/big_map_get": _script,
        _CONTRACT + "/ticket_balance": _tickets,
        BLOCK + "/context/big_maps/{big_map}/{script_expr}/normalized": _nothing,
        BLOCK + "/context/cache/contracts/rank": _rank,
    }
    return [post(path, on_block(node, handle)) for path, handle in served.items()]


def _michelson(call: Call, block: Block) -> object:
    calendar_of(block)
    call.request.json()
    raise failure("The sandbox does not have Michelson, and neither runs nor types anything.")


def _is_there(call: Call, block: Block) -> bool:
    """Whether the contract of the path is one with a script. Raises ``UnknownBlock`` if nobody made it."""
    calendar_of(block)
    address: str = call.variables["contract"]
    if address.startswith("KT1") and address not in block.state.ledger.contracts:
        raise UnknownBlock(address)
    return address.startswith("KT1")


def _script(call: Call, block: Block) -> object:
    address = call.variables["contract"]
    if not _is_there(call, block):
        raise UnknownBlock(address)
    raise failure(f"The sandbox does not have the scripts of contracts, nor that of {address}.")


def _tickets(call: Call, block: Block) -> str:
    _is_there(call, block)
    fields = Fields(call.request.json())
    fields.text("ticketer")
    for name in ("content_type", "content"):
        fields.value(name)
    fields.end()
    return "0"


def _nothing(call: Call, block: Block) -> object:
    raise UnknownBlock(block.hash)


def _rank(call: Call, block: Block) -> object:
    calendar_of(block)
    try:
        query.CONTRACT.read(str(call.request.json()))
    except Unreadable as error:
        raise failure(f"Invalid contract notation: {error}") from error
    return None
