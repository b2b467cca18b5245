"""The RPCs of a block about delegates: what they own, how they vote, and what they are accused of.

Amounts are texts, in mumav. Sources: ``lib_protocol/{delegate_services,voting_services}.ml``,
``lib_plugin/RPC.ml``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from ..._mavryk.codec.votes import MAX_PROPOSALS
from ..chain import slashing, views
from ..chain.block import Block
from ..chain.ledger import NO_STAKERS, Account, Denunciation, stakes
from ..chain.state import State
from ..chain.trace import TEMPORARY, NodeError, protocol_error
from ..chain.views import View
from .node import Node
from .places import BLOCK, BlockHandle, calendar_of, on_block, rules_of, since_boreas
from .query import flag
from .router import Call, Route, get

_LISTED: Final = ("active", "inactive", "with_minimal_stake", "without_minimal_stake")


def routes(node: Node) -> list[Route]:
    delegates = BLOCK + "/context/delegates"
    served = {
        "": _on_delegate(_info),
        "/is_forbidden": since_boreas(_is_forbidden),
        "/denunciations": since_boreas(_denunciations),
        "/active_staking_parameters": _active_terms,
        "/pending_staking_parameters": _pending_terms,
        **{f"/{name}": _on_delegate(handle) for name, handle in _PARTS.items()},
        **{f"/{name}": since_boreas(_on_delegate(handle)) for name, handle in _SINCE_BOREAS.items()},
    }
    return [
        get(BLOCK + "/context/denunciations", on_block(node, _all_denunciations)),
        get(delegates, on_block(node, _list), *(flag(name) for name in _LISTED)),
        *(get(f"{delegates}/{{pkh}}{path}", on_block(node, handle)) for path, handle in served.items()),
        get(BLOCK + "/votes/proposal_count/{pkh}", on_block(node, _proposal_count)),
    ]


@attrs.frozen(eq=False)
class _View(View):
    """A delegate, as a block left it."""

    account: Account
    state: State


def _list(call: Call, block: Block) -> object:
    ledger, rules = block.state.ledger, rules_of(block)
    active, inactive = call.query["active"], call.query["inactive"]
    rich, poor = call.query["with_minimal_stake"], call.query["without_minimal_stake"]
    return [
        one.pkh
        for one in reversed(ledger.delegates())
        # Both filters of a pair together mean none.
        if (active == inactive or one.inactive == inactive)
        and (rich == poor or (one.staking_balance >= rules.minimal_stake) == rich)
    ]


def _is_forbidden(call: Call, block: Block) -> object:
    return block.state.is_forbidden(call.variables["pkh"])


def _on_delegate(handle: Callable[[_View], object]) -> BlockHandle:
    return lambda call, block: handle(_view(call, block, balance=handle is _PARTS["full_balance"]))


def _view(call: Call, block: Block, *, balance: bool = False) -> _View:
    pkh, rules, state = call.variables["pkh"], rules_of(block), block.state
    account = state.ledger.accounts.get(pkh)
    if account is None or not account.is_delegate:
        raise _not_registered(state.protocol, pkh, balance=balance)
    return _View(state.ledger, calendar_of(block), rules, block.level, account, state)


def _info(view: _View) -> object:
    account, boreas = view.account, not view.rules.is_atlas
    limit = {} if account.limit is None else {"frozen_deposits_limit": str(account.limit)}
    pending = views.consensus_key(account).get("pendings", [])
    later = [{"cycle": one["cycle"], "pkh": one["pkh"]} for one in pending]
    return {
        "full_balance": str(views.full_balance(view, account)),
        "current_frozen_deposits": str(account.frozen + account.staked),
        "frozen_deposits": _frozen_deposits(view),
        "staking_balance": str(account.staking_balance),
        **limit,
        "delegated_contracts": views.delegated_contracts(view, account),
        "delegated_balance": str(views.delegated_balance(view, account)),
        **({"min_delegated_in_current_cycle": _least(view)} if boreas else {}),
        "deactivated": views.is_deactivated(view, account),
        "grace_period": account.active_until,
        **({"pending_denunciations": view.ledger.is_accused(account.pkh)} if boreas else {}),
        "total_delegated_stake": str(account.staked),
        "staking_denominator": str(account.all_shares),
        **_voting_info(view),
        "active_consensus_key": views.consensus_key(account)["active"]["pkh"],
        **({"pending_consensus_keys": later} if later else {}),
    }


def _frozen_deposits(view: _View) -> str:
    return str(view.ledger.initial_deposits(view.account.pkh, view.cycle))


def _least(view: _View) -> dict[str, object]:
    account, calendar = view.account, view.calendar
    shown: dict[str, object] = {"amount": str(account.least_spendable(view.level, calendar))}
    # What never changed is as it was when the chain began.
    at = calendar.first_level if account.least_at is None else account.least_at
    if calendar.cycle(at) == view.cycle:
        shown["level"] = calendar.level_info(at)
    return shown


def _voting_info(view: _View) -> dict[str, object]:
    if not view.account.listed:
        return {}
    votes, own = view.state.amendment, view.account.pkh
    shown: dict[str, object] = {"voting_power": str(view.account.listed)}
    if votes.kind in ("exploration", "promotion") and own in votes.ballots:
        shown["current_ballot"] = votes.ballots[own]
    if votes.kind == "proposal":
        proposed = [proposal for proposal, supporters in votes.supporters.items() if own in supporters]
        if proposed:
            shown["current_proposals"] = sorted(proposed)
        if left := MAX_PROPOSALS - len(proposed):
            shown["remaining_proposals"] = left
    return shown


def _proposal_count(call: Call, block: Block) -> object:
    calendar_of(block)
    supporters = block.state.amendment.supporters.values()
    return sum(call.variables["pkh"] in those for those in supporters)


def _baking_power(view: _View) -> str:
    free = view.account.least_spendable(view.level, view.calendar)
    if view.rules.is_atlas:
        free = view.account.free
    adaptive = view.ledger.issuance_is_adaptive(view.cycle)
    weights = stakes([(view.account, free)], view.rules, adaptive=adaptive)
    return str(sum(delegate.stake for delegate in weights))


def _all_denunciations(call: Call, block: Block) -> object:
    calendar_of(block)
    pending = sorted(block.state.ledger.pending, key=lambda one: one.misbehaviour.delegate)
    return [{"slashed_delegate": one.misbehaviour.delegate, **_denunciation(one)} for one in pending]


def _denunciations(call: Call, block: Block) -> object:
    pending = block.state.ledger.pending
    return [_denunciation(one) for one in pending if one.misbehaviour.delegate == call.variables["pkh"]]


def _active_terms(call: Call, block: Block) -> object:
    """On which terms one stakes with somebody: of anybody, also of who is no delegate."""
    account = _anybody(call, block)
    return views.terms(*(NO_STAKERS if account is None else account.terms))


def _pending_terms(call: Call, block: Block) -> object:
    account = _anybody(call, block)
    pending = () if account is None else account.pending_terms
    return [{"cycle": cycle, "parameters": views.terms(*terms)} for cycle, terms in pending]


def _anybody(call: Call, block: Block) -> Account | None:
    calendar_of(block)
    return block.state.ledger.accounts.get(call.variables["pkh"])


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
    "full_balance": lambda view: str(views.full_balance(view, view.account)),
    "current_frozen_deposits": lambda view: str(view.account.frozen + view.account.staked),
    "frozen_deposits": _frozen_deposits,
    "unstaked_frozen_deposits": lambda view: views.unstaked_frozen_deposits(view, view.account),
    "staking_balance": lambda view: str(view.account.staking_balance),
    "frozen_deposits_limit": lambda view: None if view.account.limit is None else str(view.account.limit),
    "delegated_contracts": lambda view: views.delegated_contracts(view, view.account),
    "total_delegated_stake": lambda view: str(view.account.staked),
    "staking_denominator": lambda view: str(view.account.all_shares),
    "delegated_balance": lambda view: str(views.delegated_balance(view, view.account)),
    "deactivated": lambda view: views.is_deactivated(view, view.account),
    "grace_period": lambda view: view.account.active_until,
    "current_voting_power": lambda view: str(view.account.staking_balance),
    "voting_power": lambda view: str(view.account.listed),
    "current_baking_power": _baking_power,
    "voting_info": _voting_info,
    "consensus_key": lambda view: views.consensus_key(view.account),
    "participation": lambda view: views.participation(view, view.account),
    "stakers": lambda view: views.stakers(view, view.account),
}

_SINCE_BOREAS: Final[dict[str, Callable[[_View], object]]] = {
    "min_delegated_in_current_cycle": _least,
    "estimated_shared_pending_slashed_amount": _estimate,
}


def _not_registered(protocol: str, pkh: str, *, balance: bool) -> NodeError:
    error = protocol_error(protocol, TEMPORARY, "delegate.not_registered", {"pkh": pkh})
    if not balance:
        return error
    outer = "delegate_service.balance_rpc_on_non_delegate"
    return error.under(protocol_error(protocol, TEMPORARY, outer, {"pkh": pkh}).trace[0])
