"""The RPCs of a block about delegates: what they own, how they vote, and what they are accused of.

Amounts are texts, in mumav. Sources: ``lib_protocol/{delegate_services,voting_services}.ml``,
``lib_plugin/RPC.ml``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from ..._mavryk.codec.votes import MAX_PROPOSALS
from ..chain import slashing
from ..chain.block import Block
from ..chain.economy import Economy
from ..chain.ledger import Account, Denunciation, Ledger, stakes
from ..chain.parameters import MAX_SLASHING_PERIOD, Calendar
from ..chain.state import State
from ..chain.trace import TEMPORARY, NodeError, protocol_error
from . import participation
from .node import Node
from .places import BLOCK, BlockHandle, calendar_of, on_block, rules_of, since_boreas
from .query import flag
from .router import Call, Route, get

_NO_STAKERS: Final = {
    "limit_of_staking_over_baking_millionth": 0,
    "edge_of_baking_over_staking_billionth": 1_000_000_000,
}


_LISTED: Final = ("active", "inactive", "with_minimal_stake", "without_minimal_stake")


def routes(node: Node) -> list[Route]:
    delegates = BLOCK + "/context/delegates"
    served = {
        "": _on_delegate(_info),
        "/is_forbidden": since_boreas(_is_forbidden),
        "/denunciations": since_boreas(_denunciations),
        "/active_staking_parameters": _of_anybody(_NO_STAKERS),
        "/pending_staking_parameters": _of_anybody([]),
        "/participation": _participation(node),
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
class _View:
    """A delegate, as a block left it."""

    account: Account
    state: State
    calendar: Calendar
    rules: Economy
    level: int

    @property
    def ledger(self) -> Ledger:
        return self.state.ledger

    @property
    def cycle(self) -> int:
        return self.calendar.cycle(self.level)


def _list(call: Call, block: Block) -> object:
    ledger, rules = block.state.ledger, rules_of(block)
    active, inactive = call.query["active"], call.query["inactive"]
    rich, poor = call.query["with_minimal_stake"], call.query["without_minimal_stake"]
    return [
        one.pkh
        for one in reversed(ledger.delegates())
        # Nobody is deactivated here. Both filters of a pair together mean none.
        if (active or not inactive) and (rich == poor or (one.total >= rules.minimal_stake) == rich)
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
    return _View(account, state, calendar_of(block), rules, block.level)


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


def _participation(node: Node) -> BlockHandle:
    def handle(call: Call, block: Block) -> object:
        view = _view(call, block)
        return participation.of_delegate(node.chain, block, view.calendar, view.rules, view.account.pkh)

    return handle


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
    calendar_of(block)
    pending = sorted(block.state.ledger.pending, key=lambda one: one.misbehaviour.delegate)
    return [{"slashed_delegate": one.misbehaviour.delegate, **_denunciation(one)} for one in pending]


def _denunciations(call: Call, block: Block) -> object:
    pending = block.state.ledger.pending
    return [_denunciation(one) for one in pending if one.misbehaviour.delegate == call.variables["pkh"]]


def _of_anybody(value: object) -> BlockHandle:
    """What holds for every public key hash, whether it is a delegate or not."""

    def handle(call: Call, block: Block) -> object:
        calendar_of(block)
        return value

    return handle


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
    "stakers": lambda view: [{"staker": view.account.pkh, "frozen_deposits": str(view.account.frozen)}],
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
