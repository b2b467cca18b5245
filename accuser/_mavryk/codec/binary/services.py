"""The RPCs that have a binary form: which description their request, answer or items have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from . import blocks, operations, reads, words
from .schema import AMOUNT, INT32, LEVEL, LONG, Nullable, Schema, listed

_CONTEXT: Final = "/chains/{}/blocks/{}/context"
_BLOCK: Final = "/chains/{}/blocks/{}"


@attrs.frozen
class Service:
    """What one RPC speaks."""

    answer: Schema
    """Of the answer, or of each item of a stream."""
    request: Schema | None = None


_GET: Final[Mapping[str, Schema]] = {
    "/monitor/bootstrapped": blocks.BOOTSTRAPPED,
    "/monitor/heads/{}": blocks.HEAD,
    "/monitor/applied_blocks": blocks.APPLIED,
    "/monitor/validated_blocks": blocks.APPLIED,
    "/monitor/protocols": words.PROTOCOL,
    "/version": reads.VERSION,
    "/protocols": blocks.ANY_PROTOCOLS,
    "/network/self": words.PEER,
    "/network/connections": reads.CONNECTIONS,
    "/network/points": reads.POINTS,
    "/chains/{}/chain_id": words.CHAIN,
    "/chains/{}/is_bootstrapped": reads.IS_BOOTSTRAPPED,
    "/chains/{}/levels/caboose": blocks.WATERMARK,
    "/chains/{}/levels/checkpoint": blocks.WATERMARK,
    "/chains/{}/levels/savepoint": blocks.WATERMARK,
    "/chains/{}/mempool/pending_operations": reads.PENDING,
    "/chains/{}/mempool/monitor_operations": listed(operations.MONITORED),
    "/chains/{}/blocks": blocks.HEADS,
    _BLOCK: blocks.BLOCK_INFO,
    f"{_BLOCK}/hash": words.BLOCK,
    f"{_BLOCK}/header": blocks.HEADER,
    f"{_BLOCK}/header/shell": blocks.SHELL_HEADER,
    f"{_BLOCK}/header/raw": words.RAW_BYTES,
    f"{_BLOCK}/header/protocol_data": blocks.DATA,
    f"{_BLOCK}/header/protocol_data/raw": words.RAW_BYTES,
    f"{_BLOCK}/metadata": blocks.METADATA,
    f"{_BLOCK}/operations": blocks.PASSES,
    f"{_BLOCK}/operations/{{}}": blocks.PASS,
    f"{_BLOCK}/operations/{{}}/{{}}": operations.IN_BLOCK,
    f"{_BLOCK}/operation_hashes": blocks.HASHES_OF_PASSES,
    f"{_BLOCK}/operation_hashes/{{}}": blocks.HASHES,
    f"{_BLOCK}/operation_hashes/{{}}/{{}}": words.OPERATION,
    f"{_BLOCK}/protocols": blocks.PROTOCOLS,
    f"{_BLOCK}/resulting_context_hash": words.CONTEXT,
    f"{_BLOCK}/live_blocks": blocks.LIVE,
    f"{_BLOCK}/helpers/baking_rights": reads.BAKING_RIGHTS,
    f"{_BLOCK}/helpers/current_level": blocks.LEVEL_INFO,
    f"{_BLOCK}/helpers/round": LEVEL,
    f"{_BLOCK}/helpers/validators": reads.VALIDATORS,
    f"{_BLOCK}/votes/ballot_list": reads.BALLOT_LIST,
    f"{_BLOCK}/votes/ballots": reads.BALLOTS,
    f"{_BLOCK}/votes/current_period": blocks.PERIOD_INFO,
    f"{_BLOCK}/votes/current_proposal": Nullable(words.PROTOCOL),
    f"{_BLOCK}/votes/current_quorum": INT32,
    f"{_BLOCK}/votes/listings": reads.LISTINGS,
    f"{_BLOCK}/votes/proposals": reads.PROPOSALS,
    f"{_BLOCK}/votes/successor_period": blocks.PERIOD_INFO,
    f"{_BLOCK}/votes/total_voting_power": LONG,
    f"{_CONTEXT}/constants": reads.CONSTANTS,
    f"{_CONTEXT}/denunciations": reads.DENUNCIATIONS,
    f"{_CONTEXT}/delegates": listed(words.KEY_HASH),
    f"{_CONTEXT}/delegates/{{}}": reads.DELEGATE,
    f"{_CONTEXT}/contracts/{{}}/balance": AMOUNT,
    f"{_CONTEXT}/contracts/{{}}/full_balance": AMOUNT,
    f"{_CONTEXT}/contracts/{{}}/staked_balance": Nullable(AMOUNT),
    **{f"{_CONTEXT}/delegates/{{}}/{name}": schema for name, schema in reads.DELEGATE_PARTS.items()},
}
_POST: Final[Mapping[str, Service]] = {
    f"{_BLOCK}/helpers/forge/operations": Service(words.RAW_BYTES, operations.TO_FORGE),
    f"{_BLOCK}/helpers/preapply/block": Service(blocks.CONSTRUCTED, blocks.TO_CONSTRUCT),
    "/injection/block": Service(words.BLOCK, blocks.TO_INJECT),
    "/injection/operation": Service(words.OPERATION, words.RAW_BYTES),
    "/private/injection/operation": Service(words.OPERATION, words.RAW_BYTES),
}


@attrs.define(eq=False, repr=False)
class _Place:
    """A place in the tree of paths."""

    parts: dict[str, _Place] = attrs.field(factory=dict)
    service: Service | None = None


def _tree(services: Mapping[str, Service]) -> _Place:
    root = _Place()
    for path, service in services.items():
        place = root
        for part in path.strip("/").split("/"):
            place = place.parts.setdefault(part, _Place())
        place.service = service
    return root


_TREES: Final = {
    "GET": _tree({path: Service(schema) for path, schema in _GET.items()}),
    "POST": _tree(_POST),
}


def service(method: str, path: str) -> Service | None:
    """What an RPC speaks, by its path, a query included or not; None if it has no binary form here."""
    place = _TREES.get(method)
    for part in path.partition("?")[0].strip("/").split("/"):
        if place is None:
            return None
        place = place.parts.get(part) or place.parts.get("{}")
    return place.service if place is not None else None
