"""The node's answers that an accuser reads, decoded strictly into values.

Which fields a block must have was tried out on upstream's accuser (recorded run
``14-block-fields``). Every decoder raises ``Undecodable``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import attrs

from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..._mavryk.codec.fields import Fields, ForgeError
from ..._mavryk.codec.forge import BlockHeader, full_header_from_json
from ..._mavryk.codec.operations import (
    CONSENSUS_TAGS,
    LEGACY_KINDS,
    Consensus,
    InlinedConsensus,
)
from ..rpc.request import Undecodable
from ..rpc.strict import (
    Mismatch,
    Shape,
    anything,
    array,
    boolean,
    constant,
    number,
    optional,
    record,
    text,
)


@attrs.frozen
class AppliedBlock:
    """An item of ``/monitor/applied_blocks``."""

    hash: str
    chain_id: str
    level: int
    header: Mapping[str, object]
    """The header as the event shows it."""


@attrs.frozen
class Baked:
    """What a block's metadata say about its making."""

    delegate: str
    level: int


@attrs.frozen
class Block:
    hash: str
    chain_id: str
    fitness: tuple[bytes, ...]
    baked: Baked | None
    """None for a pruned block."""
    consensus: tuple[InlinedConsensus, ...] | None
    """Consensus operations in their order; None if the block has not even an empty list."""


def hash_of(kind: Kind, name: str, value: object) -> str:
    """A base58check text. ``name`` is upstream's word for the kind."""
    _shaped(text, value)
    assert isinstance(value, str)
    try:
        decode(kind, value)
    except Base58Error:
        raise Undecodable(f'Unhandled error Failure("Unexpected data ({name})")') from None
    return value


def chain_id(value: object) -> str:
    """The answer to ``/chains/main/chain_id``."""
    return hash_of(Kind.CHAIN, "Chain_id", value)


def block_hash(value: object) -> str:
    """The answer to ``/hash`` of a block."""
    return hash_of(Kind.BLOCK, "Block_hash", value)


def operation_hash(value: object) -> str:
    """The answer to an injection."""
    return hash_of(Kind.OPERATION, "Operation_hash", value)


def forged(value: object) -> bytes:
    """The answer to a forge request."""
    _shaped(text, value)
    try:
        return bytes.fromhex(str(value))
    except ValueError:
        raise Undecodable('Unhandled error Invalid_argument("Hex.to_char")') from None


_BOOTSTRAPPED: Final = record({"block": text, "timestamp": text})


def bootstrapped(value: object) -> tuple[str, str]:
    """An item of ``/monitor/bootstrapped``: hash and time stamp of the head."""
    _shaped(_BOOTSTRAPPED, value)
    assert isinstance(value, dict)
    return str(value["block"]), str(value["timestamp"])


_PROTOCOLS: Final = record({"protocol": text, "next_protocol": text})


def protocols(value: object) -> tuple[str, str]:
    """Protocol and next protocol of a block."""
    _shaped(_PROTOCOLS, value)
    assert isinstance(value, dict)
    names = "protocol", "next_protocol"
    protocol, following = (hash_of(Kind.PROTOCOL, "Protocol_hash", value[name]) for name in names)
    return protocol, following


_SHELL: Final[Mapping[str, Shape]] = {
    "level": number,
    "proto": number,
    "predecessor": text,
    "timestamp": text,
    "validation_pass": number,
    "operations_hash": text,
    "fitness": array(text),
    "context": text,
}
_HEAD: Final = record({"hash": text, **_SHELL, "protocol_data": text})
_APPLIED: Final = record(
    {
        "chain_id": text,
        "hash": text,
        "header": record({**_SHELL, "protocol_data": text}),
        "operations": array(array(record({"branch": text, "data": text}))),
    }
)


def head(value: object) -> str:
    """An item of ``/monitor/heads``: the hash."""
    _shaped(_HEAD, value)
    assert isinstance(value, dict)
    _sound(lambda: BlockHeader.from_shell_json(value, ignore=("hash",)))
    return hash_of(Kind.BLOCK, "Block_hash", value["hash"])


def applied_block(value: object) -> AppliedBlock:
    """An item of ``/monitor/applied_blocks``."""
    _shaped(_APPLIED, value)
    assert isinstance(value, dict)
    header = _sound(lambda: BlockHeader.from_shell_json(value["header"]))
    return AppliedBlock(
        hash=hash_of(Kind.BLOCK, "Block_hash", value["hash"]),
        chain_id=chain_id(value["chain_id"]),
        level=header.shell.level,
        header=header.shell_json(),
    )


_PROTOCOL_DATA: Final[Mapping[str, Shape]] = {
    "payload_hash": text,
    "payload_round": number,
    "proof_of_work_nonce": text,
    "liquidity_baking_toggle_vote": text,
    "adaptive_issuance_vote": text,
    "signature": text,
}
_LEVEL_INFO: Final = record(
    {
        "level": number,
        "level_position": number,
        "cycle": number,
        "cycle_position": number,
        "expected_commitment": boolean,
    }
)
_PERIOD: Final = record(
    {
        "voting_period": record({"index": number, "kind": text, "start_position": number}),
        "position": number,
        "remaining": number,
    }
)


def _seed_nonce_hash(value: object, path: tuple[str, ...]) -> None:
    if not isinstance(value, str):
        complaints = []
        for expected in ("string", "object"):
            kind = "null" if value is None else "number" if isinstance(value, int | float) else "array"
            complaints.append(f"    Unexpected {kind} instead of {expected}")
        raise Mismatch(path, "\n".join(["no case matched:", *complaints]))


def _metadata(protocol: str, *, dal: bool) -> Shape:
    fields: dict[str, Shape] = {
        "protocol": constant(protocol),
        "next_protocol": constant(protocol),
        "test_chain_status": anything,
        "max_operations_ttl": number,
        "max_operation_data_length": number,
        "max_block_header_length": number,
        "max_operation_list_length": array(record({"max_size": number}, {"max_op": number})),
        "proposer": text,
        "baker": text,
        "level_info": _LEVEL_INFO,
        "voting_period_info": _PERIOD,
        "nonce_hash": optional(text),
        "deactivated": array(text),
        "liquidity_baking_toggle_ema": number,
        "adaptive_issuance_vote_ema": number,
        "implicit_operations_results": array(anything),
        "proposer_consensus_key": text,
        "baker_consensus_key": text,
        "consumed_milligas": text,
    }
    extra: dict[str, Shape] = {
        "balance_updates": array(anything),
        "adaptive_issuance_activation_cycle": number,
    }
    (fields if dal else extra)["dal_attestation"] = text
    return record(fields, extra)


def header(value: object, protocol: str) -> BlockHeader:
    """The answer to ``/header`` of a block of that protocol."""
    shape = record(
        {
            "protocol": constant(protocol),
            "chain_id": text,
            "hash": text,
            **_SHELL,
            **_PROTOCOL_DATA,
        },
        {"seed_nonce_hash": _seed_nonce_hash},
    )
    _shaped(shape, value)
    ignored = ("protocol", "chain_id", "hash")
    return _sound(lambda: full_header_from_json(value, ignore=ignored))


def block(value: object, protocol: str, *, dal: bool) -> Block:
    """The answer to a request for a whole block of that protocol.

    Args:
        dal: whether the protocol's metadata must have ``dal_attestation``.
    """
    shape = record(
        {
            "protocol": constant(protocol),
            "chain_id": text,
            "hash": text,
            "header": record({**_SHELL, **_PROTOCOL_DATA}, {"seed_nonce_hash": _seed_nonce_hash}),
            "operations": array(array(_OPERATION_IN_BLOCK)),
        },
        {"metadata": _metadata(protocol, dal=dal)},
    )
    try:
        shape(value, ())
    except Mismatch as error:
        # The answer is a union of two cases, which complain alike.
        raise Undecodable("\n  ".join(["No case matched:", error.at_path, error.at_path])) from None
    assert isinstance(value, dict)
    whole = _sound(lambda: full_header_from_json(value["header"]))
    baked = None
    if (metadata := value.get("metadata")) is not None:
        baked = Baked(str(metadata["baker"]), int(metadata["level_info"]["level"]))
    return Block(
        hash=hash_of(Kind.BLOCK, "Block_hash", value["hash"]),
        chain_id=chain_id(value["chain_id"]),
        fitness=whole.shell.fitness,
        baked=baked,
        consensus=_consensus_of(value["operations"][0]) if value["operations"] else None,
    )


_OPERATION: Final[Mapping[str, Shape]] = {
    "protocol": text,
    "hash": text,
    "branch": text,
    "contents": array(anything),
    "signature": text,
}


def _without_signature(shape: Mapping[str, Shape]) -> dict[str, Shape]:
    return {name: each for name, each in shape.items() if name != "signature"}


_OPERATION_IN_BLOCK: Final = record({**_without_signature(_OPERATION), "chain_id": text}, {"signature": text})
_MEMPOOL: Final = array(record(_without_signature(_OPERATION), {"signature": text, "error": array(anything)}))
_CONSENSUS: Final[Mapping[str, Shape]] = {
    "kind": text,
    "slot": number,
    "level": number,
    "round": number,
    "block_payload_hash": text,
}


def mempool(value: object) -> tuple[InlinedConsensus, ...]:
    """An item of ``monitor_operations``: its consensus operations, in their order."""
    _shaped(_MEMPOOL, value)
    assert isinstance(value, list)
    return _consensus_of(value)


def _consensus_of(operations: list[Any]) -> tuple[InlinedConsensus, ...]:
    found = []
    for operation in operations:
        contents = operation["contents"]
        content = contents[0] if len(contents) == 1 else None
        if not isinstance(content, dict):
            continue
        name = content.get("kind")
        kind = LEGACY_KINDS.get(name, name) if isinstance(name, str) else None
        if kind not in CONSENSUS_TAGS or str(operation.get("signature", "")).startswith("BLsig"):
            continue
        dal: dict[str, Shape] = {"dal_attestation": text} if kind == "attestation_with_dal" else {}
        _shaped(record({**_CONSENSUS, **dal}, {"metadata": anything}), content)
        _shaped(record({"signature": text}), {k: v for k, v in operation.items() if k == "signature"})
        found.append(_sound(partial(_inlined, operation, content, kind)))
    return tuple(found)


def _inlined(operation: dict[str, Any], content: dict[str, Any], kind: Any) -> InlinedConsensus:
    fields = Fields(operation)
    branch = fields.hash(Kind.BLOCK, "branch")
    return InlinedConsensus(branch, Consensus.from_fields(kind, Fields(content)), fields.signature())


_VALIDATORS: Final = array(
    record({"level": number, "delegate": text, "slots": array(number), "consensus_key": text})
)


def validators(value: object) -> dict[int, str]:
    """The answer about rights: slot -> consensus key that owns it."""
    _shaped(_VALIDATORS, value)
    assert isinstance(value, list)
    return {int(slot): str(each["consensus_key"]) for each in value for slot in each["slots"]}


def _shaped(shape: Shape, value: object) -> None:
    try:
        shape(value, ())
    except Mismatch as error:
        raise Undecodable(str(error)) from None


_Value = TypeVar("_Value")


def _sound(read: Callable[[], _Value]) -> _Value:
    try:
        return read()
    except (ForgeError, Base58Error) as error:
        raise Undecodable(str(error)) from None
