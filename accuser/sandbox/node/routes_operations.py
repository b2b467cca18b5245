"""The RPCs that clients ask before they inject an operation: forging, parsing, simulation.

Sources: ``lib_plugin/RPC.ml`` (``Scripts``, ``Parse``), ``src/lib_shell_services/block_services.ml``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..._mavryk.codec.base58 import Kind, decode
from ..._mavryk.codec.fields import Fields, ForgeError
from ..._mavryk.codec.forge import BlockHeader, ProtocolData
from ..._mavryk.codec.operations import Operation
from ..chain.block import Block
from ..chain.simulation import signed_anyhow, simulate
from . import render
from .node import Node, parse_operation
from .places import BLOCK, BlockHandle, calendar_of, on_block
from .query import Parameter, flag, versions
from .router import Call, Route, post

_EXTRA: Final = ("protocol", "chain_id", "hash")
"""Fields that operations may have in requests beside their own."""

_VERSION: Final = versions((0, "(deprecated)"), (1, "(default)"), default=1)


def routes(node: Node) -> list[Route]:
    """The RPCs."""
    helpers = _Operations(node)
    served: list[tuple[str, BlockHandle, tuple[Parameter, ...]]] = [
        ("/parse/operations", helpers.parse_operations, (_VERSION,)),
        ("/parse/block", helpers.parse_block, ()),
        ("/preapply/operations", helpers.preapply, (_VERSION,)),
        ("/scripts/run_operation", helpers.run, (_VERSION,)),
        ("/scripts/simulate_operation", helpers.simulate, (_VERSION, flag("successor_level"))),
    ]
    return [
        post(f"{BLOCK}/helpers{path}", on_block(node, handle), *parameters)
        for path, handle, parameters in served
    ] + [
        post(
            "/chains/{chain}/blocks/{block}/helpers/forge_block_header",
            on_block(node, helpers.forge_block_header),
        ),
        post(f"{BLOCK}/helpers/forge/protocol_data", on_block(node, helpers.forge_protocol_data)),
    ]


class _Operations:
    def __init__(self, node: Node) -> None:
        self.network = node.chain.network

    def parse_operations(self, call: Call, block: Block) -> object:
        legacy = call.query["version"] == 0
        fields = Fields(call.request.json())
        operations = [_raw(value, at) for at, value in enumerate(fields.items("operations"))]
        if fields.has("check_signature"):
            # Upstream does not check any either.
            fields.value("check_signature")
        fields.end()
        shown = [render.signed(operation) for operation in operations]
        return [render.legacy_names(one) for one in shown] if legacy else shown

    def parse_block(self, call: Call, block: Block) -> object:
        header = BlockHeader.from_shell_json(call.request.json())
        return ProtocolData.from_bytes(header.protocol_data).to_json()

    def forge_block_header(self, call: Call, block: Block) -> object:
        return {"block": BlockHeader.from_shell_json(call.request.json()).to_bytes().hex()}

    def forge_protocol_data(self, call: Call, block: Block) -> object:
        calendar_of(block)
        fields = Fields(call.request.json())
        votes = ("pass", "pass")
        if fields.has("per_block_votes"):
            given = Fields(fields.value("per_block_votes"), "/per_block_votes")
            votes = given.text("liquidity_baking_vote"), given.text("adaptive_issuance_vote")
            given.end()
        data = ProtocolData(
            payload_hash=fields.hash(Kind.PAYLOAD, "payload_hash"),
            payload_round=fields.integer("payload_round", 0, 2**31 - 1),
            proof_of_work_nonce=fields.hex("proof_of_work_nonce")
            if fields.has("proof_of_work_nonce")
            else bytes(8),
            seed_nonce_hash=fields.hash(Kind.NONCE, "nonce_hash") if fields.has("nonce_hash") else None,
            liquidity_baking_toggle_vote=votes[0],
            adaptive_issuance_vote=votes[1],
            signature=bytes(64),
        )
        fields.end()
        return {"protocol_data": data.unsigned_bytes().hex()}

    def preapply(self, call: Call, block: Block) -> object:
        legacy = call.query["version"] == 0
        values = call.request.json()
        if not isinstance(values, list):
            raise ForgeError("/", "not a list")
        operations = [signed_anyhow(Operation.from_json(value, ignore=_EXTRA)) for value in values]
        results = simulate(self.network, block.state, operations, block.level + 1, signed=True)
        return [
            _with_metadata(operation, metadata, legacy=legacy)
            for operation, metadata in zip(operations, results, strict=True)
        ]

    def run(self, call: Call, block: Block) -> object:
        legacy = call.query["version"] == 0
        fields = Fields(call.request.json())
        return self._run(fields, block, block.level, legacy=legacy)

    def simulate(self, call: Call, block: Block) -> object:
        legacy = call.query["version"] == 0
        level = block.level + (1 if call.query["successor_level"] else 0)
        fields = Fields(call.request.json())
        # They only say how warm the cache of scripts will be.
        for name, most in (("latency", 2**15 - 1), ("blocks_before_activation", 2**31 - 1)):
            if fields.has(name):
                fields.integer(name, -most - 1, most)
        return self._run(fields, block, level, legacy=legacy)

    def _run(self, fields: Fields, block: Block, level: int, *, legacy: bool) -> object:
        operation = Operation.from_json(fields.value("operation"), ignore=_EXTRA)
        fields.hash(Kind.CHAIN, "chain_id")
        fields.end()
        (metadata,) = simulate(self.network, block.state, [signed_anyhow(operation)], level, signed=False)
        return _with_metadata(operation, metadata, legacy=legacy)


def _raw(value: object, position: int) -> Operation:
    fields = Fields(value, f"/operations/{position}")
    branch, data = fields.hash(Kind.BLOCK, "branch"), fields.hex("data")
    fields.end()
    return parse_operation(decode(Kind.BLOCK, branch) + data)


def _with_metadata(operation: Operation, metadata: Sequence[dict[str, Any]], *, legacy: bool) -> object:
    value = render.signed(operation)
    for content, receipt in zip(value["contents"], metadata, strict=True):
        content["metadata"] = receipt
    shown = render.legacy_names(value) if legacy else value
    return {name: shown[name] for name in ("contents", "signature") if name in shown}
