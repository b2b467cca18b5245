"""The RPCs of a block: what it is, and helpers that work on top of it.

Sources: ``src/lib_shell_services/block_services.ml``, ``lib_plugin/RPC.ml`` of the protocols.
"""

from __future__ import annotations

from typing import Any, Final

from ..._http.server import Answer, HttpFailure
from ..._mavryk.codec.base58 import (
    Base58Error,
    Kind,
    decode,
    encode,
)
from ..._mavryk.codec.fields import Fields, ForgeError
from ..._mavryk.codec.forge import ProtocolData, parse_timestamp, rfc3339
from ..._mavryk.codec.operations import Operation
from ..chain import preapply
from ..chain.activation import ZERO_SIGNATURE, Activation
from ..chain.block import Block
from ..chain.chain import UnknownBlock
from ..chain.parameters import Calendar
from . import render, routes_ledger
from .node import Node
from .router import Call, Handle, Router, check_chain
from .routes_ledger import BlockHandle
from .votes import VOTES, ShowVotes

ROOT: Final = "/chains/{chain}/blocks/{block}"
MAX_ROUND: Final = 64
"""How many rounds the baking rights tell unless asked otherwise."""

_EXTRA: Final = ("protocol", "chain_id", "hash")
"""Fields that operations may have in requests beside their own."""


def register(routes: Router, node: Node) -> None:
    """Add the RPCs."""
    shown, helpers = _Shown(node), _Helpers(node)
    paths: dict[str, BlockHandle] = {
        "": shown.block,
        "/hash": lambda call, block: block.hash,
        "/header": lambda call, block: render.header(node.chain, block),
        "/header/raw": lambda call, block: block.header.to_bytes().hex(),
        "/header/shell": lambda call, block: block.header.shell.to_json(),
        "/header/protocol_data": shown.protocol_data,
        "/header/protocol_data/raw": lambda call, block: block.header.protocol_data.hex(),
        "/protocols": lambda call, block: {
            "protocol": block.protocol,
            "next_protocol": block.state.protocol,
        },
        "/resulting_context_hash": lambda call, block: block.resulting_context,
        "/metadata": lambda call, block: render.metadata(node.chain, block),
        "/operations": shown.operations,
        "/operations/{pass}": shown.operations,
        "/operations/{pass}/{index}": shown.operations,
        "/operation_hashes": shown.operation_hashes,
        "/operation_hashes/{pass}": shown.operation_hashes,
        "/operation_hashes/{pass}/{index}": shown.operation_hashes,
        "/live_blocks": lambda call, block: sorted(node.chain.live_blocks(block)),
        "/helpers/round": lambda call, block: block.round,
        "/helpers/current_level": helpers.current_level,
        "/helpers/validators": helpers.validators,
        "/helpers/baking_rights": helpers.baking_rights,
        "/context/constants": helpers.constants,
        **routes_ledger.paths(),
        **{f"/votes/{name}": _vote(show) for name, show in VOTES.items()},
    }
    for path, handle in paths.items():
        routes.add("GET", ROOT + path, _on_block(node, handle))
    routes.add("POST", ROOT + "/helpers/forge/operations", _on_block(node, helpers.forge_operations))
    routes.add("POST", ROOT + "/helpers/preapply/block", _on_block(node, helpers.preapply_block))
    routes.add("GET", "/chains/{chain}/blocks", _on_block(node, shown.heads))


def _on_block(node: Node, handle: BlockHandle) -> Handle:
    def handle_call(call: Call) -> object:
        if not check_chain(node.chain.network.chain_id, call.variables["chain"]):
            return Answer(404, b"")
        try:
            block = node.chain.resolve(call.variables.get("block", "head"))
        except ValueError as error:
            raise HttpFailure(400, f"Cannot parse block identifier: {error}\n") from error
        return handle(call, block)

    return handle_call


class _Shown:
    def __init__(self, node: Node) -> None:
        self.chain = node.chain
        self.node = node

    def block(self, call: Call, block: Block) -> object:
        legacy = call.version("0", "1", default=1) == 0
        value = render.full_block(self.chain, block, legacy=legacy)
        if call.request.query.get("metadata") == ["never"]:
            _drop_receipts(value["operations"])
        return value

    def protocol_data(self, call: Call, block: Block) -> object:
        shell = block.header.shell.to_json()
        data = {name: value for name, value in render.raw_header(block).items() if name not in shell}
        return {"protocol": block.protocol, **data}

    def operations(self, call: Call, block: Block) -> object:
        legacy = call.version("0", "1", default=1) == 0
        operations = render.operations(self.chain, block, legacy=legacy)
        if call.request.query.get("metadata") == ["never"]:
            _drop_receipts(operations)
        return _part(call, operations)

    def operation_hashes(self, call: Call, block: Block) -> object:
        return _part(call, [[operation.hash for operation in passed] for passed in block.operations])

    def heads(self, call: Call, block: Block) -> object:
        length = call.field("length", int, 1)
        return [[below.hash for below, _ in zip(self.chain.branch(block), range(length), strict=False)]]


class _Helpers:
    def __init__(self, node: Node) -> None:
        self.chain = node.chain

    def current_level(self, call: Call, block: Block) -> object:
        return _calendar(block).level_info(block.level + call.field("offset", int, 0))

    def constants(self, call: Call, block: Block) -> object:
        return _calendar(block).parameters.constants()

    def validators(self, call: Call, block: Block) -> object:
        calendar = _calendar(block)
        wanted = _delegates(call)
        return [
            entry
            for level in _levels(call, block.level)
            for entry in render.validators(level, calendar.slots(level), calendar.parameters.rights.delegates)
            if wanted is None or entry["delegate"] in wanted
        ]

    def baking_rights(self, call: Call, block: Block) -> object:
        calendar = _calendar(block)
        every = call.flag("all")
        rounds = min(call.field("max_round", int, MAX_ROUND), calendar.parameters.rights.committee_size)
        wanted = _delegates(call)
        rights = []
        for level in _levels(call, block.level + 1):
            seen: set[str] = set()
            for at_round in range(rounds + 1):
                baker = calendar.baker(level, at_round)
                if baker is None or (baker.pkh in seen and not every):
                    continue
                seen.add(baker.pkh)
                if wanted is not None and baker.pkh not in wanted:
                    continue
                right: dict[str, Any] = {"level": level, "delegate": baker.pkh, "round": at_round}
                if level > block.level:
                    right["estimated_time"] = rfc3339(_estimate(calendar, block, level, at_round))
                rights.append({**right, "consensus_key": baker.pkh})
        return rights

    def forge_operations(self, call: Call, block: Block) -> object:
        return Operation.from_json(call.request.json(), ignore=_EXTRA).unsigned_bytes().hex()

    def preapply_block(self, call: Call, block: Block) -> object:
        sort = call.flag("sort")
        timestamp = call.field("timestamp", parse_timestamp, block.header.shell.timestamp)
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


def _calendar(block: Block) -> Calendar:
    if block.state.calendar is None:
        # Upstream has no such RPC before a protocol with delegates is active.
        raise UnknownBlock(block.hash)
    return block.state.calendar


def _levels(call: Call, default: int) -> list[int]:
    """The levels asked for, each once, in their order whatever the query's."""
    return sorted(set(call.fields("level", _level))) or [default]


def _delegates(call: Call) -> set[str] | None:
    """Those that both filters let through, each delegate being its own consensus key; None for all."""
    named = [set(call.fields(name, _public_key_hash)) for name in ("delegate", "consensus_key")]
    return set.intersection(*filter(None, named)) if any(named) else None


def _public_key_hash(text: str) -> str:
    for kind in (Kind.MV1, Kind.MV2, Kind.MV3):
        try:
            decode(kind, text)
        except Base58Error:
            continue
        return text
    raise ValueError(f"{text[:100]!r} is no public key hash")


def _vote(show: ShowVotes) -> BlockHandle:
    return lambda call, block: show(block, _calendar(block))


def _level(text: str) -> int:
    level = int(text)
    if not 0 <= level < 2**31:
        raise ValueError(text)
    return level


def _operations(values: object) -> list[Operation]:
    if not isinstance(values, list):
        raise ForgeError("/operations", "not a list of lists")
    operations = [Operation.from_json(value, ignore=_EXTRA) for value in values]
    if any(operation.signature is None for operation in operations):
        raise ForgeError("/operations", "an operation has no signature")
    return operations


def _part(call: Call, value: list[Any]) -> object:
    part: Any = value
    for name in ("pass", "index"):
        if name in call.variables:
            text = call.variables[name]
            if not text.isdecimal():
                raise HttpFailure(400, f"Invalid list offset ({text})\n")
            if int(text) >= len(part):
                raise UnknownBlock(text)
            part = part[int(text)]
    return part


def _drop_receipts(operations: list[list[dict[str, Any]]]) -> None:
    for passed in operations:
        for operation in passed:
            for content in operation["contents"]:
                del content["metadata"]
