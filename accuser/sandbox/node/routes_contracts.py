"""The RPCs of a block about contracts: implicit accounts, and those that the protocol makes.

Sources: ``lib_protocol/contract_services.ml``, ``lib_plugin/RPC.ml`` (``Contract``, ``Big_map``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from ..._mavryk.codec.base58 import Kind, decode, encode
from ..._mavryk.codec.crypto import blake2b
from ..chain import slashing
from ..chain.block import Block
from ..chain.chain import UnknownBlock
from ..chain.ledger import Account, Ledger
from ..chain.trace import PERMANENT, failure, protocol_error
from . import query
from .node import Node
from .places import BLOCK, BlockHandle, calendar_of, on_block, rules_of
from .query import flag, once
from .router import Call, Route, get

_CONTRACTS: Final = BLOCK + "/context/contracts"
_CONTRACT: Final = _CONTRACTS + "/{contract}"
_NORMALIZE: Final = flag("normalize_types")
_OFFSETS: Final = (once("offset_commitment", query.INT64), once("offset_nullifier", query.INT64))


def _made(seed: bytes, index: int) -> str:
    """The address of a contract that the protocol makes, which has no operation to be named after."""
    nonce = blake2b(seed) + index.to_bytes(4, "big")
    return encode(Kind.CONTRACT, blake2b(nonce, 20))


CPMM: Final = _made(b"Drip, drip, drip.", 0)
LQT: Final = _made(b"Drip, drip, drip.", 1)
TOKEN: Final = _made(b"Drip, drip, drip.", 2)
BUFFER: Final = _made(b"buff, buff, buff.", 0)
"""Where the treasury's share goes as long as the treasury does not exist."""

MADE: Final = {CPMM: 100, LQT: 0, TOKEN: 1_000_000, BUFFER: 0}
"""What the contracts of a new chain own, in mumav
(``lib_protocol/{liquidity_baking,protocol_treasury}_migration.ml``)."""


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
        get(_CONTRACT + "/all_ticket_balances", on_block(node, _script)),
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
class _View:
    """A contract, as a block left it."""

    address: str
    account: Account | None
    """None for one that is not allocated, and for one with a script."""
    block: Block

    @property
    def ledger(self) -> Ledger:
        return self.block.state.ledger

    @property
    def is_implicit(self) -> bool:
        return self.address not in MADE

    @property
    def delegate(self) -> str | None:
        return self.address if self.account is not None and self.account.is_delegate else None

    @property
    def balance(self) -> int:
        if not self.is_implicit:
            return MADE[self.address]
        return 0 if self.account is None else self.account.spendable

    @property
    def frozen(self) -> int:
        return 0 if self.account is None else self.account.frozen


def _list(call: Call, block: Block) -> object:
    calendar_of(block)

    def key(address: str) -> bytes:
        if address in MADE:
            return b"\x01" + decode(Kind.CONTRACT, address)
        kinds = (Kind.MV1, Kind.MV2, Kind.MV3, Kind.MV4)
        tag = next(tag for tag in range(4) if address.startswith(f"mv{tag + 1}"))
        return bytes([0, tag]) + decode(kinds[tag], address)

    return sorted((*MADE, *block.state.ledger.accounts), key=key, reverse=True)


def _view(call: Call, block: Block) -> _View:
    calendar_of(block)
    address = call.variables["contract"]
    if address.startswith("KT1") and address not in MADE:
        raise UnknownBlock(address)
    return _View(address, block.state.ledger.accounts.get(address), block)


def _on(show: Callable[[_View], object]) -> BlockHandle:
    return lambda call, block: show(_view(call, block))


def _info(call: Call, block: Block) -> object:
    view = _view(call, block)
    return {
        "balance": str(view.balance),
        **({} if view.delegate is None else {"delegate": view.delegate}),
        **({"counter": _counter(view)} if view.is_implicit else {}),
    }


def _counter(view: _View) -> str:
    if not view.is_implicit:
        raise UnknownBlock(view.address)
    # No operation counts here, so the counter of everybody is that of an account which is not there.
    return "0"


def _delegate(view: _View) -> str:
    if view.delegate is None:
        raise UnknownBlock(view.address)
    return view.delegate


def _manager_key(view: _View) -> str | None:
    if not view.is_implicit:
        raise UnknownBlock(view.address)
    return None if view.account is None else view.account.public_key


def _staked(view: _View) -> str | None:
    return None if view.delegate is None else str(view.frozen)


def _unstaked(view: _View) -> str | None:
    return "0" if view.is_implicit else None


def _pending_slashed(view: _View) -> str:
    block = view.block
    if rules_of(block).is_atlas:
        raise UnknownBlock(view.address)
    if view.delegate is None:
        return "0"
    calendar = calendar_of(block)
    return str(slashing.estimate(view.ledger, rules_of(block), calendar, view.address, block.level))


def _full_balance(call: Call, block: Block) -> object:
    view = _view(call, block)
    if view.is_implicit and view.account is None:
        key = ["contracts", "index", _index(view.address), "balance"]
        missing = {"missing_key": key, "function": "get"}
        raise protocol_error(block.state.protocol, PERMANENT, "context.storage_error", missing)
    return str(view.balance + view.frozen)


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
    "staking_numerator": lambda view: "0",
    "unstaked_frozen_balance": _unstaked,
    "unstaked_finalizable_balance": _unstaked,
    "unstake_requests": lambda view: None,
    "estimated_own_pending_slashed_amount": _pending_slashed,
}
