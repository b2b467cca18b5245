"""The RPCs of a block about delegates and contracts: what they own, and what they are accused of.

Amounts are texts, in mumav. Sources: ``lib_protocol/{delegate_services,contract_services}.ml``,
``lib_plugin/RPC.ml``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from ..._http.server import HttpFailure
from ..._mavryk.codec.base58 import is_key_hash
from ..chain import slashing
from ..chain.block import Block
from ..chain.chain import UnknownBlock
from ..chain.economy import Economy, economy
from ..chain.ledger import Account, Denunciation, Ledger, stakes
from ..chain.parameters import MAX_SLASHING_PERIOD, Calendar
from ..chain.trace import TEMPORARY, NodeError, protocol_error
from .router import Call

BlockHandle = Callable[[Call, Block], object]

MAX_PROPOSALS: Final = 20
"""Which a delegate may make in a period; nobody makes one here."""

_NO_STAKERS: Final = {
    "limit_of_staking_over_baking_millionth": 0,
    "edge_of_baking_over_staking_billionth": 1_000_000_000,
}


def paths() -> dict[str, BlockHandle]:
    """The paths below that of a block, and what serves them."""
    found: dict[str, BlockHandle] = {
        "/context/denunciations": _all_denunciations,
        "/context/delegates": _list,
        "/context/delegates/{pkh}": _on_delegate(_info),
        "/context/delegates/{pkh}/is_forbidden": _is_forbidden,
    }
    for name, handle in {**_PARTS, **_SINCE_BOREAS}.items():
        found[f"/context/delegates/{{pkh}}/{name}"] = _on_delegate(handle, atlas=name in _PARTS)
    for name, show in _CONTRACT.items():
        found[f"/context/contracts/{{pkh}}/{name}"] = _on_contract(show)
    return found


@attrs.frozen(eq=False)
class _View:
    """A delegate, as a block left it."""

    account: Account
    ledger: Ledger
    calendar: Calendar
    rules: Economy
    level: int

    @property
    def cycle(self) -> int:
        return self.calendar.cycle(self.level)


def _list(call: Call, block: Block) -> object:
    ledger, rules = block.state.ledger, _rules(block)
    active, inactive = call.flag("active"), call.flag("inactive")
    if inactive and not active:
        return []
    rich, poor = call.flag("with_minimal_stake"), call.flag("without_minimal_stake")
    return [
        one.pkh for one in ledger.delegates() if rich == poor or (one.total >= rules.minimal_stake) == rich
    ]


def _is_forbidden(call: Call, block: Block) -> object:
    pkh = _pkh(call)
    if _rules(block).is_atlas:
        raise UnknownBlock(block.hash)
    return block.state.is_forbidden(pkh)


def _on_delegate(handle: Callable[[_View], object], *, atlas: bool = True) -> BlockHandle:
    def handle_call(call: Call, block: Block) -> object:
        pkh, rules, state = _pkh(call), _rules(block), block.state
        if rules.is_atlas and not atlas:
            raise UnknownBlock(block.hash)
        account = state.ledger.accounts.get(pkh)
        if account is None or not account.is_delegate:
            raise _not_registered(state.protocol, pkh, balance=handle is _PARTS["full_balance"])
        assert state.calendar is not None
        return handle(_View(account, state.ledger, state.calendar, rules, block.level))

    return handle_call


def _on_contract(show: Callable[[Account], object]) -> BlockHandle:
    def handle_call(call: Call, block: Block) -> object:
        account = block.state.ledger.accounts.get(_pkh(call))
        if account is None:
            raise UnknownBlock(block.hash)
        return show(account)

    return handle_call


def _info(view: _View) -> object:
    account, boreas = view.account, not view.rules.is_atlas
    return {
        "full_balance": str(account.total),
        "current_frozen_deposits": str(account.frozen),
        "frozen_deposits": _frozen_deposits(view),
        "staking_balance": str(account.total),
        "delegated_contracts": [account.pkh],
        "delegated_balance": "0",
        **({"min_delegated_in_current_cycle": _least(view)} if boreas else {}),
        "deactivated": False,
        "grace_period": account.active_until,
        **({"pending_denunciations": view.ledger.is_accused(account.pkh)} if boreas else {}),
        "total_delegated_stake": "0",
        "staking_denominator": "0",
        **_voting_info(view),
        "active_consensus_key": account.pkh,
    }


def _frozen_deposits(view: _View) -> str:
    return str(view.ledger.initial_deposits(view.account.pkh, view.cycle))


def _least(view: _View) -> dict[str, object]:
    account = view.account
    shown: dict[str, object] = {"amount": str(account.least_spendable(view.level, view.calendar))}
    if account.least_at is not None and view.calendar.cycle(account.least_at) == view.cycle:
        shown["level"] = view.calendar.level_info(account.least_at)
    return shown


def _voting_info(view: _View) -> dict[str, object]:
    if not view.account.listed:
        return {}
    return {"voting_power": str(view.account.listed), "remaining_proposals": MAX_PROPOSALS}


def _baking_power(view: _View) -> str:
    free = view.account.least_spendable(view.level, view.calendar)
    if view.rules.is_atlas:
        free = view.account.spendable
    adaptive = view.ledger.issuance_is_adaptive(view.cycle)
    weights = stakes([(view.account, free)], view.rules, adaptive=adaptive)
    return str(sum(delegate.stake for delegate in weights))


def _unstaked(view: _View) -> object:
    first = max(0, view.cycle - view.rules.rights_delay - MAX_SLASHING_PERIOD)
    return [{"cycle": cycle, "deposit": "0"} for cycle in range(first, view.cycle + 1)]


def _all_denunciations(call: Call, block: Block) -> object:
    if _rules(block).is_atlas:
        raise UnknownBlock(block.hash)
    pending = sorted(block.state.ledger.pending, key=lambda one: one.misbehaviour.delegate)
    return [{"slashed_delegate": one.misbehaviour.delegate, **_denunciation(one)} for one in pending]


def _denunciations(view: _View) -> object:
    own = view.account.pkh
    return [_denunciation(one) for one in view.ledger.pending if one.misbehaviour.delegate == own]


def _denunciation(one: Denunciation) -> dict[str, object]:
    what = one.misbehaviour
    return {
        "operation_hash": one.operation,
        "rewarded": one.rewarded,
        "misbehaviour": {"level": what.level, "round": what.round, "kind": what.kind},
    }


def _estimate(view: _View) -> str:
    return str(slashing.estimate(view.ledger, view.rules, view.calendar, view.account.pkh, view.level))


_PARTS: Final[dict[str, Callable[[_View], object]]] = {
    "full_balance": lambda view: str(view.account.total),
    "current_frozen_deposits": lambda view: str(view.account.frozen),
    "frozen_deposits": _frozen_deposits,
    "unstaked_frozen_deposits": _unstaked,
    "staking_balance": lambda view: str(view.account.total),
    "frozen_deposits_limit": lambda view: None,
    "delegated_contracts": lambda view: [view.account.pkh],
    "total_delegated_stake": lambda view: "0",
    "staking_denominator": lambda view: "0",
    "delegated_balance": lambda view: "0",
    "deactivated": lambda view: False,
    "grace_period": lambda view: view.account.active_until,
    "current_voting_power": lambda view: str(view.account.total),
    "voting_power": lambda view: str(view.account.listed),
    "current_baking_power": _baking_power,
    "voting_info": _voting_info,
    "consensus_key": lambda view: {"active": {"pkh": view.account.pkh, "pk": view.account.public_key}},
    "active_staking_parameters": lambda view: _NO_STAKERS,
    "pending_staking_parameters": lambda view: [],
}

_SINCE_BOREAS: Final[dict[str, Callable[[_View], object]]] = {
    "min_delegated_in_current_cycle": _least,
    "denunciations": _denunciations,
    "estimated_shared_pending_slashed_amount": _estimate,
}

_CONTRACT: Final[dict[str, Callable[[Account], object]]] = {
    "balance": lambda account: str(account.spendable),
    "full_balance": lambda account: str(account.total),
    "staked_balance": lambda account: str(account.frozen) if account.is_delegate else None,
}


def _rules(block: Block) -> Economy:
    if block.state.calendar is None:
        # Upstream has no such RPC before a protocol with delegates is active.
        raise UnknownBlock(block.hash)
    return economy(block.state.calendar.parameters, block.state.protocol)


def _pkh(call: Call) -> str:
    text = call.variables["pkh"]
    if is_key_hash(text):
        return text
    raise HttpFailure(400, f"Failed to parse argument 'pkh' ({text!r}): not a public key hash\n")


def _not_registered(protocol: str, pkh: str, *, balance: bool) -> NodeError:
    error = protocol_error(protocol, TEMPORARY, "delegate.not_registered", {"pkh": pkh})
    if not balance:
        return error
    outer = "delegate_service.balance_rpc_on_non_delegate"
    return error.under(protocol_error(protocol, TEMPORARY, outer, {"pkh": pkh}).trace[0])
