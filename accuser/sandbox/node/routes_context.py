"""The RPCs of a block about what its ledger holds besides accounts and delegates.

Sources: ``lib_protocol/{alpha_services,adaptive_issuance_services,constants_services}.ml``,
``lib_plugin/RPC.ml`` (``Sc_rollup``, ``Dal``).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

from ..chain import views
from ..chain.block import Block
from ..chain.made import BUFFER, CPMM
from ..chain.parameters import FIXED_CONSTANTS
from ..chain.trace import PERMANENT, TEMPORARY, protocol_error
from . import issuance, query, seeds
from .node import Node
from .places import BLOCK, BlockHandle, calendar_of, on_block, rules_of, view_of
from .query import many, once
from .router import Call, Route, get, post

_CONTEXT: Final = BLOCK + "/context"
_ROLLUP: Final = _CONTEXT + "/smart_rollups/smart_rollup/{rollup}"
_COMMITMENT: Final = _ROLLUP + "/commitment/{commitment}"
_STAKER: Final = _ROLLUP + "/staker/{pkh}"
_TIMEOUT: Final = _ROLLUP + "/staker1/{pkh}/staker2/{other_pkh}"

_TREASURIES: Final = {
    True: "KT1VJEvWEGioku4LfAVusiZaGr9AXXWm4F9Q",
    False: "KT18vR1HXic9ajAwpDjBWipBqzs4djUe6Lx2",
}
"""By whether the protocol is Atlas; it exists on no chain of a sandbox."""

_CACHE_LIMIT: Final = 100_000_000


def routes(node: Node) -> list[Route]:
    served: dict[str, BlockHandle] = {
        "/constants": lambda call, block: calendar_of(block).parameters.constants(),
        "/constants/parametric": _parametric,
        "/total_supply": _on_money(lambda block: str(block.state.ledger.supply)),
        "/total_frozen_stake": _total_frozen_stake,
        "/adaptive_issuance_launch_cycle": _on_money(lambda block: block.state.ledger.launch_cycle),
        "/issuance/issuance_per_minute": _per_minute,
        "/issuance/current_yearly_rate": lambda call, block: issuance.decimal(_rate(block)),
        "/issuance/current_yearly_rate_exact": lambda call, block: issuance.exact(_rate(block)),
        "/issuance/current_yearly_rate_details": _rate_details,
        "/issuance/expected_issuance": _expected,
        "/liquidity_baking/cpmm_address": _on_money(lambda block: CPMM),
        "/protocol_treasury/address": _on_money(lambda block: _TREASURIES[rules_of(block).is_atlas]),
        "/protocol_treasury/buffer_address": _on_money(lambda block: BUFFER),
        # Contracts that ran: none does here.
        "/cache/contracts/all": _on_money(lambda block: []),
        "/cache/contracts/size": _on_money(lambda block: 0),
        "/cache/contracts/size_limit": _cache_limit,
        "/smart_rollups/all": _on_money(lambda block: []),
        "/nonces/{level}": _nonce,
        "/seed_computation": _computation(node),
    }
    return [
        *(get(_CONTEXT + path, on_block(node, handle)) for path, handle in served.items()),
        post(_CONTEXT + "/seed", on_block(node, _seed(node))),
        get(
            _CONTEXT + "/dal/shards",
            on_block(node, _shards),
            once("level", query.LEVEL),
            many("delegates", query.KEY_HASH),
        ),
        *_rollups(node),
    ]


def _on_money(show: Callable[[Block], object]) -> BlockHandle:
    def handle(call: Call, block: Block) -> object:
        calendar_of(block)
        return show(block)

    return handle


def _parametric(call: Call, block: Block) -> object:
    constants = calendar_of(block).parameters.constants()
    return {name: value for name, value in constants.items() if name not in FIXED_CONSTANTS}


def _total_frozen_stake(call: Call, block: Block) -> object:
    cycle = calendar_of(block).cycle(block.level)
    return str(sum(block.state.ledger.selections.get(cycle, {}).values()))


def _per_minute(call: Call, block: Block) -> object:
    return str(issuance.per_minute(view_of(block)))


def _rate(block: Block) -> Fraction:
    return issuance.yearly_rate(view_of(block))


def _rate_details(call: Call, block: Block) -> object:
    dynamic = issuance.dynamic_rate(view_of(block))
    return {"static": issuance.exact(_rate(block) - dynamic), "dynamic": issuance.exact(dynamic)}


def _expected(call: Call, block: Block) -> object:
    return issuance.expected(view_of(block))


def _cache_limit(call: Call, block: Block) -> object:
    return calendar_of(block).parameters.raw.get("cache_script_size", _CACHE_LIMIT)


def _nonce(call: Call, block: Block) -> object:
    return views.nonce(view_of(block), call.variables["level"])


def _seed(node: Node) -> BlockHandle:
    def handle(call: Call, block: Block) -> object:
        calendar = calendar_of(block)
        cycle = calendar.cycle(block.level)
        return seeds.seed(node.chain, block, calendar, rules_of(block), cycle).hex()

    return handle


def _computation(node: Node) -> BlockHandle:
    return lambda call, block: seeds.computation(node.chain, block, calendar_of(block), rules_of(block))


def _shards(call: Call, block: Block) -> object:
    """Which shards of data each delegate looks after: those of the numbers of its slots."""
    calendar, wanted = calendar_of(block), call.query["delegates"]
    layer = calendar.parameters.raw.get("dal_parametric", {})
    if not layer.get("feature_enable", False):
        raise protocol_error(block.state.protocol, PERMANENT, "dal_feature_disabled")
    level = block.level if call.query["level"] is None else call.query["level"]
    if level < calendar.first_level:
        raise protocol_error(block.state.protocol, PERMANENT, "level_not_in_alpha", {"level": level})
    seeds.check_known(block, calendar, rules_of(block), calendar.cycle(level))
    shards = range(int(layer["number_of_shards"]))
    shown = [
        {"delegate": pkh, "indexes": [slot for slot in slots if slot in shards]}
        for pkh, slots in sorted(calendar.slots(level).items(), reverse=True)
    ]
    return [one for one in shown if one["indexes"] and (not wanted or one["delegate"] in wanted)]


def _rollups(node: Node) -> list[Route]:
    """Nobody can originate a rollup, so every address is that of one which does not exist."""
    nothing: dict[str, object] = {
        _ROLLUP + "/whitelist": None,
        _ROLLUP + "/last_whitelist_update": None,
        _ROLLUP + "/stakers": [],
        _ROLLUP + "/inbox_level/{level}/commitments": None,
        _COMMITMENT + "/can_be_cemented": False,
        _STAKER + "/games": [],
        _TIMEOUT + "/timeout": None,
        _TIMEOUT + "/timeout_reached": None,
    }
    unknown = ("/kind", "/genesis_info", "/last_cemented_commitment_hash_with_level")
    served: dict[str, BlockHandle] = {path: _constant(value) for path, value in nothing.items()}
    served |= {_ROLLUP + path: _no_rollup for path in unknown}
    served |= {_COMMITMENT: _no_rollup, _COMMITMENT + "/stakers_indexes": _no_rollup}
    served |= {f"{_STAKER}/{name}": _not_staked for name in ("index", "staked_on_commitment", "conflicts")}
    return [get(path, on_block(node, handle)) for path, handle in served.items()]


def _constant(value: object) -> BlockHandle:
    return _on_money(lambda block: value)


def _no_rollup(call: Call, block: Block) -> object:
    calendar_of(block)
    fields = {"rollup": call.variables["rollup"]}
    raise protocol_error(block.state.protocol, TEMPORARY, "smart_rollup_does_not_exist", fields)


def _not_staked(call: Call, block: Block) -> object:
    calendar_of(block)
    raise protocol_error(block.state.protocol, TEMPORARY, "smart_rollup_not_staked")
