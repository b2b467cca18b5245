"""The RPCs of a block about contracts: implicit accounts, and those that the protocol makes.

Sources: ``lib_protocol/contract_services.ml``, ``lib_plugin/RPC.ml`` (``Contract``, ``Big_map``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from ..._mavryk.codec.base58 import Kind, decode
from ..chain import slashing, views
from ..chain.block import Block
from ..chain.chain import UnknownBlock
from ..chain.ledger import Account
from ..chain.trace import PERMANENT, failure, protocol_error
from ..chain.views import View
from . import query
from .node import Node
from .places import BLOCK, BlockHandle, calendar_of, on_block, rules_of
from .query import flag, once
from .router import Call, Route, get

_CONTRACTS: Final = BLOCK + "/context/contracts"
_CONTRACT: Final = _CONTRACTS + "/{contract}"
_NORMALIZE: Final = flag("normalize_types")
_OFFSETS: Final = (once("offset_commitment", query.INT64), once("offset_nullifier", query.INT64))


def routes(node: Node) -> list[Route]:
    served = [
        get(_CONTRACTS, on_block(node, _list)),
        get(_CONTRACT, on_block(node, _info), _NORMALIZE),
        *(get(f"{_CONTRACT}/{name}", on_block(node, _on(show))) for name, show in _PARTS.items()),
        get(_CONTRACT + "/full_balance", on_block(node, _full_balance)),
        get(_CONTRACT + "/entrypoints", on_block(node, _script), _NORMALIZE),
        get(_CONTRACT + "/entrypoints/{entrypoint}", on_block(node, _script), _NORMALIZE),
        get(_CONTRACT + "/single_sapling_get_diff", on_block(node, _script), *_OFFSETS),
        *(get(f"{_CONTRACT}/{name}", on_block(node, _script)) for name in ("script", "storage")),
        get(_CONTRACT + "/all_ticket_balances", on_block(node, _all_tickets)),
        *(get(f"{_CONTRACT}/storage/{name}_space", on_block(node, _space)) for name in ("used", "paid")),
    ]
    # No contract has a map, and so none is there.
    maps, pages = (
        BLOCK + "/context/big_maps/{big_map}",
        (once("offset", query.UINT), once("length", query.UINT)),
    )
    served += [
        get(maps, on_block(node, _nothing), *pages),
        get(maps + "/{script_expr}", on_block(node, _nothing)),
        get(BLOCK + "/context/sapling/{sapling}/get_diff", on_block(node, _nothing), *_OFFSETS),
    ]
    return served


@attrs.frozen(eq=False)
class _View(View):
    """A contract, as a block left it."""

    address: str
    account: Account | None
    """None for one that is not allocated, and for one with a script."""
    protocol: str

    @property
    def is_implicit(self) -> bool:
        return self.address not in self.ledger.contracts

    @property
    def balance(self) -> int:
        if not self.is_implicit:
            return self.ledger.contracts[self.address]
        return 0 if self.account is None else self.account.spendable


def _list(call: Call, block: Block) -> object:
    calendar_of(block)
    ledger = block.state.ledger

    def key(address: str) -> bytes:
        if address in ledger.contracts:
            return b"\x01" + decode(Kind.CONTRACT, address)
        kinds = (Kind.MV1, Kind.MV2, Kind.MV3, Kind.MV4)
        tag = next(tag for tag in range(4) if address.startswith(f"mv{tag + 1}"))
        return bytes([0, tag]) + decode(kinds[tag], address)

    return sorted((*ledger.contracts, *ledger.accounts), key=key, reverse=True)


def _view(call: Call, block: Block) -> _View:
    calendar, ledger, address = calendar_of(block), block.state.ledger, call.variables["contract"]
    if address.startswith("KT1") and address not in ledger.contracts:
        raise UnknownBlock(address)
    account = ledger.accounts.get(address)
    return _View(ledger, calendar, rules_of(block), block.level, address, account, block.state.protocol)


def _on(show: Callable[[_View], object]) -> BlockHandle:
    return lambda call, block: show(_view(call, block))


def _info(call: Call, block: Block) -> object:
    view = _view(call, block)
    delegate = None if view.account is None else view.account.delegate
    return {
        "balance": str(view.balance),
        **({} if delegate is None else {"delegate": delegate}),
        **({"counter": _counter(view)} if view.is_implicit else {}),
    }


def _counter(view: _View) -> str:
    if not view.is_implicit:
        raise UnknownBlock(view.address)
    return str(views.counter(view, view.address))


def _delegate(view: _View) -> str:
    if view.account is None or view.account.delegate is None:
        raise UnknownBlock(view.address)
    return view.account.delegate


def _manager_key(view: _View) -> str | None:
    if not view.is_implicit:
        raise UnknownBlock(view.address)
    return None if view.account is None else view.account.public_key


def _staked(view: _View) -> str | None:
    if view.account is None or view.account.delegate is None:
        return None
    return str(views.staked(view, view.account))


def _unstaked(show: Callable[[View, Account], int]) -> Callable[[_View], str | None]:
    def shown(view: _View) -> str | None:
        if not view.is_implicit:
            return None
        return "0" if view.account is None else str(show(view, view.account))

    return shown


def _pending_slashed(view: _View) -> str:
    if view.rules.is_atlas:
        raise UnknownBlock(view.address)
    if view.account is None or not view.account.is_delegate:
        return "0"
    return str(slashing.estimate(view.ledger, view.rules, view.calendar, view.address, view.level))


def _full_balance(call: Call, block: Block) -> object:
    view = _view(call, block)
    if view.is_implicit and view.account is None:
        key = ["contracts", "index", _index(view.address), "balance"]
        missing = {"missing_key": key, "function": "get"}
        raise protocol_error(block.state.protocol, PERMANENT, "context.storage_error", missing)
    return str(view.balance if view.account is None else views.full_balance(view, view.account))


def _index(pkh: str) -> str:
    for tag, kind in enumerate((Kind.MV1, Kind.MV2, Kind.MV3, Kind.MV4)):
        if pkh.startswith(f"mv{tag + 1}"):
            return (bytes([0, tag]) + decode(kind, pkh)).hex()
    raise ValueError(pkh)


def _script(call: Call, block: Block) -> object:
    view = _view(call, block)
    if view.is_implicit:
        raise UnknownBlock(view.address)
    raise failure(f"The sandbox does not have the scripts of contracts, nor that of {view.address}.")


def _all_tickets(call: Call, block: Block) -> object:
    # Only contracts have tickets, and those that the protocol makes have none.
    return _script(call, block) if _view(call, block).is_implicit else []


def _space(call: Call, block: Block) -> object:
    return None if _view(call, block).is_implicit else _script(call, block)


def _nothing(call: Call, block: Block) -> object:
    raise UnknownBlock(block.hash)


_PARTS: Final[dict[str, Callable[[_View], object]]] = {
    "balance": lambda view: str(view.balance),
    "counter": _counter,
    "delegate": _delegate,
    "manager_key": _manager_key,
    "frozen_bonds": lambda view: "0",
    "balance_and_frozen_bonds": lambda view: str(view.balance),
    "staked_balance": _staked,
    "staking_numerator": lambda view: "0" if view.account is None else str(view.account.shares),
    "unstaked_frozen_balance": _unstaked(views.unstaked_frozen),
    "unstaked_finalizable_balance": _unstaked(views.unstaked_finalizable),
    "unstake_requests": lambda view: (
        None if view.account is None else views.unstake_requests(view, view.account)
    ),
    "estimated_own_pending_slashed_amount": _pending_slashed,
}
