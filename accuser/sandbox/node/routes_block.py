"""The RPCs of a block: what it is, and helpers that work on top of it.

Sources: ``src/lib_shell_services/block_services.ml``, ``lib_plugin/RPC.ml`` of the protocols.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from ..._http.server import HttpFailure
from ..._mavryk.codec.base58 import Kind, encode
from ..._mavryk.codec.fields import Fields, ForgeError
from ..._mavryk.codec.forge import ProtocolData, rfc3339
from ..._mavryk.codec.operations import Operation
from ..chain import preapply
from ..chain.activation import ZERO_SIGNATURE, Activation
from ..chain.block import Block
from ..chain.chain import UnknownBlock
from ..chain.parameters import Calendar
from ..chain.rights import Delegate
from ..chain.trace import PERMANENT, protocol_error
from . import metadata_hashes, query, render, seeds
from .node import Node
from .places import BLOCK, BlockHandle, calendar_of, on_block, rules_of
from .query import Parameter, flag, many, once, versions
from .router import Call, Route, get, post
from .votes import VOTES, ShowVotes

MAX_ROUND: Final = 64
"""How many rounds the baking rights tell unless asked otherwise."""

_EXTRA: Final = ("protocol", "chain_id", "hash")
"""Fields that operations may have in requests beside their own."""

_VERSION: Final = versions((0, "(deprecated)"), (1, "(default)"), default=1)
_METADATA: Final = (_VERSION, flag("force_metadata"), once("metadata", query.METADATA))
_DELEGATES: Final = (many("delegate", query.KEY_HASH), many("consensus_key", query.KEY_HASH))
_LEVELS: Final = many("level", query.LEVEL)
_RIGHTS: Final = (_LEVELS, once("cycle", query.CYCLE), *_DELEGATES)


def routes(node: Node) -> list[Route]:
    shown, helpers = _Shown(node), _Helpers(node)
    plain: dict[str, BlockHandle] = {
        "/hash": lambda call, block: block.hash,
        "/header": lambda call, block: render.header(node.chain, block),
        "/header/raw": lambda call, block: block.header.to_bytes().hex(),
        "/header/shell": lambda call, block: block.header.shell.to_json(),
        "/header/protocol_data": shown.protocol_data,
        "/header/protocol_data/raw": lambda call, block: block.header.protocol_data.hex(),
        "/protocols": lambda call, block: {"protocol": block.protocol, "next_protocol": block.state.protocol},
        "/resulting_context_hash": lambda call, block: block.resulting_context,
        "/metadata_hash": shown.metadata_hash,
        "/operations_metadata_hash": shown.operations_metadata_hash,
        "/live_blocks": lambda call, block: sorted(node.chain.live_blocks(block)),
        "/helpers/round": lambda call, block: block.round,
        "/helpers/complete/{prefix}": helpers.complete,
        **{f"/votes/{name}": _vote(show) for name, show in VOTES.items()},
    }
    parts = ("", "/{pass}", "/{pass}/{index}")
    for part in parts:
        plain["/operation_hashes" + part] = shown.operation_hashes
        plain["/operation_metadata_hashes" + part] = shown.operation_metadata_hashes
    asked: list[tuple[str, BlockHandle, tuple[Parameter, ...]]] = [
        ("", shown.block, _METADATA),
        *(("/operations" + part, shown.operations, _METADATA) for part in parts),
        ("/metadata", shown.metadata, (_VERSION,)),
        ("/helpers/current_level", helpers.current_level, (once("offset", query.INT32, 0),)),
        ("/helpers/levels_in_current_cycle", helpers.levels, (once("offset", query.INT32, 0),)),
        ("/helpers/validators", helpers.validators, (_LEVELS, *_DELEGATES)),
        ("/helpers/attestation_rights", helpers.attestation_rights, _RIGHTS),
        (
            "/helpers/baking_rights",
            helpers.baking_rights,
            (*_RIGHTS, once("max_round", query.UINT), flag("all")),
        ),
    ]
    block_time = once("timestamp", query.DATE)
    return [
        *(get(BLOCK + path, on_block(node, handle)) for path, handle in plain.items()),
        *(get(BLOCK + path, on_block(node, handle), *parameters) for path, handle, parameters in asked),
        post(BLOCK + "/helpers/forge/operations", on_block(node, helpers.forge_operations)),
        post(
            BLOCK + "/helpers/preapply/block",
            on_block(node, helpers.preapply_block),
            flag("sort"),
            block_time,
        ),
    ]


class _Shown:
    def __init__(self, node: Node) -> None:
        self.chain = node.chain
        self.node = node

    def block(self, call: Call, block: Block) -> object:
        value = render.full_block(self.chain, block, legacy=call.query["version"] == 0)
        if call.query["metadata"] == "never":
            _drop_receipts(value["operations"])
        return value

    def metadata(self, call: Call, block: Block) -> object:
        value = render.metadata(self.chain, block)
        return render.legacy_categories(value) if call.query["version"] == 0 else value

    def protocol_data(self, call: Call, block: Block) -> object:
        shell = block.header.shell.to_json()
        data = {name: value for name, value in render.raw_header(block).items() if name not in shell}
        return {"protocol": render.protocol_of(block), **data}

    def operations(self, call: Call, block: Block) -> object:
        operations = render.operations(self.chain, block, legacy=call.query["version"] == 0)
        if call.query["metadata"] == "never":
            _drop_receipts(operations)
        return _part(call, operations)

    def operation_hashes(self, call: Call, block: Block) -> object:
        return _part(call, [[operation.hash for operation in passed] for passed in block.operations])

    def operation_metadata_hashes(self, call: Call, block: Block) -> object:
        return _part(call, metadata_hashes.of_operations(block, render.operations(self.chain, block)))

    def operations_metadata_hash(self, call: Call, block: Block) -> object:
        return metadata_hashes.of_all(block, render.operations(self.chain, block))

    def metadata_hash(self, call: Call, block: Block) -> object:
        return metadata_hashes.of_block(block, render.metadata(self.chain, block))


class _Helpers:
    def __init__(self, node: Node) -> None:
        self.chain = node.chain

    def current_level(self, call: Call, block: Block) -> object:
        calendar, offset = calendar_of(block), call.query["offset"]
        if offset < 0:
            raise protocol_error(block.state.protocol, PERMANENT, "negative_level_offset")
        level = block.level + offset
        if level >= 2**31:
            fields = {"level": block.level, "offset": offset}
            raise protocol_error(block.state.protocol, PERMANENT, "negative_level_and_offset_sum", fields)
        return calendar.level_info(level)

    def levels(self, call: Call, block: Block) -> object:
        calendar = calendar_of(block)
        cycle = calendar.cycle(block.level) + call.query["offset"]
        if cycle < 0:
            raise UnknownBlock(str(cycle))
        levels = calendar.levels(cycle)
        return {"first": levels[0], "last": levels[-1]}

    def validators(self, call: Call, block: Block) -> object:
        calendar = calendar_of(block)
        wanted = _filter(call)
        return [
            entry
            for level in _levels(call, block, block.level)
            for entry in render.validators(
                level, calendar.slots(level), filter(wanted, calendar.rights(calendar.cycle(level)).delegates)
            )
        ]

    def attestation_rights(self, call: Call, block: Block) -> object:
        calendar = calendar_of(block)
        # Either filter lets somebody through here.
        wanted, keys = set(call.query["delegate"]), set(call.query["consensus_key"])
        every = not wanted and not keys
        rights = []
        for level in _levels(call, block, block.level):
            slots = calendar.slots(level)
            owners = [one for one in calendar.rights(calendar.cycle(level)).delegates if one.pkh in slots]
            delegates = [
                {
                    "delegate": one.pkh,
                    "first_slot": slots[one.pkh][0],
                    "attestation_power": len(slots[one.pkh]),
                    "consensus_key": one.consensus_pkh,
                }
                for one in sorted(owners, key=lambda one: slots[one.pkh][0], reverse=True)
                if every or one.pkh in wanted or one.consensus_pkh in keys
            ]
            right: dict[str, Any] = {"level": level, "delegates": delegates}
            if level > block.level:
                right["estimated_time"] = rfc3339(_estimate(calendar, block, level, 0))
            if delegates or every:
                rights.append(right)
        return rights

    def baking_rights(self, call: Call, block: Block) -> object:
        calendar, every = calendar_of(block), call.query["all"]
        asked, most = call.query["max_round"], calendar.parameters.rights.committee_size
        rounds = MAX_ROUND if asked is None else min(asked, most)
        wanted = _filter(call)
        rights = []
        for level in _levels(call, block, block.level + 1):
            seen: set[str] = set()
            for at_round in range(rounds + 1):
                baker = calendar.baker(level, at_round)
                if baker is None or (baker.pkh in seen and not every):
                    continue
                seen.add(baker.pkh)
                if not wanted(baker):
                    continue
                right: dict[str, Any] = {"level": level, "delegate": baker.pkh, "round": at_round}
                if level > block.level:
                    right["estimated_time"] = rfc3339(_estimate(calendar, block, level, at_round))
                rights.append({**right, "consensus_key": baker.consensus_pkh})
        return rights

    def complete(self, call: Call, block: Block) -> object:
        """Hashes of blocks, operations and protocols that begin with some characters."""
        prefix, known = call.variables["prefix"], {block.protocol, block.state.protocol}
        for each in self.chain.branch(block):
            known.add(each.hash)
            known |= each.operation_hashes
        known |= set(block.state.ledger.accounts)
        return sorted(text for text in known if text.startswith(prefix))

    def forge_operations(self, call: Call, block: Block) -> object:
        return Operation.from_json(call.request.json(), ignore=_EXTRA).unsigned_bytes().hex()

    def preapply_block(self, call: Call, block: Block) -> object:
        sort, timestamp = call.query["sort"], call.query["timestamp"]
        timestamp = block.header.shell.timestamp if timestamp is None else timestamp
        fields = Fields(call.request.json())
        data = fields.value("protocol_data")
        passes = fields.items("operations")
        fields.end()
        if block.state.calendar is None:
            activation = Activation.from_json(data)
            return render.construction(
                preapply.construct_activation(self.chain.network, block, activation, timestamp)
            )
        if isinstance(data, dict) and "signature" not in data:
            data = {**data, "signature": encode(Kind.SIGNATURE, ZERO_SIGNATURE)}
        protocol_data = ProtocolData.from_json(data, ignore=("protocol",))
        operations = [_operations(passed) for passed in passes]
        return render.construction(
            preapply.construct(self.chain, block, protocol_data, timestamp, operations, sort=sort)
        )


def _estimate(calendar: Calendar, block: Block, level: int, at_round: int) -> int:
    """When a round of a later level begins, if the levels between are all baked at round 0."""
    parameters = calendar.parameters
    time, before = block.header.shell.timestamp, block.round
    if level > block.level + 1:
        time, before = parameters.timestamp(time, before, 0), 0
        time += (level - block.level - 2) * parameters.round_duration(0)
    return parameters.timestamp(time, before, at_round)


def _levels(call: Call, block: Block, default: int) -> list[int]:
    """The levels asked for, each once, in their order whatever the query's.

    Raises:
        NodeError: a level is in a cycle whose rights are not known.
        HttpFailure: a level is below the first one of the chain.
    """
    calendar, wanted = calendar_of(block), set(call.query["level"])
    cycle = call.query.get("cycle")
    if cycle is not None:
        seeds.check_known(block, calendar, rules_of(block), cycle)
        wanted.update(calendar.levels(cycle))
    levels = sorted(wanted) or [default]
    if levels[0] < calendar.first_level:
        # An assertion of the protocol fails.
        raise HttpFailure(500, "(Assert_failure src/proto/lib_protocol/level_repr.ml)")
    for level in levels:
        seeds.check_known(block, calendar, rules_of(block), calendar.cycle(level))
    return levels


def _filter(call: Call) -> Callable[[Delegate], bool]:
    """Who is let through by both filters."""
    delegates, keys = call.query["delegate"], call.query["consensus_key"]
    return lambda one: (not delegates or one.pkh in delegates) and (not keys or one.consensus_pkh in keys)


def _vote(show: ShowVotes) -> BlockHandle:
    return lambda call, block: show(block, calendar_of(block))


def _operations(values: object) -> list[Operation]:
    if not isinstance(values, list):
        raise ForgeError("/operations", "not a list of lists")
    operations = (Operation.from_json(value, ignore=_EXTRA) for value in values)
    # No signature has the bytes of one of zeros.
    return [
        one if one.signature is not None else attrs.evolve(one, signature=ZERO_SIGNATURE)
        for one in operations
    ]


def _part(call: Call, value: list[Any]) -> object:
    part: Any = value
    for name in ("pass", "index"):
        if name in call.variables:
            index = call.variables[name]
            if not 0 <= index < len(part):
                raise UnknownBlock(str(index))
            part = part[index]
    return part


def _drop_receipts(operations: list[list[dict[str, Any]]]) -> None:
    for passed in operations:
        for operation in passed:
            for content in operation["contents"]:
                del content["metadata"]
